"""Method and parameters of a map (`EmbedConfig`), their checks, and parts of several methods."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from aevae.config import Validated, build, option

METHODS = ("latent", "pca", "tsne", "umap")
BLOCK_POINTS = 1000  # points whose neighbours are searched between two calls of `watch`
MIN_POINTS = 5  # smallest number of points of a map

# Called with (iteration, of, xy or None) several times per second during the computation; may raise to end it.
Watch = Callable[[int, int, np.ndarray | None], None]


@dataclass(frozen=True)
class EmbedConfig(Validated):
    """Method and parameters of a map. Parameters of other methods have no effect and do not change its identity."""

    method: str = option(
        "pca",
        "latent: two dimensions of the code, unchanged; pca, tsne, umap: a map of all dimensions",
        choices=METHODS,
    )
    seed: int = option(0, "seed of the random numbers", min=0, max=2**31 - 1, when=("method", ("tsne", "umap")))
    perplexity: float = option(
        30.0, "t-SNE: about how many neighbours count for each point", min=1.0, max=1000.0, when=("method", ("tsne",))
    )
    n_neighbors: int = option(
        15, "UMAP: neighbours per point, itself included", min=2, max=1000, when=("method", ("umap",))
    )
    min_dist: float = option(
        0.1, "UMAP: how close points may lie in the map", min=0.0, max=1.0, when=("method", ("umap",))
    )
    n_jobs: int = option(
        1,
        "t-SNE: threads; another number of threads gives other rounding errors",
        min=1,
        max=64,
        when=("method", ("tsne",)),
    )
    dims: tuple[int, int] = field(
        default=(0, 1), metadata={"help": "the two dimensions shown, counted from 0", "when": ("method", ("latent",))}
    )

    def __post_init__(self):
        super().__post_init__()
        if len(self.dims) != 2 or any(not isinstance(d, (int, np.integer)) or d < 0 for d in self.dims):
            raise ValueError(f"dims must be two dimensions counted from 0, got {self.dims}")
        object.__setattr__(self, "dims", tuple(int(d) for d in self.dims))

    def effective(self) -> dict:
        """The method and the parameters that have an effect, as JSON data."""
        named = {f.name: f.metadata.get("when") for f in dataclasses.fields(self)}
        return {k: getattr(self, k) for k, when in named.items() if when is None or self.method in when[1]}


def largest_perplexity(n: int) -> float:
    """The largest perplexity for n points, rounded down to a tenth, as t-SNE uses 3 x perplexity neighbours."""
    return math.floor((n - 1) / 3 * 10) / 10


def checked(codes: np.ndarray, method: str, **parameters) -> tuple[np.ndarray, EmbedConfig]:
    """(codes as C-contiguous float32 (N, D), EmbedConfig), checked. Raises ValueError."""
    config = build(EmbedConfig, {"method": method, **parameters})
    codes = np.ascontiguousarray(codes, np.float32)
    if codes.ndim != 2 or codes.shape[1] < 1:
        raise ValueError(f"codes must have shape (N, D), got shape {codes.shape}")
    n, latent_dim = codes.shape
    must_fit(config, n)
    if not np.isfinite(codes).all():
        raise ValueError(f"codes must be finite numbers, got NaN or infinity in {_bad_rows(codes)} of {n}")
    if method == "latent" and latent_dim > 1 and max(config.dims) >= latent_dim:
        raise ValueError(f"dims must be in 0..{latent_dim - 1}, got {config.dims[0]} and {config.dims[1]}")
    return codes, config


def must_fit(config: EmbedConfig, n: int) -> None:
    """Raise ValueError if n points are too few for this map."""
    if n < MIN_POINTS:
        raise ValueError(f"a map needs at least {MIN_POINTS} codes, got {n}")
    if config.method == "tsne" and config.perplexity > (n - 1) / 3:
        raise ValueError(f"perplexity must be in 1..{largest_perplexity(n)} for {n} codes, got {config.perplexity:g}")
    if config.method == "umap" and config.n_neighbors > n - 1:
        raise ValueError(f"n_neighbors must be in 2..{n - 1} for {n} codes, got {config.n_neighbors}")


def _bad_rows(codes: np.ndarray) -> int:
    return int((~np.isfinite(codes).all(1)).sum())


def principal_directions(codes: np.ndarray, most: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(mean (D,), principal directions (D, <= most)), float64, signed so that the largest loadings are positive."""
    mean = codes.mean(0, dtype=np.float64)
    centred = codes - mean
    _, axes = np.linalg.eigh(centred.T @ centred)  # columns by ascending variance
    axes = axes[:, ::-1][:, :most]
    return mean, axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0))


def pca(codes: np.ndarray) -> np.ndarray:
    """Scores (N, 2) float64 on the two directions of largest variance."""
    mean, axes = principal_directions(codes)
    xy = np.zeros((len(codes), 2))
    xy[:, : axes.shape[1]] = (codes - mean) @ axes
    return xy


def initial_positions(codes: np.ndarray, seed: int) -> np.ndarray:
    """Initial positions (N, 2): PCA with a standard deviation of 1e-4 (Kobak & Berens 2019), and noise of 1e-6."""
    xy = pca(codes)
    spread = xy[:, 0].std()
    if spread > 0:  # if all codes are equal, the start is only noise
        xy *= 1e-4 / spread
    return xy + np.random.default_rng(seed).normal(0.0, 1e-6, xy.shape)


def nearest_others(codes: np.ndarray, k: int, watch: Watch = lambda *_: None) -> tuple[np.ndarray, np.ndarray]:
    """(index (N, k), distance (N, k)) of each code's k nearest others, exact. `watch` is called regularly."""
    from aevae.metrics import neighbours

    index, distance = np.empty((len(codes), k), np.int64), np.empty((len(codes), k))
    for first in range(0, len(codes), BLOCK_POINTS):
        watch(0, 1, None)
        rows = np.arange(first, min(first + BLOCK_POINTS, len(codes)))
        distance[rows], index[rows] = neighbours.nearest(codes[rows], codes, k, own=rows)
    return index, distance
