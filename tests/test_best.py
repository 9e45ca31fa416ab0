"""A test objective that rises is noticed, and the best weights can be kept."""

import dataclasses
import json
import warnings

import pytest
from conftest import open_page, tiny_config
from streamlit.testing.v1 import AppTest

import aevae
from aevae import cli, runs
from aevae.queue import jobs
from aevae.reporting import report
from aevae.store import checkpoints
from aevae.training.trainer import best


def history(*objectives):
    return [{"epoch": i, "test": {"objective": value}} for i, value in enumerate(objectives)]


@pytest.mark.parametrize(
    ("objectives", "epoch", "risen"),
    [
        ((543.0, 114.6, 150.0, 267.0), 1, True),
        ((543.0, 101.7, 121.9), 1, True),
        ((543.0, 105.0, 104.0), 2, False),
        ((543.0, 104.0, 108.0), 1, True),  # 4 nats, though 439 were won
        ((543.0, 104.0, 105.9), 1, False),  # 1.9 nats of 439
        ((206.0, 101.0, 102.04), 1, False),  # 1 % of 105
        ((206.0, 101.0, 102.06), 1, True),
        ((9000.0, -3000.0, -2997.0), 1, True),  # a density of pixels
        ((30.0, 10.0, 10.9), 1, False),  # less than a nat
        ((30.0, 10.0, 11.1), 1, True),
        ((543.0,), 0, False),
    ],
)
def test_what_is_said_of_a_curve(objectives, epoch, risen):
    found = best(history(*objectives))
    assert found == {"epoch": epoch, "objective": objectives[epoch], "last": objectives[-1], "risen": risen}


@pytest.mark.slow
def test_a_run_that_ends_above_its_best_says_so_and_keeps_its_best(empty_store, capsys):
    """A constant rate of 0.05 on 200 images, and Adam as published: it overfits and jumps about."""
    config = tiny_config("vae", epochs=12, limit=200)
    train = dataclasses.replace(config.train, lr=0.1, schedule="constant", damping=0.0, keep_best=True, batch_size=8)
    name = runs.train_or_load(dataclasses.replace(config, train=train), "cpu").name
    info = checkpoints.find_run(name)
    assert info.status == "finished" and info.state["best"]["risen"]
    assert f"after epoch {info.state['best']['epoch']}" in info.warning and f"{name}@best" in info.warning

    last, top = (runs.load_run(reference) for reference in (name, f"{name}@best"))
    numbers = [runs.evaluate(run.model, run.config.data, run.device)["elbo"] for run in (last, top)]
    assert -numbers[0] == pytest.approx(info.state["best"]["last"], rel=0.05)
    assert -numbers[1] == pytest.approx(info.state["best"]["objective"], rel=0.05)
    assert numbers[1] > numbers[0]

    before = (info.path / "metrics.json").read_bytes()
    assert cli.main(["eval", f"{name}@best", "--metrics", "active_units"]) == 0
    assert (info.path / "metrics.json").read_bytes() == before, "numbers of the best weights are no numbers of the run"
    capsys.readouterr()


@pytest.fixture
def risen(store) -> str:
    """The VAE of the store, with a best epoch that somebody has forged."""
    file = checkpoints.find_run(store["vae"]).path / "state.json"
    best = {"epoch": 0, "objective": 101.7, "last": 121.9, "risen": True}
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"best": best}), "utf-8")
    return store["vae"]


SENTENCE = "the test objective ended at 121.9, 20.2 nats above its best (101.7 after epoch 0)"


def open_lab(path: str, **query) -> AppTest:
    at = open_page(path, **query)
    assert not at.exception
    return at


def count(at: AppTest) -> int:
    """How often the sentence stands on a page."""
    said = [element.value.replace("\\", "") for element in (*at.warning, *at.caption, *at.markdown)]
    return sum(SENTENCE in text for text in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("pages/lab/models.py", {}),  # the gallery
        ("pages/lab/models.py", {"run": "risen"}),
        ("pages/lab/models.py", {"view": "compare", "models": ["risen", "other"]}),
        ("pages/explore/compare.py", {"models": ["risen", "other"]}),
        ("pages/lab/train.py", {"job": "risen"}),
        ("pages/lab/train.py", {"sweep": "risen-other"}),
    ],
)
def test_every_page_that_shows_the_run_says_it_once(risen, store, monkeypatch, path, query):
    monkeypatch.setattr(jobs, "ensure_worker", lambda device="auto": None)
    words = {"risen": risen, "other": store["ae"]}
    words["risen-other"] = "-".join(name.rpartition("-")[2] for name in words.values())
    link = {key: [words[w] for w in value] if isinstance(value, list) else words[value] if key != "view" else value
            for key, value in query.items()}  # fmt: skip
    assert count(open_lab(path, **link)) == 1


def test_the_report_says_it_once(risen, store):
    found = [checkpoints.find_run(name) for name in (risen, store["ae"])]
    assert report.report(found).count(SENTENCE) == 1
    assert SENTENCE not in report.report(found[1:])


def test_a_notebook_is_warned(risen, store):
    run = runs.load_run(risen)
    with pytest.warns(UserWarning, match="20.2 nats above its best") as warned:
        assert aevae.train_or_load(run.config).name == risen
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aevae.train_or_load(runs.load_run(store["ae"]).config)


def test_what_somebody_else_wrote_of_the_best_epoch_breaks_nothing(tmp_path):
    info = checkpoints.RunInfo("vae-mnist-0123456789ab", tmp_path, "finished", state={"best": {"risen": True}})
    assert info.warning == ""


def test_without_the_option_there_is_one_sentence(trained, monkeypatch, capsys):
    folder, names = trained
    monkeypatch.setenv("AEVAE_RUNS", str(folder))
    info = checkpoints.find_run(names["vae"])
    assert info.warning == ""
    assert cli.main(["eval", f"{names['vae']}@best", "--metrics", "active_units"]) == 2
    assert "has no weights of its best epoch" in capsys.readouterr().err
