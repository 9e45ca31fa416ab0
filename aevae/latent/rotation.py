"""Turning a code: x_hat = W z + b is as well W Q Q^-1 z + b for any invertible Q, so a linear code has no axes."""

import numpy as np


def skew(d: int, seed: int = 0) -> np.ndarray:
    """A (d, d) with A^T = -A: exp(t A) turns d // 2 random planes, orthogonal to each other, by t radians each.

    d odd: one random axis stays.
    """
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    a, b = basis[:, : d // 2], basis[:, d // 2 : 2 * (d // 2)]
    return b @ a.T - a @ b.T


def moments(x: np.ndarray, offset: np.ndarray, columns: np.ndarray, codes: np.ndarray) -> dict:
    """What says how far images x (N, P) are from offset + codes @ columns (D, P) when a part of the code is dropped.

    full: mean squared error with all numbers. second (D, D) = E[z z^T], gram (D, D) = columns columns^T, cross (D, D) =
    E[z (columns residual)^T]. With z replaced by z - M z the error is full + 2 tr(M cross) + tr(gram M second M^T).
    """
    residual = x - offset - codes @ columns
    return {
        "full": float(np.square(residual).sum(1).mean()),
        "second": codes.T @ codes / len(x),
        "gram": columns @ columns.T,
        "cross": codes.T @ (residual @ columns.T) / len(x),
    }


def error_without(m: np.ndarray, parts: dict) -> float:
    """Mean squared error when M z (M: (D, D)) is taken out of every code; `parts` are those of `moments`."""
    lost = 2 * np.trace(m @ parts["cross"]) + np.trace(parts["gram"] @ m @ parts["second"] @ m.T)
    return float(parts["full"] + lost)
