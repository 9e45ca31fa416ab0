"""Rotation of a linear code: x_hat = W z + b = (W Q) (Q^-1 z) + b for any invertible Q, so its axes are arbitrary."""

import numpy as np


def skew(d: int, seed: int = 0) -> np.ndarray:
    """A (d, d) with A^T = -A: exp(t A) rotates d // 2 random orthogonal planes by t radians each.

    For odd d one random axis is fixed.
    """
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    a, b = basis[:, : d // 2], basis[:, d // 2 : 2 * (d // 2)]
    return b @ a.T - a @ b.T


def moments(x: np.ndarray, offset: np.ndarray, columns: np.ndarray, codes: np.ndarray) -> dict:
    """Moments from which `error_without` computes errors of offset + codes @ columns (D, P) for images x (N, P).

    full: mean squared error with the whole code. second (D, D) = E[z z^T], gram (D, D) = columns columns^T, cross
    (D, D) = E[z (columns residual)^T]. For z - M z instead of z the error is
    full + 2 tr(M cross) + tr(gram M second M^T).
    """
    residual = x - offset - codes @ columns
    return {
        "full": float(np.square(residual).sum(1).mean()),
        "second": codes.T @ codes / len(x),
        "gram": columns @ columns.T,
        "cross": codes.T @ (residual @ columns.T) / len(x),
    }


def error_without(m: np.ndarray, parts: dict) -> float:
    """Mean squared error if M z is subtracted from every code z. m: M (D, D); parts: the result of `moments`."""
    lost = 2 * np.trace(m @ parts["cross"]) + np.trace(parts["gram"] @ m @ parts["second"] @ m.T)
    return float(parts["full"] + lost)
