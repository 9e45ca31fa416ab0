"""Embeddings: bad input is a sentence in its pane, and the others go on."""

import dataclasses

import numpy as np
import pytest
from conftest import tiny_config
from page_helpers import without_error
from test_page_embeddings import brushed, headings, opened, spec, states, xy

from aevae import datasets
from aevae.config import DataConfig
from aevae.queue import jobs
from aevae.runs import train_or_load
from aevae.ui.embeddings import map_state, map_view, panes
from aevae.ui.shared import cached

pytestmark = pytest.mark.usefixtures("own_cache", "no_worker")


def test_a_perplexity_that_is_too_large(store):
    app = opened(map_2="tsne", perplexity_2=900.0)
    assert states(app) == ["ready", "stopped"] and not jobs.jobs(lane=jobs.TASKS_LANE)
    assert spec(app)["panes"][1]["note"] == "perplexity must be in 1..99.6 for 300 codes, got 900"
    app.number_input(key="perplexity_2").set_value(50.0).run()
    assert states(without_error(app)) == ["ready", "making"]


def test_numbers_that_are_not_there_yet_take_as_much_room(store):
    known = spec(opened(space_1=store["vae"], space_2=panes.PIXELS))["panes"][0]["numbers"]
    blank = map_view.numbers(None)
    assert [name for name, *_ in blank] == [name for name, *_ in known]
    assert not any(c.isdecimal() for _name, value, _help in blank for c in value)


def test_codes_that_are_no_numbers(store, monkeypatch):
    from aevae.runs import Run

    encode = Run.encode
    bad = lambda self, x: encode(self, x) * (np.nan if self.name == store["vae"] else 1)  # noqa: E731
    monkeypatch.setattr(Run, "encode", bad)
    app = opened(space_1=store["vae"], space_2=store["ae"], map_1="pca")
    assert states(app) == ["stopped", "ready"] and "NaN or infinity in 300 of 300" in spec(app)["panes"][0]["note"]
    brushed(app, selected=np.array([3, 5], np.int32), point=7)
    assert headings(app) == [
        "2 selected",
        f"The 10 nearest neighbours of {map_state.labels('mnist-5k', 300)[7]}, number 7",
    ]
    app.selectbox(key="map_1").set_value("tsne").run()
    assert states(without_error(app)) == ["making", "ready"], "the queue will say it"
    app.selectbox(key="colour").set_value(f"error-{store['vae']}").run()
    said = [c.value for c in without_error(app).caption]
    assert spec(app)["shade"] is None and any("not finite" in text for text in said), said


@pytest.mark.parametrize("same", ["class", "picture"])
def test_digits_of_one_class_and_all_the_same(store, monkeypatch, same):
    load = datasets.load

    def alike(config, *args, **more):
        data = load(config, *args, **more)
        test = data.test
        if same == "picture":
            test = dataclasses.replace(test, images=np.repeat(test.images[:1], len(test.images), 0))
        else:
            test = dataclasses.replace(test, labels=np.full_like(test.labels, 3))
        return dataclasses.replace(data, test=test)

    monkeypatch.setattr(datasets, "load", alike)
    app = opened(space_1=store["vae"], space_2=panes.PIXELS, colour="changed-1-2")
    assert states(app) == ["ready"] * 2 and np.isfinite(xy(app, 0)).all()
    for pane in spec(app)["panes"]:
        assert pane["frame"][2] > 0 and len(pane["numbers"]) == 6
    brushed(app, selected=np.arange(300, dtype=np.int32), point=7)
    assert headings(app)[0] == "300 selected"


@pytest.mark.slow
def test_a_model_of_another_data_set(store):
    name = train_or_load(dataclasses.replace(tiny_config("ae"), data=DataConfig("lines", limit=200)), "cpu").name
    cached.runs.clear()
    app = opened(space_1=name, space_2=store["ae"])
    assert states(app) == ["ready"] * 2 and "trained on lines" in spec(app)["panes"][0]["warnings"][0]
    assert spec(app)["panes"][1]["warnings"] == [] and spec(app)["points"] == "mnist-5k:300"
    app.selectbox(key="space_2").set_value(panes.PIXELS).run()
    assert spec(without_error(app))["points"] == "lines:300", "of one data set its own pictures are shown"
    assert spec(app)["panes"][0]["warnings"] == []
