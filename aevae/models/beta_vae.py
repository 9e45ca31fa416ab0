"""beta-VAE: min E_q[-log p(x|z)] + beta * KL(q(z|x) || N(0, I)); beta = 1 is the VAE.

Higgins et al. 2017 (ICLR). Two more forms of the penalty: gamma |KL - C| with a growing capacity C (Burgess et al.
2018, arXiv:1804.03599, eq. 8), and KL + (beta - 1) TC, in which beta weights only the total correlation (beta-TCVAE,
Chen et al. 2018, arXiv:1802.04942, eq. 4). The reported `elbo` is the true bound, with weight 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from aevae.config import falling, option
from aevae.models import blocks
from aevae.models.aggregate import minibatch_total_correlation
from aevae.models.vae import VAE, VAEConfig
from aevae.schedules import warmup


@dataclass(frozen=True)
class BetaVAEConfig(VAEConfig):
    """beta-VAE (Higgins et al. 2017)."""

    family: ClassVar[str] = "beta_vae"
    beta: float = option(
        4.0,
        "weight of the KL; 1: the VAE; larger: fewer and more independent dimensions",
        min=0.0,
        max=1000.0,
        when=("penalty", ("beta", "total_correlation")),
    )
    penalty: str = option(
        "beta",
        "beta: beta weighs the KL; total_correlation: beta weighs only this part of the KL; capacity: the KL is "
        "pulled towards C nats",
        choices=("beta", "capacity", "total_correlation"),
        added=True,
    )
    capacity: float = option(
        25.0, "C: target of the KL, in nats", min=0.0, max=1000.0, when=("penalty", ("capacity",)), added=True
    )
    capacity_epochs: float = option(
        10.0, "epochs in which C rises from 0", min=0.0, max=1000.0, when=("penalty", ("capacity",)), added=True
    )
    gamma: float = option(
        10.0,
        "cost of a nat above or below C; the paper has 1000 and long runs; in short runs 1000 leaves no weight for "
        "the image",
        min=0.0,
        max=10_000.0,
        when=("penalty", ("capacity",)),
        added=True,
    )

    @property
    def long_run_exponent(self) -> float:
        """1 if the KL has a weight of at most 0.5, which hardly limits what the code may hold; 0 from a weight of 1."""
        weight = {"beta": self.beta, "capacity": self.gamma}.get(self.penalty, 1.0)
        return max(super().long_run_exponent, falling(weight, 0.5, 1.0))


class BetaVAE(VAE):
    """A VAE whose KL term has the weight `beta`."""

    Config = BetaVAEConfig
    config: BetaVAEConfig
    objective = "-log p(x|z) + beta KL(q(z|x) || N(0, I))"
    paper = "Higgins et al. 2017"
    batchable_hparams = (*VAE.batchable_hparams, "beta", "capacity", "gamma")
    beta: Tensor
    capacity: Tensor
    gamma: Tensor
    pictures: Tensor
    units: ClassVar[dict[str, str]] = VAE.units | {"beta_norm": "beta D / 784"}

    @property
    def kl_weight(self) -> Tensor:
        return self.beta

    @property
    def has_objective_per_image(self) -> bool:
        return super().has_objective_per_image and self.config.penalty == "beta"

    def build(self) -> None:
        super().build()
        if self.config.penalty == "total_correlation":
            self.register_buffer("pictures", torch.zeros(()))  # training images; the name is in saved weights

    def setup(self, num_train: int) -> None:
        if self.config.penalty == "total_correlation":
            self.pictures.fill_(num_train)

    def code_cost(
        self, kl: Tensor, z: Tensor, mu: Tensor, logvar: Tensor, epoch: float | Tensor
    ) -> tuple[Tensor, dict]:
        if self.config.penalty == "capacity":
            capacity = self.capacity * warmup(epoch, self.config.capacity_epochs)
            return self.gamma * self.annealed(epoch) * (kl - capacity).abs(), {}
        if self.config.penalty == "total_correlation":
            correlation = minibatch_total_correlation(z, mu, logvar, self.pictures)
            cost = self.annealed(epoch) * kl + (self.beta - 1) * self.annealed(epoch) * correlation
            return cost, {"total_correlation": correlation}
        return super().code_cost(kl, z, mu, logvar, epoch)

    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """The VAE's metrics and beta_norm = beta * latent_dim / pixels (Higgins et al. 2017, section 3)."""
        values = super().metrics(x, labels, generator)
        if self.config.penalty == "capacity":
            return values
        return values | {"beta_norm": self.config.beta * self.config.latent_dim / blocks.PIXELS}
