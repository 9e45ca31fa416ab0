"""Nearest neighbours, and how well a map or a code preserves them. Euclidean; memory is bounded for 10,000 points.

Distances are computed in float64 after subtracting the mean. A point is never its own neighbour.
"""

from collections.abc import Iterator

import numpy as np

BLOCK_DISTANCES = 1 << 22  # distances in memory at a time: 32 MB in float64
MAX_EXACT_POINTS, NUM_ANCHORS = 5000, 2000  # with more points, `map_quality` evaluates a sample of NUM_ANCHORS
TIE = 1e-12  # squared distances that differ by less than this share of the largest squared radius count as equal


def nearest(
    points: np.ndarray, bank: np.ndarray, k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(distance (M, k) float64, index (M, k) int64) of the k nearest in `bank` (N, D) to each of `points` (M, D).

    Nearest first; equal distances are sorted by index. own: (M,) row of the bank that is the point itself, which is
    excluded. Raises ValueError for wrong shapes, values that are not finite, or a bank too small for k.
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
    # The expanded square is inexact for near points, so the distances of the selected ones are computed directly.
    exact = np.stack([np.linalg.norm(points - bank[column], axis=1) for column in index.T], axis=1)  # (M, k)
    order = np.lexsort((index, exact), axis=1)
    return np.take_along_axis(exact, order, 1), np.take_along_axis(index, order, 1)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jaccard index (N,), 0..1, of neighbour lists (N, k) and (N, l), row by row: intersection over union.

    The indices of a row must be distinct. Raises ValueError for different numbers of rows.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(f"two lists of neighbours of the same points are needed, got shapes {a.shape} and {b.shape}")
    shared = (a[:, :, None] == b[:, None, :]).sum((1, 2))
    return shared / np.maximum(a.shape[1] + b.shape[1] - shared, 1)


def map_quality(high: np.ndarray, low: np.ndarray, labels: np.ndarray, k: int = 10) -> dict[str, float]:
    """Quality measures in 0..1 of a map `low` (N, 2) of `high` (N, D) with labels (N,), by k neighbours.

    knn_accuracy (in the map), knn_accuracy_space (in the code), trustworthiness, continuity, neighbourhood_preservation
    (mean share of the k nearest that remain among the k nearest). With more than MAX_EXACT_POINTS points they are means
    over NUM_ANCHORS points, whose neighbours are searched among all points; `anchors` is their number. With fewer than
    2 k + 1 points k is reduced; `neighbours` is the k used. Raises ValueError for wrong shapes.
    """
    high, low, labels = np.asarray(high, np.float64), np.asarray(low, np.float64), np.asarray(labels)
    _must_pair(high, low)
    if labels.shape != high.shape[:1]:
        raise ValueError(f"one label per point is needed, got shapes {labels.shape} and {high.shape}")
    n = len(high)
    k = min(k, (n - 1) // 2)
    anchors = np.arange(n)
    if n > MAX_EXACT_POINTS:
        anchors = np.sort(np.random.default_rng(0).permutation(n)[:NUM_ANCHORS])
    near_high, near_low = (nearest(space[anchors], space, k, own=anchors)[1] for space in (high, low))
    return {
        "knn_accuracy": _voted(near_low, labels, anchors),
        "knn_accuracy_space": _voted(near_high, labels, anchors),
        "trustworthiness": _kept(high, near_low, anchors),
        "continuity": _kept(low, near_high, anchors),
        "neighbourhood_preservation": float((near_high[:, :, None] == near_low[:, None, :]).sum((1, 2)).mean() / k),
        "anchors": len(anchors),
        "neighbours": k,
    }


def knn_accuracy(points: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """Leave-one-out accuracy, 0..1, of the k-nearest-neighbour classifier.

    points: (N, D), labels: (N,). On a tie the class of the nearest point wins.
    Raises ValueError for wrong shapes or if k is not in 1..N-1.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    if labels.shape != points.shape[:1]:
        raise ValueError(f"one label per point is needed, got shapes {labels.shape} and {points.shape}")
    everyone = np.arange(len(points))
    return _voted(nearest(points, points, k, own=everyone)[1], labels, everyone)


def _voted(index: np.ndarray, labels: np.ndarray, anchors: np.ndarray) -> float:
    """Accuracy of the votes of neighbours (M, k), nearest first, for the labels of the anchors (M,)."""
    near = labels[index]  # (M, k), nearest first
    votes = np.stack([(near == column[:, None]).sum(1) for column in near.T], axis=1)  # (M, k)
    winner = votes.argmax(1)  # on a tie the first, which is the nearest
    return float((near[np.arange(len(near)), winner] == labels[anchors]).mean())


def trustworthiness(high: np.ndarray, low: np.ndarray, k: int = 10) -> float:
    """Trustworthiness of `low` (N, d) as a map of `high` (N, D): 1 if all neighbours in `low` are neighbours in `high`.

    1 - 2 / (N k (2N - 3k - 1)) * sum over points and their k neighbours in low of max(0, rank in high - k)
    (Venna & Kaski 2001), as in scikit-learn; points at equal distances share the best rank.
    Raises ValueError for wrong shapes or if k is not in 1..N/2 (exclusive).
    """
    high, low = np.asarray(high, np.float64), np.asarray(low, np.float64)
    _must_pair(high, low)
    if not 1 <= k < len(high) / 2:
        raise ValueError(f"k must be 1 or more and below half of the {len(high)} points, got {k}")
    everyone = np.arange(len(high))
    return _kept(high, nearest(low, low, k, own=everyone)[1], everyone)


def _must_pair(high: np.ndarray, low: np.ndarray) -> None:
    if high.ndim != 2 or low.ndim != 2 or len(high) != len(low):
        raise ValueError(f"two arrays of N points are needed, got shapes {high.shape} and {low.shape}")


def _kept(high: np.ndarray, index: np.ndarray, anchors: np.ndarray) -> float:
    """Trustworthiness of the neighbours `index` (M, k) of the anchors (M,), from their ranks in `high`."""
    n, k = len(high), index.shape[1]
    tie = TIE * np.square(high - high.mean(0)).sum(1).max()
    penalty = 0
    for rows, squared in _distances(high[anchors], high, anchors):
        for seen in index[rows].T:
            radius = np.take_along_axis(squared, seen[:, None], 1) - tie
            penalty += int(np.maximum((squared < radius).sum(1) + 1 - k, 0).sum())
    return 1.0 - penalty * 2.0 / (len(anchors) * k * (2 * n - 3 * k - 1))


def continuity(high: np.ndarray, low: np.ndarray, k: int = 10) -> float:
    """Continuity of `low` as a map of `high`: 1 if all neighbours in `high` are neighbours in `low`.

    Trustworthiness with the two spaces exchanged (Venna & Kaski 2001); the same errors.
    """
    return trustworthiness(low, high, k)


def _distances(points: np.ndarray, bank: np.ndarray, own: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (rows, squared distances (C, N)) in blocks of bounded size; inf from a point to its own row."""
    centre = bank.mean(0)  # subtracted to reduce cancellation in the expanded square
    points, bank = points - centre, bank - centre
    norms = np.einsum("nd,nd->n", bank, bank)
    step = max(1, BLOCK_DISTANCES // max(1, len(bank)))
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
