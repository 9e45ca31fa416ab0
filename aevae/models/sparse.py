"""Sparse autoencoder: min E[-log p(x | g(h)) + lam sum_j |h_j|], h = relu(W_e x + b); many units, few of them active.

The penalty is the negative log of a Laplace prior on h up to a constant, so h is a maximum a posteriori estimate
(Goodfellow et al. 2016, section 14.2.1; Olshausen & Field 1996). The decoder's columns keep length 1; otherwise they
grow while h shrinks, and the penalty vanishes without sparse codes. Differs from the linear autoencoder in the ReLU,
the penalty and the unit columns.
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


@dataclass(frozen=True)
class SparseConfig(LinearAEConfig):
    """Sparse autoencoder with an L1 penalty (Olshausen & Field 1996)."""

    family: ClassVar[str] = "sparse"
    latent_dim: int = option(256, "hidden units, which are the code", min=1, max=1024)
    lam: float = option(0.3, "lambda: weight of sum |h| (a Laplace prior); 0: a plain autoencoder", min=0.0, max=100.0)
    unit_norm: bool = option(
        True, "keep the decoder's columns at length 1; off: h becomes small, the columns large, and nothing is sparse"
    )


class SparseAutoencoder(LinearAutoencoder):
    """A linear decoder of ReLU codes with an L1 penalty: few of the decoder's columns add up to an image."""

    Config = SparseConfig
    config: SparseConfig
    objective = "-log p(x | g(h)) + lam sum |h|"
    paper = "Olshausen & Field 1996"
    batchable_hparams = ("lam",)
    lam: Tensor
    units: ClassVar[dict[str, str]] = {
        "units_on": "units / image that are not 0",
        "zeros": "% of the code that is 0",
        "units_dead": "units that no image activates",
    }

    def build(self) -> None:
        super().build()
        self.after_step()

    def build_code(self, width: int) -> None:
        self.code = nn.Sequential(nn.Linear(width, self.config.latent_dim), nn.ReLU())

    @torch.no_grad()
    def after_step(self) -> None:
        """Normalise the decoder's columns to length 1."""
        if self.config.unit_norm:
            weight = self.decoder[0].weight  # (784, D)
            weight.div_(weight.norm(dim=0).clamp(min=1e-12))

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        out = self(x)
        nll, size = self.nll(x, out.params), losses.l1(out.z)  # (B,) each
        recon, l1 = nll.mean(), self.lam * size.mean()
        each = {} if self.training else {"recon": nll, "l1": self.lam * size, "objective": nll + self.lam * size}
        return Loss(recon + l1, {"recon": recon.detach(), "l1": l1.detach()}, self.per_image(**each))

    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        return usage(self, x)


@torch.no_grad()
def usage(model: LinearAutoencoder, x: Tensor) -> dict[str, float]:
    """Use of the code's units by images x (N, 1, 28, 28): mean number of active units, % of zeros, unused units."""
    on = torch.cat([model.encode(part) != 0 for part in batches(x)])  # (N, D)
    each = on.sum(1).cpu().double().mean()
    dead = int((~on.any(0)).sum())
    return {"units_on": float(each), "zeros": float(100 * (1 - each / on.shape[1])), "units_dead": dead}
