"""How far a picture is from another, per image. Arrays (N, ...) in [0, 1], float."""

import numpy as np

UNITS = {"sse": "squared error / image", "bce": "nats / image", "psnr": "dB"}
EPSILON = 1e-7  # keeps the logarithm finite where a decoder says exactly 0 or 1


def sse(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Squared error summed over pixels (N,)."""
    return np.square(x.astype(np.float64) - x_hat).reshape(len(x), -1).sum(1)


def bce(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Cross-entropy summed over pixels (N,), in nats."""
    p = np.clip(x_hat.astype(np.float64), EPSILON, 1 - EPSILON)
    return -(x * np.log(p) + (1 - x) * np.log1p(-p)).reshape(len(x), -1).sum(1)


def psnr(x: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio (N,), in dB for a peak of 1; infinite for equal pictures."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(sse(x, x_hat) / x[0].size)
