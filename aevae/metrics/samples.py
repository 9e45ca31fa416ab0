"""Quality of a model's samples, measured by a small digit classifier (`classifier`).

confidence: mean largest class probability of the classifier. It is not a quality score: the classifier can be surer of
noise and of the mean digit than of the samples of a good model. class balance: entropy of the predicted classes divided
by log 10. Frechet distance: between Gaussians fitted to the classifier's 64 features of samples and of MNIST's test
images. It has the formula of the FID (Heusel et al. 2017, arXiv:1706.08500) with other features, so it is not
comparable with the FID. Estimated from N samples it is biased upwards. Its floor is what a model would have that
returns its training digits: the distance of N of them to the same test images, in as many repetitions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aevae.config import DataConfig
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


def repeated(images_of: Callable[[int], "Tensor"]) -> list[Values]:
    """Values of `judge` for each of NUM_REPEATS repetitions; [] if a pixel is not finite.

    images_of(i): the NUM_SAMPLES images (N, 1, 28, 28) in [0, 1] of repetition i, on the CPU.
    """
    found = []
    for i in range(NUM_REPEATS):
        images = images_of(i)
        if not bool(images.isfinite().all()):
            return []
        found.append(judge(images))
    return found


def distance(found: Sequence[Values]) -> tuple[float, float]:
    """(mean Frechet distance of these repetitions, standard deviation of one)."""
    each = [one["frechet_distance"] for one in found]
    return float(np.mean(each)), float(np.std(each, ddof=1))


def floor(real: np.ndarray, seed: int) -> list[Values]:
    """Values of `repeated` for NUM_SAMPLES real digits in place of samples. real: uint8 (M, 1, 28, 28).

    A repetition takes different digits; if M < NUM_SAMPLES, some of them several times.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)

    def images_of(i: int) -> "Tensor":
        if len(real) < NUM_SAMPLES:
            rows = torch.randint(len(real), (NUM_SAMPLES,), generator=generator)
        else:
            rows = torch.randperm(len(real), generator=generator)[:NUM_SAMPLES]
        return torch.tensor(real[rows.numpy()]).float().div_(255)

    return repeated(images_of)


def real_digits(data: DataConfig) -> np.ndarray:
    """The training digits of a run in grey, uint8 (M, 1, 28, 28): those of mnist-5k if its own are not on this machine.

    data: the run's DataConfig.
    """
    from aevae import datasets

    grey = replace(data, binarise="none")
    if not datasets.is_available(grey):
        grey = DataConfig(datasets.EMBEDDED)
    return datasets.load(grey).train.images


def samples(run, data: Sample, seed: int) -> Values:
    """Values of `judge` for NUM_SAMPLES decoded prior samples, averaged over NUM_REPEATS repetitions.

    frechet_distance_se: standard error of the mean distance; _sd: standard deviation of one repetition; _floor: the
    mean distance of as many real digits, see `floor`; _floor_images: number of digits among which the floor chooses.
    """
    import torch

    generator = torch.Generator(data.images.device).manual_seed(seed)

    def images_of(i: int) -> "Tensor":
        parts = []
        with torch.inference_mode():
            for j in range(0, NUM_SAMPLES, BLOCK_IMAGES):
                data.beat((i + j / NUM_SAMPLES) / NUM_REPEATS)
                noise = torch.randn(BLOCK_IMAGES, run.latent_dim, generator=generator, device=generator.device)
                parts.append(run.model.decode(run.model.sample_prior(noise)).cpu())
        return torch.cat(parts)

    found = repeated(images_of)
    if not found:
        return {"frechet_distance": math.nan}
    values = {name: np.mean([one[name] for one in found], 0).tolist() for name in found[0]}
    spread, real = distance(found)[1], real_digits(run.config.data)
    return values | {
        "frechet_distance_sd": spread,
        "frechet_distance_se": spread / math.sqrt(NUM_REPEATS),
        "frechet_distance_floor": distance(floor(real, seed))[0],
        "frechet_distance_floor_images": len(real),
    }


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
        help="Whether all ten digits occur equally often among the samples; 1: equally often.",
    ),
    Metric(
        "frechet_distance", "Fréchet distance (64 features)", DISTANCE,
        r"\|m - m'\|^2 + \mathrm{tr}\bigl(C + C' - 2 (C C')^{1/2}\bigr)", samples, _NEEDS, better=LOWER, since=3,
        error="frechet_distance_se",
        beside=("frechet_distance_se", "frechet_distance_floor"),
        extras={
            "frechet_distance_se": Extra("± Fréchet distance, standard error over 5 repetitions", DISTANCE),
            "frechet_distance_sd": Extra("standard deviation of the Fréchet distance of 2,000 samples", DISTANCE),
            "frechet_distance_floor": Extra("Fréchet distance of as many real training digits", DISTANCE),
            "frechet_distance_floor_images": Extra("training digits from which the floor is sampled", "images"),
        },
        help="How far the distribution of the samples is from that of real digits. "
             "The formula of the FID with features of a small classifier of digits: do not compare it with a FID. The "
        "floor is the distance of as many real training digits: a model that returns its training digits has it.",
    ),
)  # fmt: skip
