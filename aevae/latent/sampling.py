"""Samples of the prior, and mean codes of classes."""

import numpy as np


def prior(n: int, latent_dim: int, seed: int = 0, std: float = 1.0) -> np.ndarray:
    """`n` samples of N(0, std^2 I): (n, D) float32, deterministic for a seed. Raises ValueError for wrong sizes."""
    if n < 0 or latent_dim < 1:
        raise ValueError(f"n must be 0 or more and latent_dim 1 or more, got {n} and {latent_dim}")
    return np.float32(std) * np.random.default_rng(seed).standard_normal((n, latent_dim), dtype=np.float32)


def prior_name(std: float) -> str:
    """`N(0, I)`, or `N(0, 0.1² I)`."""
    return "N(0, I)" if std == 1 else f"N(0, {std:g}² I)"


def class_means(codes: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    """Label -> mean code (D,) float32, for every label that occurs, ascending.

    codes: (N, D); labels: (N,) integers. Raises ValueError for wrong shapes.
    """
    codes, labels = np.asarray(codes), np.asarray(labels)
    if codes.ndim != 2 or labels.shape != codes.shape[:1]:
        raise ValueError(f"codes (N, D) and labels (N,) are needed, got shapes {codes.shape} and {labels.shape}")
    return {int(c): codes[labels == c].mean(0, dtype=np.float64).astype(np.float32) for c in np.unique(labels)}
