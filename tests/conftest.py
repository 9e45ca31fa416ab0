"""Fixtures and helpers of all tests: stores with tiny models, an empty store, pages, one thread."""

import contextlib
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from collecting import pytest_collection, pytest_collection_modifyitems  # noqa: F401 (hooks)

if TYPE_CHECKING:
    import numpy as np
    from forks import Fork
    from streamlit.testing.v1 import AppTest

os.environ.setdefault("AEVAE_THREADS", "1")
os.environ.setdefault("AEVAE_NICE", "0")  # a worker inside a test would lower the priority of the test process
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.dont_write_bytecode = False  # of the processes of a run, one compiles a source file, and the others read the result
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

BASIC = ("ae", "denoising", "vae", "beta_vae")  # families in the tests of pages
TINY = {"latent_dim": 3, "hidden": 16, "prior_width": 8, "prior_layers": 1}


def until(condition: Callable[[], object], seconds: float = 240) -> object:
    """Wait until the condition holds, and return its value. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def fitting(family: str, **wanted) -> dict:
    """Those of the options `wanted` that the family has, with valid values."""
    from aevae.models import family_class

    fields = {f.name: f for f in dataclasses.fields(family_class(family).Config)}
    if "latent_dim" in wanted:
        wanted = {"k": 2} | wanted  # the tiny code has only 3 units
    return {k: v for k, v in wanted.items() if k in fields and v in fields[k].metadata.get("choices", (v,))}


def tiny_config(family: str, *, epochs: int = 1, limit: int = 200, seed: int = 0, batch_size: int = 64, **options):
    """A config that is trained on mnist-5k in a second."""
    from aevae.config import DataConfig, TrainConfig
    from aevae.models import family_class
    from aevae.run_config import RunConfig

    return RunConfig(
        DataConfig(family_class(family).Config.dataset, limit=limit),
        family_class(family).Config(**fitting(family, **TINY) | options),
        TrainConfig(epochs=epochs, batch_size=batch_size),
        seed,
    )


def open_page(path: str, session: dict | None = None, live: bool = True, /, **query: str | list[str]) -> "AppTest":
    """An AppTest of a page, after its first run. path: of its file; session: initial state; query: of the address.

    live: False for a browser that cannot run models.
    """
    from streamlit.testing.v1 import AppTest

    from aevae import paths
    from aevae.ui.frame.menu import all_pages

    _scan_packages_once()
    at = AppTest.from_file(str(paths.ROOT / "app.py"), default_timeout=120)
    trouble = {} if live else {"live_trouble": {"": "browser"}}
    for key, value in ((session or {}) | trouble).items():
        at.session_state[key] = value
    for key, value in query.items():
        at.query_params[key] = value
    if Path(path).stem.lstrip("0123456789_") not in {page.url_path for page in all_pages()}:
        at.run()  # before the first run Streamlit uses the file's name as address
    return at.switch_page(path).run()


@functools.cache
def _scan_packages_once() -> None:
    """Each AppTest reads the metadata of all installed packages, which takes longer than a page. Now the first does."""
    with contextlib.suppress(ImportError, AttributeError):  # private; without it tests are slower
        from streamlit.components.v2 import manifest_scanner

        manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)


def _use_store(monkeypatch: pytest.MonkeyPatch, runs: Path, pretrained: Path) -> None:
    monkeypatch.setenv("AEVAE_RUNS", str(runs))
    monkeypatch.setenv("AEVAE_PRETRAINED", str(pretrained))
    _forget()


def _forget() -> None:
    """Clear caches of pages, which must not outlive a store."""
    import streamlit as st

    st.cache_data.clear()
    st.cache_resource.clear()


def train_all(root: Path, families: Iterable[str]) -> tuple[Path, dict[str, str]]:
    """(root, family -> run name) after training one tiny run per family in `root`."""
    from aevae.runs import train_or_load

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_RUNS", str(root))
        patch.setenv("AEVAE_PRETRAINED", str(root / "none"))
        return root, {family: train_or_load(tiny_config(family), "cpu").name for family in families}


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Restore `__main__`, which AppTest replaces by the page; processes started later would run the page's file."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _own_session() -> Iterator[None]:
    """Clear the session state outside of pages, which all tests of a process share."""
    yield
    if "streamlit" in sys.modules:
        sys.modules["streamlit"].session_state.clear()


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """(folder, family -> run name) with one tiny finished run of each basic family; read-only, of all processes."""
    return _train_once(tmp_path_factory, "trained", BASIC)


@pytest.fixture(scope="session")
def whole_zoo(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """`trained` for all families."""
    from aevae.models import FAMILIES

    return _train_once(tmp_path_factory, "zoo", FAMILIES)


def _train_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, families: Iterable[str]
) -> tuple[Path, dict[str, str]]:
    from filelock import FileLock

    root = _common_folder(tmp_path_factory) / name
    with FileLock(f"{root}.lock"):
        return train_all(root, families)  # loads existing runs


@pytest.fixture(scope="session")
def js_fixtures(tmp_path_factory) -> Path:
    """The folder of programs and arrays that tests/*.mjs read (tests/js_fixtures.py), made once for all processes."""
    from filelock import FileLock
    from js_fixtures import export_all

    root = _common_folder(tmp_path_factory) / "js"
    with FileLock(f"{root}.lock"):
        if not root.exists():
            unfinished = tmp_path_factory.mktemp("js")
            export_all(unfinished)
            unfinished.rename(root)
    return root


@pytest.fixture(scope="module")  # not "session": while Playwright runs, asyncio.run of other tests would raise
def browser() -> Iterator[object]:
    """A Chromium. Skips the test without one; in CI this is a failure."""
    from chromium import FLAGS, find_chromium, keep_process

    path = find_chromium()
    if path is None and os.environ.get("CI"):
        pytest.fail("Chromium is not installed, and CI must run the browser tests")
    if path is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=FLAGS)
        keep_process(browser.new_context())  # of all tabs but those of strangers
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path) -> Iterator[object]:
    """A server of this test, with an empty store."""
    from chromium import Server

    server = Server(tmp_path / "runs")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A server (its `url`) that tests of all processes look at; do not train there.

    The first process that needs it starts it, the last one stops it.
    """
    from chromium import Server
    from filelock import FileLock

    root = _common_folder(tmp_path_factory)
    file, lock = root / "server.json", FileLock(root / "server.lock")
    with lock:
        if file.exists():
            facts = json.loads(file.read_text("utf-8"))
        else:
            server = Server(root / "shared")
            facts = {"url": server.url, "pid": server.process.pid, "users": 0}
        file.write_text(json.dumps(facts | {"users": facts["users"] + 1}), "utf-8")
    yield SimpleNamespace(url=facts["url"])
    with lock:
        facts = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps(facts | {"users": facts["users"] - 1}), "utf-8")
        if facts["users"] == 1:
            file.unlink()
            os.kill(facts["pid"], signal.SIGTERM)


def _common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of this run of the tests."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def store(trained, tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """Family -> name of a tiny finished run of each basic family, in a store of this test."""
    yield from _own_store(trained, tmp_path, monkeypatch)


@pytest.fixture
def zoo(whole_zoo, tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """`store` with all families."""
    yield from _own_store(whole_zoo, tmp_path, monkeypatch)


def _own_store(made: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch) -> Iterator[dict[str, str]]:
    import shutil

    root, names = made
    runs = tmp_path / "runs"
    shutil.copytree(root, runs, ignore=shutil.ignore_patterns(".locks", "queue*"))
    _use_store(monkeypatch, runs, tmp_path / "pretrained")
    yield names
    _forget()


@pytest.fixture
def empty_store(tmp_path, monkeypatch) -> Iterator[Path]:
    """The path of an empty store, which does not exist yet."""
    _use_store(monkeypatch, tmp_path / "runs", tmp_path / "pretrained")
    yield tmp_path / "runs"
    _forget()


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A folder with an empty store: `runs`, and `shipped` for shipped runs."""
    for variable, name in (("AEVAE_RUNS", "runs"), ("AEVAE_PRETRAINED", "shipped")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    return tmp_path


@pytest.fixture
def own_data(tmp_path, monkeypatch) -> Path:
    """The path of an empty folder for data sets, which does not exist yet."""
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """The path of an empty cache of maps, which does not exist yet."""
    from aevae.embeddings import maps as engine

    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    engine._base.cache_clear()
    return tmp_path / "cache" / "embeddings"


@pytest.fixture
def no_worker(monkeypatch) -> None:
    """No worker starts by itself: jobs wait until the test runs one."""
    from aevae.queue import jobs

    for name in ("ensure_worker", "wake_worker"):
        monkeypatch.setattr(jobs, name, lambda lane="auto": None)


@pytest.fixture
def mounted(monkeypatch) -> dict[str, tuple]:
    """Key -> (spec, arrays) of each live module that pages show."""
    from aevae.ui.live import component

    found: dict[str, tuple] = {}
    record = lambda module, key, spec, arrays=None, **more: found.update({key: (spec, arrays)})  # noqa: E731
    monkeypatch.setattr(component, "mount", record)
    return found


@pytest.fixture
def shipped_runs(monkeypatch, tmp_path) -> None:
    """The shipped runs, and an empty store of this test."""
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)


@pytest.fixture
def page(request, shipped_runs, no_worker) -> "AppTest":
    """The page PAGE of the test's file, after its first run."""
    return open_page(request.module.PAGE)


@pytest.fixture
def no_passcode(monkeypatch) -> None:
    """Whoever opens a page is not asked for a passcode."""
    monkeypatch.delenv("AEVAE_PASSCODE", raising=False)


@pytest.fixture
def worker(request) -> Iterator[Callable[[], "subprocess.Popen | Fork"]]:
    """`worker_command`, but forked where the system can fork."""
    if sys.platform == "win32":
        yield request.getfixturevalue("worker_command")
        return
    from forks import forks

    with forks() as start:
        yield functools.partial(start, "work")


@pytest.fixture
def worker_command() -> Iterator[Callable[[], subprocess.Popen]]:
    """A function that starts a worker process on this test's store; the worker ends when the queue is empty."""
    from aevae import paths

    started = []
    command, pipe = [sys.executable, "-m", "aevae", "worker", "--once"], subprocess.PIPE

    def serve() -> subprocess.Popen:
        env = os.environ | {"AEVAE_NICE": "0"}
        started.append(subprocess.Popen(command, cwd=paths.ROOT, env=env, stderr=pipe, stdout=pipe))
        return started[-1]

    yield serve
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def test_digits() -> "np.ndarray":
    """The test images of mnist-5k: uint8 (1000, 28, 28)."""
    from aevae.config import DataConfig
    from aevae.datasets import load

    return load(DataConfig()).test.images[:, 0]


@pytest.fixture(scope="session")
def quarter() -> list:
    """Every fourth training and test image of mnist-5k: two uint8 tensors (N, 1, 28, 28)."""
    import torch

    from aevae.config import DataConfig
    from aevae.datasets import load

    data = load(DataConfig())
    return [torch.tensor(part.images[::4]) for part in (data.train, data.test)]


@pytest.fixture(scope="session")
def mnist() -> None:
    """Skip the test without the full MNIST files; fail if CI declares that they exist."""
    from aevae import datasets

    there = {d["name"]: d["available"] for d in datasets.catalogue()}["mnist"]
    if not there and os.environ.get("AEVAE_REQUIRE_MNIST"):
        pytest.fail("the full MNIST files are not in AEVAE_DATA")
    if not there:
        pytest.skip("needs the full MNIST: python -m aevae train --family vae --dataset mnist downloads it")
