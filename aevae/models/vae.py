"""Variational autoencoder: min E_q[-log p(x|z)] + KL(q(z|x) || N(0, I)), q(z|x) = N(mu(x), diag sigma^2(x)).

Kingma & Welling 2014, arXiv:1312.6114, eq. 10. The negative objective is the ELBO, a lower bound on log p(x).
Differs from the autoencoder: the code is a distribution, drawn by reparameterisation, and has a prior.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor, nn

from aevae import losses
from aevae.config import ModelConfig, option
from aevae.models.base import Model
from aevae.outputs import Loss
from aevae.schedules import warmup

LOGVAR_RANGE = (-10.0, 10.0)  # keeps exp(logvar) finite in float16 and the KL from running away


@dataclass(frozen=True)
class VAEConfig(ModelConfig):
    """Variational autoencoder (Kingma & Welling 2014)."""

    family: ClassVar[str] = "vae"
    warmup_epochs: float = option(
        0.0, "epochs in which the weight of the KL rises from 0; 0: none", min=0.0, max=1000.0
    )


class VAE(Model):
    """q(z|x) and p(z) are Gaussians; one latent sample per picture and step."""

    Config = VAEConfig
    title = "VAE"
    objective = "-log p(x|z) + KL(q(z|x) || N(0, I))"
    paper = "Kingma & Welling 2014"
    generative = True

    @property
    def kl_weight(self) -> float | Tensor:
        return 1.0

    def build_code(self, width: int) -> None:
        self.mu = nn.Linear(width, self.config.latent_dim)
        self.logvar = nn.Linear(width, self.config.latent_dim)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)  # (B, width)
        return self.mu(h), self.logvar(h).clamp(*LOGVAR_RANGE)

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        out = self(x, generator)
        recon = self.nll(x, out.params).mean()
        kl = losses.gaussian_kl(out.mu, out.logvar).mean()
        total = recon + self.kl_weight * warmup(epoch, self.config.warmup_epochs) * kl
        terms = {"recon": recon, "kl": kl, "elbo": -(recon + kl)}  # the true bound, whatever the weight
        return Loss(total=total, terms={name: term.detach() for name, term in terms.items()})
