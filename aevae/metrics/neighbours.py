"""Neighbourhoods: what a map (or a code) keeps of the nearness of points. Euclidean, memory bounded for 10,000 points.

All distances are taken in float64 about the mean of the points; a point is never its own neighbour.
"""

from collections.abc import Iterator

import numpy as np

BLOCK_DISTANCES = 1 << 22  # distances held at once: 32 MB in float64
MAX_EXACT_POINTS, NUM_ANCHORS = 5000, 2000  # points up to which each is asked for the quality of a map; asked of more
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


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jaccard overlap (N,) of two lists of neighbours (N, k) and (N, l), row by row: shared over all, 0..1.

    Raises ValueError where the rows do not pair. No index may stand twice in a row.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(f"two lists of neighbours of the same points are needed, got shapes {a.shape} and {b.shape}")
    shared = (a[:, :, None] == b[:, None, :]).sum((1, 2))
    return shared / np.maximum(a.shape[1] + b.shape[1] - shared, 1)


def map_quality(high: np.ndarray, low: np.ndarray, labels: np.ndarray, k: int = 10) -> dict[str, float]:
    """How good a map `low` (N, 2) of `high` (N, D) with these labels (N,) is, by k neighbours, all 0..1.

    knn_accuracy, knn_accuracy_space (of the map, of the space), trustworthiness, continuity, neighbourhood_preservation
    (mean part of the k nearest that stay among the k nearest). With more than MAX_EXACT_POINTS points they are
    means over NUM_ANCHORS of them, whose neighbours are searched among all points: `anchors` says how many. With fewer
    than 2 k + 1 points k is smaller, as `neighbours` says. Raises ValueError if the shapes do not fit.
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
    """Part of the points, 0..1, whose label their k nearest others vote for (leave one out).

    points: (N, D), labels: (N,). Where classes have equal votes, the one with the nearest point wins.
    Raises ValueError where the shapes do not fit or k is not in 1..N-1.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    if labels.shape != points.shape[:1]:
        raise ValueError(f"one label per point is needed, got shapes {labels.shape} and {points.shape}")
    everyone = np.arange(len(points))
    return _voted(nearest(points, points, k, own=everyone)[1], labels, everyone)


def _voted(index: np.ndarray, labels: np.ndarray, anchors: np.ndarray) -> float:
    """Part of the anchors (M,) for whose label their neighbours (M, k), nearest first, vote."""
    near = labels[index]  # (M, k), nearest first
    votes = np.stack([(near == column[:, None]).sum(1) for column in near.T], axis=1)  # (M, k)
    winner = votes.argmax(1)  # the first, thus nearest, of those with most votes
    return float((near[np.arange(len(near)), winner] == labels[anchors]).mean())


def trustworthiness(high: np.ndarray, low: np.ndarray, k: int = 10) -> float:
    """How far the neighbours seen in `low` (N, d) are neighbours in `high` (N, D): 1 where no false one was drawn near.

    1 - 2 / (N k (2N - 3k - 1)) * sum over points and their k neighbours in low of max(0, rank in high - k)
    (Venna & Kaski 2001), as in scikit-learn; of points at equal distance each has the best rank of them.
    Raises ValueError where the shapes do not fit or k is not in 1..N/2 (exclusive).
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
    """Trustworthiness of the neighbours `index` (M, k) that the anchors (M,) were given, by their ranks in `high`."""
    n, k = len(high), index.shape[1]
    tie = TIE * np.square(high - high.mean(0)).sum(1).max()
    penalty = 0
    for rows, squared in _distances(high[anchors], high, anchors):
        for seen in index[rows].T:
            radius = np.take_along_axis(squared, seen[:, None], 1) - tie
            penalty += int(np.maximum((squared < radius).sum(1) + 1 - k, 0).sum())
    return 1.0 - penalty * 2.0 / (len(anchors) * k * (2 * n - 3 * k - 1))


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
