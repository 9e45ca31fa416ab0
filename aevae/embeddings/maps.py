"""Maps by request (codes and method). A map is computed once, cached by content, and shows frames meanwhile.

MapRequest -> find_map(request): Map, or None -> make_map(request): Map, and meanwhile newest_frame(request): Frame
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from aevae.config import DataConfig, build
from aevae.embeddings import cache
from aevae.embeddings.cache import Frame, Map
from aevae.embeddings.config import EmbedConfig, checked, must_fit, principal_directions
from aevae.embeddings.methods import compute_map

if TYPE_CHECKING:
    from aevae.datasets.base import Split
    from aevae.runs import Run

PIXELS, RANDOM = "pixels", "random"  # spaces that are not runs
RANDOM_DIM = 20  # dimension of random codes, a control
PARTS = ("test", "train")
NUM_COMPONENTS = 50  # principal components of "pca50"
VIA = {"": "", "pca50": f"the first {NUM_COMPONENTS} principal components"}
BLOCK_IMAGES = 1000  # images encoded between two calls of `should_stop`
FRAME_SECONDS = 0.4  # shortest interval of frames
NUM_NEAREST = 5  # codes that are averaged to invert a nonlinear map
MAX_ALIGNED_MAPS = 8  # maps that are aligned with each other


class Stopped(Exception):
    """`should_stop` ended the computation of a map."""


@dataclass(frozen=True)
class MapRequest:
    """Definition of a map: the first n images of a part of a data set, in a space, by a method. Raises ValueError.

    space: "pixels", "random" or the name of a run; checksum: of its weights ("": any). parameters: fields of
    EmbedConfig; those without effect on the method are dropped. via: "pca50" applies t-SNE and UMAP to the first 50
    principal components. together: (space, checksum) of two or more spaces, including this one, whose UMAP maps are
    computed as one aligned set, so that an image has similar positions in all; (): this map alone.
    """

    space: str
    checksum: str = ""
    dataset: str = DataConfig.name
    part: str = "test"
    n: int = 1000
    method: str = "pca"
    parameters: dict = field(default_factory=dict)
    via: str = ""
    together: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        for name in ("space", "checksum", "dataset", "part", "method", "via"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a text, got {getattr(self, name)!r}")
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            raise ValueError(f"n must be a whole number of points, got {self.n!r}")
        if self.part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {self.part}")
        if not isinstance(self.parameters, dict):
            raise ValueError(f"parameters must be named values, got {self.parameters!r}")
        config = build(EmbedConfig, {**self.parameters, "method": self.method})
        if self.via not in VIA or (self.via and self.method not in ("tsne", "umap")):
            raise ValueError(f"via must be empty, or pca50 before t-SNE and UMAP, got {self.via} before {self.method}")
        if self.method == "latent" and self.space == PIXELS:
            raise ValueError("raw pixels have no latent code: choose PCA, t-SNE or UMAP for them")
        must_fit(config, self.n)
        self._check_together()
        object.__setattr__(self, "parameters", {k: v for k, v in config.effective().items() if k != "method"})

    def _check_together(self) -> None:
        if self.together == ():
            return
        pairs = isinstance(self.together, tuple) and all(
            isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
            for pair in self.together
        )
        if not pairs or (self.space, self.checksum) not in self.together:
            raise ValueError(f"together must be pairs of space and checksum, this one among them, got {self.together}")
        spaces = {space for space, _ in self.together}
        if not len(spaces) == len(self.together) <= MAX_ALIGNED_MAPS or len(spaces) < 2:
            raise ValueError(f"2..{MAX_ALIGNED_MAPS} different spaces can be aligned, got {len(spaces)}")
        if self.method != "umap" or self.via:
            raise ValueError("only umap without pca50 can align maps")

    def __hash__(self):
        return hash(self.identity)

    @cached_property
    def config(self) -> EmbedConfig:
        """Method and parameters."""
        return build(EmbedConfig, {**self.parameters, "method": self.method})

    @cached_property
    def group(self) -> tuple["MapRequest", ...]:
        """The requests whose maps are computed together, in a fixed order; usually this one alone."""
        one_each = (dataclasses.replace(self, space=space, checksum=checksum) for space, checksum in self.together)
        return tuple(one_each) or (self,)

    @cached_property
    def identity(self) -> str:
        """sha256 of the request, independent of library versions."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def key(self) -> str:
        """sha256 of everything that determines the map: request, library versions, content of own images."""
        libraries = {name: version(name) for name in cache.LIBRARIES[self.method]}
        all_of_it = [cache.SCHEMA, self.identity, libraries, _digest(self.dataset)]
        return hashlib.sha256(json.dumps(all_of_it, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict:
        """The request as JSON data; `together` is omitted if empty."""
        raw = json.loads(json.dumps(dataclasses.asdict(self)))
        return raw if self.together else {name: value for name, value in raw.items() if name != "together"}

    @classmethod
    def from_dict(cls, raw: dict) -> "MapRequest":
        """The inverse of `to_dict`. Raises ValueError for other data."""
        names = [f.name for f in dataclasses.fields(cls)]
        if not isinstance(raw, dict) or "space" not in raw or not set(raw) <= set(names):
            raise ValueError(f"a request for a map has the fields {', '.join(names)}, got {raw!r}")
        parameters = raw.get("parameters")
        if isinstance(parameters, dict) and isinstance(parameters.get("dims"), list):
            raw = raw | {"parameters": parameters | {"dims": tuple(parameters["dims"])}}
        if isinstance(raw.get("together"), list):
            raw = raw | {"together": tuple(tuple(pair) if isinstance(pair, list) else pair for pair in raw["together"])}
        return cls(**raw)


def _digest(dataset: str) -> str:
    """Digest of own images, whose name does not determine their content; "" for other data sets."""
    from aevae import datasets

    return datasets.images.digest(dataset) if datasets.shown.is_own(dataset) else ""


# -- computing -------------------------------------------------------------------------------------------------------


def find_map(request: MapRequest) -> Map | None:
    """The finished map, shipped or cached; None if it must be computed."""
    return cache.shipped(request.identity, request.n) or cache.read_map(request.key, request.n)


def newest_frame(request: MapRequest) -> Frame | None:
    """The newest frame of a map that is being computed, or None."""
    return cache.read_frame(request.key, request.n)


def make_map(
    request: MapRequest,
    tell: Callable[[dict], None] = lambda news: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Map:
    """The Map, from the cache, or computed together with its group while other sessions wait for it.

    tell({"stage": "codes" | "map" | "numbers", "iteration": .., "of": ..}) reports progress. Raises ValueError with one
    sentence if the request cannot be fulfilled, Stopped if should_stop(), called about twice per second, returns True.
    """
    from aevae.metrics import neighbours

    group, watch = request.group, _Watching(request, tell, should_stop)
    with cache.turn(group[0].key, watch.look):
        found = find_map(request)
        if found:
            return found
        try:
            watch.enter("codes")
            labels, codes = _labels(request), [codes_of(each, watch.look) for each in group]
            watch.enter("map")
            began = time.perf_counter()
            points = [_points(each, z) for each, z in zip(group, codes, strict=True)]
            if len(group) > 1:
                from aevae.embeddings import umaps

                maps, kl = umaps.aligned_maps(points, request.config, watch), None
            else:
                xy, kl = compute_map(points[0], request.config, watch)
                maps = [xy]
            seconds = time.perf_counter() - began
            watch.enter("numbers")
            for each, z, xy in zip(group, codes, maps, strict=True):
                computed = Map(xy, seconds, labels=labels, quality=neighbours.map_quality(z, xy, labels) | {"kl": kl})
                cache.write_map(each.key, computed)
                if each == request:
                    found = computed
        finally:
            for each in group:
                cache.drop_frame(each.key)
    assert found is not None
    return found


def _points(request: MapRequest, codes: np.ndarray) -> np.ndarray:
    """The input of the method. Raises ValueError, which names the space if there are several."""
    try:
        return checked(_components(request, codes)(codes), request.method, **request.parameters)[0]
    except ValueError as problem:
        raise ValueError(f"{request.space}: {problem}" if request.together else str(problem)) from problem


class _Watching:
    """Listener of a computation: reports progress, stores frames, and stops on request."""

    def __init__(self, request: MapRequest, tell, should_stop):
        self.request, self.tell, self.should_stop = request, tell, should_stop
        self.stage, self.next_frame = "", 0.0

    def enter(self, stage: str) -> None:
        self.stage = stage
        self.tell({"stage": stage})
        self.look()

    def look(self) -> None:
        if self.should_stop():
            raise Stopped(self.request.key)

    def __call__(self, iteration: int, of: int, xy: np.ndarray | None) -> None:
        self.look()
        now = time.monotonic()
        if xy is not None and now >= self.next_frame:
            maps = np.reshape(xy, (len(self.request.group), -1, 2)).astype(np.float32)
            for each, places in zip(self.request.group, maps, strict=True):
                cache.write_frame(each.key, Frame(places, iteration, of))
            self.tell({"stage": self.stage, "iteration": iteration, "of": of})
            self.next_frame = max(now + FRAME_SECONDS, 11 * time.monotonic() - 10 * now)  # at most a tenth of the time


# -- the points ------------------------------------------------------------------------------------------------------


def codes_of(request: MapRequest, look: Callable[[], None] = lambda: None) -> np.ndarray:
    """The codes (n, D) float32 of the request's images in its space, before `via`. Raises ValueError."""
    images = _split(request).images[: request.n]
    if request.space == RANDOM:
        return np.random.default_rng(0).standard_normal((len(images), RANDOM_DIM), np.float32)
    if request.space == PIXELS:
        return images.reshape(len(images), -1).astype(np.float32) / 255
    run = _opened(request.space, request.checksum)
    codes = []
    for first in range(0, len(images), BLOCK_IMAGES):
        look()
        codes.append(run.encode(images[first : first + BLOCK_IMAGES].astype(np.float32) / 255))
    return np.concatenate(codes)


def _split(request: MapRequest) -> "Split":
    """The Split whose first images and labels the request uses."""
    from aevae import datasets

    split = getattr(datasets.load(DataConfig(request.dataset)), request.part)
    if split.images.ndim != 4:
        raise ValueError(f"a map needs single images, but {request.dataset} has sequences")
    if request.n > len(split.images):
        most, name = len(split.images), request.dataset
        raise ValueError(f"n must be at most {most} for the {request.part} images of {name}, got {request.n}")
    return split


def _labels(request: MapRequest) -> np.ndarray:
    return np.asarray(_split(request).labels[: request.n], np.int64)


def _opened(name: str, checksum: str) -> "Run":
    """The opened Run of this name with weights of this checksum."""
    from aevae.store import checkpoints

    info = checkpoints.find_run(name)
    if checksum not in ("", info.weights_checksum):
        raise ValueError(f"{name} has been trained again since this map was requested")
    return _open(str(info.path), info.weights_checksum)


@lru_cache(maxsize=2)
def _open(path: str, _checksum: str) -> "Run":
    from aevae.runs import load_run

    return load_run(path)


def _components(request: MapRequest, codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The function applied to codes before the method: identity, or scores on the principal directions of `codes`."""
    if not request.via or not np.isfinite(codes).all():  # `checked` raises for these
        return lambda points: points
    mean, axes = principal_directions(codes, NUM_COMPONENTS)
    return lambda points: ((points - mean) @ axes).astype(np.float32)


# -- the finished map ------------------------------------------------------------------------------------------------


def transform(request: MapRequest, codes: np.ndarray) -> np.ndarray:
    """Positions (M, 2) float32 of new codes (M, D) of the request's space in its finished map; deterministic.

    Exact for latent and PCA. Raises ValueError if the map does not exist yet, or if the codes are of another space.
    """
    from aevae.embeddings import tsne, umaps

    new = np.asarray(codes, np.float32)
    base = _base(request)
    if new.ndim != 2 or new.shape[1] != base.codes.shape[1]:
        raise ValueError(f"codes of this map have shape (M, {base.codes.shape[1]}), got {new.shape}")
    if not np.isfinite(new).all():
        raise ValueError("codes must be finite numbers, got NaN or infinity")
    if not len(new):
        return np.zeros((0, 2), np.float32)
    if request.method in ("latent", "pca"):
        xy = (new - base.origin) @ base.axes
    elif request.method == "tsne":
        xy = tsne.transform(base.map.xy, base.points, base.reduce(new))
    else:
        xy = umaps.transform(base.map.xy, base.points, request.config, base.reduce(new))
    return np.ascontiguousarray(xy, np.float32)


def inverse(request: MapRequest, xy: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, str]:
    """(codes (M, D) float32 of positions (M, 2) in the map, "exact" or "nearest codes").

    codes (N, D): `codes_of(request)`. "exact": latent and PCA are linear. "nearest codes": t-SNE and UMAP have no
    inverse, so the codes of the NUM_NEAREST nearest points are averaged with inverse distances as weights.
    """
    from aevae.metrics import neighbours

    places, codes = np.asarray(xy, np.float64), np.asarray(codes, np.float32)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError(f"places must be finite, of shape (M, 2), got shape {places.shape}")
    if request.method in ("latent", "pca"):
        origin, axes = _plane(request, codes)
        return (origin + places @ axes.T).astype(np.float32), "exact"
    finished = _finished(request)
    distance, index = neighbours.nearest(places, finished.xy, min(NUM_NEAREST, len(finished.xy)))
    weight = 1 / (distance + 1e-9)
    weight /= weight.sum(1, keepdims=True)
    return np.einsum("mk,mkd->md", weight, codes[index]).astype(np.float32), "nearest codes"


def _finished(request: MapRequest) -> Map:
    found = find_map(request)
    if found is None:
        raise ValueError("this map is not computed yet")
    return found


@lru_cache(maxsize=8)
def _base(request: MapRequest) -> SimpleNamespace:
    """Cached data for `transform`."""
    codes = codes_of(request)
    if request.method in ("latent", "pca"):
        origin, axes = _plane(request, codes)
        return SimpleNamespace(codes=codes, origin=origin, axes=axes)
    reduce = _components(request, codes)
    return SimpleNamespace(codes=codes, reduce=reduce, points=reduce(codes), map=_finished(request))


def _plane(request: MapRequest, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(origin (D,), axes (D, 2)) of the plane that latent and PCA show; for D = 1 the second axis is 0."""
    if request.method == "pca":
        origin, axes = principal_directions(codes)
    else:
        dims = [d for d in request.config.dims if d < codes.shape[1]]
        origin, axes = codes.mean(0, dtype=np.float64), np.eye(codes.shape[1])[:, dims]
        origin[dims] = 0.0
    return origin, np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
