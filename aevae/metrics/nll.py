"""-log p(x) by importance sampling: -log (1/K) sum_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x).

Burda et al. 2016, arXiv:1509.00519, section 5: an upper bound in the mean, falling with K towards -log p(x); K = 5000
is customary. Of grey pixels under a Bernoulli decoder it is a pseudo-likelihood and compares with its like alone.
"""

import math
from typing import NamedTuple

from aevae.metrics.metric import LOWER, Metric, Sample, Values, with_density

SAMPLES = 500
MOST = 100_000
ROWS = 500  # codes decoded at a time: 1.5 MB of pixels, which a processor's cache holds


class Weights(NamedTuple):
    """Of each picture: log (1/K) sum w, variance of that (nan for K = 1), effective number of samples. Tensors (N,)."""

    log_p: object
    variance: object
    effective: object


def importance(model, x, mu, logvar, samples: int, generator, beat=lambda part: None) -> Weights:
    """Importance weights w = p(x, z) / q(z|x) of K = `samples` draws for each picture; memory does not grow with K.

    x: (N, 1, 28, 28); mu, logvar: (N, D) of q(z|x), from which a generator draws. Raises ValueError for K < 1.
    """
    import torch

    if not 1 <= samples <= MOST:
        raise ValueError(f"samples must be in 1..{MOST}, got {samples}")
    pictures = max(1, ROWS // samples)
    # made beforehand: small results kept one by one between large ones that go would leave holes nothing fits into
    found = Weights(*(mu.new_empty(len(x), dtype=torch.float64) for _ in Weights._fields))
    with torch.inference_mode():
        for i in range(0, len(x), pictures):
            rows = slice(i, i + pictures)
            for whole, part in zip(
                found, _block(model, x[rows], mu[rows], logvar[rows], samples, generator), strict=True
            ):
                whole[rows] = part
            beat(min(1.0, (i + pictures) / len(x)))
    return found


def _block(model, x, mu, logvar, samples: int, generator):
    """`Weights` of a few pictures, by running sums of w and w^2 in logarithms."""
    import torch

    first = second = mu.new_full((len(x),), -math.inf, dtype=torch.float64)
    for done in range(0, samples, ROWS):
        log_w = log_weights(model, x, mu, logvar, min(ROWS, samples - done), generator).double()
        first = torch.logaddexp(first, log_w.logsumexp(1))
        second = torch.logaddexp(second, (2 * log_w).logsumexp(1))
    effective = (2 * first - second).exp()  # (sum w)^2 / sum w^2, 1..K
    variance = (samples / effective - 1) / (samples - 1) if samples > 1 else torch.full_like(first, math.nan)
    return first - math.log(samples), variance, effective


def log_weights(model, x, mu, logvar, count: int, generator):
    """log p(x, z) - log q(z|x) (B, count) of draws z ~ N(mu, exp logvar). x: (B, 1, 28, 28), mu, logvar: (B, D)."""
    from aevae.losses import gaussian_log_prob
    from aevae.noise import normal

    eps = normal((len(x), count, mu.shape[1]), generator, mu)
    z = mu[:, None] + (0.5 * logvar).exp()[:, None] * eps  # (B, count, D)
    scale = getattr(model, "prior_std", None)
    prior = gaussian_log_prob(z, 0.0, 0.0 if scale is None else 2 * scale.log())
    return _log_likelihood(model, x, z) + prior - gaussian_log_prob(z, mu[:, None], logvar[:, None])


def _log_likelihood(model, x, z):
    """log p(x|z) (B, K) of x (B, 1, 28, 28) and z (B, K, D)."""
    params = model.params(z.flatten(0, 1))
    if model.config.likelihood != "bernoulli":
        return -model.nll(x.repeat_interleave(z.shape[1], 0), params).view(z.shape[:2])
    logits = params.view(*z.shape[:2], -1)  # x . logits - sum softplus(logits)
    lit = (logits @ x.flatten(1).unsqueeze(2)).squeeze(2)
    return lit - softplus_sum(logits)


def softplus_sum(logits):
    """sum log(1 + exp l) over the last dimension, a multiple of 112: of logits (..., 784) in a third of the time.

    log(1 + exp l) = (l + |l|) / 2 + log(1 + exp -|l|), and one logarithm serves a product of 112 factors, which are at
    most 2: float32 reaches 2^128.
    """
    size = logits.abs()
    positive = (logits.sum(-1) + size.sum(-1)) / 2
    return positive + size.neg_().exp_().add_(1).unflatten(-1, (-1, 112)).prod(-1).log_().sum(-1)


def nll(run, data: Sample, seed: int, samples: int = SAMPLES) -> Values:
    """Mean over pictures in nats, and two standard errors: of the sampling, and of having seen N pictures only.

    nll_ess: effective number of the K samples, mean over pictures.
    """
    import torch

    mu, logvar = data.posterior(run)
    generator = torch.Generator(mu.device).manual_seed(seed)
    found = importance(run.model, data.images, mu, logvar, samples, generator, data.beat)
    count = len(data)
    values = {"nll": -float(found.log_p.mean()), "nll_ess": float(found.effective.mean()), "nll_samples": samples}
    if samples > 1:
        values["nll_se"] = math.sqrt(float(found.variance.sum())) / count
    if count > 1:
        values["nll_se_pictures"] = float(found.log_p.std()) / math.sqrt(count)
    return values


METRICS = (
    Metric(
        "nll", "NLL", "nats / image", r"-\log \tfrac1K \sum_{k=1}^K \frac{p(x, z_k)}{q(z_k|x)},\ z_k \sim q(z|x)",
        nll, with_density, better=LOWER, options={"samples": SAMPLES},
    ),
)  # fmt: skip
