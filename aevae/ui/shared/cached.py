"""Bounded caches of runs and data sets, shared by all sessions. Callers must not change the results."""

import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import numpy as np
import streamlit as st

from aevae import datasets, paths
from aevae.config import DataConfig
from aevae.latent import components
from aevae.latent.components import Components
from aevae.store import checkpoints
from aevae.store.checkpoints import RunInfo

T = TypeVar("T")
MAX_SHOWN_IMAGES = 1000  # test images that pages use
MAX_CONTENTS = 100  # own data sets whose digest is cached
LISTING_SECONDS = 2.0  # a listing is read again after this time


_listings: dict[tuple[str, str], tuple[float, list[RunInfo], dict]] = {}  # store -> (time, runs, results of `once`)


def runs() -> list[RunInfo]:
    """Every run in the store (RunInfo), cached for LISTING_SECONDS; `runs.clear()` clears the cache."""
    return list(_listing()[1])


runs.clear = _listings.clear


def once(what: str, make: Callable[[], T]) -> T:
    """The result of `make()`, cached under the name `what` for all sessions until the listing changes."""
    made = _listing()[2]
    if what not in made:
        made[what] = make()
    return made[what]


def _listing() -> tuple[float, list[RunInfo], dict]:
    store = str(paths.runs_dir()), str(paths.pretrained_dir())
    known = _listings.get(store)
    if known is None or time.monotonic() - known[0] > LISTING_SECONDS:
        known = _listings[store] = time.monotonic(), checkpoints.list_runs(), {}
    return known


def finished(families: tuple[str, ...] | None = None, input: str = "image") -> list[RunInfo]:
    """Finished runs of these families (None: all) whose models have this input."""
    found = (r for r in runs() if r.status == "finished" and r.traits["input"] == input)
    return [r for r in found if families is None or r.family in families]


def info_of(run: str | RunInfo) -> RunInfo:
    """The run of this name; a RunInfo is returned as it is. Raises NoSuchRun."""
    return run if isinstance(run, RunInfo) else checkpoints.find_run(run)


def run(which: str | RunInfo):
    """The opened run (`aevae.runs.Run`), on the CPU. Raises ValueError with one sentence; NoSuchRun if it was deleted.

    A RunInfo saves reading the run's folder again.
    """
    info = info_of(which)
    return _run(str(info.path), info.weights_checksum, info)


@st.cache_resource(max_entries=16, show_spinner=False)  # most take 1 to 10 MB
def _run(path: str, checksum: str, _info: RunInfo):
    from aevae.runs import Run

    try:
        return Run(_info)
    except (ValueError, OSError):
        checkpoints.find_run(_info.name)  # raises NoSuchRun if it was deleted after `_info` was read
        raise


def figure(make: Callable, *args, **options):
    """The figure `make(*args, **options)` of `aevae.figures`, cached for all sessions.

    Arguments are JSON data, arrays or dataclasses. On many pages the figure takes most of the time.
    """
    written = json.dumps([args, options], default=lambda v: v.tolist() if hasattr(v, "tolist") else asdict(v))
    return _drawn(f"{make.__module__}.{make.__name__}", written, make, args, options)


@st.cache_resource(max_entries=128, show_spinner=False)
def _drawn(name: str, written: str, _make: Callable, _args: tuple, _options: dict):
    return _make(*_args, **_options)


def dataset(name: str = datasets.EMBEDDED):
    """A Dataset in memory (`aevae.datasets`). Raises ValueError with one sentence."""
    return _dataset(name, _content(name))


@st.cache_resource(max_entries=3, show_spinner=False)
def _dataset(name: str, content: str):
    return datasets.load(DataConfig(name))


_contents: dict[str, tuple[float, str]] = {}  # own data set -> (time, digest)


def _content(name: str) -> str:
    """Digest of own images, cached for LISTING_SECONDS; "" for other data sets, whose name determines the content."""
    if not datasets.is_own(name):
        return ""
    when, digest = _contents.get(name, (-math.inf, ""))
    if time.monotonic() - when > LISTING_SECONDS:
        with contextlib.suppress(ValueError, OSError):  # if they are gone, pages use the cached images
            digest = datasets.resolve(DataConfig(name)).digest
        if len(_contents) >= MAX_CONTENTS:
            _contents.pop(next(iter(_contents)))
        _contents[name] = time.monotonic(), digest
    return digest


