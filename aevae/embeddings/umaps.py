"""UMAP (McInnes, Healy & Melville 2018, arXiv:1802.03426) by umap-learn, with progress reports; aligned maps.

The neighbours are exact and found here: the library's own search takes longer to compile than to run. The start is
that of t-SNE: the library's spectral one draws unseeded numbers where the graph falls into pieces (umap-learn 0.5.12).

The rounds run in functions that the library does not document (`library_function`). If a release lacks them, or gives
them other arguments, its classes UMAP and AlignedUMAP compute the whole map, and no frame is shown meanwhile.
"""

import contextlib
import functools
import importlib
import logging
import math
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aevae.embeddings.align import procrustes
from aevae.embeddings.config import EmbedConfig, Watch, checked, initial_positions, nearest_others

if TYPE_CHECKING:
    from umap import UMAP

LOGGER = logging.getLogger(__name__)
MAX_FEW_POINTS = 10_000  # up to this many points 500 rounds are made, otherwise 200, as in the library
ROUNDS = 500, 200
PLACING_ROUNDS = 100  # rounds of optimisation of a new point
MAX_FORCE = 4.0  # largest force, as in the library
NUM_REPULSIONS = 5  # negative samples per attraction
POLL_SECONDS = 0.2  # approximate interval of calls of `watch`
ALIGNED_ROUNDS = 200  # rounds of aligned maps
ALIGNMENT_WEIGHT = 0.01  # weight of the alignment term, as in the library

# numba's fallback threading layer ends the process if two threads use it.
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _turn(watch: Watch = lambda *_: None) -> Generator[None]:
    """Context manager: exclusive use of the library. `watch` may raise to stop waiting."""
    while not _ONE_AT_A_TIME.acquire(timeout=POLL_SECONDS):
        watch(0, 1, None)
    try:
        yield
    finally:
        _ONE_AT_A_TIME.release()


@functools.lru_cache(maxsize=1)
def _cache_library() -> None:
    """Let numba keep the library's functions on disk: the first map of later processes begins seconds earlier."""
    for name in ("umap_", "layouts", "utils", "aligned_umap"):
        with contextlib.suppress(ImportError):
            for function in vars(importlib.import_module(f"umap.{name}")).values():
                _kept_on_disk(function)


def _kept_on_disk(function: Callable) -> Callable:
    """The function; if numba compiles it, the result is stored for other processes."""
    if callable(enable := getattr(function, "enable_caching", None)):
        with contextlib.suppress(RuntimeError):  # numba has no folder that it can write to
            enable()
    return function


def library_function(module: str, name: str) -> Callable | None:
    """An undocumented function of umap-learn; None if this release does not have it."""
    _cache_library()
    try:
        return getattr(importlib.import_module(f"umap.{module}"), name)
    except (ImportError, AttributeError):
        return None


def _signature_errors() -> tuple[type[Exception], ...]:
    """What an undocumented function raises if a release gives it other arguments."""
    from numba.core.errors import NumbaError

    return TypeError, NumbaError


def umap_map(codes: np.ndarray, config: EmbedConfig, watch: Watch) -> np.ndarray:
    """The map (N, 2) float32."""
    with _turn(watch):
        return _umap_map(codes, config, watch)


def _umap_map(codes: np.ndarray, config: EmbedConfig, watch: Watch) -> np.ndarray:
    rounds = ROUNDS[len(codes) > MAX_FEW_POINTS]
    optimize = library_function("layouts", "optimize_layout_euclidean")
    if optimize is not None:
        try:
            return _optimized_map(optimize, codes, config, watch, rounds)
        except _signature_errors() as problem:
            LOGGER.warning("umap-learn draws the map itself, without frames: %s", problem)
    return _graph(codes, config, watch, rounds).embedding_


