"""UMAP (McInnes, Healy & Melville 2018, arXiv:1802.03426) by umap-learn, told while it is drawn; places and inverses.

The neighbours are exact and found here: the library's own search takes longer to compile than to run. The start is
that of t-SNE: the library's spectral one draws unseeded numbers where the graph falls into pieces (umap-learn 0.5.12).
"""

import contextlib
import math
import threading
import warnings
from collections.abc import Sequence

import numpy as np

from aevae.embeddings.methods import EmbedConfig, Watch, checked, near, start

FEW = 10_000  # points up to which the library takes 500 rounds, beyond it 200
ROUNDS = 500, 200
BEAT = 0.2  # seconds between two looks, about

# One at a time in this process: numba's fallback threading layer ends the process when two threads enter it.
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _turn(watch: Watch = lambda *_: None):
    """Alone with the library; the wait, perhaps for its compiler, can be left."""
    while not _ONE_AT_A_TIME.acquire(timeout=BEAT):
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
    rounds = ROUNDS[len(codes) > FEW]
    edges = model.graph_.tocoo()
    drawn = edges.data >= edges.data.max() / rounds  # weaker ones would not have their turn once
    xy = np.ascontiguousarray(model.embedding_, np.float32)  # changed in place, round by round
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


class _Rounds:
    """What the library takes for the file of its progress bar: each line of it is a look at the map."""

    def __init__(self, xy: np.ndarray, rounds: int, watch: Watch):
        self.xy, self.rounds, self.watch = xy, rounds, watch

    def bar(self) -> dict:
        """Options of the progress bar."""
        often = {"mininterval": BEAT, "maxinterval": math.inf, "miniters": 1}
        return {"file": self, "disable": False, "bar_format": "{n}", "dynamic_ncols": False, "leave": True, **often}

    def write(self, text: str) -> None:
        digits = "".join(filter(str.isdigit, text))
        if digits:
            self.watch(int(digits), self.rounds, self.xy)

    def flush(self) -> None:
        pass


def _graph(codes: np.ndarray, config: EmbedConfig, watch: Watch = lambda *_: None):
    """The library's model with its graph and the start, before the first round."""
    from umap import UMAP

    index, distance = near(codes, config.n_neighbors - 1, watch)
    own = np.arange(len(codes))[:, None]  # a point is the first of its own neighbours
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
    with warnings.catch_warnings():  # that it has no index for new points: `fixed` mends that
        warnings.simplefilter("ignore")
        return model.fit(codes)


# -- the finished map ------------------------------------------------------------------------------------------------


def fixed(codes: np.ndarray, config: EmbedConfig, xy: np.ndarray):
    """The library's model of a finished map xy (N, 2) of codes (N, D), as if it had drawn it itself."""
    with _turn():
        model = _graph(codes, config)
    model.embedding_ = np.ascontiguousarray(xy, np.float32)
    model.n_epochs = None
    model._small_data = True  # new points: distances to all, instead of the index that is not there
    del model._knn_search_index
    return model


def place(model, new: np.ndarray) -> np.ndarray:
    """Where new codes (M, D) belong: (M, 2), each by itself, whoever comes with it."""
    with _turn():
        return np.concatenate([model.transform(code[None]) for code in np.ascontiguousarray(new, np.float32)])


def inverse(model, places: np.ndarray) -> np.ndarray:
    """Codes (M, D) that would lie at these places (M, 2)."""
    with _turn():
        return model.inverse_transform(np.ascontiguousarray(places, np.float32))


# -- several maps ----------------------------------------------------------------------------------------------------


def aligned_umap(codes: Sequence[np.ndarray], **parameters) -> list[np.ndarray]:
    """One map (N, 2) float32 for each array of codes (N, D), drawn together: the same row is near itself in all.

    parameters: n_neighbors, min_dist, seed of EmbedConfig. Raises ValueError with one sentence.
    """
    from umap import AlignedUMAP

    if len(codes) < 2 or len({len(c) for c in codes}) > 1:
        raise ValueError(
            f"aligned maps need two or more arrays of as many codes, got lengths {[len(c) for c in codes]}"
        )
    arrays, configs = zip(*(checked(c, "umap", **parameters) for c in codes), strict=True)
    config, same = configs[0], {i: i for i in range(len(arrays[0]))}
    method = AlignedUMAP(
        n_neighbors=config.n_neighbors, min_dist=config.min_dist, random_state=config.seed, init="random"
    )
    with _turn():
        maps = method.fit(list(arrays), relations=[same] * (len(arrays) - 1)).embeddings_
    return [np.ascontiguousarray(xy, np.float32) for xy in maps]


def warm() -> None:
    """Compile what a map of any size needs, ahead of the first."""
    codes = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    draw(*checked(codes, "umap"), lambda *_: None)
