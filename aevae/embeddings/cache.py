"""Cache of maps on disk, by content: several sessions compute the same request once.

A map is `<cache_dir>/embeddings/<sha256>.npz`, its newest frame during computation `<sha256>.frame.npz`. Both are
written to a temporary file and renamed. If the cache is unavailable, the map is recomputed silently. Shipped maps are
in `maps` beside the shipped runs; they are only read.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from aevae.embeddings.config import EmbedConfig, checked
from aevae.embeddings.methods import compute_map
from aevae.paths import cache_dir, pretrained_dir

MAX_FILES = 500  # beyond it, the least recently used files are deleted
FRAME = ".frame"  # suffix of the key of a frame
TOUCH_SECONDS = 3600.0  # a file that is in use is marked as used this often
POLL_SECONDS = 0.4  # interval of checks while another session computes the map
WAIT_SECONDS = 900.0  # longest wait for a map of another session
# Errors of numpy and zipfile for a damaged file (RuntimeError: the flag "encrypted" is set).
DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
SCHEMA = 2  # raised when this package computes another map from the same request
LIBRARIES = {"latent": (), "pca": ("numpy",), "tsne": ("openTSNE", "numpy"), "umap": ("umap-learn", "numba")}


@dataclass(frozen=True, eq=False)
class Map:
    """A map: xy (N, 2) float32; seconds of its computation; whether it came from the cache.

    labels (N,) int64 of the points; quality: numbers shown under the map (`neighbours.map_quality`), and `kl` in nats.
    """

    xy: np.ndarray
    seconds: float
    cached: bool = False
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    quality: dict = field(default_factory=dict)

    @property
    def index(self) -> np.ndarray:
        """Index (N,) of each point's image in its part of the data set."""
        return np.arange(len(self.xy))


@dataclass(frozen=True, eq=False)
class Frame:
    """An intermediate map: xy (N, 2) float32 after `iteration` of `of` iterations."""

    xy: np.ndarray
    iteration: int
    of: int


# -- files -----------------------------------------------------------------------------------------------------------


def read_map(key: str, n: int) -> Map | None:
    """The map of n points with this key; None if it is missing or damaged."""
    return _read(_file(key), n)


def write_map(key: str, computed: Map) -> None:
    """Store a map."""
    _write(_file(key), computed)


def shipped(identity: str, n: int) -> Map | None:
    """The shipped map of a request; its coordinates are rounded to float16."""
    return _read(pretrained_dir().parent / "maps" / f"{identity[:16]}.npz", n)


def read_frame(key: str, n: int) -> Frame | None:
    """The newest frame of a map of n points, or None."""
    stored = _arrays(_file(key + FRAME))
    try:
        frame = Frame(stored["xy"], int(stored["iteration"]), int(stored["of"]))
    except (KeyError, TypeError, ValueError):
        return None
    return frame if _is_map(frame.xy, n) else None


def write_frame(key: str, frame: Frame) -> None:
    """Replace the last frame."""
    _store(_file(key + FRAME), {"xy": frame.xy, "iteration": frame.iteration, "of": frame.of}, flush=False)


def drop_frame(key: str) -> None:
    """Delete the frame of a map whose computation has ended."""
    with contextlib.suppress(OSError):
        _file(key + FRAME).unlink(missing_ok=True)


def _file(key: str) -> Path:
    return cache_dir() / "embeddings" / f"{key}.npz"


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays in a file; {} if it is missing or damaged."""
    try:
        status = file.stat()
        return dict(_loaded(file, status.st_ino, status.st_mtime_ns, status.st_size))
    except DAMAGE:
        return {}


@lru_cache(maxsize=64)  # a map of 10,000 points takes 200 kB
def _loaded(file: Path, *_stamp: int) -> dict[str, np.ndarray]:
    """The arrays in a file, read-only; cached until the file changes."""
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
    with contextlib.suppress(OSError):  # a read-only cache is not pruned either
        if time.time() - file.stat().st_mtime > TOUCH_SECONDS:
            os.utime(file)  # recently used files are not pruned
    return Map(xy, seconds, cached=True, labels=labels, quality=quality)


def _write(file: Path, computed: Map) -> None:
    numbers = {name: value for name, value in computed.quality.items() if value is not None}
    _store(file, {"xy": computed.xy, "labels": computed.labels, "seconds": computed.seconds, **numbers})
    with contextlib.suppress(OSError):
        _prune(file.parent)


def _store(file: Path, arrays: dict, flush: bool = True) -> None:
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        try:
            with open(handle, "wb") as out:
                np.savez(out, **arrays)
                if flush:  # frames may be lost in a crash
                    out.flush()
                    os.fsync(out.fileno())
            os.replace(temporary, file)
        except OSError:
            os.unlink(temporary)
            raise


def _prune(folder: Path) -> None:
    """Delete the least recently used files beyond MAX_FILES, among them temporary files left by crashes."""
    ages = []
    for entry in os.scandir(folder):
        if entry.name.endswith((".npz", ".tmp")):
            with contextlib.suppress(FileNotFoundError):  # another process deleted it
                ages.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(ages)[: max(0, len(ages) - MAX_FILES)]:
        Path(path).unlink(missing_ok=True)


# -- locks -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def turn(key: str, look: Callable[[], None] = lambda: None) -> Generator[None]:
    """Context manager: the lock of a map, held by one session. `look` is called while waiting and may raise to stop.

    256 locks serve all keys, so that lock files need not be deleted.
    """
    from filelock import FileLock

    folder = cache_dir() / "embeddings"
    lock = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key[:2]}.lock")
        _wait(lock, look)
    except (OSError, NotImplementedError):  # read-only cache, no locks on this file system, or the other session hangs
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _wait(lock, look: Callable[[], None]) -> None:
    """Acquire the lock. Raises Timeout, an OSError, if the other session hangs."""
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
    """`embed` with a cache on disk; a second session with the same request waits for the first. Same errors."""
    codes, config = checked(codes, method, **parameters)
    if method == "latent":  # two columns, not worth storing
        return _timed_map(codes, config)
    key = _key(codes, config)
    known = read_map(key, len(codes))
    if known:
        return known
    with turn(key):
        known = read_map(key, len(codes))  # computed by the session that had the lock
        if known:
            return known
        computed = _timed_map(codes, config)
        write_map(key, computed)
    return computed


def _timed_map(codes: np.ndarray, config: EmbedConfig) -> Map:
    began = time.perf_counter()
    xy = compute_map(codes, config)[0]
    return Map(xy, time.perf_counter() - began)


def _key(codes: np.ndarray, config: EmbedConfig) -> str:
    """sha256 of everything that determines the map: request, library versions, shape and bytes of the codes."""
    request = {
        "schema": SCHEMA,
        "request": config.effective(),
        "libraries": {name: version(name) for name in LIBRARIES[config.method]},
        "shape": codes.shape,
    }
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
    digest.update(codes.data)
    return digest.hexdigest()
