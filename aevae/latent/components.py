"""Principal component analysis, the closed-form optimum of a linear autoencoder (Baldi & Hornik 1989)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Components:
    """PCA of images of P pixels, float64: mean (P,), axes (K, P) with orthonormal rows, variance (K,), descending.

    left (K + 1,): mean squared error per fitted image if 0..K components are kept.
    """

    mean: np.ndarray
    axes: np.ndarray
    variance: np.ndarray
    left: np.ndarray

    def first(self, count: int) -> "Components":
        """The Components reduced to the first `count`."""
        return Components(self.mean, self.axes[:count], self.variance[:count], self.left[: count + 1])

    def codes(self, x: np.ndarray) -> np.ndarray:
        """Codes (N, K) of x (N, P)."""
        return (x - self.mean) @ self.axes.T

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images (N, P) of the first k <= K coordinates (N, k)."""
        return self.mean + codes @ self.axes[: codes.shape[1]]

    def errors(self, x: np.ndarray) -> np.ndarray:
        """Mean squared error per image (K + 1,) of x (N, P) if 0..K components are kept."""
        centred = x - self.mean
        kept = np.square(centred @ self.axes.T).mean(0)  # (K,): squared error that each axis removes
        return np.square(centred).sum(1).mean() - np.concatenate([[0.0], np.cumsum(kept)])


def fit(x: np.ndarray, count: int) -> Components:
    """The first `count` components of x (N, P), signed so that the largest loading is positive. Raises ValueError."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or not 1 <= count <= min(x.shape):
        raise ValueError(f"count must be in 1..{min(x.shape)} for images of shape {x.shape}, got {count}")
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    values, axes = values[::-1], vectors.T[::-1]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
    left = values.sum() - np.concatenate([[0.0], np.cumsum(values)])
    return Components(mean, axes, values, left.clip(0)).first(count)
