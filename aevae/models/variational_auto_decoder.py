"""Variational auto-decoder: a VAE whose q(z_i) = N(mu_i, diag sigma_i^2) are free parameters, one for each image.

min E_{q(z_i)}[-log p(x_i | z_i)] + KL(q(z_i) || N(0, I)), over the decoder and all (mu_i, sigma_i). Zadeh et al. 2019,
arXiv:1903.00840: variational inference without amortisation. The bound is the VAE's. With a linear decoder mu_i is the
ridge solution, and the bound is tight if the true posterior is diagonal. Differs from the auto-decoder: a code is a
distribution, and a prior replaces the ball.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from aevae import losses
from aevae.config import likelihoods, option
from aevae.models.auto_decoder import ELSEWHERE, AutoDecoder, AutoDecoderConfig
from aevae.models.base import Model, sample
from aevae.models.vae import bounded
from aevae.outputs import Loss
from aevae.schedules import warmup

START_LOGVAR = -4.0  # narrow enough to distinguish codes of different images from the first step
NUM_JUDGES = 8  # pairs of noise samples with which the results of a search are compared
SEED = 0  # seed of the noise of a search


@dataclass(frozen=True)
class VariationalAutoDecoderConfig(AutoDecoderConfig):
    """Variational auto-decoder (Zadeh et al. 2019)."""

    family: ClassVar[str] = "variational_auto_decoder"
    rate_factor: ClassVar[float] = 0.5  # because codes are noisy and have a multiple of this rate
    ball: ClassVar[bool] = False  # the prior takes its place
    l2: ClassVar[float] = 0.0  # likewise
    latent_dim: int = option(20, "numbers in the code z", min=1, max=784)
    likelihood: str = likelihoods(without=ELSEWHERE)
    code_rate: float = option(
        40.0, "learning rate of the codes, as a multiple of the decoder's", min=0.1, max=1000.0, log=True
    )
    warmup_epochs: float = option(
        0.0, "epochs in which the weight of the KL rises from 0; 0: none", min=0.0, max=1000.0
    )


class VariationalAutoDecoder(AutoDecoder):
    """A decoder, and mean and log variance of a code for each training image."""

    Config = VariationalAutoDecoderConfig
    config: VariationalAutoDecoderConfig
    objective = "-log p(x_i|z_i) + KL(q(z_i) || N(0, I)), each q(z_i) learnt"
    paper = "Zadeh et al. 2019"
    generative = True
    units: ClassVar[dict[str, str]] = {"code_norm": "mean length of the codes"}
    per_dim = 2
    fit_rate = 0.2

    def initial_rows(self, images: int, generator: Generator) -> Tensor:
        """Initial rows (images, 2 D): means near 0, log variances START_LOGVAR."""
        mu = super().initial_rows(images, generator)
        return torch.cat([mu, torch.full_like(mu, START_LOGVAR)], 1)

    def project(self, rows: Tensor) -> Tensor:
        mu, logvar = rows.chunk(2, 1)
        return torch.cat([mu, bounded(logvar)], 1)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = rows.chunk(2, 1)
        return mu, logvar

    def sample_prior(self, noise: Tensor) -> Tensor:
        return Model.sample_prior(self, noise)

    def noise(self, steps: int, like: Tensor) -> list[Tensor]:
        """One sample (1, D) per step, shared by all images, so that no image influences the result of another."""
        generator = torch.Generator(like.device).manual_seed(SEED)
        shape = (steps + NUM_JUDGES, self.config.latent_dim)
        draws = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
        return [*draws[:steps].unsqueeze(1), draws[steps:]]

    def cost(  # ty: ignore[incompatible-method-override]  (this family always has noise)
        self, x: Tensor, rows: Tensor, noise: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """-ELBO (B,), in nats. Each sample of `noise` (J, D) is used with both signs, to reduce the variance for mu."""
        mu, logvar = self.split(rows)
        std = torch.exp(0.5 * logvar)
        recon = [self.seen(x, self.params(mu + sign * std * eps), mask) for eps in noise for sign in (1, -1)]
        return torch.stack(recon).mean(0) + losses.gaussian_kl(mu, logvar)

    def loss(
        self,
        x: Tensor,
        *,
        generator: Generator | None = None,
        epoch: float = math.inf,
        index: Tensor | None = None,
    ) -> Loss:
        mu, logvar = self.split(self.fit(x) if index is None else self.look_up(index))
        z = mu if generator is None else sample(mu, logvar, generator)
        nll, kl_each = self.nll(x, self.params(z)), losses.gaussian_kl(mu, logvar)  # (B,) each
        recon, kl = nll.mean(), kl_each.mean()
        terms = {"recon": recon, "kl": kl, "elbo": -(recon + kl)}
        weight = warmup(epoch, self.config.warmup_epochs)
        each = {} if self.training else {"recon": nll, "kl": kl_each, "elbo": -(nll + kl_each)}
        each |= {"objective": nll + weight * kl_each} if each else {}
        terms = {name: term.detach() for name, term in terms.items()}
        return Loss(recon + weight * kl, terms, self.per_image(**each))
