"""A test objective that rises is noticed, and the best weights can be kept."""

import dataclasses

import pytest
from conftest import tiny_config

from aevae import cli, runs
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
        ((543.0, 104.0, 108.0), 1, False),  # 4 nats of 439 that training has won
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
