"""Default choices of every page for every data set: no exception, and no empty image without a message."""

import itertools
from functools import partial

import numpy as np
import pytest
from conftest import open_page, tiny_config

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets.base import Dataset, Source, Split
from aevae.embeddings.config import MIN_POINTS
from aevae.queue import jobs
from aevae.ui.digit import picker
from aevae.ui.embeddings import panes
from aevae.ui.interpolate import path_view
from aevae.ui.shared import cached

CLASSES, IMAGES = (1, 2, 3, 300), (1, 4, 1000)
SETS = [f"odd-{classes}-{images}" for classes, images in itertools.product(CLASSES, IMAGES)]
SPRITES = "sprites"
FEW = ("odd-1-1", "odd-2-4", "odd-300-1000", SPRITES)  # of the slower pages


def odd(name: str) -> Dataset:
    """Images without a pattern: so many classes, so many test images."""
    _, classes, images = name.split("-")
    splits = []
    for seed, count in enumerate((max(8, int(images) // 4), int(images))):
        pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, 28, 28), np.uint8)
        splits.append(Split(pixels, np.arange(count) % int(classes)))
    return Dataset(name, name, *splits, tuple(f"class {c}" for c in range(int(classes))))


def source(name: str) -> Source:
    made = partial(odd, name)
    return Source(name, name, "", "", "8 + 8 images", lambda: True, lambda: 0, made, lambda tell: None, made().classes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name of a data set -> names of an AE and a VAE that learnt from it; the store is used while the module runs."""
    import streamlit as st

    from aevae.runs import train_or_load

    root = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_RUNS", str(root))
        patch.setenv("AEVAE_PRETRAINED", str(root / "none"))
        patch.setattr(jobs, "ensure_worker", lambda device="auto": None)
        for name in SETS:
            patch.setitem(datasets.SOURCES, name, source(name))
        st.cache_data.clear()
        st.cache_resource.clear()
        cached.runs.clear()
        found = {}
        for name in (*SETS, SPRITES):
            configs = [tiny_config(family, limit=64) for family in ("ae", "vae")]
            configs = [type(c)(DataConfig(name, limit=64), c.model, c.train) for c in configs]
            found[name] = [train_or_load(config, "cpu").name for config in configs]
        yield found
    st.cache_data.clear()
    st.cache_resource.clear()
    cached.runs.clear()


def said(at) -> str:
    return " ".join(str(e.value) for e in (*at.caption, *at.info, *at.warning, *at.markdown))


def plane_height(codes: np.ndarray) -> float:
    """How far the third code lies from the line through the others."""
    u, w = (codes[1:] - codes[0]).astype(np.float64)
    return float(np.linalg.norm(w - u * (w @ u) / max(u @ u, 1e-30)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SETS, SPRITES])
def test_the_plane_through_three_digits(runs, mounted, name):
    run = runs[name][len(name) % 2]
    at = open_page("pages/explore/sliders.py", model=run, plane="through three digits")
    assert not at.exception
    spec, arrays = mounted["latent_plane_live"]
    if len(np.unique(cached.codes(run, name), axis=0)) > 2:
        assert len(set(spec["three"])) == 3 and plane_height(arrays["three"]) > 0
    else:
        assert "fewer than three" in spec["texts"]["flat"], "why there is no plane"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SETS, SPRITES])
@pytest.mark.parametrize(("page", "walk"), [("denoise", ""), ("interpolate", "Four corners")])
def test_pages_of_digits(runs, mounted, name, page, walk):
    query = {"walk": walk} if walk else {}
    at = open_page(f"pages/explore/{page}.py", models=runs[name], **query)
    assert not at.exception
    shown = name if len(cached.shown_digits(name)[0]) > 1 else datasets.EMBEDDED
    assert ("of another kind" in said(at)) == (shown != name), "what is shown is said"
    if page == "interpolate":
        numbers = [at.session_state[f"digit_{letter}"] for letter in path_view.CORNERS]
        assert len(set(numbers)) == min(4, len(cached.shown_digits(shown)[0])), "different ones to begin with"


@pytest.mark.parametrize("name", FEW)
def test_maps(runs, mounted, name):
    ae, vae = runs[name]
    query = {"space_1": ae, "space_2": vae, "space_3": ae, "space_4": vae, "panes": "4"}
    methods_of = ("latent plane", "PCA", "t-SNE", "UMAP")
    at = open_page("pages/explore/embeddings.py", **query, **{f"map_{i}": m for i, m in enumerate(methods_of, 1)})
    assert not at.exception
    spec, arrays = mounted["atlas_view"]
    count = len(arrays["labels"])
    assert len(spec["panes"]) == 4
    for i, pane in enumerate(spec["panes"]):
        drawn = f"xy{i}" in arrays or pane["state"] == "making"
        if not drawn:
            assert pane["note"] and count < MIN_POINTS, "an empty pane says why"


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("view", ["Dimensions", "Best and worst", "Samples"])
def test_compare(runs, mounted, name, view):
    at = open_page("pages/explore/compare.py", models=runs[name], compare_set=name, compare_view=view)
    assert not at.exception


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_labs_where_such_a_run_can_be_chosen(runs, mounted, monkeypatch, name):
    from aevae import paths

    own = set(runs[name])
    whole = cached.finished
    monkeypatch.setattr(
        cached, "finished", lambda *a, **k: [run for run in whole(*a, **k) if run.name in own]
    )  # the only ones
    for file in sorted(paths.ROOT.glob("pages/*/0*.py")):
        at = open_page(file.relative_to(paths.ROOT).as_posix())
        assert not at.exception, (file.name, at.exception[0].value if at.exception else "")


@pytest.mark.parametrize(("classes", "images"), list(itertools.product(CLASSES, IMAGES)))
@pytest.mark.parametrize("wanted", [(0, 1, 7), (1, 7, 0, 4), (9, 9)])
def test_first_of(classes, images, wanted):
    labels = np.arange(images) % classes
    found = picker.first_of(labels, wanted)
    assert len(found) == len(wanted) and all(0 <= i < images for i in found)
    assert len(set(found)) == min(len(wanted), images), "different ones, as long as there are enough"
    if len(set(wanted)) == len(wanted):
        assert len(set(labels[found])) == min(len(wanted), classes, images), "of different classes, too"
    if max(wanted) < classes and images == 1000 and len(set(wanted)) == len(wanted):
        assert labels[found].tolist() == list(wanted)


@pytest.mark.parametrize("n", [2, 3, 4, 16, 46, 91, 1000])
def test_parameters_of_maps_fit_by_themselves(n):
    begun = (("perplexity", 30.0), ("n_neighbors", 15), ("min_dist", 0.1), ("seed", 0))
    found = dict(panes.fitting(begun, n))
    assert found["perplexity"] <= 30 and found["n_neighbors"] <= 15
    if n >= 4:
        assert found["perplexity"] <= (n - 1) / 3 and found["n_neighbors"] <= n - 1
    chosen = (("perplexity", 99.0), ("n_neighbors", 77))
    assert panes.fitting(chosen, n) == chosen, "what a person has set stays"
