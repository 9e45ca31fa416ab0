"""What a code of so many nats can leave at best: the rate-distortion function of a Gaussian, and the hull of models."""

import numpy as np


def water_filling(variances: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Rate (nats) and squared error of the best code of a Gaussian with these variances: (points,) each, rate rising.

    At the water level t each direction of variance v keeps the error min(v, t) and costs log(v / t) / 2 nats where
    v > t (Cover & Thomas 2006, theorem 10.3.3). Of all sources with this covariance the Gaussian is the hardest, so
    images can be coded at least as well. Raises ValueError without a positive variance.
    """
    variances = np.asarray(variances, np.float64)
    variances = variances[variances > 1e-12 * variances.max(initial=0)]
    if not len(variances):
        raise ValueError("at least one positive variance is needed")
    levels = np.geomspace(variances.max(), 1e-3 * variances.max(), points)[:, None]  # (P, 1)
    rate = 0.5 * np.log(np.maximum(variances / levels, 1)).sum(1)
    return rate, np.minimum(variances, levels).sum(1)


def gaussian_bound(images: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """`water_filling` of the covariance of these images (N, 1, H, W): squared error per image."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    values = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    return water_filling(values**2 / len(flat), points)


def lower_hull(rate: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Numbers of the points on the lower left convex boundary, rate rising, distortion falling: (H,) int64.

    What lies between two of them is reached by using each for a part of the images. Not finite ones are left out.
    """
    order = [i for i in np.lexsort((distortion, rate)) if np.isfinite(rate[i]) and np.isfinite(distortion[i])]
    hull: list[int] = []
    for i in order:
        if hull and distortion[i] >= distortion[hull[-1]]:
            continue  # dearer and no better
        while len(hull) > 1 and _above(rate, distortion, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return np.array(hull, np.int64)


def _above(x: np.ndarray, y: np.ndarray, a: int, b: int, c: int) -> bool:
    """Does point b lie on or above the line from a to c?"""
    return (y[b] - y[a]) * (x[c] - x[a]) >= (y[c] - y[a]) * (x[b] - x[a])
