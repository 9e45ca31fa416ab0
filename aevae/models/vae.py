"""Variational autoencoder: min E_q[-log p(x|z)] + KL(q(z|x) || N(0, s0^2 I)), q(z|x) = N(mu(x), diag sigma^2(x)).

Kingma & Welling 2014, arXiv:1312.6114, eq. 10; s0 = 1 there. The negative objective is the ELBO, a lower bound on
log p(x). Differs from the autoencoder: the code is a distribution, sampled by reparameterisation, and has a prior.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae import losses
from aevae.config import ModelConfig, option
from aevae.models import aggregate
from aevae.models.base import Model
from aevae.models.blocks import batches, parallel_linear
from aevae.noise import normal
from aevae.outputs import Loss
from aevae.schedules import cyclic, warmup

LOGVAR_RANGE = (-10.0, 10.0)


@dataclass(frozen=True)
class VAEConfig(ModelConfig):
    """Variational autoencoder (Kingma & Welling 2014)."""

    family: ClassVar[str] = "vae"
    warmup_epochs: float = option(
        0.0, "epochs in which the weight of the KL rises from 0; 0: none", min=0.0, max=1000.0
    )
    anneal: str = option(
        "linear",
        "after the warm-up, the weight of the KL stays (linear), or rises from 0 again a few times (cyclic, Fu et al. "
        "2019)",
        choices=("linear", "cyclic"),
        added=True,
    )
    cycles: int = option(
        4,
        "how often the weight rises; each cycle is as long as two warm-ups",
        min=1,
        max=100,
        when=("anneal", ("cyclic",)),
        added=True,
    )
    samples: int = option(1, "samples of z for each image and step; their NLL is averaged", min=1, max=100, added=True)
    prior_std: float = option(
        1.0, "s0: standard deviation of the prior N(0, s0^2 I)", min=1e-3, max=100.0, log=True, added=True
    )
    free_bits: float = option(
        0.0,
        "free nats per dimension: a smaller KL (mean over the batch) costs the same, so the dimension does not "
        "collapse; 0: none",
        min=0.0,
        max=10.0,
        added=True,
    )


def bounded(logvar: Tensor) -> Tensor:
    """logvar, clamped to LOGVAR_RANGE, so that exp(logvar) is finite in float16 and the KL stays bounded."""
    return nn.functional.hardtanh(logvar, *LOGVAR_RANGE)  # a clamp with a faster backward pass


class VAE(Model):
    """A VAE with Gaussian q(z|x) and p(z)."""

    Config = VAEConfig
    config: VAEConfig
    objective = "-log p(x|z) + KL(q(z|x) || N(0, I))"
    paper = "Kingma & Welling 2014"
    generative = True
    batchable_hparams = ("prior_std", "free_bits")
    prior_std: Tensor
    free_bits: Tensor
    units = aggregate.UNITS

    @property
    def kl_weight(self) -> float | Tensor:
        return 1.0

    def build_code(self, width: int) -> None:
        self.mu = nn.Linear(width, self.config.latent_dim)
        self.logvar = nn.Linear(width, self.config.latent_dim)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)  # (B, width)
        mu, logvar = parallel_linear(h, self.mu, self.logvar)
        return mu, bounded(logvar)

    def sample_prior(self, noise: Tensor) -> Tensor:
        return self.prior_std * noise

    @property
    def prior_scale(self) -> float:
        return self.config.prior_std

    def kl_per_dim(self, mu: Tensor, logvar: Tensor) -> Tensor:
        if self.is_active("prior_std", 1.0):
            mu, logvar = mu / self.prior_std, logvar - 2 * self.prior_std.log()
        return losses.gaussian_kl_per_dim(mu, logvar)

    def reparameterize(self, mu: Tensor, logvar: Tensor, generator: Generator | None) -> Tensor:
        """R = `samples` codes of each image, (R, B, D); without a generator mu, (1, B, D)."""
        if generator is None:
            return mu.unsqueeze(0)
        std = torch.exp(0.5 * logvar)
        return mu.unsqueeze(0) + std.unsqueeze(0) * normal((self.config.samples, *mu.shape), generator, mu)

    def nll_of(self, x: Tensor, z: Tensor) -> Tensor:
        """-log p(x|z) (R, B) of codes z (R, B, D), computed one sample at a time to save memory."""
        if len(z) == 1:
            return self.nll(x, self.params(z.squeeze(0))).unsqueeze(0)
        return torch.stack([self.nll(x, self.params(each)) for each in z])

    def annealed(self, epoch: float | Tensor) -> float | Tensor:
        """Factor of the KL's weight at this epoch, 0..1."""
        rise = self.config.warmup_epochs
        return warmup(epoch, rise) if self.config.anneal == "linear" else cyclic(epoch, rise, self.config.cycles)

    def charged(self, per_dim: Tensor) -> Tensor:
        """sum_j max(lambda, KL_j), lambda = free_bits; per_dim (D,): KL_j, means over the batch.

        A dimension below lambda has no gradient. Kingma et al. 2016, arXiv:1606.04934, eq. 15.
        """
        if self.is_active("free_bits", 0.0):
            per_dim = self.free_bits + (per_dim - self.free_bits).relu()
        return per_dim.sum(0)

    def code_cost(
        self, kl: Tensor, z: Tensor, mu: Tensor, logvar: Tensor, epoch: float | Tensor
    ) -> tuple[Tensor, dict]:
        """(cost of the code in the objective, additional terms). kl: mean KL in nats; z, mu, logvar: (B, D)."""
        return self.kl_weight * self.annealed(epoch) * kl, {}

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        mu, logvar = self.posterior(x)
        z = self.reparameterize(mu, logvar, generator)
        nll = self.nll_of(x, z)  # (R, B)
        recon = nll.mean()
        kl_each = self.kl_per_dim(mu, logvar)  # (B, D)
        per_dim = kl_each.mean(0)
        kl = per_dim.sum(0)
        cost, more = self.code_cost(self.charged(per_dim), z[0], mu, logvar, epoch)
        terms = {"recon": recon, "kl": kl, "elbo": -(recon + kl)} | more  # elbo: the true bound, whatever the weight
        return Loss(
            total=recon + cost,
            terms={name: term.detach() for name, term in terms.items()},
            per_image={} if self.training else self.elbo_per_image(nll.mean(0), kl_each.sum(1), epoch),
        )

    @property
    def has_objective_per_image(self) -> bool:
        """Whether the objective is a mean over images; with free bits it is not."""
        return not self.is_active("free_bits", 0.0)

    def elbo_per_image(self, recon: Tensor, kl: Tensor, epoch: float) -> dict[str, Tensor]:
        """`Loss.per_image` from the NLL and the KL of each image, (B,) each."""
        each = {"recon": recon, "kl": kl, "elbo": -(recon + kl)}
        if self.has_objective_per_image:
            each["objective"] = recon + self.kl_weight * self.annealed(epoch) * kl
        return self.per_image(**each)

    @torch.no_grad()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        mu, logvar = (torch.cat(p) for p in zip(*map(self.posterior, batches(x[: aggregate.MAX_IMAGES])), strict=True))
        rows = aggregate.evenly(len(mu), min(len(mu), aggregate.MAX_SAMPLES)).to(mu.device)
        kl = self.kl_per_dim(mu[rows], logvar[rows]).cpu().double().mean(0)
        eps = normal((len(rows), mu.shape[1]), generator, mu)
        return aggregate.decompose(mu, logvar, eps, kl) | {"aggregate_images": len(mu)}
