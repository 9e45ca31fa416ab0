"""Contractive autoencoder: min E[-log p(x | g(f(x)))] + lam E||J_f(x)||_F^2, J_f = df/dx, the encoder's Jacobian.

Rifai et al. 2011 (ICML), eq. 4. The penalty is the squared norm of the Jacobian of the code, not of the reconstruction,
and not of the gradient of the summed code. It is computed without the Jacobian: in closed form for one sigmoid layer,
as a trace for two layers, and for convolutions as an unbiased estimate by one vector-Jacobian product with random signs
(Hutchinson 1990). Without tied weights, f could shrink and g grow without any effect. Differs from the autoencoder in
the penalty. CAE+H (Rifai et al. 2011, ECML) adds the change of J nearby, gamma E||J_f(x) - J_f(x + eps)||_F^2 / std^2,
as a finite difference instead of a second derivative.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae import losses
from aevae.config import likelihoods, option
from aevae.models import blocks
from aevae.models.ae import AEConfig, Autoencoder
from aevae.noise import normal, uniform
from aevae.outputs import Loss

MAX_JACOBIAN_IMAGES = 1000  # test images over which the reported norm is averaged


@dataclass(frozen=True)
class ContractiveConfig(AEConfig):
    """Contractive autoencoder (Rifai et al. 2011)."""

    family: ClassVar[str] = "contractive"
    overfits: ClassVar[float] = 0.0
    recipe: ClassVar[dict] = {"epochs": 20, "batch_size": 128}
    network: str = option(
        "shallow",
        "shallow: one sigmoid layer, which is the code; mlp: one hidden layer in encoder and decoder; conv: two "
        "convolutions",
        choices=("shallow", "mlp", "conv"),
    )
    likelihood: str = likelihoods(without=("categorical",))  # the decoder has one output per pixel
    latent_dim: int = option(256, "numbers in the code z", min=1, max=1024)
    lam: float = option(0.1, "lambda: weight of ||df/dx||^2; 0: a plain autoencoder", min=0.0, max=1000.0)
    tied: bool = option(
        True,
        "the decoder's matrix is the transposed matrix of the encoder; off: f can become small and g large without a "
        "better code",
        when=("network", ("shallow",)),
    )
    hessian: float = option(
        0.0,
        "gamma: weight of E||J(x) - J(x + eps)||^2 / std^2, which keeps the Jacobian similar near x (CAE+H); 0: none",
        min=0.0,
        max=1000.0,
        when=("network", ("shallow",)),
        added=True,
    )
    hessian_std: float = option(
        0.1, "standard deviation of eps", min=1e-3, max=1.0, log=True, when=("network", ("shallow",)), added=True
    )


class ContractiveAutoencoder(Autoencoder):
    """An autoencoder whose code is insensitive to changes of the image that reconstruction does not need."""

    Config = ContractiveConfig
    config: ContractiveConfig
    objective = "-log p(x | g(f(x))) + lam ||df/dx||^2"
    paper = "Rifai et al. 2011"
    batchable_hparams = ("lam",)
    lam: Tensor
    units: ClassVar[dict[str, str]] = {"jacobian": "squared norm of df/dx, mean over images"}

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        z, norm = self.code_and_norm(x, generator)
        nll = self.nll(x, self.params(z))  # (B,)
        terms = {"recon": nll.mean(), "contraction": self.lam * norm.mean()}
        each = {} if self.training else {"recon": nll, "contraction": self.lam * norm}
        if self.config.hessian and self.config.network == "shallow":
            change = self.change(x, z, generator)
            terms["hessian"] = self.config.hessian * change.mean()
            each |= {} if self.training else {"hessian": self.config.hessian * change}
        return Loss(
            total=losses.tensor_sum(terms.values()),
            terms={name: term.detach() for name, term in terms.items()},
            per_image=self.per_image(**each, objective=losses.tensor_sum(each.values())),
        )

    def change(self, x: Tensor, z: Tensor, generator: Generator | None) -> Tensor:
        """||J(x) - J(x + eps)||_F^2 / std^2 (B,) of one sigmoid layer with codes z; eps = 0 without a generator."""
        if generator is None:
            return torch.zeros_like(z[:, 0])
        near = self.encode(x + self.config.hessian_std * normal(x.shape, generator, x))
        change = losses.sigmoid_contraction_change(z, near, self.code[0].weight)
        return change / self.config.hessian_std**2

    def code_and_norm(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        """(z (B, D), ||dz/dx||_F^2 (B,)) at x (B, 1, 28, 28), by the cheapest method for this network.

        For convolutions: an estimate with random signs; without a generator the exact value, by D products.
        """
        if self.config.network == "shallow":
            z = self.encode(x)
            return z, losses.sigmoid_contraction(z, self.code[0].weight)
        if self.config.network == "mlp":
            h = self.encoder(x)  # (B, H), after the ReLU
            d1 = (h > 0).to(h.dtype)
            return self.code(h), losses.two_layer_contraction(self.encoder[2].weight, self.code.weight, d1)
        return by_products([*self.encoder, self.code], x, generator)

    @torch.no_grad()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        return {"jacobian": float(self.code_and_norm(x[:MAX_JACOBIAN_IMAGES], generator)[1].mean())}


def by_products(layers: Iterable[nn.Module], x: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """(z (B, D), ||dz/dx||_F^2 (B,)) of feed-forward layers that treat each row separately.

    One product v^T J is computed for the whole batch, backwards through the layers like a gradient. With a generator:
    one product with random signs v, as E||v^T J||^2 is the squared norm (Hutchinson 1990). Without: D products, exact.
    """
    met = []  # (layer, its input)
    for layer in layers:
        met.append((layer, x))
        x = layer(x)

    def squared(v: Tensor) -> Tensor:
        for layer, came in reversed(met):
            v = transposed(layer, came, v)
        return v.square().flatten(1).sum(1)

    if generator is not None:
        signs = 2 * (uniform(x.shape, generator, x) < 0.5).to(x.dtype) - 1
        return x, squared(signs)
    units = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return x, losses.tensor_sum(squared(one.expand_as(x)) for one in units)


def transposed(layer: nn.Module, x: Tensor, v: Tensor) -> Tensor:
    """v^T J of one layer at x. Raises TypeError for an unsupported layer."""
    match layer:
        case blocks.FixedOffset():
            return v
        case nn.Flatten():
            return v.reshape(x.shape)
        case nn.Linear():
            return v @ layer.weight
        case nn.Conv2d():
            assert not isinstance(layer.padding, str)
            return nn.functional.conv_transpose2d(v, layer.weight, None, layer.stride, layer.padding)
        case nn.ReLU():
            return v * (x > 0)
        case nn.Sigmoid():
            h = x.sigmoid()
            return v * h * (1 - h)
    raise TypeError(f"no transposed of {type(layer).__name__}")
