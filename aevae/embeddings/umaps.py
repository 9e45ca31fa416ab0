"""UMAP (McInnes, Healy & Melville 2018, arXiv:1802.03426) by umap-learn, with progress reports; aligned maps.

Neighbours are exact and computed here, because the library's search takes longer to compile than to run. The start is
that of t-SNE: the library's spectral start uses unseeded noise if the graph is not connected (umap-learn 0.5.12).
"""

import contextlib
import functools
import math
import threading
import warnings
from collections.abc import Sequence

import numpy as np

from aevae.embeddings.align import procrustes
from aevae.embeddings.methods import EmbedConfig, Watch, checked, near, start

MAX_FEW_POINTS = 10_000  # up to this many points 500 rounds are made, otherwise 200, as in the library
ROUNDS = 500, 200
PLACING_ROUNDS = 100  # rounds of optimisation of a new point
CLIP = 4.0  # largest force, as in the library
NUM_REPULSIONS = 5  # negative samples per attraction
POLL_SECONDS = 0.2  # approximate interval of calls of `watch`
ALIGNED_ROUNDS = 200  # rounds of aligned maps
PULL = 0.01  # weight of the alignment term, as in the library

# numba's fallback threading layer ends the process if two threads use it.
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _turn(watch: Watch = lambda *_: None):
    """Context manager: exclusive use of the library. `watch` may raise to stop waiting."""
    while not _ONE_AT_A_TIME.acquire(timeout=POLL_SECONDS):
        watch(0, 1, None)
    try:
        yield
    finally:
        _ONE_AT_A_TIME.release()


def draw(codes: np.ndarray, config: EmbedConfig, watch: Watch) -> np.ndarray:
    """The map (N, 2) float32."""
    with _turn(watch):
        return _draw(codes, config, watch)


def _draw(codes: np.ndarray, config: EmbedConfig, watch: Watch) -> np.ndarray:
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import INT32_MAX, INT32_MIN, make_epochs_per_sample

    model = _graph(codes, config, watch)
    rounds = ROUNDS[len(codes) > MAX_FEW_POINTS]
    edges = model.graph_.tocoo()
    drawn = edges.data >= edges.data.max() / rounds  # weaker edges would never be sampled
    xy = np.ascontiguousarray(model.embedding_, np.float32)  # changed in place, round by round
    with _bar_unlocked():
        return optimize_layout_euclidean(
            xy,
            xy,
            edges.row[drawn],
            edges.col[drawn],
            rounds,
            len(codes),
            make_epochs_per_sample(edges.data[drawn], rounds),
            model._a,
            model._b,
            np.random.RandomState(config.seed).randint(INT32_MIN, INT32_MAX, 3).astype(np.int64),
            tqdm_kwds=_Rounds(xy, rounds, watch).bar(),
            move_other=True,
        )


@contextlib.contextmanager
def _bar_unlocked():
    """Context manager: release tqdm's global lock, which a progress bar keeps if its file raises (when stopped)."""
    try:
        yield
    except BaseException:
        from tqdm import tqdm

        with contextlib.suppress(AssertionError, RuntimeError):  # another thread holds it
            tqdm.get_lock().release()
        raise


class _Rounds:
    """A file for the library's progress bar. Each line that is written to it calls `watch` with the map."""

    def __init__(self, xy: np.ndarray, rounds: int, watch: Watch):
        self.xy, self.rounds, self.watch = xy, rounds, watch

    def bar(self) -> dict:
        """Options of the progress bar."""
        often = {"mininterval": POLL_SECONDS, "maxinterval": math.inf, "miniters": 1}
        return {"file": self, "disable": False, "bar_format": "{n}", "dynamic_ncols": False, "leave": True, **often}

    def write(self, text: str) -> None:
        digits = "".join(filter(str.isdigit, text))
        if digits:
            self.watch(int(digits), self.rounds, self.xy)

    def flush(self) -> None:
        pass