def _optimized_map(optimize: Callable, codes: np.ndarray, config: EmbedConfig, watch: Watch, rounds: int) -> np.ndarray:
    model = _graph(codes, config, watch)
    edges = model.graph_.tocoo()
    sampled = edges.data >= edges.data.max() / rounds  # weaker edges would never be sampled
    xy = np.ascontiguousarray(model.embedding_, np.float32)  # changed in place, round by round
    with _bar_unlocked():
        return optimize(
            xy,
            xy,
            edges.row[sampled],
            edges.col[sampled],
            rounds,
            len(codes),
            _rounds_per_turn(edges.data[sampled], rounds),
            *force_parameters(config.min_dist),
            _seeds(config),
            tqdm_kwds=_Rounds(xy, rounds, watch).bar(),
            move_other=True,
        )


def _rounds_per_turn(weights: np.ndarray, rounds: int) -> np.ndarray:
    """After how many rounds each edge has its next turn: the heaviest has one in every round."""
    return rounds / (rounds * (weights / weights.max())).astype(np.float64)


def _seeds(config: EmbedConfig) -> np.ndarray:
    """Three numbers from which the rounds draw, as the library makes them of a seed."""
    limits = np.iinfo(np.int32)
    return np.random.RandomState(config.seed).randint(limits.min + 1, limits.max - 1, 3).astype(np.int64)


@functools.lru_cache(maxsize=64)
def force_parameters(min_dist: float) -> tuple[float, float]:
    """a, b: 1 / (1 + a d^2b) is next to 1 up to min_dist and exp(min_dist - d) beyond (McInnes et al., section 4.3)."""
    from scipy.optimize import curve_fit

    d = np.linspace(0, 3, 300)
    wanted = np.where(d < min_dist, 1.0, np.exp(min_dist - d))
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), d, wanted)
    return float(a), float(b)


@contextlib.contextmanager
def _bar_unlocked() -> Generator[None]:
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

    def __init__(self, xy: np.ndarray | None, rounds: int, watch: Watch):
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


def _graph(codes: np.ndarray, config: EmbedConfig, watch: Watch = lambda *_: None, rounds: int = 0) -> "UMAP":
    """The library's model with its graph and the start, before the first round or after so many."""
    from umap import UMAP

    index, distance = nearest_others(codes, config.n_neighbors - 1, watch)
    own = np.arange(len(codes))[:, None]  # umap-learn counts a point as its own first neighbour
    known = np.hstack([own, index]).astype(np.int32), np.hstack([0.0 * own, distance]).astype(np.float32)
    model = UMAP(
        n_neighbors=config.n_neighbors,
        min_dist=config.min_dist,
        n_epochs=rounds,
        init=initial_positions(codes, config.seed),
        precomputed_knn=known,
        random_state=config.seed,
        transform_seed=config.seed,
        n_jobs=1,
        tqdm_kwds=_Rounds(None, rounds, watch).bar() if rounds else None,
    )
    with warnings.catch_warnings(), _bar_unlocked():  # that it has no index for new points: `transform` needs none
        warnings.simplefilter("ignore")
        return model.fit(codes)


# -- the finished map ------------------------------------------------------------------------------------------------


def transform(xy: np.ndarray, codes: np.ndarray, config: EmbedConfig, new: np.ndarray) -> np.ndarray:
    """Positions (M, 2) of new codes (M, D) in the finished map xy (N, 2) of codes (N, D), each independently.

    The library's transform with expected instead of sampled forces, which needs no compilation: starting from the mean
    of the nearest neighbours, weighted by membership, 100 rounds of attraction to them and repulsion from all points.
    """
    from aevae.metrics import neighbours

    a, b = force_parameters(config.min_dist)
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
            each = np.clip(push[:, None] * difference, -MAX_FORCE, MAX_FORCE)
            step = step + NUM_REPULSIONS * members.sum() * each.mean(0)
            y = y + 0.25 * (1 - done / PLACING_ROUNDS) * np.clip(step, -MAX_FORCE, MAX_FORCE)
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


def aligned_maps(points: Sequence[np.ndarray], config: EmbedConfig, watch: Watch) -> list[np.ndarray]:
    """Aligned maps (N, 2) float32 of two or more arrays of codes (N, D) with corresponding rows.

    The objective of the library's AlignedUMAP: the objective of each map, and for each point an attraction to its
    positions in the other maps, which is stronger if more of its neighbours agree. `watch` gets all maps.
    """
    with _turn(watch):
        return _aligned_maps(points, config, watch)


