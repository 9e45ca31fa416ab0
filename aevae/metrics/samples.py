"""Quality of a model's samples, measured by a small digit classifier (`classifier`).

confidence: mean largest class probability of the classifier. It is not a quality score: noise (0.86) and the mean digit
(0.89) have a higher confidence than the samples of a VAE (0.79). class balance: entropy of the predicted classes
divided by log 10. Frechet distance: between Gaussians fitted to the classifier's 64 features of samples and of MNIST's
test images. It has the formula of the FID (Heusel et al. 2017, arXiv:1706.08500) with other features, so it is not
comparable with the FID. Estimated from N samples it is biased upwards; its floor is the distance between two halves of
the test images, with as many images in each half.
"""

import math
from typing import TYPE_CHECKING

from aevae.datasets import DIGITS
from aevae.metrics.metric import HIGHER, LOWER, Extra, Metric, Sample, Values, both, generative, trained_on

if TYPE_CHECKING:
    from torch import Tensor

NUM_SAMPLES = 2000  # samples of the prior per repetition
NUM_REPEATS = 5
BLOCK_IMAGES = 500


def frechet(mean1, covariance1, mean2, covariance2) -> float:
    """Squared Wasserstein distance of two Gaussians: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), >= 0. Tensors.

    The trace of the root is that of (R C2 R)^(1/2), R = C1^(1/2), which is symmetric.
    """
    import torch

    c1, c2 = covariance1.cpu().double(), covariance2.cpu().double()
    values, vectors = torch.linalg.eigh(c1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp(min=0).sqrt().sum()
    apart = (mean1.cpu().double() - mean2.cpu().double()).square().sum()
    return max(0.0, float(apart + c1.trace() + c2.trace() - 2 * cross))


def judge(images) -> Values:
    """Name -> value for images (N, 1, 28, 28) in [0, 1], a tensor on the CPU; N >= 2."""
    import torch

    from aevae.metrics.classifier import reader

    _, mean, covariance = reader()
    features, logits = _read(images)
    share = torch.bincount(logits.argmax(1), minlength=10).cpu().double() / len(logits)
    return {
        "sample_confidence": float(logits.softmax(1).max(1).values.mean()),
        "class_balance": float(torch.special.entr(share).sum() / math.log(10)),
        "class_balance_shares": share.tolist(),
        "frechet_distance": frechet(features.mean(0), features.T.cov(), mean, covariance),
    }


def _read(images) -> "tuple[Tensor, ...]":
    """The classifier's (features (N, 64), logits (N, 10)) of images (N, 1, 28, 28) in [0, 1], on the CPU."""
    import torch

    from aevae.metrics.classifier import reader

    with torch.inference_mode():
        return tuple(torch.cat(part) for part in zip(*map(reader()[0], images.split(1000)), strict=True))


def floor(images, seed: int) -> tuple[float, int]:
    """(Frechet distance between halves of real images (N, 1, 28, 28), mean over NUM_REPEATS splits; images per half).

    A half has at most NUM_SAMPLES images, the number of the model's samples.
    """
    import torch

    features = _read(images.cpu())[0]
    half = min(NUM_SAMPLES, len(images) // 2)
    generator, distances = torch.Generator().manual_seed(seed), []
    for _ in range(NUM_REPEATS):
        order = torch.randperm(len(features), generator=generator)
        a, b = features[order[:half]], features[order[half : 2 * half]]
        distances.append(frechet(a.mean(0), a.T.cov(), b.mean(0), b.T.cov()))
    return sum(distances) / NUM_REPEATS, half


def samples(run, data: Sample, seed: int) -> Values:
    """Values of `judge` for NUM_SAMPLES decoded prior samples, averaged over NUM_REPEATS repetitions.

    frechet_distance_se: standard error of the mean distance; _sd: standard deviation of one repetition; _floor: see
    `floor`.
    """
    import numpy as np
    import torch

    generator, found = torch.Generator(data.images.device).manual_seed(seed), []
    for i in range(NUM_REPEATS):
        parts = []
        with torch.inference_mode():
            for j in range(0, NUM_SAMPLES, BLOCK_IMAGES):
                data.beat((i + j / NUM_SAMPLES) / NUM_REPEATS)
                noise = torch.randn(BLOCK_IMAGES, run.latent_dim, generator=generator, device=generator.device)
                parts.append(run.model.decode(run.model.sample_prior(noise)).cpu())
        decoded = torch.cat(parts)
        if not bool(torch.isfinite(decoded).all()):
            return {"frechet_distance": math.nan}
        found.append(judge(decoded))
    values = {name: np.mean([one[name] for one in found], 0).tolist() for name in found[0]}
    spread = float(np.std([one["frechet_distance"] for one in found], ddof=1))
    values |= {"frechet_distance_sd": spread, "frechet_distance_se": spread / math.sqrt(NUM_REPEATS)}
    if len(data) >= 4:
        values["frechet_distance_floor"], values["frechet_distance_floor_images"] = floor(data.images, seed)
    return values


DISTANCE = "squared feature distance"
_NEEDS = both(generative, trained_on(*DIGITS))
METRICS = (
    Metric(
        "sample_confidence", "confidence in samples (not a score)", "probability",
        r"\mathbb{E}_{z \sim p(z)} \max_c p(c | g(z))",
        samples, _NEEDS,
        help="How sure a classifier is of its answer. This is not a score: it is larger for noise and for the mean "
             "digit than for samples of a good model.",
    ),
    Metric(
        "class_balance", "class balance of samples", "fraction of log 10", r"-\sum_c p_c \log p_c \,/ \log 10",
        samples, _NEEDS, better=HIGHER,
        extras={"class_balance_shares": Extra("predicted classes of samples", "fraction of samples, one per class")},
    ),
    Metric(
        "frechet_distance", "Fréchet distance (64 features)", DISTANCE,
        r"\|m - m'\|^2 + \mathrm{tr}\bigl(C + C' - 2 (C C')^{1/2}\bigr)", samples, _NEEDS, better=LOWER, since=2,
        error="frechet_distance_se", beside=("frechet_distance_se", "frechet_distance_floor"),
        extras={
            "frechet_distance_se": Extra("± Fréchet distance, standard error over 5 repetitions", DISTANCE),
            "frechet_distance_sd": Extra("standard deviation of the Fréchet distance of 2,000 samples", DISTANCE),
            "frechet_distance_floor": Extra("Fréchet distance between halves of the test images", DISTANCE),
            "frechet_distance_floor_images": Extra("images in each half", "images"),
        },
        help="The formula of the FID with features of a small classifier of digits: do not compare it with a FID. The "
        "floor is the distance between two halves of the real test images.",
    ),
)  # fmt: skip
