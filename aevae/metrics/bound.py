"""The ELBO of one image in three forms, and the variance of its estimates. In nats."""

import math
from typing import NamedTuple

NUM_SAMPLES = 500


class Bound(NamedTuple):
    """Values for one image and its q(z|x). `kl` and `entropy` are closed forms, the others means over samples."""

    likelihood: float  # E_q log p(x|z)
    kl: float  # KL(q(z|x) || p(z))
    joint: float  # E_q log p(x, z)
    entropy: float  # H(q(z|x))
    log_p: float  # log p(x), by importance sampling with the same samples
    gap: float  # KL(q(z|x) || p(z|x)) = log p(x) - ELBO
    spread_closed: float  # standard deviation of a one-sample ELBO with the KL in closed form
    spread_drawn: float  # standard deviation of a one-sample log p(x, z) - log q(z|x)
    effective: float  # effective sample size of the estimate of log p(x)

    @property
    def forms(self) -> tuple[float, float, float]:
        """The ELBO in three forms: likelihood - kl; log p(x) - KL(q || p(z|x)); joint + entropy."""
        return self.likelihood - self.kl, self.log_p - self.gap, self.joint + self.entropy


def bound(model, x, seed: int = 0, draws: int = NUM_SAMPLES) -> Bound:
    """The Bound of one image, a tensor x (1, 1, 28, 28), for a model with a density q(z|x).

    Kingma & Welling 2014, arXiv:1312.6114, eq. 2, 3 and 7; log p(x): Burda et al. 2016, arXiv:1509.00519, eq. 8.
    """
    import torch

    from aevae.losses import gaussian_log_prob, log_mean_exp
    from aevae.noise import normal

    with torch.inference_mode():
        mu, logvar = model.posterior(x)  # (1, D)
        generator = torch.Generator(mu.device).manual_seed(seed)
        z = mu + (0.5 * logvar).exp() * normal((draws, mu.shape[1]), generator, mu)  # (K, D)
        likelihood = -model.nll(x.expand(draws, -1, -1, -1), model.params(z)).cpu().double()  # (K,)
        prior = gaussian_log_prob(z, 0.0, 2 * model.prior_std.log()).cpu().double()
        log_q = gaussian_log_prob(z, mu, logvar).cpu().double()
        log_w = likelihood + prior - log_q
        kl = float(model.kl_per_dim(mu, logvar).sum())
        entropy = float(0.5 * (logvar + math.log(2 * math.pi * math.e)).sum())
        log_p = float(log_mean_exp(log_w))
        weights = (log_w - log_w.max()).exp()
        return Bound(
            likelihood=float(likelihood.mean()),
            kl=kl,
            joint=float((likelihood + prior).mean()),
            entropy=entropy,
            log_p=log_p,
            gap=log_p - float(log_w.mean()),
            spread_closed=float(likelihood.std()),
            spread_drawn=float(log_w.std()),
            effective=float(weights.sum() ** 2 / weights.square().sum()),
        )
