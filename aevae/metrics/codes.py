"""Predictability of the class from the code, by a linear probe and by ten nearest neighbours."""

import math

import numpy as np

from aevae.metrics.metric import HIGHER, Extra, Metric, Sample, TooFew, Values, of_images

SHARE = "fraction of test images"


def _classes(data: Sample) -> None:
    if len(np.unique(data.labels)) < 2:
        raise TooFew("a classifier needs images of two classes or more")


def probe(run, data: Sample, seed: int) -> Values:
    """linear_probe: accuracy of a logistic regression on half of the codes, fitted to the other half."""
    import torch

    from aevae.models.ml_vae import readable

    _classes(data)
    if len(data) < 20:
        raise TooFew(f"a linear classifier needs at least 20 images, got {len(data)}")
    data.beat(0.0)
    accuracy = readable(data.posterior(run)[0], torch.tensor(data.labels))
    tested = len(data) - len(data) // 2
    return {"linear_probe": accuracy, "linear_probe_se": binomial_error(accuracy, tested)}


def neighbours(run, data: Sample, seed: int) -> Values:
    """knn_accuracy: leave-one-out accuracy of the majority class among the 10 nearest codes."""
    from aevae.metrics.neighbours import knn_accuracy

    _classes(data)
    codes = data.codes(run)
    data.beat(0.0)
    accuracy = knn_accuracy(codes, data.labels, min(10, len(data) - 1))
    return {"knn_accuracy": accuracy, "knn_accuracy_se": binomial_error(accuracy, len(data))}


def binomial_error(share: float, count: int) -> float:
    """Standard error of a share of `count` independent images: sqrt(p (1 - p) / n)."""
    return math.sqrt(share * (1 - share) / count)


METRICS = (
    Metric(
        "linear_probe", "linear probe", SHARE,
        r"\mathrm{softmax}(W z + b)\ \text{trained on one half, tested on the other}", probe, of_images,
        better=HIGHER, error="linear_probe_se", beside=("linear_probe_se",),
        extras={"linear_probe_se": Extra("± linear probe, binomial standard error", SHARE)},
        help="How often a linear classifier reads the right class from the code.",
    ),
    Metric(
        "knn_accuracy", "10-NN accuracy", SHARE, r"\text{majority of the 10 nearest codes, leave one out}",
        neighbours, of_images, better=HIGHER, error="knn_accuracy_se", beside=("knn_accuracy_se",),
        extras={"knn_accuracy_se": Extra("± 10-NN accuracy, binomial standard error", SHARE)},
        help="How often the ten nearest codes vote for the right class.",
    ),
)  # fmt: skip
