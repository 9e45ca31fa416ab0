"""The default examples of Embeddings and Compare show what their pages say: asked of the shipped maps and models."""

import dataclasses
import re

import numpy as np
import pytest
from page_helpers import open_checked_page, widget

from aevae import embeddings
from aevae.reporting import comparison
from aevae.runs import load_run
from aevae.store import checkpoints
from aevae.ui.compare import choice, pictures, table
from aevae.ui.compare import tries as compare_tries
from aevae.ui.embeddings import panes
from aevae.ui.embeddings import tries as map_tries
from aevae.ui.film import film_view
from aevae.ui.shared import cached, run_picker

pytestmark = pytest.mark.usefixtures("shipped_runs", "no_worker")
SET = "mnist-5k"


# -- Embeddings ------------------------------------------------------------------------------------------------------


def accuracy(space: str) -> float:
    """10-NN accuracy of the shipped t-SNE map of a space."""
    spot = panes.Choice(space, "tsne", (("perplexity", 30.0), ("seed", 0)))
    found = embeddings.find_map(panes.request_of(spot, SET, 1000))
    assert found is not None, "the map is shipped"
    return found.quality["knn_accuracy"]


def test_classes_lie_together_in_the_default_maps_and_less_in_pixels():
    ae, vae, pixels, noise = (accuracy(space) for space in (*panes.first_two(), panes.PIXELS, panes.RANDOM))
    assert min(ae, vae) - pixels > 2 * np.sqrt(pixels * (1 - pixels) / 1000), "more than two standard errors"
    assert abs(noise - 0.1) < 0.03, "random codes: guessing"
    said = [int(percent) for percent in re.findall(r"(\d+) %", map_tries.what_is_seen())]
    assert said == [round(100 * value) for value in (ae, vae, 0.1, pixels, noise)]


def test_every_try_of_the_maps_uses_shipped_maps():
    for each in map_tries.of_maps():
        state = each.state
        assert state, each.text
        for i in range(1, state["panes"] + 1):
            spot = panes.Choice(
                state[f"space_{i}"], state[f"map_{i}"],
                (("perplexity", state[f"perplexity_{i}"]), ("seed", state[f"map_seed_{i}"])),
            )  # fmt: skip
            assert embeddings.find_map(panes.request_of(spot, SET, 1000)) is not None, each.text
    assert [each.breaks for each in map_tries.of_maps()].count(True) == 1


# -- Compare ---------------------------------------------------------------------------------------------------------


def values(family: str, name: str) -> float | None:
    runs = {run.family: run for run in map(checkpoints.find_run, choice.first_choice(cached.finished()))}
    return comparison.numbers_of(runs[family], SET).get(name)


def test_no_default_model_is_the_best_by_every_metric():
    order = ("vq_vae", "ae", "vae", "beta_vae")
    errors = [values(family, "sse") for family in order]
    assert errors == sorted(errors), "squared error: VQ-VAE, AE, VAE, beta-VAE"
    bounds = [values(family, "elbo") for family in ("vae", "beta_vae", "vq_vae")]
    assert bounds == sorted(bounds, reverse=True), "ELBO: VAE, beta-VAE, VQ-VAE"
    assert values("ae", "elbo") is None and values("beta_vae", "kl") < values("vae", "kl")


def test_the_estimated_error_has_the_size_of_the_true_one():
    """VARIATION replaces the standard deviation between images, which metrics.json does not have."""
    images = cached.shown_digits()[0]
    for name in choice.first_choice(cached.finished())[:3]:
        each = comparison.squared_errors(images, load_run(name).reconstruct(images))
        true = each.std() / np.sqrt(len(each))
        known = comparison.standard_error("sse", {"sse": float(each.mean()), "images": len(each)})
        assert true / 2.5 < known < 2.5 * true


def test_the_first_view_shows_one_image_of_each_class_from_the_film():
    labels = np.array([7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5])
    chosen = pictures.one_of_each(labels)
    assert labels[chosen].tolist() == [0, 1, 2, 4, 5, 6, 7, 9]
    assert pictures.one_of_each(np.zeros(16, int)).tolist() == list(range(8)), "few classes: others are added"
    films = [film_view.read(checkpoints.find_run(name)) for name in choice.first_choice(cached.finished())]
    first = films[0]["original"]
    assert all(np.array_equal(film["original"], first) for film in films), "the same images for all default models"


def test_tries_bring_compare_into_the_state_they_speak_of():
    app = open_checked_page("pages/explore/compare.py")
    tries = compare_tries.of_models(cached.finished())
    assert [each.breaks for each in tries] == [False, False, False, True] and all(each.state for each in tries)
    for i, each in enumerate(tries, 1):
        app.button(key=f"try_{i}").click().run()
        assert not app.exception
        assert widget(app, "multiselect", run_picker.MODELS).value == each.state[run_picker.MODELS]
        assert widget(app, "button_group", "compare_view").value == each.state["compare_view"]
        if choice.PIN in each.state:
            assert widget(app, "selectbox", choice.PIN).value == each.state[choice.PIN]


# -- digits ----------------------------------------------------------------------------------------------------------


def test_as_many_digits_as_the_error_allows():
    assert [comparison.decimals([error]) for error in (12.0, 1.0, 0.73, 0.05, 0.0004)] == [0, 0, 1, 2, 4]
    assert comparison.decimals([None, 0.2, 3.0]) == 1 and comparison.decimals([None]) is None
    assert comparison.rounded(78.675, 1) == "78.7" and comparison.rounded(1.26, 1, signed=True) == "+1.3"
    assert comparison.rounded(20, None) == "20" and comparison.rounded(-101.52, 1) == "\N{MINUS SIGN}101.5"
    run = checkpoints.find_run(panes.first_two()[1])
    assert table.cell_texts("recon", [run], None, SET) == ["76.5"], "0.7 is the standard error"
    better = dataclasses.replace(run, metrics={SET: run.metrics[SET] | {"nll": 95.123, "nll_se_pictures": 0.81}})
    assert table.cell_texts("nll", [better], None, SET) == ["95.1 ± 0.81"]


def test_each_metric_has_a_sentence():
    from aevae.metrics import METRICS

    for name in METRICS:
        said = comparison.meaning(name)
        assert 20 < len(said) <= 130 and said.endswith("."), name
