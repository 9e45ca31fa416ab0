"""A rerun of a page that changes nothing computes nothing and reads no map again."""

import numpy as np
import pytest
import torch
from conftest import open_page
from test_labs import LABS

from aevae import embeddings, runs
from aevae.ui.embeddings import map_state, panes

pytestmark = pytest.mark.usefixtures("no_worker")

PAGES = {
    "denoise": "pages/explore/denoise.py",
    "interpolate": "pages/explore/interpolate.py",
    "sliders": "pages/explore/sliders.py",
    "embeddings": "pages/explore/embeddings.py",
    "compare": "pages/explore/compare.py",
}


@pytest.fixture
def counted(monkeypatch):
    """Calls of models, of networks and of np.load."""
    calls = {"model": 0, "network": 0, "load": 0}
    apply, network, load = runs.Run._apply, torch.nn.Module.__call__, np.load

    def counting_apply(self, *args):
        calls["model"] += 1
        return apply(self, *args)

    def counting_network(self, *args, **options):
        calls["network"] += 1
        return network(self, *args, **options)

    def counting_load(*args, **options):
        calls["load"] += 1
        return load(*args, **options)

    monkeypatch.setattr(runs.Run, "_apply", counting_apply)
    monkeypatch.setattr(torch.nn.Module, "__call__", counting_network)
    monkeypatch.setattr(np, "load", counting_load)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("live", [True, False], ids=["live", "server"])
@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("denoise", {}),
        ("interpolate", {}),
        ("interpolate", {"walk": "Four corners"}),
        ("interpolate", {"walk": "a − b + c"}),
        ("sliders", {}),
        ("embeddings", {"map_1": "PCA", "map_2": "latent plane"}),
        *(("compare", {"compare_view": view}) for view in ("dims", "errors", "samples")),
    ],
)
def test_a_rerun_that_changes_nothing_computes_nothing(store, counted, tmp_path, monkeypatch, page, query, live):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    at = open_page(PAGES[page], {}, live, **query)
    assert not at.exception and counted["model"], "at first it does"
    computes_nothing(at, counted)


def computes_nothing(at, counted):
    counted.update(model=0, network=0, load=0)
    at.run()
    assert not at.exception
    assert counted == {"model": 0, "network": 0, "load": 0}


@pytest.mark.slow
@pytest.mark.parametrize("live", [True, False], ids=["live", "server"])
@pytest.mark.parametrize("page", LABS, ids=lambda page: page.url_path)
def test_a_rerun_of_a_lab_computes_nothing(shipped_runs, counted, page, live):
    at = open_page(page.path, {}, live)
    assert not at.exception
    computes_nothing(at, counted)


def test_a_look_reads_a_map_once_and_each_map_is_looked_at_once_a_run(store, counted, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    looks, look_at = [], map_state.look_at
    monkeypatch.setattr(map_state, "look_at", lambda *args: looks.append(args) or look_at(*args))
    at = open_page(PAGES["embeddings"], map_1="PCA", map_2="PCA", panes="2")
    assert not at.exception and len(looks) == 2
    looks.clear()
    at.run()
    assert len(looks) == 2


def test_a_map_that_is_replaced_is_read_again(tmp_path, monkeypatch):
    from aevae.embeddings import cache

    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    (tmp_path / "embeddings").mkdir()
    for value in (1.0, 2.0):
        cache.write_map("key", embeddings.Map(np.full((4, 2), value, np.float32), 0.1))
        assert cache.read_map("key", 4).xy[0, 0] == value
        assert not cache.read_map("key", 4).xy.flags.writeable
    (tmp_path / "embeddings" / "key.npz").write_bytes(b"damaged")
    assert cache.read_map("key", 4) is None
    (tmp_path / "embeddings" / "key.npz").unlink()
    assert cache.read_map("key", 4) is None


def test_looking_at_own_images_walks_over_the_folder_once_a_map(store, tmp_path, monkeypatch):
    from aevae.datasets import images

    walks, stamp = [], images.stamp
    monkeypatch.setattr(images, "stamp", lambda name: walks.append(name) or stamp(name))
    (tmp_path / "own").mkdir()
    from PIL import Image

    for i in range(6):
        Image.new("L", (28, 28), 40 * i).save(tmp_path / "own" / f"{i}.png")
    request = panes.request_of(panes.Choice(panes.PIXELS, "pca"), f"images:{tmp_path / 'own'}", 5)
    assert request.key == request.key and len(walks) == 1
