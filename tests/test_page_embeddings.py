"""Embeddings: every widget changes what it says, and one wrong pane leaves the others."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from aevae.ui import maps

PAGE = "pages/explore/embeddings.py"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))


def opened(**values) -> AppTest:
    app = AppTest.from_file("../app.py", default_timeout=120).run()
    for key, value in values.items():
        app.session_state[key] = value
    return whole(app.switch_page(PAGE).run())


def whole(app: AppTest) -> AppTest:
    assert not app.exception and not app.error
    return app


def notes(app: AppTest) -> list[str]:
    return [c.value for c in app.caption if c.value.startswith("10-NN")]


def test_empty_store_says_where_to_train(empty_store):
    assert "trained model" in opened().info[0].value


def test_pixels_and_two_models_side_by_side(store):
    app = opened()
    assert len(notes(app)) == len(app.get("plotly_chart")) == 3
    app.multiselect(key="models").set_value([store["vae"]]).run()
    assert len(notes(whole(app))) == 2


def test_methods_and_number_of_digits(store):
    app = opened(models=[store["vae"]])
    before = notes(app)
    app.segmented_control(key="count").set_value(300).run()
    assert notes(whole(app)) != before
    app.pills(key="maps").set_value(["latent", "pca"]).run()
    assert len(notes(whole(app))) == 3 and "no latent code" in app.warning[0].value
    app.pills(key="maps").set_value([]).run()
    assert "at least one kind" in whole(app).info[0].value


def test_a_perplexity_too_large_is_a_sentence_and_the_rest_goes_on(store):
    app = opened(models=[store["vae"]], maps=["pca", "tsne"], count=300)
    tsne = notes(app)[2:]
    assert len(tsne) == 2
    app.number_input(key="perplexity").set_value(5.0).run()
    assert notes(whole(app))[2:] != tsne
    app.number_input(key="perplexity").set_value(200.0).run()
    assert len(notes(whole(app))) == 2
    assert [w.value.split(" for ")[0] for w in app.warning] == ["perplexity must be in 1..99.6"] * 2


def test_parameters_reach_the_map(store):
    base = {"seed": 0, "n_neighbors": 15, "min_dist": 0.1}
    first = maps.pane(store["vae"], "umap", 300, **base)
    for change in ({"seed": 1}, {"n_neighbors": 5}, {"min_dist": 0.8}):
        assert not np.array_equal(maps.pane(store["vae"], "umap", 300, **base | change).xy, first.xy)
    assert first.xy.shape == (300, 2) and 0 < first.accuracy <= 1 and 0 < first.trustworthiness <= 1


def test_same_rows_for_all_and_latent_shows_the_strongest_two(store):
    codes = maps.space_codes(store["vae"], 300, "mnist-5k")
    pane = maps.pane(store["vae"], "latent", 300)
    np.testing.assert_array_equal(pane.xy, codes[:, list(pane.dims)])
    assert maps.space_codes(maps.PIXELS, 300, "mnist-5k").shape == (300, 784)
