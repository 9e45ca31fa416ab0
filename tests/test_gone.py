"""A run is deleted elsewhere while a page shows it: every action then gives a message and no exception."""

import contextlib

import pytest
import streamlit as st
from conftest import open_page
from page_helpers import rerun_fragment
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.queue import jobs
from aevae.store import checkpoints
from aevae.ui.shared import cached

PAGES = {  # page -> the address that shows the runs
    "explore/sliders": {"model": "vae", "beside": ["ae"]},
    "explore/denoise": {"models": ["vae", "ae"]},
    "explore/interpolate": {"models": ["vae", "ae"]},
    "explore/embeddings": {"space_1": "vae", "space_2": "ae", "map_1": "pca", "map_2": "latent", "count": "300"},
    "explore/compare": {"models": ["vae", "ae"], "compare_view": "errors"},
    "lab/models": {"run": "vae"},
    "lab/train": {"job": "vae"},
    "autoencoders/01_bottleneck": {"holes": "vae"},
    "variational/01_elbo": {"elbo_model": "vae"},
}


@pytest.fixture(autouse=True)
def no_worker(monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    cached.runs.clear()


def opened(store: dict[str, str], path: str, live: bool) -> AppTest:
    named = lambda text: store.get(text, text)  # noqa: E731
    link = {
        k: [named(v) for v in value] if isinstance(value, list) else named(value) for k, value in PAGES[path].items()
    }
    return sound(open_page(f"pages/{path}.py", None, live, **link))


def sound(at: AppTest) -> AppTest:
    assert not at.exception, at.exception[0].value
    return at


@contextlib.contextmanager
def without(name: str, forgotten: bool):
    """The run is not in the store; forgotten: the listing of runs knows it already."""
    folder = paths.runs_dir() / name
    aside = folder.rename(folder.parent.parent / name)
    if forgotten:
        cached.runs.clear()
    yield
    aside.rename(folder)
    cached.runs.clear()


@pytest.mark.parametrize("use", [cached.run, cached.codes, cached.latent_summary])
def test_a_run_that_is_deleted_after_it_was_listed_is_no_such_run(store, use):
    info = checkpoints.find_run(store["vae"])
    st.cache_resource.clear()
    with without(store["vae"], forgotten=False), pytest.raises(checkpoints.NoSuchRun, match=store["vae"]):
        use(info)
    assert use(info) is use(store["vae"])


@pytest.mark.slow
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("forgotten", [True, False])
@pytest.mark.parametrize("path", ["explore/sliders", "explore/interpolate", "explore/embeddings", "lab/train"])
def test_a_fragment_whose_run_is_gone_draws_the_page_anew(store, path, forgotten, live):
    at = opened(store, path, live)
    numbers = list(at._fragment_storage._fragments)
    assert numbers, "the page has a fragment"
    heard = []
    for number in numbers:
        with without(store["vae"], forgotten):
            sound(rerun_fragment(at, number))
            heard.append(" ".join(box.value for box in (*at.info, *at.warning, *at.error, *at.caption)))
        at = opened(store, path, live)
    has_all = path == "explore/interpolate" and not live  # drawn by the server
    assert (store["vae"] in " ".join(heard)) != has_all


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_whatever_is_pressed(store, path):
    at = opened(store, path, live=False)
    keys = [("button", b.key) for b in at.button if not b.disabled and "train" not in b.key]
    kinds = ("slider", "number_input", "selectbox", "multiselect", "toggle")
    keys += [(kind, found[0].key) for kind in kinds if (found := list(at.get(kind)))]
    for kind, key in [*keys, ("", "")]:
        at = opened(store, path, live=False)
        with without(store["vae"], forgotten=False):
            if kind:
                widget = getattr(at, kind)(key=key)
                widget = widget.click() if kind == "button" else widget.set_value(widget.value)
            sound(at.run())
            sound(at.run())
