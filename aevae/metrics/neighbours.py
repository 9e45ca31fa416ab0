"""Neighbourhoods: what a map (or a code) keeps of the nearness of points. Euclidean, memory bounded for 10,000 points.

All distances are taken in float64 about the mean of the points; a point is never its own neighbour.
"""

from collections.abc import Iterator

import numpy as np

CHUNK = 1 << 22  # distances held at once: 32 MB in float64
TIE = 1e-12  # squared distances closer than this part of the largest squared radius are equal: rounding is below it


def nearest(
    points: np.ndarray, bank: np.ndarray, k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of `bank` (N, D) for each of `points` (M, D), nearest first.

    Returns distance (M, k) float64 and index (M, k) int64; equal distances go by index.
    own: (M,) row of the bank that each point is, and that is left out of its neighbours.
    Raises ValueError where the shapes do not fit, a number is not finite or the bank is too small for k.
    """
    points, bank = np.asarray(points, np.float64), np.asarray(bank, np.float64)
    if points.ndim != 2 or bank.ndim != 2 or points.shape[1] != bank.shape[1]:
        raise ValueError(f"points (M, D) and bank (N, D) are needed, got shapes {points.shape} and {bank.shape}")
    if not (np.isfinite(points).all() and np.isfinite(bank).all()):
        raise ValueError("points must be finite numbers, got NaN or infinity")
    most = len(bank) - (own is not None)
    if not 1 <= k <= most:
        raise ValueError(f"k must be in 1..{most} for a bank of {len(bank)} points, got {k}")
    found = [_smallest(squared, k) for _, squared in _distances(points, bank, own)]
    index = np.concatenate(found) if found else np.empty((0, k), np.int64)
    # The expanded square loses digits for near points; the few that count are measured again, directly.
    exact = np.stack([np.linalg.norm(points - bank[column], axis=1) for column in index.T], axis=1)  # (M, k)
    order = np.lexsort((index, exact), axis=1)
    return np.take_along_axis(exact, order, 1), np.take_along_axis(index, order, 1)


def count_within(points: np.ndarray, bank: np.ndarray, radius: float) -> np.ndarray:
    """How many of `bank` (N, D) lie no farther than `radius` from each of `points` (M, D): (M,) int64.

    Raises ValueError where the shapes do not fit.
    """
    points, bank = np.asarray(points, np.float64), np.asarray(bank, np.float64)
    if points.ndim != 2 or bank.ndim != 2 or points.shape[1] != bank.shape[1]:
        raise ValueError(f"points (M, D) and bank (N, D) are needed, got shapes {points.shape} and {bank.shape}")
    counts = [(squared <= radius * radius).sum(1) for _, squared in _distances(points, bank, None)]
    return np.concatenate(counts) if counts else np.empty(0, np.int64)


def knn_accuracy(points: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """Part of the points, 0..1, whose label their k nearest others vote for (leave one out).

    points: (N, D), labels: (N,). Where classes have equal votes, the one with the nearest point wins.
    Raises ValueError where the shapes do not fit or k is not in 1..N-1.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    if labels.shape != points.shape[:1]:
        raise ValueError(f"one label per point is needed, got shapes {labels.shape} and {points.shape}")
    _, index = nearest(points, points, k, own=np.arange(len(points)))
    near = labels[index]  # (N, k), nearest first
    votes = np.stack([(near == column[:, None]).sum(1) for column in near.T], axis=1)  # (N, k)
    winner = votes.argmax(1)  # the first, thus nearest, of those with most votes
    return float((near[np.arange(len(near)), winner] == labels).mean())


def trustworthiness(high: np.ndarray, low: np.ndarray, k: int = 10) -> float:
    """How far the neighbours seen in `low` (N, d) are neighbours in `high` (N, D): 1 where no false one was drawn near.

    1 - 2 / (N k (2N - 3k - 1)) * sum over points and their k neighbours in low of max(0, rank in high - k)
    (Venna & Kaski 2001), as in scikit-learn; of points at equal distance each has the best rank of them.
    Raises ValueError where the shapes do not fit or k is not in 1..N/2 (exclusive).
    """
    high, low = np.asarray(high, np.float64), np.asarray(low, np.float64)
    if high.ndim != 2 or low.ndim != 2 or len(high) != len(low):
        raise ValueError(f"two arrays of N points are needed, got shapes {high.shape} and {low.shape}")
    n = len(high)
    if not 1 <= k < n / 2:
        raise ValueError(f"k must be 1 or more and below half of the {n} points, got {k}")
    everyone = np.arange(n)
    tie = TIE * np.square(high - high.mean(0)).sum(1).max()
    _, index = nearest(low, low, k, own=everyone)
    penalty = 0
    for rows, squared in _distances(high, high, everyone):
        seen = np.take_along_axis(squared, index[rows], 1)  # (C, k) distances in high of the neighbours in low
        squared.sort(1)
        ranks = np.stack([np.searchsorted(row, d - tie) for row, d in zip(squared, seen, strict=True)]) + 1
        penalty += int(np.maximum(ranks - k, 0).sum())
    return 1.0 - penalty * 2.0 / (n * k * (2 * n - 3 * k - 1))


def continuity(high: np.ndarray, low: np.ndarray, k: int = 10) -> float:
    """How far the neighbours in `high` are still neighbours in `low`: 1 where none was torn away.

    Trustworthiness with the two spaces exchanged (Venna & Kaski 2001); the same errors.
    """
    return trustworthiness(low, high, k)


def _distances(points: np.ndarray, bank: np.ndarray, own: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of the squared distances, a bounded block (C, N) at a time; infinite from a point to its own row."""
    centre = bank.mean(0)  # about the mean the square of a difference loses the fewest digits
    points, bank = points - centre, bank - centre
    norms = np.einsum("nd,nd->n", bank, bank)
    step = max(1, CHUNK // max(1, len(bank)))
    for start in range(0, len(points), step):
        rows = slice(start, min(start + step, len(points)))
        block = points[rows]
        squared = np.einsum("nd,nd->n", block, block)[:, None] - 2.0 * (block @ bank.T) + norms
        np.maximum(squared, 0.0, out=squared)
        if own is not None:
            squared[np.arange(len(block)), own[rows]] = np.inf
        yield rows, squared


def _smallest(squared: np.ndarray, k: int) -> np.ndarray:
    """Columns (C, k) of the k smallest of each row."""
    if k == 1:
        return squared.argmin(1)[:, None]
    return np.argpartition(squared, k - 1, axis=1)[:, :k].copy()  # a view would keep the whole block
