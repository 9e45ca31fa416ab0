"""Matching of the dimensions of two codes by correlation."""

import numpy as np


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's r of every column of a (N, D) with every column of b (N, E), over the same N images: (D, E).

    0 for a constant column. Raises ValueError unless both have the same number of rows, at least two.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or len(a) < 2:
        raise ValueError(f"codes of the same two or more images are needed, got shapes {a.shape} and {b.shape}")
    return np.clip(_standardised(a).T @ _standardised(b), -1, 1)


def _standardised(codes: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and length 1; constant columns become 0."""
    centred = codes - codes.mean(0)
    length = np.linalg.norm(centred, axis=0)
    still = length <= 1e-6 * (1 + np.abs(codes).max(0, initial=0)) * np.sqrt(len(codes))
    return np.where(still, 0, centred / np.where(still, 1, length))


def match(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(partners (D,) int64, r (D,)): a matching of dimensions of a (N, D) to those of b (N, E) with the largest sum
    |r|.

    Each dimension of b is used at most once. If E < D, some partners are -1, with r = 0. The assignment problem (Kuhn
    1955), solved by scipy.
    """
    from scipy.optimize import linear_sum_assignment

    r = correlations(a, b)  # (D, E)
    rows, columns = linear_sum_assignment(-np.abs(r))
    partners, strength = np.full(len(r), -1), np.zeros(len(r))
    partners[rows], strength[rows] = columns, r[rows, columns]
    return partners, strength
