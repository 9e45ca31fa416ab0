"""Reconstruction errors per image. x, x_hat: float arrays (N, ...) in [0, 1]."""

import numpy as np

BLOCK_IMAGES = 500  # images in double precision at a time
EPSILON = 1e-7  # keeps the logarithm finite if a decoder returns exactly 0 or 1


def sse(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Squared error summed over pixels (N,)."""
    return _by_rows(lambda x, x_hat: np.square(x - x_hat), x, x_hat)


def bce(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Cross-entropy summed over pixels (N,), in nats."""

    def entropy(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
        p = np.clip(x_hat, EPSILON, 1 - EPSILON)
        return -(x * np.log(p) + (1 - x) * np.log1p(-p))

    return _by_rows(entropy, x, x_hat)


def _by_rows(cost, x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Sum of cost(x, x_hat) over each image (N,), in double precision, in blocks of images."""
    sums = np.empty(len(x))
    for first in range(0, len(x), BLOCK_IMAGES):
        rows = slice(first, first + BLOCK_IMAGES)
        part = cost(x[rows].astype(np.float64), x_hat[rows].astype(np.float64))
        sums[rows] = part.reshape(len(part), -1).sum(1)
    return sums


def psnr(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio (N,), in dB for a peak of 1; infinite for equal images."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(sse(x, x_hat) / x[0].size)
