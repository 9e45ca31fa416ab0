"""Metrics that every run has after training: loss terms, errors, and metrics of its family."""

import math
from collections.abc import Callable
from dataclasses import replace

from aevae.metrics.metric import (
    DISCRETE,
    HIGHER,
    LOWER,
    QUICK,
    SLOW,
    Extra,
    Metric,
    Sample,
    Values,
    with_probabilities,
    with_spread,
)
from aevae.spread import spread
from aevae.units import NATS, SQUARED_ERROR

MAX_PSNR = 160.0  # dB, an error of 1e-8 per pixel, the precision of float32; infinity would make the mean infinite
PIXELS = 784


def measure(model, x, labels, samples: int = 1, seed: int = 0) -> Values:
    """Name -> value on images x (N, 1, 28, 28) in [0, 1] with classes `labels` (N,). Deterministic for a seed.

    recon, kl, elbo and objective average over `samples` noise samples; the other metrics decode mu.
    """
    import torch

    from aevae.metrics import evidence

    values = evidence.evidence(model, x, torch.Generator(x.device).manual_seed(seed), samples, labels)
    values |= model.metrics(x, labels, torch.Generator(x.device).manual_seed(seed))
    return values | (_decoded(model, x) if model.input == "image" else {})


def _decoded(model, x) -> Values:
    """Errors of the reconstructions of x (N, 1, 28, 28), and statistics of the codes."""
    import numpy as np
    import torch

    from aevae.metrics import evidence, reconstruction, units
    from aevae.models.blocks import batches

    values = {}
    mu, kl = evidence.posterior(model, x)
    with torch.inference_mode():
        x_hat = torch.cat([model.decode(part) for part in batches(mu.to(x.device))]).cpu().numpy()
    clean = x.cpu().numpy()
    for name in ("sse", "bce"):
        each = getattr(reconstruction, name)(clean, x_hat)
        values |= {name: float(each.mean())} | spread({name: each})
    values["psnr"] = float(np.minimum(reconstruction.psnr(clean, x_hat), MAX_PSNR).mean())
    if kl is not None:
        values["kl_per_dim"] = [round(v, 6) for v in kl.mean(0).tolist()]
        values["active_units"] = int(units.active_units(mu.numpy()).sum())
    return values


def basics(run, data: Sample, seed: int, samples: int = 1) -> Values:
    """The values of `measure`, and bits per dimension for discrete likelihoods."""
    import torch

    data.beat(0.0)
    labels = torch.tensor(data.labels).to(data.images.device)
    values = measure(run.model, data.images, labels, samples, seed)
    if "elbo" in values and run.config.model.likelihood in DISCRETE:
        values["bits_per_dim"] = -values["elbo"] / (PIXELS * math.log(2))
    return values


def pca(run, data: Sample, seed: int) -> Values:
    """Comparison of a linear autoencoder with PCA of its training images."""
    from aevae import datasets
    from aevae.metrics import linear

    data.beat(0.0)
    return linear.against_pca(run.model, data.images, datasets.load(run.config.data).train.images)


def _own(family: str) -> dict[str, str]:
    """Name -> unit of the metrics that only this family has."""
    from aevae.models import family_class

    return family_class(family).units


def _has(name: str) -> Callable[..., str]:
    """Requires that the run has this metric from its training, or that its family computes it."""

    def needs(info) -> str:
        kept = info.metrics.get(info.dataset, {})
        return "" if not kept or name in kept or name in _own(info.family) else f"{info.family} has no {name}"

    return needs


def _has_share(name: str) -> Callable[..., str]:
    """Requires costs that are never negative and have no arbitrary constant."""

    def needs(info) -> str:
        return (with_probabilities(info) if name in PIXEL_COSTS else "") or _has(name)(info)

    return needs


def _is_linear(info) -> str:
    return "" if "above_pca" in _own(info.family) else f"{info.family} is not linear: PCA is not its optimum"


def _has_bits(info) -> str:
    if said := _has("elbo")(info):
        return said
    if info.likelihood in DISCRETE:
        return ""
    return f"bits need pixels with probabilities; {info.likelihood} is a density"


