"""The optimal linear VAE in closed form: probabilistic PCA.

For data with covariance U diag(lambda) U^T and pixels N(mean, s2) the optimum uses direction j only if lambda_j > s2.
Its decoder is U (lambda - s2)^(1/2), its posterior is diagonal, and the ELBO equals log p(x).
Tipping & Bishop 1999; Lucas et al. 2019, arXiv:1911.02469, section 3.
"""

import numpy as np


def active(variances: np.ndarray, s2: float) -> np.ndarray:
    """Whether each direction is used, (D,) bool. variances: lambda (D,)."""
    return np.asarray(variances) > s2


def rate(variances: np.ndarray, s2: float) -> float:
    """Mean KL of the posterior to N(0, I), in nats: sum over active j of log(lambda_j / s2) / 2."""
    kept = np.asarray(variances)[active(variances, s2)]
    return float(0.5 * np.log(kept / s2).sum())


def reconstructed(x: np.ndarray, mean: np.ndarray, axes: np.ndarray, variances: np.ndarray, s2: float) -> np.ndarray:
    """Reconstructions (N, P) of x (N, P): mean codes, whose coordinates on axes (D, P) shrink by 1 - s2 / lambda_j."""
    shrink = np.clip(1 - s2 / np.maximum(variances, 1e-12), 0, None)
    return mean + ((x - mean) @ axes.T * shrink) @ axes


def sampled(noise: np.ndarray, mean: np.ndarray, axes: np.ndarray, variances: np.ndarray, s2: float) -> np.ndarray:
    """Mean images (N, P) of N(0, I) codes `noise` (N, D)."""
    return mean + (noise * np.sqrt(np.clip(np.asarray(variances) - s2, 0, None))) @ axes


def ladder(x: np.ndarray, noise: np.ndarray, data, sigmas: tuple[float, ...]) -> np.ndarray:
    """uint8 (F, 3, N, P): for each of F pixel standard deviations, x (N, P), reconstructions, samples from `noise` (N,
    D).

    data: `components.Components` of the training images.
    """
    fits = [(data.mean, data.axes, data.variance, sigma**2) for sigma in sigmas]
    rows = np.stack([np.stack([x, reconstructed(x, *fit), sampled(noise, *fit)]) for fit in fits])
    return np.rint(np.clip(rows, 0, 1) * 255).astype(np.uint8)
