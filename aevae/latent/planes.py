"""Distances and bounding boxes of codes, directions in image space, and shading of a plane."""

import numpy as np


def usual_distance(codes: np.ndarray, pairs: int = 500) -> float:
    """Mean distance between codes (N, D) of different images, which serves as unit for codes without a prior."""
    draw = np.random.default_rng(0)
    a = draw.integers(0, len(codes), pairs)
    b = (a + draw.integers(1, len(codes), pairs)) % len(codes)
    return float(np.linalg.norm(codes[a] - codes[b], axis=1).mean())


def null_directions(directions: np.ndarray, seed: int = 0) -> np.ndarray:
    """A random direction (P,) of length 1 that is orthogonal to the orthonormal rows (D, P)."""
    v = np.random.default_rng(seed).normal(size=directions.shape[1])
    v = v - directions.T @ (directions @ v)
    return v / np.linalg.norm(v)


def adding_ink(directions: np.ndarray) -> np.ndarray:
    """Rows (K, P), with signs such that each row adds ink in total."""
    return directions * np.where(directions.sum(1) < 0, -1, 1)[:, None]


def box_around(codes: np.ndarray, share: float = 0.99, margin: float = 0.06) -> tuple[float, float, float, float]:
    """(x0, x1, y0, y1): a box around the middle `share` of codes (N, 2), with a margin on each side."""
    low, high = np.quantile(codes, [(1 - share) / 2, (1 + share) / 2], axis=0)
    extra = margin * (high - low)
    (x0, y0), (x1, y1) = low - extra, high + extra
    return float(x0), float(x1), float(y0), float(y1)


def shade(metric: np.ndarray) -> np.ndarray:
    """Shading 0..1 (side, side) of a plane by sqrt det G, on a log scale from the 2nd to the 98th percentile.

    metric: (side, side, 3) with G11, G12, G22.
    """
    area = np.sqrt(np.clip(metric[..., 0] * metric[..., 2] - metric[..., 1] ** 2, 1e-12, None))
    low, high = np.quantile(np.log(area), [0.02, 0.98])
    return np.clip((np.log(area) - low) / max(high - low, 1e-9), 0, 1)
