"""Maps kept on disk by content: the same request is drawn once, whoever asks.

A map is `<cache_dir>/embeddings/<sha256>.npz`, its newest frame while it is drawn `<sha256>.frame.npz`, both written
under a temporary name and renamed. The cache is only ever a saving: where it can not be read or written, the map is
drawn again and nobody is told. What is shipped lies in `maps` beside the shipped runs, and is only read.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from aevae.embeddings.methods import EmbedConfig, checked, draw
from aevae.paths import cache_dir, pretrained_dir

MAX_FILES = 500  # files; beyond it those unused for longest go
FRAME = ".frame"  # at the end of the key under which a frame is kept
TOUCH_SECONDS = 3600.0  # seconds after which a file that is read is marked as used
POLL_SECONDS = 0.4  # seconds between two looks while another one draws
WAIT_SECONDS = 900.0  # seconds to wait for another session's map before drawing an own one
# What a file with any byte changed makes numpy and zipfile raise (RuntimeError: a bit says "encrypted").
DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
SCHEMA = 2  # counts up when this package would draw another map from the same request
LIBRARIES = {"latent": (), "pca": ("numpy",), "tsne": ("openTSNE", "numpy"), "umap": ("umap-learn", "numba")}


@dataclass(frozen=True, eq=False)
class Map:
    """A drawn map: xy (N, 2) float32; the seconds it took when it was drawn; whether it came from the cache.

    labels (N,) int64 of the points; quality: numbers under the map, see `neighbours.map_quality`, and `kl` in nats.
    """

    xy: np.ndarray
    seconds: float
    cached: bool = False
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    quality: dict = field(default_factory=dict)

    @property
    def index(self) -> np.ndarray:
        """(N,) number of each point's image in its part of the data set."""
        return np.arange(len(self.xy))


@dataclass(frozen=True, eq=False)
class Frame:
    """A look at a map that is being drawn: xy (N, 2) float32, after `iteration` of `of` iterations."""

    xy: np.ndarray
    iteration: int
    of: int


# -- files -----------------------------------------------------------------------------------------------------------


def read(key: str, n: int) -> Map | None:
    """The map of n points kept under this key; None where there is none or it is damaged."""
    return _read(_file(key), n)


def write(key: str, drawn: Map) -> None:
    """Keep a map."""
    _write(_file(key), drawn)


def shipped(identity: str, n: int) -> Map | None:
    """The map of that request which came with the project; its places are rounded to float16."""
    return _read(pretrained_dir().parent / "maps" / f"{identity[:16]}.npz", n)


def read_frame(key: str, n: int) -> Frame | None:
    """The newest frame of a map of n points; None where there is none."""
    stored = _arrays(_file(key + FRAME))
    try:
        frame = Frame(stored["xy"], int(stored["iteration"]), int(stored["of"]))
    except (KeyError, TypeError, ValueError):
        return None
    return frame if _is_map(frame.xy, n) else None


def write_frame(key: str, frame: Frame) -> None:
    """Put it in the place of the last one."""
    _store(_file(key + FRAME), {"xy": frame.xy, "iteration": frame.iteration, "of": frame.of}, flush=False)


def drop_frame(key: str) -> None:
    """The map is there, or nobody draws it any more."""
    with contextlib.suppress(OSError):
        _file(key + FRAME).unlink(missing_ok=True)


def _file(key: str) -> Path:
    return cache_dir() / "embeddings" / f"{key}.npz"


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """What is in a file; nothing where there is none or it is damaged."""
    try:
        status = file.stat()
        return dict(_loaded(file, status.st_ino, status.st_mtime_ns, status.st_size))
    except DAMAGE:
        return {}


