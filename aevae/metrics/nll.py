"""-log p(x), the negative log-likelihood (NLL), by two estimators whose expectations are upper bounds.

nll: -log (1/K) sum_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x) (Burda et al. 2016, arXiv:1509.00519, section 5). It decreases
with K towards -log p(x); the literature uses K = 5,000. ais: by annealed importance sampling (`annealed`), which does
not use q(z|x); its tightness is measured on images that the model simulates (BDMC).
For a Bernoulli decoder the NLL of grey pixels is a pseudo-likelihood, comparable only with others of its kind.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

from aevae.metrics.metric import (
    LOWER,
    Extra,
    Metric,
    Sample,
    Values,
    both,
    with_density,
    with_probabilities,
    with_spread,
)
from aevae.spread import spread
from aevae.units import NATS

if TYPE_CHECKING:
    from torch import Tensor

NUM_SAMPLES = 500
MAX_SAMPLES = 100_000
AIS_IMAGES, AIS_SIMULATED = 100, 50  # test images; simulated images for the gap
AIS = {"temperatures": 500, "chains": 4}  # about three minutes on one core, for a decoder 20-400-784
BLOCK_CODES = 500  # codes decoded at a time: 1.5 MB of pixels fit into a processor's cache


class Weights(NamedTuple):
    """Per image (N,), float64 on the CPU: log (1/K) sum w, its variance (nan for K = 1), effective sample size."""

    log_p: "Tensor"
    variance: "Tensor"
    effective: "Tensor"


def importance(model, x, mu, logvar, samples: int, generator, beat=lambda part: None) -> Weights:
    """Statistics of the importance weights w = p(x, z) / q(z|x) of K = `samples` samples per image, in fixed memory.

    x: (N, 1, 28, 28); mu, logvar: (N, D) of q(z|x). Raises ValueError for K < 1.
    """
    import torch

    if not 1 <= samples <= MAX_SAMPLES:
        raise ValueError(f"samples must be in 1..{MAX_SAMPLES}, got {samples}")
    images = max(1, BLOCK_CODES // samples)
    # Preallocated: small results between large temporary tensors would fragment the memory.
    found = Weights(*(torch.empty(len(x), dtype=torch.float64) for _ in Weights._fields))
    with torch.inference_mode():
        for i in range(0, len(x), images):
            rows = slice(i, i + images)
            for whole, part in zip(
                found, _block(model, x[rows], mu[rows], logvar[rows], samples, generator), strict=True
            ):
                whole[rows] = part
            beat(min(1.0, (i + images) / len(x)))
    return found


def _block(model, x, mu, logvar, samples: int, generator) -> "tuple[Tensor, Tensor, Tensor]":
    """Weights of a few images, by running log-sums of w and w^2."""
    import torch

    first = second = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for done in range(0, samples, BLOCK_CODES):
        log_w = log_weights(model, x, mu, logvar, min(BLOCK_CODES, samples - done), generator).cpu().double()
        first = torch.logaddexp(first, log_w.logsumexp(1))
        second = torch.logaddexp(second, (2 * log_w).logsumexp(1))
    effective = (2 * first - second).exp()  # (sum w)^2 / sum w^2, 1..K
    variance = (samples / effective - 1) / (samples - 1) if samples > 1 else torch.full_like(first, math.nan)
    return first - math.log(samples), variance, effective


def log_weights(model, x, mu, logvar, count: int, generator) -> "Tensor":
    """log p(x, z) - log q(z|x) (B, count) of samples z ~ N(mu, exp logvar). x: (B, 1, 28, 28), mu, logvar: (B, D)."""
    from aevae.losses import gaussian_log_prob
    from aevae.noise import normal

    eps = normal((len(x), count, mu.shape[1]), generator, mu)
    z = mu[:, None] + (0.5 * logvar).exp()[:, None] * eps  # (B, count, D)
    scale = getattr(model, "prior_std", None)
    prior = gaussian_log_prob(z, 0.0, 0.0 if scale is None else 2 * scale.log())
    return _log_likelihood(model, x, z) + prior - gaussian_log_prob(z, mu[:, None], logvar[:, None])


def _log_likelihood(model, x, z) -> "Tensor":
    """log p(x|z) (B, K) of x (B, 1, 28, 28) and z (B, K, D)."""
    params = model.params(z.flatten(0, 1))
    if model.config.likelihood != "bernoulli":
        return -model.nll(x.repeat_interleave(z.shape[1], 0), params).view(z.shape[:2])
    logits = params.view(*z.shape[:2], -1)  # x . logits - sum softplus(logits)
    lit = (logits @ x.flatten(1).unsqueeze(2)).squeeze(2)
    return lit - softplus_sum(logits)


def softplus_sum(logits) -> "Tensor":
    """sum log(1 + exp l) over the last dimension, a multiple of 112, three times faster than softplus.

    log(1 + exp l) = (l + |l|) / 2 + log(1 + exp -|l|), with one logarithm per product of 112 factors of at most 2,
    which does not overflow in float32 (2^128).
    """
    size = logits.abs()
    positive = (logits.sum(-1) + size.sum(-1)) / 2
    return positive + size.neg_().exp_().add_(1).unflatten(-1, (-1, 112)).prod(-1).log_().sum(-1)


def nll(run, data: Sample, seed: int, samples: int = NUM_SAMPLES) -> Values:
    """nll: mean over images, with K = nll_samples, and its `aevae.spread`.

    nll_se_images: standard error over images; nll_se: standard error of the importance sampling for these images.
    nll_ess: effective sample size of the K samples, (sum w)^2 / sum w^2, mean over images.
    """
    import torch

    mu, logvar = data.posterior(run)
    generator = torch.Generator(mu.device).manual_seed(seed)
    found = importance(run.model, data.images, mu, logvar, samples, generator, data.beat)
    count = len(data)
    values = {"nll": -float(found.log_p.mean()), "nll_ess": float(found.effective.mean()), "nll_samples": samples}
    if samples > 1:
        values["nll_se"] = math.sqrt(float(found.variance.sum())) / count
    if count > 1:  # "pictures", not images: this key is in the metrics.json of stored runs
        values["nll_se_pictures"] = float(found.log_p.std()) / math.sqrt(count)
    return values | spread({"nll": -found.log_p.numpy()}, run.model.density_terms)


def ais(run, data: Sample, seed: int, temperatures: int = AIS["temperatures"], chains: int = AIS["chains"]) -> Values:
    """ais: mean over the first AIS_IMAGES images, with its `aevae.spread`.

    ais_gap: mean upper minus lower estimate of log p of simulated images. Omits the gap if p(x|z) cannot be simulated,
    and standard errors for a single image.
    """
    import torch

    from aevae.metrics import annealed

    model, x = run.model, data.images[:AIS_IMAGES]
    generator = torch.Generator(x.device).manual_seed(seed)
    half = lambda start: lambda part: data.beat(start + part / 2)  # noqa: E731
    found = annealed.log_p(model, x, temperatures, chains, generator, half(0.0))
    values = {"ais": -float(found.mean()), "ais_temperatures": temperatures, "ais_chains": chains, "ais_images": len(x)}
    values |= spread({"ais": -found.numpy()}, model.density_terms)
    if len(x) > 1:
        values["ais_se"] = annealed.standard_error(found)
    if model.config.likelihood in annealed.SIMULATED:
        lower, upper = annealed.bidirectional(model, AIS_SIMULATED, temperatures, chains, generator, half(0.5))
        values |= {"ais_gap": float((upper - lower).mean()), "ais_gap_se": annealed.standard_error(upper - lower)}
    return values


_MEANS = (
    Metric(
        "nll", "NLL (upper bound)", NATS, r"-\log \tfrac1K \sum_{k=1}^K \frac{p(x, z_k)}{q(z_k|x)},\ z_k \sim q(z|x)",
        nll, with_density, better=LOWER, options={"samples": NUM_SAMPLES}, error="nll_se_pictures",
        beside=("nll_se_pictures", "nll_ess"), count=("K", "nll_samples"),
        extras={
            "nll_se_pictures": Extra("± NLL, standard error over images", NATS),
            "nll_ess": Extra("effective sample size of the NLL", "of K samples"),
            "nll_se": Extra("standard error of the NLL over samples of z alone", NATS),
            "nll_samples": Extra("K of the NLL", "samples of z / image"),
        },
        help="How many nats an image costs under the whole model, with all codes that fit it. "
             "On average the estimate is above -log p(x), and it falls when K grows; papers use K = 5,000. If the "
             "effective sample size is near 1, the estimate depends on one sample, and the bound is loose.",
    ),
    Metric(
        "ais", "NLL by AIS (upper bound)", NATS,
        r"-\log \tfrac1C \sum_{c=1}^C \prod_{t=1}^T p(x|z_{c,t-1})^{\beta_t - \beta_{t-1}}",
        ais, with_density, better=LOWER, options=AIS, error="ais_se",
        beside=("ais_se", "ais_gap", "ais_gap_se"), count=("T", "ais_temperatures"),
        extras={
            "ais_se": Extra("± NLL by AIS, standard error over images", NATS),
            "ais_gap": Extra("BDMC gap of AIS on simulated images", NATS),
            "ais_gap_se": Extra("± BDMC gap, standard error over images", NATS),
            "ais_temperatures": Extra("T of AIS", "temperatures"),
            "ais_chains": Extra("C of AIS", "chains / image"),
            "ais_images": Extra("images of AIS", "images"),
        },
        help="How many nats an image costs under the whole model, computed without the encoder. The method is annealed "
             "importance sampling from the prior, on the first 100 test images. The BDMC gap is the "
             "difference of an upper and a lower estimate for images that the model simulates: for these images the "
             "NLL by AIS is too high by at most this gap.",
    ),
)  # fmt: skip
METRICS = tuple(metric for mean in _MEANS for metric in with_spread(mean, both(with_density, with_probabilities)))