_ROWS = (  # name, title, unit, better, formula
    ("recon", "recon", NATS, LOWER, r"-\mathbb{E}_{q(z|x)} \log p(x|z)"),
    ("kl", "KL", NATS, "", r"\mathrm{KL}(q(z|x) \,\|\, p(z))"),
    ("elbo", "ELBO", NATS, HIGHER, r"-(\mathrm{recon} + \mathrm{KL}) \le \log p(x)"),
    ("iwae", "L_K, lower bound of log p(x)", NATS, HIGHER, r"\mathbb{E} \log \tfrac1K \sum_k p(x, z_k) / q(z_k|x)"),
    ("objective", "objective", NATS, "", r"\text{what was minimised}"),
    ("sse", "squared error", SQUARED_ERROR, LOWER, r"\sum_i (x_i - \hat x_i)^2"),
    ("bce", "cross-entropy", NATS, LOWER, r"-\sum_i x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i)"),
    ("psnr", "PSNR", "dB", HIGHER, r"10 \log_{10} \bigl(784 / \sum_i (x_i - \hat x_i)^2\bigr)"),
    ("active_units", "active units", "dimensions", "", r"\#\{j : \mathrm{Var}_x(\mu_j(x)) > 0.01\}"),
    ("kl_per_dim", "KL per dimension", NATS, "", r"\mathrm{KL}(q(z_j|x) \,\|\, p(z_j))"),
    ("units_on", "active units per image", "units / image", "", r"\mathbb{E}\, \#\{j : h_j \ne 0\}"),
    ("units_dead", "dead units", "units", LOWER, r"\#\{j : h_j(x) = 0 \ \forall x\}"),
    ("mean_activation", "mean activation", "activation, 0..1", "", r"\hat\rho = \mathbb{E}\, h_j"),
    ("jacobian", "contraction", "squared norm of df/dx", "", r"\mathbb{E} \|\partial f / \partial x\|_F^2"),
    ("perplexity", "codebook perplexity", "vectors", HIGHER, r"\exp\bigl(-\sum_k p_k \log p_k\bigr)"),
    ("perplexity_top", "perplexity, top", "vectors", HIGHER, r"\exp\bigl(-\sum_k p_k \log p_k\bigr)"),
    ("perplexity_bottom", "perplexity, bottom", "vectors", HIGHER, r"\exp\bigl(-\sum_k p_k \log p_k\bigr)"),
    ("codes_used", "codebook used", "vectors", HIGHER, r"\#\{k : p_k > 0\}"),
    ("codes_used_top", "codebook used, top", "vectors", HIGHER, r"\#\{k : p_k > 0\}"),
    ("codes_used_bottom", "codebook used, bottom", "vectors", HIGHER, r"\#\{k : p_k > 0\}"),
    ("prior_bits", "bits of the code", "bits / image", LOWER, r"-\log_2 p(k)"),
    ("class_from_content", "class from content", "fraction of test images", HIGHER, r"\text{linear classifier of } c"),
    ("class_from_style", "class from style", "fraction of test images", LOWER, r"\text{linear classifier of } s"),
)
MEANINGS = {  # name -> the first sentence of `help`
    "recon": "Reconstruction error: how many nats the image costs if its code is known.",
    "kl": "KL divergence: how many nats the code of an image costs. "
          "A smaller value leaves less information in the code.",
    "elbo": "Evidence lower bound: the log-likelihood of an image is at least as large. It is minus the sum of recon "
            "and KL.",
    "iwae": "A lower bound of log p(x) from K samples of the code, tighter than the ELBO.",
    "objective": "The sum that the training minimises. Compare it only between models with the same objective.",
    "sse": "How far the reconstructed pixels are from the image: squared differences, summed over the 784 pixels.",
    "bce": "Reconstruction error in nats, with each pixel read as a probability of white.",
    "psnr": "The squared error on a logarithmic scale: 10 dB more is a tenth of the error.",
    "active_units": "How many latent dimensions change with the image. The others carry no information.",
    "kl_per_dim": "How many nats each latent dimension carries.",
    "units_on": "How many hidden units are not zero for an image. Few means a sparse code.",
    "units_dead": "How many hidden units are zero for every test image.",
    "mean_activation": "How active a hidden unit is on average.",
    "jacobian": "How strongly the code reacts to small changes of the image. A contractive AE makes it small.",
    "perplexity": "How many codebook vectors are used, counted by how often.",
    "perplexity_top": "How many codebook vectors the top level uses, counted by how often.",
    "perplexity_bottom": "How many codebook vectors the bottom level uses, counted by how often.",
    "codes_used": "How many codebook vectors are used at least once.",
    "codes_used_top": "How many codebook vectors the top level uses at least once.",
    "codes_used_bottom": "How many codebook vectors the bottom level uses at least once.",
    "prior_bits": "How many bits the learned prior needs to store the code of an image.",
    "class_from_content": "How well a linear classifier reads the class from the content part of the code.",
    "class_from_style": "How well a linear classifier reads the class from the style part of the code. It should not.",
}  # fmt: skip
PIXEL_COSTS = ("recon", "elbo", "iwae", "objective")  # costs that contain -log p(x|z)
SPREAD = (*PIXEL_COSTS, "kl", "sse", "bce")  # means of unbounded costs


