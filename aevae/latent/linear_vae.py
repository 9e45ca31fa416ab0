"""The best VAE whose encoder and decoder are linear, in closed form: probabilistic PCA.

Of data with covariance U diag(lambda) U^T and pixels N(mean, s2) the optimum has a direction j only if lambda_j > s2;
its decoder is U (lambda - s2)^(1/2), its posterior diagonal, and the ELBO is log p(x).
Tipping & Bishop 1999; Lucas et al. 2019, arXiv:1911.02469, section 3.
"""

import numpy as np


def active(variances: np.ndarray, s2: float) -> np.ndarray:
    """Which directions carry something, (D,) bool. variances: lambda (D,)."""
    return np.asarray(variances) > s2


def rate(variances: np.ndarray, s2: float) -> float:
    """Mean KL of the posterior to N(0, I) in nats: sum over active j of log(lambda_j / s2) / 2."""
    kept = np.asarray(variances)[active(variances, s2)]
    return float(0.5 * np.log(kept / s2).sum())


def reconstructed(x: np.ndarray, mean: np.ndarray, axes: np.ndarray, variances: np.ndarray, s2: float) -> np.ndarray:
    """Mean images of the posterior means of x (N, P): axis j (of D, P) shrunk by 1 - s2 / lambda_j."""
    shrink = np.clip(1 - s2 / np.maximum(variances, 1e-12), 0, None)
    return mean + ((x - mean) @ axes.T * shrink) @ axes


def sampled(noise: np.ndarray, mean: np.ndarray, axes: np.ndarray, variances: np.ndarray, s2: float) -> np.ndarray:
    """Mean images (N, P) of codes `noise` (N, D) drawn from N(0, I)."""
    return mean + (noise * np.sqrt(np.clip(np.asarray(variances) - s2, 0, None))) @ axes


def ladder(x: np.ndarray, noise: np.ndarray, data, sigmas: tuple[float, ...]) -> np.ndarray:
    """For each sigma of the pixels: images x (N, P), given back, drawn with `noise` (N, D). uint8 (F, 3, N, P).

    data: mean, axes and variance of the training images (`components.Components`).
    """
    fits = [(data.mean, data.axes, data.variance, sigma**2) for sigma in sigmas]
    rows = np.stack([np.stack([x, reconstructed(x, *fit), sampled(noise, *fit)]) for fit in fits])
    return np.rint(np.clip(rows, 0, 1) * 255).astype(np.uint8)