@lru_cache(maxsize=64)  # a map of 10,000 points takes 200 kB
def _loaded(file: Path, *_stamp: int) -> dict[str, np.ndarray]:
    """The arrays in a file, read-only, as long as it stays the same."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def _is_map(xy: np.ndarray, n: int) -> bool:
    return xy.shape == (n, 2) and xy.dtype == np.float32 and bool(np.isfinite(xy).all())


def _read(file: Path, n: int) -> Map | None:
    stored = _arrays(file)
    try:
        xy, seconds = stored["xy"], float(stored["seconds"])
        labels = stored["labels"].astype(np.int64)
        quality = {name: float(stored[name]) for name in stored if name not in ("xy", "seconds", "labels")}
    except (KeyError, TypeError, ValueError):
        return None
    if xy.dtype == np.float16:
        xy = xy.astype(np.float32)
    if not _is_map(xy, n) or labels.shape not in ((n,), (0,)):
        return None
    with contextlib.suppress(OSError):  # a read-only cache prunes nothing either
        if time.time() - file.stat().st_mtime > TOUCH_SECONDS:
            os.utime(file)  # used lately: the pruning spares it
    return Map(xy, seconds, cached=True, labels=labels, quality=quality)


def _write(file: Path, drawn: Map) -> None:
    numbers = {name: value for name, value in drawn.quality.items() if value is not None}
    _store(file, {"xy": drawn.xy, "labels": drawn.labels, "seconds": drawn.seconds, **numbers})
    with contextlib.suppress(OSError):
        _prune(file.parent)


def _store(file: Path, arrays: dict, flush: bool = True) -> None:
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        try:
            with open(handle, "wb") as out:
                np.savez(out, **arrays)
                if flush:  # what a crash may take needs no disk
                    out.flush()
                    os.fsync(out.fileno())
            os.replace(temporary, file)
        except OSError:
            os.unlink(temporary)
            raise


def _prune(folder: Path) -> None:
    """Removes the files unused for longest, beyond MAX_FILES; what a crash left half-written ages among them."""
    ages = []
    for entry in os.scandir(folder):
        if entry.name.endswith((".npz", ".tmp")):
            with contextlib.suppress(FileNotFoundError):  # a frame that just went
                ages.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(ages)[: max(0, len(ages) - MAX_FILES)]:
        Path(path).unlink(missing_ok=True)


# -- turns -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def turn(key: str, look: Callable[[], None] = lambda: None):
    """One session per map; `look` is called while it waits, and what it raises ends the waiting.

    256 locks serve all keys, so that lock files never pile up and never need deleting.
    """
    from filelock import FileLock

    folder = cache_dir() / "embeddings"
    lock = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key[:2]}.lock")
        _wait(lock, look)
    except (OSError, NotImplementedError):  # read-only, no locks on this disk, or the other one hangs
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _wait(lock, look: Callable[[], None]) -> None:
    """Hold the lock. Raises Timeout, an OSError, where the other one hangs."""
    from filelock import Timeout

    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            lock.acquire(timeout=POLL_SECONDS)
            return
        except Timeout:
            look()
            if time.monotonic() > until:
                raise


# -- codes instead of a request --------------------------------------------------------------------------------------


def cached_embed(codes: np.ndarray, method: str, **parameters) -> Map:
    """`embed`, remembered on disk; a second session that asks for the same map waits for the first. Same errors."""
    codes, config = checked(codes, method, **parameters)
    if method == "latent":  # two columns: nothing to remember
        return _drawn(codes, config)
    key = _key(codes, config)
    known = read(key, len(codes))
    if known:
        return known
    with turn(key):
        known = read(key, len(codes))  # drawn by the session we waited for
        if known:
            return known
        drawn = _drawn(codes, config)
        write(key, drawn)
    return drawn


def _drawn(codes: np.ndarray, config: EmbedConfig) -> Map:
    began = time.perf_counter()
    xy = draw(codes, config)[0]
    return Map(xy, time.perf_counter() - began)


def _key(codes: np.ndarray, config: EmbedConfig) -> str:
    """sha256 over all that decides the map: request, library versions, shape and bytes of the codes."""
    request = {
        "schema": SCHEMA,
        "request": config.effective(),
        "libraries": {name: version(name) for name in LIBRARIES[config.method]},
        "shape": codes.shape,
    }
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
    digest.update(codes)
    return digest.hexdigest()
