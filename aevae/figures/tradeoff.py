"""The rate-distortion function of a Gaussian, and the lower convex hull of models."""

import numpy as np


def water_filling(variances: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """(rate in nats, squared error) (points,) each of the optimal code of a Gaussian with these variances; rate
    ascending.

    At water level t each direction of variance v has the error min(v, t), and costs log(v / t) / 2 nats if v > t (Cover
    & Thomas 2006, theorem 10.3.3). A Gaussian is the hardest source with this covariance, so images can be coded at
    least as well. Raises ValueError without a positive variance.
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
    """Indices (H,) int64 of the points on the lower left convex hull, by ascending rate and descending distortion.

    Points between two of them are reached by using each for a part of the images. Values that are not finite are
    ignored.
    """
    order = [i for i in np.lexsort((distortion, rate)) if np.isfinite(rate[i]) and np.isfinite(distortion[i])]
    hull: list[int] = []
    for i in order:
        if hull and distortion[i] >= distortion[hull[-1]]:
            continue  # a higher rate, but no lower distortion
        while len(hull) > 1 and _above(rate, distortion, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    return np.array(hull, np.int64)


def _above(x: np.ndarray, y: np.ndarray, a: int, b: int, c: int) -> bool:
    """Whether point b is on or above the line from a to c."""
    return (y[b] - y[a]) * (x[c] - x[a]) >= (y[c] - y[a]) * (x[b] - x[a])
