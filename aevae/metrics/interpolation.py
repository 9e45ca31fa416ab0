"""Quality of interpolations between codes, measured on the data set lines, where the true interpolation is known.

Berthelot et al. 2019 (ACAI), arXiv:1807.07543, section 3.2: each image of an interpolation is compared with real lines
at many angles. Mean distance: 1 - cosine to the nearest line. Smoothness: the largest change of the nearest line's
angle between adjacent images, relative to the change between first and last image, minus 1 / (S - 1), the value of an
even interpolation. 0 is best for both. Smoothness has no upper bound, because detours count.
"""

from collections.abc import Callable

import numpy as np

from aevae.metrics.metric import LOWER, Extra, Metric, Sample, Values, both, trained_on, with_codes

NUM_REAL_ANGLES = 3600  # angles of real lines, a tenth of a degree apart
NUM_STEPS = 16  # images per interpolation, including both ends
NUM_WALKS = 200
MIN_ANGLE = 1e-4  # radians between the ends below which an interpolation has no smoothness, as in the authors' code
TURNS = (np.pi / 4, 3 * np.pi / 4)  # range of the angle between the ends


def ends(seed: int, walks: int = NUM_WALKS) -> tuple[np.ndarray, np.ndarray]:
    """(angles of the first lines, angles of the last lines), (walks,) each; deterministic for a seed."""
    draw = np.random.default_rng(seed)
    first = draw.uniform(0, 2 * np.pi, walks)
    return first, first + draw.choice((-1, 1), walks) * draw.uniform(*TURNS, walks)


def smoothness(angles: np.ndarray) -> np.ndarray:
    """max_n |theta_n+1 - theta_n| / |theta_S - theta_1| - 1 / (S - 1) of angles (W, S) in radians: (W,).

    Angles are unwrapped first. nan if the ends are closer than MIN_ANGLE.
    """
    angles = np.unwrap(angles, axis=1)
    way = np.abs(angles[:, -1] - angles[:, 0])
    largest = np.abs(np.diff(angles, axis=1)).max(1)
    return np.where(way < MIN_ANGLE, np.nan, largest / np.maximum(way, MIN_ANGLE) - 1 / (angles.shape[1] - 1))


def judge(images: np.ndarray) -> tuple[float, float, int]:
    """(mean distance, mean smoothness, number of interpolations with a smoothness) of images (W, S, 1, 28, 28).

    Interpolations with equal ends have no smoothness; if all have, the mean is nan. Images are in [0, 1].
    """
    from aevae.datasets import lines

    angles = np.arange(NUM_REAL_ANGLES) * 2 * np.pi / NUM_REAL_ANGLES
    real = _unit(lines.render_lines(angles).reshape(NUM_REAL_ANGLES, -1))
    distance, nearest = [], []
    for walk in images:
        near = _unit(walk.reshape(len(walk), -1).astype(np.float64)) @ real.T  # (S, NUM_REAL_ANGLES) cosines
        distance.append(1 - near.max(1))
        nearest.append(angles[near.argmax(1)])
    smooth = smoothness(np.stack(nearest))
    smooth = smooth[~np.isnan(smooth)]
    return float(np.mean(distance)), float(smooth.mean()) if len(smooth) else np.nan, len(smooth)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def walks(encode: Callable, decode: Callable, seed: int) -> np.ndarray:
    """Decoded linear interpolations (NUM_WALKS, NUM_STEPS, 1, 28, 28), each between the codes of two lines."""
    from aevae.datasets import lines

    a, b = (encode(lines.render_lines(angle).astype(np.float32)) for angle in ends(seed))
    part = np.linspace(0, 1, NUM_STEPS, dtype=np.float32)[None, :, None]
    codes = a[:, None] * (1 - part) + b[:, None] * part  # (W, S, D)
    return decode(codes.reshape(-1, codes.shape[-1])).reshape(len(a), NUM_STEPS, 1, 28, 28)


def interpolation(run, data: Sample, seed: int) -> Values:
    """Values for linear interpolations between codes of lines whose angles differ by 45 to 135 degrees."""
    data.beat(0.0)
    distance, smooth, count = judge(walks(run.encode, run.decode, seed))
    values = {"interpolation_distance": distance, "interpolation_walks": count}
    return values | ({"interpolation_smoothness": smooth} if count else {})


_NEEDS = both(with_codes, trained_on("lines"))
METRICS = (
    Metric(
        "interpolation_distance", "interpolation: mean distance", "1 - cosine",
        r"\tfrac1S \sum_n \min_{\theta} \bigl(1 - \cos(\hat x_n, x_\theta)\bigr)", interpolation, _NEEDS, better=LOWER,
        help="How far the images of an interpolation are from images of the data set.",
    ),
    Metric(
        "interpolation_smoothness", "interpolation: smoothness", "fraction of the angle between the ends",
        r"\max_n |\theta_{n+1} - \theta_n| \big/ |\theta_S - \theta_1| - \tfrac{1}{S-1}",
        interpolation, _NEEDS, better=LOWER, since=2,
        extras={"interpolation_walks": Extra("interpolations with a smoothness", "interpolations")},
        help="How much larger than an even step the largest step of an interpolation is.",
    ),
)  # fmt: skip
