"""Deep autoencoder 784-1000-500-250-d and its mirror: min E[-log p(x | g(f(x)))] through eight layers.

Hinton & Salakhutdinov 2006, Science 313:504, with linear codes. Differs from the autoencoder in its depth.

The paper used logistic units and initialised them by a stack of restricted Boltzmann machines, trained layer by layer.
Here there is no such pretraining: with ReLU units and He initialisation (He et al. 2015, arXiv:1502.01852) the gradient
reaches the first layer from the first step (metric `gradient_ratio`). `unit` logistic with `init` narrow shows why the
paper needed it: the model stays near the mean image.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae.config import likelihoods, option
from aevae.models import blocks
from aevae.models.ae import AEConfig, Autoencoder

UNITS = {"relu": nn.ReLU, "logistic": nn.Sigmoid}
HISTORIC_INIT_STD = 0.01  # standard deviation of initial weights as used in the 1990s
MAX_LAYERS, MAX_WIDTH = 6, 2000
_WIDTHS = frozenset(map(str, range(1, MAX_WIDTH + 1)))


@dataclass(frozen=True)
class DeepAEConfig(AEConfig):
    """Deep autoencoder (Hinton & Salakhutdinov 2006)."""

    family: ClassVar[str] = "deep_ae"
    recipe: ClassVar[dict] = {"epochs": 20, "batch_size": 128}
    rate_factor: ClassVar[float] = 0.4  # several layers each way
    overfits: ClassVar[float] = 1.0
    rate_factor_small: ClassVar[float] = 0.5  # two million weights
    network: ClassVar[str] = "mlp"
    hidden: ClassVar[int] = 0
    widths: str = option(
        "1000-500-250",
        "widths of the hidden layers of the encoder, from the image to the code; the decoder has the "
        "same in reverse order",
    )
    unit: str = option(
        "relu",
        "relu, or logistic: the units of the paper of 2006, which hardly learn without pre-training",
        choices=tuple(UNITS),
    )
    init: str = option(
        "he",
        "starting weights: he (variance by the width), or narrow (all N(0, 0.01^2)): gradients vanish",
        choices=("he", "narrow"),
    )
    likelihood: str = likelihoods(without=("categorical",))  # the decoder has one output per pixel
    latent_dim: int = option(30, "numbers in the code z", min=1, max=784)

    def __post_init__(self):
        super().__post_init__()
        parts = self.widths.split("-")
        if len(parts) > MAX_LAYERS or not all(part in _WIDTHS for part in parts):
            raise ValueError(
                f"widths must be 1 to {MAX_LAYERS} whole numbers in 1..{MAX_WIDTH} with dashes between, "
                f"such as 1000-500-250, got {self.widths[:40]!r}"
            )

    @property
    def layers(self) -> list[int]:
        """Widths of the encoder: pixels, hidden layers, code."""
        return [blocks.PIXELS, *map(int, self.widths.split("-")), self.latent_dim]


class DeepAutoencoder(Autoencoder):
    """A plain autoencoder with several layers in encoder and decoder."""

    Config = DeepAEConfig
    config: DeepAEConfig
    objective = "-log p(x | g(f(x))), f and g deep"
    paper = "Hinton & Salakhutdinov 2006"
    units: ClassVar[dict[str, str]] = {"gradient_ratio": "gradient of the first layer / of the last, root mean squares"}

    def build(self) -> None:
        unit, widths = UNITS[self.config.unit], self.config.layers
        self.encoder = blocks.flat_encoder(*blocks.mlp(widths[:-1], unit), unit())
        self.build_code(widths[-2])
        self.decoder = blocks.flat_decoder(*blocks.mlp(widths[::-1], unit))
        layers = self.linear_layers()
        for layer in layers:
            self._start(layer, linear=layer in (self.code, layers[-1]))

    def _start(self, layer: nn.Linear, linear: bool) -> None:
        """Set weights to N(0, gain^2 / inputs) (He et al. 2015, eq. 10) and biases to 0. linear: no unit follows."""
        rectified = self.config.unit == "relu" and not linear
        if self.config.init == "he":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if rectified else "linear")
        else:
            nn.init.normal_(layer.weight, std=HISTORIC_INIT_STD)
        nn.init.zeros_(layer.bias)

    def linear_layers(self) -> list[nn.Linear]:
        """All linear layers, from the input image to the reconstruction."""
        return [layer for layer in self.modules() if isinstance(layer, nn.Linear)]

    def gradients(self, x: Tensor) -> list[float]:
        """RMS of the gradient of each linear layer's weights, in the order of `linear_layers`, for x (B, ...)."""
        own = copy.deepcopy(self).requires_grad_(True)  # the model of an opened run is frozen
        with torch.inference_mode(False), torch.enable_grad():
            gradients = torch.autograd.grad(own.loss(x.clone()).total, [layer.weight for layer in own.linear_layers()])
        return [float(gradient.square().mean().sqrt()) for gradient in gradients]

    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        first, *_, last = self.gradients(x[:1000])
        return {"gradient_ratio": first / max(last, 1e-30)}
