"""Cached, bounded, read-only access to runs and data sets for all sessions. Nobody may change what comes from here."""

import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import numpy as np
import streamlit as st

from aevae import checkpoints, datasets, paths
from aevae.checkpoints import RunInfo
from aevae.config import DataConfig
from aevae.latent import components
from aevae.latent.components import Components

T = TypeVar("T")
MAX_SHOWN = 1000  # test images a page works with
MAX_CONTENTS = 100  # own data sets whose digest is remembered
FRESH = 2.0  # seconds that a listing is taken for true


_listings: dict[tuple[str, str], tuple[float, list[RunInfo], dict]] = {}  # store -> when, runs, what was made of them


def runs() -> list[RunInfo]:
    """Every run in the store, whatever its status; JSON only. At most two seconds old (`runs.clear()`: now)."""
    return list(_listing()[1])


runs.clear = _listings.clear


def once(what: str, make: Callable[[], T]) -> T:
    """`make()` of the runs as they are listed now: made once for all sessions as long as the listing stands."""
    made = _listing()[2]
    if what not in made:
        made[what] = make()
    return made[what]


def _listing() -> tuple[float, list[RunInfo], dict]:
    store = str(paths.runs_dir()), str(paths.pretrained_dir())
    known = _listings.get(store)
    if known is None or time.monotonic() - known[0] > FRESH:
        known = _listings[store] = time.monotonic(), checkpoints.list_runs(), {}
    return known


def finished(families: tuple[str, ...] | None = None, input: str = "image") -> list[RunInfo]:
    """Runs that can be opened, of these families or of all, whose models take this input."""
    found = (r for r in runs() if r.status == "finished" and r.traits["input"] == input)
    return [r for r in found if families is None or r.family in families]


def run(name: str):
    """The opened run (`aevae.runs.Run`), on the CPU. Raises ValueError with one sentence."""
    info = checkpoints.find_run(name)
    return _run(str(info.path), info.state.get("checksums", {}).get("model.safetensors", ""))


@st.cache_resource(max_entries=16, show_spinner=False)  # a class looks at more than a few; most take 1 to 10 MB
def _run(path: str, checksum: str):
    from aevae.runs import load_run

    return load_run(path)


def drawn(make: Callable, *args, **options):
    """The figure `make(*args, **options)` of `aevae.figures`, drawn once for all who see it; arguments are JSON data,
    arrays or dataclasses. To draw one takes longer than all else on many pages."""
    written = json.dumps([args, options], default=lambda v: v.tolist() if hasattr(v, "tolist") else asdict(v))
    return _drawn(f"{make.__module__}.{make.__name__}", written, make, args, options)


@st.cache_resource(max_entries=128, show_spinner=False)
def _drawn(name: str, written: str, _make: Callable, _args: tuple, _options: dict):
    return _make(*_args, **_options)


def dataset(name: str = datasets.EMBEDDED):
    """A data set, whole in memory (`aevae.datasets.Dataset`). Raises ValueError with one sentence."""
    return _dataset(name, _content(name))


@st.cache_resource(max_entries=3, show_spinner=False)
def _dataset(name: str, content: str):
    return datasets.load(DataConfig(name))


_contents: dict[str, tuple[float, str]] = {}  # own images -> when they were looked at, their digest


def _content(name: str) -> str:
    """Digest of a user's own images, whose name does not determine their content; at most two seconds old. Else ""."""
    if not datasets.is_own(name):
        return ""
    when, digest = _contents.get(name, (-math.inf, ""))
    if time.monotonic() - when > FRESH:
        with contextlib.suppress(ValueError, OSError):  # if they are gone, the pages keep what they have
            digest = datasets.resolve(DataConfig(name)).digest
        if len(_contents) >= MAX_CONTENTS:
            _contents.pop(next(iter(_contents)))
        _contents[name] = time.monotonic(), digest
    return digest


def test_digits(name: str = datasets.EMBEDDED) -> tuple[np.ndarray, np.ndarray]:
    """The first 1,000 test images, float32 (N, 1, 28, 28) in [0, 1], and their labels int64 (N,)."""
    return _test_digits(name, _content(name))


@st.cache_resource(max_entries=3, show_spinner=False)
def _test_digits(name: str, content: str) -> tuple[np.ndarray, np.ndarray]:
    test = dataset(name).test.take(slice(MAX_SHOWN))
    images = test.images.astype(np.float32) / 255
    images.setflags(write=False)
    return images, test.labels


test_digits.__test__ = False  # a loader, not a test


def class_names(name: str) -> tuple[str, ...]:
    """How the classes of a data set are called, by label."""
    return dataset(name).classes if datasets.is_own(name) else datasets.classes_of(DataConfig(name))


def principal(count: int) -> Components:
    """The first `count` principal components of the 4,000 training digits of mnist-5k; found once, whoever asks."""
    return _principal().first(count)


@st.cache_resource(max_entries=1, show_spinner=False)
def _principal() -> Components:
    train = dataset().train.images
    return components.fit(train.reshape(len(train), -1) / 255, train[0].size)


def codes(run_name: str, name: str = datasets.EMBEDDED) -> np.ndarray:
    """Codes float32 (N, D) of `test_digits(name)` under a run; row i belongs to picture i."""
    info = checkpoints.find_run(run_name)
    checksum = info.state.get("checksums", {}).get("model.safetensors", "")
    return _codes(str(info.path), checksum, name, _content(name))


@st.cache_resource(max_entries=24, show_spinner=False)
def _codes(path: str, checksum: str, name: str, content: str) -> np.ndarray:
    z = _run(path, checksum).encode(test_digits(name)[0])
    z.setflags(write=False)
    return z


def applied(run, what: str, array: np.ndarray) -> np.ndarray:
    """`run.encode`, `decode` or `reconstruct` (`what`) of an array (N, ...), read-only; computed once for all."""
    checksum = run.info.state.get("checksums", {}).get("model.safetensors", "")
    array = np.ascontiguousarray(array, np.float32)
    return _applied(str(run.path), checksum, what, array.shape, array.tobytes(), run)


@st.cache_resource(max_entries=256, show_spinner=False)  # of at most 225 images, 700 kB
def _applied(path: str, checksum: str, what: str, shape: tuple[int, ...], content: bytes, _run) -> np.ndarray:
    out = getattr(_run, what)(np.frombuffer(content, np.float32).reshape(shape))
    out.setflags(write=False)
    return out


def shown_numbers(run_name: str) -> dict:
    """The numbers of a run on its shown test pictures."""
    info = checkpoints.find_run(run_name)
    return datasets.shown.shown_numbers(info.metrics, datasets.data_of(info.config))


def latent_summary(run_name: str) -> dict:
    """`Run.latent_summary()`, computed once a run."""
    info = checkpoints.find_run(run_name)
    return _latent_summary(str(info.path), info.state.get("checksums", {}).get("model.safetensors", ""))


@st.cache_resource(max_entries=24, show_spinner=False)
def _latent_summary(path: str, checksum: str) -> dict:
    return _run(path, checksum).latent_summary()
