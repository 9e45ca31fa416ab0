"""Shared by all tests: a store of tiny models, an empty store, one thread."""

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

os.environ.setdefault("AEVAE_THREADS", "1")
os.environ.setdefault("AEVAE_NICE", "0")  # a worker run inside a test would make all the others nice, too
os.environ.setdefault("OMP_NUM_THREADS", "1")

BASIC = ("ae", "denoising", "vae", "beta_vae")  # what the pages' tests work with
TINY = {"latent_dim": 3, "hidden": 16}


def fitting(family: str, **wanted) -> dict:
    """Of these options those that the family has, with values that it knows."""
    from aevae.models import family_class

    fields = {f.name: f for f in dataclasses.fields(family_class(family).Config)}
    if "latent_dim" in wanted:
        wanted = {"k": 2} | wanted  # of a small code no more can be kept
    return {k: v for k, v in wanted.items() if k in fields and v in fields[k].metadata.get("choices", (v,))}


def choices(family: str, option: str) -> tuple:
    """The values that an option of this family can take; none: it has no such option."""
    from aevae.models import family_class

    fields = {f.name: f for f in dataclasses.fields(family_class(family).Config)}
    return fields[option].metadata["choices"] if option in fields else ()


def variants() -> list[tuple[str, str, str]]:
    """(family, network, likelihood): of each family every network, and every likelihood; "": it has no choice."""
    from aevae.models import FAMILIES

    found = []
    for family in FAMILIES:
        networks, likelihoods = (choices(family, name) or ("",) for name in ("network", "likelihood"))
        found += [(family, network, likelihoods[0]) for network in networks]
        found += [(family, networks[0], likelihood) for likelihood in likelihoods[1:]]
    return found


def of_pictures(families: Iterable[str]) -> list[str]:
    """Those that encode single pictures."""
    from aevae.models import family_class

    return [family for family in families if family_class(family).input == "image"]


def tiny_config(family: str, *, epochs: int = 1, limit: int = 200, seed: int = 0, batch_size: int = 64, **options):
    """A config that trains in a second on mnist-5k."""
    from aevae.config import DataConfig, TrainConfig
    from aevae.models import family_class
    from aevae.run_config import RunConfig

    return RunConfig(
        DataConfig(family_class(family).Config.dataset, limit=limit),
        family_class(family).Config(**fitting(family, **TINY) | options),
        TrainConfig(epochs=epochs, batch_size=batch_size),
        seed,
    )


def module_of(header: dict) -> str:
    """`atlas` of `embeddings/atlas.js`: the module that a header is for."""
    return Path(header["module"]).stem


def open_page(path: str, session: dict | None = None, live: bool = True, /, **query: str | list[str]) -> "AppTest":
    """A page of the app to somebody who comes by a link: its file from the root, the session, the address.

    Without `live`: in a browser that cannot compute.
    """
    from streamlit.testing.v1 import AppTest

    from aevae import paths
    from aevae.ui.frame.menu import all_pages

    at = AppTest.from_file(str(paths.ROOT / "app.py"), default_timeout=120)
    trouble = {} if live else {"live_trouble": {"": "browser"}}
    for key, value in ((session or {}) | trouble).items():
        at.session_state[key] = value
    for key, value in query.items():
        at.query_params[key] = value
    if Path(path).stem.lstrip("0123456789_") not in {page.url_path for page in all_pages()}:
        at.run()  # until then Streamlit takes a file's name for the page's address
    return at.switch_page(path).run()


def _use_store(monkeypatch: pytest.MonkeyPatch, runs: Path, pretrained: Path) -> None:
    monkeypatch.setenv("AEVAE_RUNS", str(runs))
    monkeypatch.setenv("AEVAE_PRETRAINED", str(pretrained))
    _forget()


def _forget() -> None:
    """Pages keep listings and models; another store must not see them."""
    import streamlit as st

    st.cache_data.clear()
    st.cache_resource.clear()


def train_all(root: Path, families: Iterable[str]) -> tuple[Path, dict[str, str]]:
    """One tiny finished run per family in `root`: the folder, and family -> name."""
    from aevae.runs import train_or_load

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_RUNS", str(root))
        patch.setenv("AEVAE_PRETRAINED", str(root / "none"))
        return root, {family: train_or_load(tiny_config(family), "cpu").name for family in families}


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """A page that is tested becomes `__main__` and stays it, and processes begun later would run its file first."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _own_session() -> Iterator[None]:
    """What a test leaves in the session of no page: all tests of a process share that one."""
    yield
    if "streamlit" in sys.modules:
        sys.modules["streamlit"].session_state.clear()


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder with one tiny finished run of each basic family, made once; do not change it."""
    return train_all(tmp_path_factory.mktemp("trained"), BASIC)


@pytest.fixture(scope="session")
def whole_zoo(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The same of every family; trained by one of the test processes, for all of them."""
    from filelock import FileLock

    from aevae.models import FAMILIES

    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "zoo"
    with FileLock(f"{root}.lock"):
        return train_all(root, FAMILIES)  # whose runs are loaded where they are there


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """A server that many tests look at; do not train there."""
    from test_browser import Server

    server = Server(tmp_path_factory.mktemp("shared") / "runs")
    yield server
    server.stop()


@pytest.fixture
def store(trained, tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """Basic family -> name of a tiny finished run, in a store of this test's own."""
    yield from _own_store(trained, tmp_path, monkeypatch)


@pytest.fixture
def zoo(whole_zoo, tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """The same with every family."""
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
    """No run at all; the path of the (not yet made) store."""
    _use_store(monkeypatch, tmp_path / "runs", tmp_path / "pretrained")
    yield tmp_path / "runs"
    _forget()


@pytest.fixture(scope="session")
def mnist() -> None:
    """The full MNIST files; where CI says that they are there, their absence is a failure."""
    from aevae import datasets

    there = {d["name"]: d["available"] for d in datasets.catalogue()}["mnist"]
    if not there and os.environ.get("AEVAE_REQUIRE_MNIST"):
        pytest.fail("the full MNIST files are not in AEVAE_DATA")
    if not there:
        pytest.skip("needs the full MNIST: python -m aevae train --family vae --dataset mnist downloads it")