def _aligned_maps(points: Sequence[np.ndarray], config: EmbedConfig, watch: Watch) -> list[np.ndarray]:
    one_round = library_function("layouts", "_optimize_layout_aligned_euclidean_single_epoch")
    similarities = library_function("aligned_umap", "build_neighborhood_similarities")
    if one_round is not None and similarities is not None:
        try:
            return _optimized_maps(one_round, similarities, points, config, watch)
        except _signature_errors() as problem:
            LOGGER.warning("umap-learn draws the maps itself, without frames: %s", problem)
    return _aligned_by_library(points, config, watch)


def _optimized_maps(
    one_round: Callable, similarities: Callable, points: Sequence[np.ndarray], config: EmbedConfig, watch: Watch
) -> list[np.ndarray]:
    from numba.typed import List

    models = [_graph(codes, config, watch) for codes in points]
    n, many = len(points[0]), len(points)
    same = np.full((many, 2 * many + 1, n), -1, np.int32)  # [i, many + o]: rows of map i + o; -1: none
    for i in range(many):
        for other in range(many):
            if other != i:
                same[i, many + other - i] = np.arange(n)
    graphs = [model.graph_.tocsr() for model in models]
    alike = similarities(List([graph.indptr for graph in graphs]), List([graph.indices for graph in graphs]), same)
    first = np.ascontiguousarray(models[0].embedding_, np.float32)
    maps = [first, *(procrustes(model.embedding_, first) for model in models[1:])]  # changed in place, round by round
    edges = [graph.tocoo() for graph in graphs]
    edges = [
        (e.row[kept], e.col[kept], e.data[kept]) for e in edges for kept in [e.data >= e.data.max() / ALIGNED_ROUNDS]
    ]
    due = [_rounds_per_turn(weight, ALIGNED_ROUNDS) for _, _, weight in edges]
    apart = [(each / NUM_REPULSIONS).astype(np.float32) for each in due]
    moved, heads, tails = List(maps), List([e[0] for e in edges]), List([e[1] for e in edges])
    due, apart, next_apart = List(due), List(apart), List([each.copy() for each in apart])
    next_due = List([each.astype(np.float32) for each in due])
    draws, (a, b) = _seeds(config), force_parameters(config.min_dist)
    go, speed = _compiled(one_round), 1.0
    for done in range(ALIGNED_ROUNDS):
        watch(done, ALIGNED_ROUNDS, np.stack(maps))
        go(
            moved, moved, heads, tails, due, a, b, alike, same, draws,
            1.0, ALIGNMENT_WEIGHT, 2, True, speed, apart, next_apart, next_due, done,
        )  # fmt: skip
        speed = 1.0 - done / ALIGNED_ROUNDS
    return maps


@functools.lru_cache(maxsize=1)
def _compiled(one_round) -> Callable:
    """The library's round over several maps, compiled once; the library's own loop compiles it at every call."""
    import numba

    return _kept_on_disk(numba.njit(one_round, fastmath=True))


def _aligned_by_library(points: Sequence[np.ndarray], config: EmbedConfig, watch: Watch) -> list[np.ndarray]:
    """The maps by the library's AlignedUMAP, which starts from a spectral layout and cannot be left meanwhile."""
    from umap import AlignedUMAP

    watch(0, ALIGNED_ROUNDS, None)
    same = dict(enumerate(range(len(points[0]))))
    model = AlignedUMAP(
        n_neighbors=config.n_neighbors,
        min_dist=config.min_dist,
        n_epochs=ALIGNED_ROUNDS,
        alignment_regularisation=ALIGNMENT_WEIGHT,
        alignment_window_size=len(points),
        random_state=config.seed,
        transform_seed=config.seed,
    )
    with warnings.catch_warnings():  # that one seed means one thread
        warnings.simplefilter("ignore")
        model.fit(list(points), relations=[same] * (len(points) - 1))
    return [np.where(np.isfinite(xy), xy, np.nanmean(xy, 0)).astype(np.float32) for xy in model.embeddings_]


def warm() -> None:
    """Compile the functions that maps of any size need."""
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    umap_map(*checked(codes, "umap"), lambda *_: None)
