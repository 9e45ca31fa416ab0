"""Autoencoder: min E[-log p(x | g(f(x)))] over encoder f and decoder g; the code is narrower than the image.

Hinton & Salakhutdinov 2006, Science 313:504. With the Gaussian likelihood of fixed sigma the objective is the squared
error up to scale and constant. The code has no prior: its scale is free, and the space between codes is not trained.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Generator, Tensor, nn

from aevae.config import ModelConfig
from aevae.models import blocks
from aevae.models.base import Model
from aevae.outputs import Loss


@dataclass(frozen=True)
class AEConfig(ModelConfig):
    """Plain autoencoder (Hinton & Salakhutdinov 2006)."""

    family: ClassVar[str] = "ae"
    overfits: ClassVar[float] = 1.5  # nothing limits what the code may hold


class Autoencoder(Model):
    """The code is a point: z = f(x)."""

    Config = AEConfig
    config: AEConfig
    code: Any  # a linear layer, followed by an activation in some families
    objective = "-log p(x | g(f(x)))"
    paper = "Hinton & Salakhutdinov 2006"

    def build(self) -> None:
        if self.config.network != "shallow":
            return super().build()
        self.encoder = blocks.flat_encoder()
        layer = nn.Linear(blocks.PIXELS, self.config.latent_dim)
        self.code = nn.Sequential(layer, nn.Sigmoid())
        tied = getattr(self.config, "tied", True)
        back = blocks.Transposed(layer) if tied else nn.Linear(self.config.latent_dim, blocks.PIXELS)
        self.decoder = blocks.flat_decoder(back)

    def build_code(self, width: int) -> None:
        self.code = nn.Linear(width, self.config.latent_dim)

    def posterior(self, x: Tensor) -> tuple[Tensor, None]:
        return self.code(self.encoder(x)), None

    def corrupt(self, x: Tensor, generator: Generator | None) -> Tensor:
        """The encoder's input for x in training. A plain autoencoder returns x."""
        return x

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        nll = self.nll(x, self(self.corrupt(x, generator)).params)  # (B,)
        recon = nll.mean()
        return Loss(recon, {"recon": recon.detach()}, self.per_image(recon=nll, objective=nll))