def _graph(codes: np.ndarray, config: EmbedConfig, watch: Watch = lambda *_: None):
    """The library's model with its graph and initial positions, before the first round."""
    from umap import UMAP

    index, distance = near(codes, config.n_neighbors - 1, watch)
    own = np.arange(len(codes))[:, None]  # umap-learn counts a point as its own first neighbour
    known = np.hstack([own, index]).astype(np.int32), np.hstack([0.0 * own, distance]).astype(np.float32)
    model = UMAP(
        n_neighbors=config.n_neighbors,
        min_dist=config.min_dist,
        n_epochs=0,
        init=start(codes, config.seed),
        precomputed_knn=known,
        random_state=config.seed,
        transform_seed=config.seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():  # about a missing index for new points, which `transform` does not need
        warnings.simplefilter("ignore")
        return model.fit(codes)


# -- the finished map ------------------------------------------------------------------------------------------------


def transform(xy: np.ndarray, codes: np.ndarray, config: EmbedConfig, new: np.ndarray) -> np.ndarray:
    """Positions (M, 2) of new codes (M, D) in the finished map xy (N, 2) of codes (N, D), each independently.

    The library's transform with expected instead of sampled forces, which needs no compilation: starting from the mean
    of the nearest neighbours, weighted by membership, 100 rounds of attraction to them and repulsion from all points.
    """
    from umap.umap_ import find_ab_params

    from aevae.metrics import neighbours

    a, b = find_ab_params(1.0, config.min_dist)
    distance, index = neighbours.nearest(new, codes, min(config.n_neighbors, len(codes)))
    member = memberships(distance)  # (M, k)
    fixed = xy.astype(np.float64)
    places = []
    for members, near_by in zip(member, fixed[index], strict=True):
        y = near_by[0] if members[0] == 1 else (members / members.sum()) @ near_by  # 1: an identical code
        for done in range(PLACING_ROUNDS):
            difference = y - near_by
            squared = np.maximum(np.square(difference).sum(1), 1e-12)
            pull = 2 * a * b * squared ** (b - 1) / (1 + a * squared**b)
            step = -(members * pull) @ difference
            difference = y - fixed
            squared = np.square(difference).sum(1)
            push = 2 * b / ((0.001 + squared) * (1 + a * squared**b))
            each = np.clip(push[:, None] * difference, -CLIP, CLIP)
            step = step + NUM_REPULSIONS * members.sum() * each.mean(0)
            y = y + 0.25 * (1 - done / PLACING_ROUNDS) * np.clip(step, -CLIP, CLIP)
        places.append(y)
    return np.stack(places)


def memberships(distance: np.ndarray) -> np.ndarray:
    """Membership strengths (M, k) of the k nearest neighbours: exp(-d / sigma), with sum log2(k). distance: (M, k)."""
    wanted = np.log2(max(distance.shape[1], 2))
    low, high = np.zeros((len(distance), 1)), np.full((len(distance), 1), max(distance.max() * 64, 1e-6))
    for _ in range(64):
        sigma = (low + high) / 2
        much = np.exp(-distance / np.maximum(sigma, 1e-300)).sum(1, keepdims=True) > wanted
        low, high = np.where(much, low, sigma), np.where(much, sigma, high)
    return np.exp(-distance / np.maximum(high, 1e-12))


# -- several maps ----------------------------------------------------------------------------------------------------


def draw_together(points: Sequence[np.ndarray], config: EmbedConfig, watch: Watch) -> list[np.ndarray]:
    """Aligned maps (N, 2) float32 of two or more arrays of codes (N, D) with corresponding rows.

    The objective of the library's AlignedUMAP: the objective of each map, and for each point an attraction to its
    positions in the other maps, which is stronger if more of its neighbours agree. `watch` gets all maps.
    """
    with _turn(watch):
        return _draw_together(points, config, watch)


def _draw_together(points: Sequence[np.ndarray], config: EmbedConfig, watch: Watch) -> list[np.ndarray]:
    from numba.typed import List
    from umap.aligned_umap import build_neighborhood_similarities
    from umap.umap_ import INT32_MAX, INT32_MIN, make_epochs_per_sample

    models = [_graph(codes, config, watch) for codes in points]
    n, many = len(points[0]), len(points)
    same = np.full((many, 2 * many + 1, n), -1, np.int32)  # [i, many + o]: rows of map i + o; -1: none
    for i in range(many):
        for other in range(many):
            if other != i:
                same[i, many + other - i] = np.arange(n)
    graphs = [model.graph_.tocsr() for model in models]
    alike = build_neighborhood_similarities(
        List([graph.indptr for graph in graphs]), List([graph.indices for graph in graphs]), same
    )
    first = np.ascontiguousarray(models[0].embedding_, np.float32)
    maps = [first, *(procrustes(model.embedding_, first) for model in models[1:])]  # changed in place, round by round
    edges = [graph.tocoo() for graph in graphs]
    edges = [
        (e.row[kept], e.col[kept], e.data[kept]) for e in edges for kept in [e.data >= e.data.max() / ALIGNED_ROUNDS]
    ]
    due = [make_epochs_per_sample(weight, ALIGNED_ROUNDS) for _, _, weight in edges]
    apart = [(each / NUM_REPULSIONS).astype(np.float32) for each in due]
    drawn, heads, tails = List(maps), List([e[0] for e in edges]), List([e[1] for e in edges])
    due, apart, next_apart = List(due), List(apart), List([each.copy() for each in apart])
    next_due = List([each.astype(np.float32) for each in due])
    draws = np.random.RandomState(config.seed).randint(INT32_MIN, INT32_MAX, 3).astype(np.int64)
    go, speed = _round_together(), 1.0
    for done in range(ALIGNED_ROUNDS):
        watch(done, ALIGNED_ROUNDS, np.stack(maps))
        go(
            drawn, drawn, heads, tails, due, models[0]._a, models[0]._b, alike, same, draws,
            1.0, PULL, 2, True, speed, apart, next_apart, next_due, done,
        )  # fmt: skip
        speed = 1.0 - done / ALIGNED_ROUNDS
    return maps


@functools.cache
def _round_together():
    """The library's function for a round over several maps, compiled once per process (the library: per call)."""
    import numba
    from umap.layouts import _optimize_layout_aligned_euclidean_single_epoch

    return numba.njit(_optimize_layout_aligned_euclidean_single_epoch, fastmath=True)


def warm() -> None:
    """Compile the functions that maps of any size need."""
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    draw(*checked(codes, "umap"), lambda *_: None)