def shown_digits(name: str = datasets.EMBEDDED) -> tuple[np.ndarray, np.ndarray]:
    """The first 1,000 test images, float32 (N, 1, 28, 28) in [0, 1], and their labels int64 (N,)."""
    return _shown_digits(name, _content(name))


@st.cache_resource(max_entries=3, show_spinner=False)
def _shown_digits(name: str, content: str) -> tuple[np.ndarray, np.ndarray]:
    test = dataset(name).test.take(slice(MAX_SHOWN_IMAGES))
    images = test.images.astype(np.float32) / 255
    images.setflags(write=False)
    return images, test.labels


def class_names(name: str) -> tuple[str, ...]:
    """Names of the classes of a data set, by label."""
    return dataset(name).classes if datasets.is_own(name) else datasets.classes_of(DataConfig(name))


def principal(count: int) -> Components:
    """The first `count` principal components of the 4,000 training digits of mnist-5k; cached for all sessions."""
    return _principal().first(count)


@st.cache_resource(max_entries=1, show_spinner=False)
def _principal() -> Components:
    train = dataset().train.images
    return components.fit(train.reshape(len(train), -1) / 255, train[0].size)


def codes(of: str | RunInfo, name: str = datasets.EMBEDDED) -> np.ndarray:
    """Codes float32 (N, D) of `shown_digits(name)` under a run; row i belongs to image i."""
    info = info_of(of)
    return _codes(str(info.path), info.weights_checksum, name, _content(name), info)


@st.cache_resource(max_entries=24, show_spinner=False)
def _codes(path: str, checksum: str, name: str, content: str, _info: RunInfo) -> np.ndarray:
    z = run(_info).encode(shown_digits(name)[0])
    z.setflags(write=False)
    return z


def applied(run, what: str, array: np.ndarray) -> np.ndarray:
    """The result of `run.encode`, `decode` or `reconstruct` (`what`) for an array (N, ...); read-only, cached."""
    checksum = run.info.weights_checksum
    array = np.ascontiguousarray(array, np.float32)
    return _applied(str(run.path), checksum, what, array.shape, array.tobytes(), run)


@st.cache_resource(max_entries=256, show_spinner=False)  # at most 225 images, 700 kB
def _applied(path: str, checksum: str, what: str, shape: tuple[int, ...], content: bytes, _run) -> np.ndarray:
    out = getattr(_run, what)(np.frombuffer(content, np.float32).reshape(shape))
    out.setflags(write=False)
    return out


def computed(function: Callable[..., T], run, *arguments) -> T:
    """function(run, *arguments), cached. Arguments are arrays, lists of arrays, numbers, texts or None."""
    name = f"{function.__module__}.{function.__qualname__}"
    key = tuple(map(_key_of, arguments))
    return _computed(name, str(run.path), run.info.weights_checksum, key, function, run, arguments)


@st.cache_data(max_entries=256, show_spinner=False)
def _computed(name: str, path: str, checksum: str, key: tuple, _function: Callable, _run, _arguments: tuple):
    return _function(_run, *_arguments)


def _key_of(argument):
    if isinstance(argument, np.ndarray):
        return argument.dtype.str, argument.shape, argument.tobytes()
    return tuple(map(_key_of, argument)) if isinstance(argument, list) else argument


def shown_numbers(of: str | RunInfo) -> dict:
    """The numbers of a run on its shown test images."""
    info = info_of(of)
    return datasets.shown.shown_numbers(info.metrics, datasets.data_of(info.config))


def latent_summary(of: str | RunInfo) -> dict:
    """`Run.latent_summary()`, computed once a run."""
    info = info_of(of)
    return _latent_summary(str(info.path), info.weights_checksum, info)


@st.cache_resource(max_entries=24, show_spinner=False)
def _latent_summary(path: str, checksum: str, _info: RunInfo) -> dict:
    return run(_info).latent_summary()
