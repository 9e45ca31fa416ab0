"""beta-VAE: min E_q[-log p(x|z)] + beta * KL(q(z|x) || N(0, I)); beta = 1 is the VAE.

Higgins et al. 2017 (ICLR). The `elbo` reported is the true bound, at weight 1.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aevae.config import option
from aevae.models.vae import VAE, VAEConfig


@dataclass(frozen=True)
class BetaVAEConfig(VAEConfig):
    """beta-VAE (Higgins et al. 2017)."""

    family: ClassVar[str] = "beta_vae"
    beta: float = option(
        4.0, "weight of the KL; 1 is the VAE, above: fewer, more independent dimensions", min=0.0, max=1000.0
    )


class BetaVAE(VAE):
    """A VAE whose KL weighs `beta`."""

    Config = BetaVAEConfig
    title = "beta-VAE"
    objective = "-log p(x|z) + beta KL(q(z|x) || N(0, I))"
    paper = "Higgins et al. 2017"
    knobs = ("beta",)

    @property
    def kl_weight(self) -> Tensor:
        return self.beta
