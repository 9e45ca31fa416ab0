"""Importance-weighted autoencoder: max L_K = E log (1/K) sum_k p(x, z_k) / q(z_k|x), z_1..z_K ~ q(z|x).

Burda et al. 2016, arXiv:1509.00519, eq. 8; the gradient is that of the sum (eq. 14), by reparameterisation.
ELBO = L_1 <= L_K <= log p(x). L_K is the log of a mean over K samples; a VAE with several samples has a mean of logs.
Differs from the VAE in the objective. At K = 1 it is the VAE, with the KL in closed form.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from aevae.config import option
from aevae.losses import gaussian_log_prob, log_mean_exp
from aevae.models.vae import VAE, VAEConfig
from aevae.outputs import Loss


@dataclass(frozen=True)
class IWAEConfig(VAEConfig):
    """Importance-weighted autoencoder (Burda et al. 2016)."""

    family: ClassVar[str] = "iwae"
    warmup_epochs: ClassVar[float] = 0.0
    anneal: ClassVar[str] = "linear"
    cycles: ClassVar[int] = 1
    free_bits: ClassVar[float] = 0.0
    samples: int = option(5, "K: samples of z for each image and step; 1: the VAE", min=1, max=100)


class IWAE(VAE):
    """A VAE trained on the tighter bound. Terms: `iwae` is L_K, larger is better; `elbo` is from the same samples."""

    Config = IWAEConfig
    config: IWAEConfig
    objective = "-log (1/K) sum_k p(x, z_k) / q(z_k|x)"
    paper = "Burda et al. 2016"
    batchable_hparams = ("prior_std",)

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        mu, logvar = self.posterior(x)
        z = self.reparameterize(mu, logvar, generator)  # (K, B, D)
        nll = self.nll_of(x, z)  # (K, B)
        kl_each = self.kl_per_dim(mu, logvar).sum(1)
        recon, kl = nll.mean(), kl_each.mean()
        elbo = -(recon + kl)
        bound_each = None if len(z) == 1 else log_mean_exp(self.log_weights(nll, z, mu, logvar))
        bound = elbo if bound_each is None else bound_each.mean()
        terms = {"recon": recon, "kl": kl, "elbo": elbo, "iwae": bound}
        each = {}
        if not self.training:
            each = {"recon": nll.mean(0), "kl": kl_each, "elbo": -(nll.mean(0) + kl_each)}
            each["iwae"] = each["elbo"] if bound_each is None else bound_each
            each["objective"] = -each["iwae"]
        return Loss(-bound, {name: term.detach() for name, term in terms.items()}, self.per_image(**each))

    def log_weights(self, nll: Tensor, z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        """log p(x, z) - log q(z|x), (K, B). nll: (K, B), z: (K, B, D), mu and logvar: (B, D)."""
        return gaussian_log_prob(z, 0.0, 2 * self.prior_std.log()) - gaussian_log_prob(z, mu, logvar) - nll
