"""The bound of one image in its three forms, and how far a few draws are off. In nats."""

import math
from typing import NamedTuple

NUM_SAMPLES = 500


class Bound(NamedTuple):
    """Of one image and q(z|x). All but `kl` and `entropy`, which are closed forms, are means over the draws."""

    likelihood: float  # E_q log p(x|z)
    kl: float  # KL(q(z|x) || p(z))
    joint: float  # E_q log p(x, z)
    entropy: float  # H(q(z|x))
    log_p: float  # log p(x), by importance sampling with the same draws
    gap: float  # KL(q(z|x) || p(z|x)) = log p(x) - ELBO
    spread_closed: float  # standard deviation of one draw's estimate with the KL in closed form
    spread_drawn: float  # of one draw's log p(x, z) - log q(z|x)
    effective: float  # number of draws, of those that were asked for, that carry the estimate of log p(x)

    @property
    def forms(self) -> tuple[float, float, float]:
        """The ELBO: likelihood - kl; log p(x) - KL(q || p(z|x)); joint + entropy."""
        return self.likelihood - self.kl, self.log_p - self.gap, self.joint + self.entropy


def bound(model, x, seed: int = 0, draws: int = NUM_SAMPLES) -> Bound:
    """Of one image x (1, 1, 28, 28), a tensor, under a model whose code has a density.

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
