"""Walks between two codes, judged on lines, of which it is known what lies between.

Berthelot et al. 2019 (ACAI), arXiv:1807.07543, section 3.2: each picture of a walk is compared with real lines at many
angles. Mean distance: how far it is from the nearest, 1 - cosine. Smoothness: how unevenly the nearest line's angle
goes round, the largest step of the walk less an even one, both in parts of the whole way; 0 is best for both.
"""

from collections.abc import Callable

import numpy as np

from aevae.metrics.metric import LOWER, Metric, Sample, Values, both, trained_on, with_codes

REAL = 3600  # angles of real lines, a tenth of a degree apart
STEPS = 16  # pictures of a walk, both ends among them
WALKS = 200
TURNS = (np.pi / 4, 3 * np.pi / 4)  # by how much the ends differ


def ends(seed: int, walks: int = WALKS) -> tuple[np.ndarray, np.ndarray]:
    """Angles (walks,) of the first and the last line; drawn from a seed."""
    draw = np.random.default_rng(seed)
    first = draw.uniform(0, 2 * np.pi, walks)
    return first, first + draw.choice((-1, 1), walks) * draw.uniform(*TURNS, walks)


def judge(pictures: np.ndarray) -> tuple[float, float]:
    """Mean distance and smoothness of walks (W, S, 1, 28, 28) of pictures in [0, 1]."""
    from aevae.datasets import lines

    angles = np.arange(REAL) * 2 * np.pi / REAL
    real = _unit(lines.draw(angles).reshape(REAL, -1))
    distance, nearest = [], []
    for walk in pictures:
        near = _unit(walk.reshape(len(walk), -1).astype(np.float64)) @ real.T  # (S, REAL) cosines
        distance.append(1 - near.max(1))
        nearest.append(angles[near.argmax(1)])
    steps = np.abs((np.diff(np.stack(nearest), axis=1) + np.pi) % (2 * np.pi) - np.pi)  # (W, S - 1), the short way
    way = np.maximum(steps.sum(1, keepdims=True), 1e-9)  # a walk that stands still has no largest step
    uneven = np.where(way[:, 0] > 1e-6, (steps / way).max(1) - 1 / steps.shape[1], 1.0)
    return float(np.mean(distance)), float(uneven.mean())


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def walks(encode: Callable, decode: Callable, seed: int) -> np.ndarray:
    """Decoded straight walks (WALKS, STEPS, 1, 28, 28) between the codes of two lines each."""
    from aevae.datasets import lines

    a, b = (encode(lines.draw(angle).astype(np.float32)) for angle in ends(seed))
    part = np.linspace(0, 1, STEPS, dtype=np.float32)[None, :, None]
    codes = a[:, None] * (1 - part) + b[:, None] * part  # (W, S, D)
    return decode(codes.reshape(-1, codes.shape[-1])).reshape(len(a), STEPS, 1, 28, 28)


def interpolation(run, data: Sample, seed: int) -> Values:
    """Of straight walks between the codes of lines whose angles differ by 45 to 135 degrees."""
    data.beat(0.0)
    distance, smoothness = judge(walks(run.encode, run.decode, seed))
    return {"interpolation_distance": distance, "interpolation_smoothness": smoothness}


_NEEDS = both(with_codes, trained_on("lines"))
METRICS = (
    Metric(
        "interpolation_distance", "interpolation: mean distance", "1 - cosine",
        r"\tfrac1S \sum_n \min_{\theta} \bigl(1 - \cos(\hat x_n, x_\theta)\bigr)", interpolation, _NEEDS, better=LOWER,
    ),
    Metric(
        "interpolation_smoothness", "interpolation: smoothness", "share of the way",
        r"\max_n |\theta_{n+1} - \theta_n| \big/ \textstyle\sum_n |\theta_{n+1} - \theta_n| - \tfrac{1}{S-1}",
        interpolation, _NEEDS, better=LOWER,
    ),
)  # fmt: skip
