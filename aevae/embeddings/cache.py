"""Maps kept on disk by content: the same codes and the same request are drawn once, whoever asks.

A map is `<cache_dir>/embeddings/<sha256>.npz`, written under a temporary name and renamed. The cache is only ever a
saving: where it can not be read or written, the map is drawn again and nobody is told.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zipfile
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from aevae.embeddings.methods import EmbedConfig, checked, draw
from aevae.paths import cache_dir

KEEP = 500  # files; beyond it those unused for longest go
PATIENCE = 900.0  # seconds to wait for another session's map before drawing an own one
# What a file with any byte changed makes numpy and zipfile raise (RuntimeError: a bit says "encrypted").
DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
SCHEMA = 1  # counts up when this package would draw another map from the same request
LIBRARIES = {"latent": (), "pca": ("numpy",), "tsne": ("openTSNE", "numpy"), "umap": ("umap-learn", "pynndescent")}


@dataclass(frozen=True, eq=False)
class Map:
    """A drawn map: xy (N, 2) float32; the seconds it took when it was drawn; whether it came from the cache."""

    xy: np.ndarray
    seconds: float
    cached: bool


def cached_embed(codes: np.ndarray, method: str, **parameters) -> Map:
    """`embed`, remembered on disk; a second session that asks for the same map waits for the first. Same errors."""
    codes, config = checked(codes, method, **parameters)
    if method == "latent":  # two columns: nothing to remember
        return _drawn(codes, config)
    key = _key(codes, config)
    file = cache_dir() / "embeddings" / f"{key}.npz"
    known = _read(file, len(codes))
    if known:
        return known
    with _turn(file.parent, key):
        known = _read(file, len(codes))  # drawn by the session we waited for
        if known:
            return known
        drawn = _drawn(codes, config)
        _write(file, drawn)
    return drawn


def _drawn(codes: np.ndarray, config: EmbedConfig) -> Map:
    began = time.perf_counter()
    xy = draw(codes, config)
    return Map(xy, time.perf_counter() - began, cached=False)


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


@contextlib.contextmanager
def _turn(folder: Path, key: str):
    """One session per map. 256 locks serve all keys, so that lock files never pile up and never need deleting."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key[:2]}.lock", timeout=PATIENCE)
        lock.acquire()
    except (OSError, Timeout, NotImplementedError):  # read-only, no locks on this disk, or the other one hangs
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _read(file: Path, n: int) -> Map | None:
    """The map in `file`, or None where there is none or it is damaged."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            xy, seconds = stored["xy"], float(stored["seconds"])
    except DAMAGE:
        return None
    if xy.shape != (n, 2) or xy.dtype != np.float32 or not np.isfinite(xy).all():
        return None
    with contextlib.suppress(OSError):  # a read-only cache prunes nothing either
        os.utime(file)  # used now: the pruning spares it
    return Map(xy, seconds, cached=True)


def _write(file: Path, drawn: Map) -> None:
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        try:
            with open(handle, "wb") as out:
                np.savez(out, xy=drawn.xy, seconds=np.float64(drawn.seconds))
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, file)
        except OSError:
            os.unlink(temporary)
            raise
        _prune(file.parent)


def _prune(folder: Path) -> None:
    """Removes the files unused for longest, beyond KEEP; what a crash left half-written ages among them."""
    ages = []
    for entry in os.scandir(folder):
        if entry.name.endswith((".npz", ".tmp")):
            ages.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(ages)[: max(0, len(ages) - KEEP)]:
        Path(path).unlink(missing_ok=True)
