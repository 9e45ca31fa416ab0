"""Sparse autoencoder by KL: min E[-log p(x | g(h))] + beta sum_j KL(rho || rho_hat_j), h = sigmoid(W_e x + b).

Ng 2011, CS294A lecture notes, Sparse autoencoder. rho_hat_j is the mean of unit j over the batch, rho is its target.
The penalty is of the batch, not of an image, so batches must be large. Differs from the L1 penalty: units must be
active rarely, but may then be fully active.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae import losses
from aevae.config import option
from aevae.models.blocks import batches
from aevae.models.linear_ae import LinearAEConfig, LinearAutoencoder
from aevae.outputs import Loss

EDGE = 1e-6  # rho_hat is clamped to EDGE..1-EDGE, because the KL is infinite at 0 and 1
ACTIVE_ABOVE = 0.5  # a unit above this value counts as active


@dataclass(frozen=True)
class KLSparseConfig(LinearAEConfig):
    """Sparse autoencoder with a KL penalty (Ng 2011)."""

    family: ClassVar[str] = "sparse_kl"
    recipe: ClassVar[dict] = {"epochs": 30, "batch_size": 256}
    latent_dim: int = option(256, "hidden units, which are the code", min=1, max=1024)
    likelihood: str = option(
        "bernoulli",
        "p(x|z) of a pixel: bernoulli (cross-entropy), gaussian (squared error), gaussian_learned (one learnt sigma), "
        "laplace (absolute error, scale 1)",
        choices=("bernoulli", "gaussian", "gaussian_learned", "laplace"),
    )
    rho: float = option(0.05, "rho: target of the mean activation of each unit", min=0.001, max=0.999)
    beta: float = option(3.0, "weight of sum KL(rho || rho_hat); 0: a plain autoencoder", min=0.0, max=1000.0)


class KLSparseAutoencoder(LinearAutoencoder):
    """An autoencoder whose units are each active for few images."""

    Config = KLSparseConfig
    config: KLSparseConfig
    objective = "-log p(x | g(h)) + beta sum KL(rho || mean h)"
    paper = "Ng 2011"
    batchable_hparams = ("rho", "beta")
    rho: Tensor
    beta: Tensor
    units: ClassVar[dict[str, str]] = {
        "mean_activation": "mean of h",
        "units_on": "units / image above 0.5",
        "units_dead": "units that are above 0.5 for no image",
    }

    def build_code(self, width: int) -> None:
        layer = nn.Linear(width, self.config.latent_dim)
        nn.init.constant_(layer.bias, math.log(self.config.rho / (1 - self.config.rho)))  # initial mean of h near rho
        self.code = nn.Sequential(layer, nn.Sigmoid())

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        out = self(x)
        rho_hat = out.z.mean(0).clamp(EDGE, 1 - EDGE)  # (D,)
        nll = self.nll(x, out.params)  # (B,)
        recon = nll.mean()
        sparsity = self.beta * losses.bernoulli_kl(self.rho, rho_hat).sum()
        terms = {"recon": recon.detach(), "sparsity": sparsity.detach()}
        return Loss(recon + sparsity, terms, self.per_image(recon=nll))

    @torch.no_grad()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        h = torch.cat([self.encode(part) for part in batches(x)])  # (N, D)
        on = h > ACTIVE_ABOVE
        return {
            "mean_activation": float(h.mean()),
            "units_on": float(on.sum(1).cpu().double().mean()),
            "units_dead": int((~on.any(0)).sum()),
        }