def _of_row(name: str, title: str, unit: str, better: str, formula: str) -> tuple[Metric, ...]:
    """The metric of a row, and for the mean of an unbounded cost the metrics shown beside it."""
    beside = ("kl_max",) if name == "kl" else ()
    metric = Metric(
        name, title, unit, formula, basics, _has(name), QUICK, better, {"samples": 1}, help=MEANINGS[name],
        beside=beside,
    )  # fmt: skip
    if name not in SPREAD:
        return (metric,)
    found = with_spread(metric, _has_share(name))
    if name != "objective":
        return found
    # The loss of some families has terms of the whole batch: no image has an objective of its own there.
    return found[0], *(replace(other, needs=_has(other.name)) for other in found[1:])


def _of_pca(name: str, title: str, unit: str, better: str, formula: str, meaning: str) -> tuple[Metric, ...]:
    """The metric of a row of the comparison with PCA, and the metrics shown beside a squared error."""
    beside = ("sse_unclipped", "pca_sse") if name == "above_pca" else ()
    help = f"{meaning} {FITTED}"
    metric = Metric(name, title, unit, formula, pca, _is_linear, SLOW, better, help=help, since=2, beside=beside)
    # The difference `above_pca` can be negative, so it has no share.
    return with_spread(metric, None if name == "above_pca" else _is_linear) if unit == SQUARED_ERROR else (metric,)


AGGREGATE = "Estimated with the mixture of N posteriors. It depends on N: compare it only for the same N. "
_AGGREGATE = (  # name, title, formula, help
    (
        "index_code_mi", "mutual information", r"I_q(n; z) = \mathrm{KL}(q(z|n) \,\|\, q(z)) \le \log N",
        "How much the code says about which image it is. " + AGGREGATE + "It cannot exceed log N. Within 0.1 of log N "
        "it has reached this upper limit, and the true value "
                    "is unknown.",
    ),
    (
        "total_correlation", "total correlation", r"\mathrm{KL}\bigl(q(z) \,\|\, \prod_j q(z_j)\bigr)",
        "How strongly the latent dimensions depend on each other; 0: independent. " + AGGREGATE
        + "If the mutual information has reached its upper limit, the total correlation is too large. A "
                    "collapsed code has 0, so a smaller value alone is not better.",
    ),
    (
        "dimensionwise_kl", "dimension-wise KL", r"\sum_j \mathrm{KL}(q(z_j) \,\|\, p(z_j))",
        "How far the codes of all images together, dimension by dimension, are from the prior. " + AGGREGATE,
    ),
)  # fmt: skip
_PCA = (  # name, title, unit, better, formula, meaning
    ("sse_unclipped", "squared error, unclipped", SQUARED_ERROR, LOWER, r"\sum_i (x_i - \hat x_i)^2",
     "The squared error before pixels are clipped to [0, 1]."),
    ("pca_sse", "squared error of PCA, unclipped", SQUARED_ERROR, "", r"\|x - m - V V^T (x - m)\|^2",
     "The squared error of PCA with as many dimensions."),
    ("above_pca", "above PCA", SQUARED_ERROR, LOWER, r"\mathrm{SSE} - \mathrm{SSE}_\mathrm{PCA}",
     "How much worse the model reconstructs than PCA."),
    ("pca_angle", "angle to the plane of PCA", "degrees", LOWER, r"\max_i \angle_i(W_d, V)",
     "How far the plane of the decoder is turned away from the plane of PCA."),
)  # fmt: skip
FITTED = "PCA is fitted to the training set; no pixel is clipped to [0, 1]. On test images PCA is not the optimum."
METRICS = (
    *(
        Metric(
            name,
            title,
            NATS,
            formula,
            basics,
            _has(name),
            QUICK,
            options={"samples": 1},
            help=help,
            since=2,
            count=("N", "aggregate_images"),
            extras={"aggregate_images": Extra("N of the aggregate posterior", "images")},
        )
        for name, title, formula, help in _AGGREGATE
    ),
    *(metric for row in _PCA for metric in _of_pca(*row)),
    *(metric for row in _ROWS for metric in _of_row(*row)),
    Metric(
        "kl_max",
        "KL: largest",
        NATS,
        r"\max_x \mathrm{KL}(q(z|x) \,\|\, p(z))",
        basics,
        _has("kl"),
        QUICK,
        options={"samples": 1},
        help="The KL divergence of the image whose code costs most.",
    ),
    Metric(
        "bits_per_dim",
        "bits per dimension",
        "bits / pixel",
        r"-\mathrm{ELBO} / (784 \ln 2)",
        basics,
        _has_bits,
        QUICK,
        LOWER,
        {"samples": 1},
        help="Minus the ELBO in bits, for each pixel. It is the unit of lossless compression.",
    ),
)
