"""Diverged runs: their state and reason on pages and command line; they resume only on request."""

import dataclasses
import json
import math

import pytest
import torch
from conftest import open_page, tiny_config

from aevae import cli, runs
from aevae.models.vae import VAE
from aevae.queue import jobs
from aevae.queue.worker import Worker
from aevae.store import checkpoints, files
from aevae.training.diverged import EXPLODED_FACTOR, Diverged, limit_of
from aevae.training.trainer import BegunAnew, TrainingDiverged

CONFIG = tiny_config("vae", epochs=3)  # of four steps each
COMMAND = "--family vae --epochs 3 --set limit=200 --batch-size 64 --latent-dim 3 --set hidden=16 --device cpu"
REASON = r"kl became nan at step 6 \(epoch 2\); try a smaller learning rate"


def command(verb: str, *more: str) -> int:
    return cli.main([verb, *COMMAND.split(), *more])


@pytest.fixture
def bad(empty_store, monkeypatch):
    """From the second step of the second epoch on the loss of a VAE is NaN; undo() mends it."""
    real = VAE.loss

    def loss(self, x, *, epoch=0.0, **kwargs):
        out = real(self, x, epoch=epoch, **kwargs)
        out.terms["kl"] = torch.where(torch.as_tensor(epoch) > 1.2, float("nan"), out.terms["kl"])
        return out

    monkeypatch.setattr(VAE, "loss", loss)
    yield lambda: monkeypatch.setattr(VAE, "loss", real)


@pytest.fixture
def exploding(empty_store, monkeypatch):
    """After the first epoch the test objective of a VAE is a huge number."""
    real, factor = VAE.loss, [1e9]

    def loss(self, x, *, epoch=0.0, **kwargs):
        out = real(self, x, epoch=epoch, **kwargs)
        after = not self.training and (checkpoints.paths.runs_dir() / CONFIG.name / "state.json").exists()
        return dataclasses.replace(out, total=out.total * (factor[0] if after else 1.0))

    monkeypatch.setattr(VAE, "loss", loss)
    return factor


def listed(capsys) -> dict:
    capsys.readouterr()
    assert cli.main(["runs", "--json"]) == 0
    return {row["run"]: row for row in json.loads(capsys.readouterr().out)["runs"]}


def test_it_is_diverged_everywhere_and_continues_only_on_request(bad, capsys):
    with pytest.raises(TrainingDiverged, match=REASON):
        runs.train_or_load(CONFIG, "cpu")
    info = checkpoints.find_run(CONFIG.name)
    assert (info.status, info.epochs, info.state["diverged"]["step"]) == ("diverged", 1, 6)
    row = listed(capsys)[CONFIG.name]
    assert row["status"] == "diverged" and "kl became nan at step 6 (epoch 2); try a smaller" in row["reason"]
    events = []
    with pytest.raises(TrainingDiverged, match=REASON):
        runs.train_or_load(CONFIG, "cpu", on_event=events.append)
    assert not events, "nobody asked for it to be trained again"
    bad()
    checkpoints.reopen(CONFIG.name)
    reopened = checkpoints.find_run(CONFIG.name)
    assert reopened.status == "unfinished" and reopened.state | {"diverged": info.state["diverged"]} == info.state
    assert runs.train_or_load(CONFIG, "cpu", on_event=events.append).finished
    assert [event.record["epoch"] for event in events if hasattr(event, "record")] == [2, 3], "from its checkpoint"
    assert checkpoints.find_run(CONFIG.name).status == "finished"


def test_the_command_line_says_what_to_do(bad, capsys):
    assert command("train") == 1
    said = capsys.readouterr().err
    assert "kl became nan" in said and "--resume" in said and "--force" in said and "Traceback" not in said
    assert command("train") == 1 and "epoch " not in capsys.readouterr().err.split("aevae:")[0]
    bad()
    (run,) = checkpoints.list_runs()
    assert cli.main(["eval", run.name, "--n", "100"]) == 0
    assert f"the training of {run.name} diverged: kl became nan" in capsys.readouterr().err
    assert cli.main(["show", run.name]) == 0
    said = capsys.readouterr().err
    assert f"{run.name} diverged: kl became nan" in said and "Its weights are those of epoch 1" in said
    assert command("train") == 1, "mended or not, nobody has asked"
    assert command("train", "--resume") == 0
    said = capsys.readouterr().err
    assert "continues after epoch 1" in said and "will probably diverge again" in said
    assert [run.status for run in checkpoints.list_runs()] == ["finished"]


def test_force_begins_anew(bad, capsys):
    assert command("train") == 1
    bad()
    assert command("train", "--force") == 0
    assert [run.status for run in checkpoints.list_runs()] == ["finished"]


@pytest.mark.parametrize("sweep", [["--seeds", "2"], ["--seeds", "1"]])
def test_a_sweep_that_diverged_is_a_failure(bad, sweep, capsys):
    assert command("sweep", *sweep, "--json") == 1
    out, err = capsys.readouterr()
    rows = json.loads(out.splitlines()[-1])["runs"]
    assert len(rows) == int(sweep[1]) and all("kl became nan" in row["error"] for row in rows)
    assert f"{len(rows)} of {len(rows)} runs diverged" in err
    assert {row["status"] for row in listed(capsys).values()} == {"diverged"}
    bad()
    assert command("sweep", *sweep, "--resume", "--json") == 0


def test_one_of_a_sweep_leaves_the_others_their_results(bad, capsys):
    """Also where they do not stand at the same step, so that each is trained by itself."""
    with pytest.raises(TrainingDiverged):
        runs.train_or_load(CONFIG, "cpu")
    checkpoints.reopen(CONFIG.name)
    other = tiny_config("vae", epochs=3, seed=1)
    results = runs.sweep([CONFIG, other], "cpu")
    assert [(result.finished, bool(result.diverged)) for result in results] == [(False, True)] * 2
    assert {row["status"] for row in listed(capsys).values()} == {"diverged"}


def test_an_objective_that_exploded_has_diverged(exploding):
    said = r"objective became \d.*e\+1\d at step 4 \(epoch 1\), above [\d,]+, which is 1,000 times"
    with pytest.raises(TrainingDiverged, match=said):
        runs.train_or_load(CONFIG, "cpu")
    info = checkpoints.find_run(CONFIG.name)
    assert (info.status, info.epochs) == ("diverged", 0) and len(checkpoints.read_history(info.path)) == 1
    exploding[0] = 2.0
    checkpoints.reopen(CONFIG.name)
    assert runs.train_or_load(CONFIG, "cpu").finished, "twice the objective is no explosion"


@pytest.mark.parametrize(("damping", "term"), [(0.0, "squared gradient became inf"), (1.0, "became nan")])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_gradient_whose_square_overflows_has_diverged(empty_store, monkeypatch, seeds, damping, term):
    """Adam's mean of squared gradients is infinite from then on: these weights would never move again."""
    real = VAE.loss

    def loss(self, x, *, epoch=0.0, **kwargs):
        out = real(self, x, epoch=epoch, **kwargs)
        weights = self.mu.weight
        steep = torch.where(torch.as_tensor(epoch) == 0.25, 1e25, 0.0) * (weights - weights.detach()).sum()
        return dataclasses.replace(out, total=out.total + steep)

    monkeypatch.setattr(VAE, "loss", loss)
    train = dataclasses.replace(CONFIG.train, damping=damping)
    results = runs.sweep([dataclasses.replace(CONFIG, train=train, seed=seed) for seed in range(seeds)], "cpu")
    assert len(results) == seeds and all(f"{term} at step 4 (epoch 1)" in result.error for result in results)


def test_the_rule_of_what_has_exploded():
    guess = math.log(2) * 784
    assert limit_of(50.0, 784) == limit_of(-50.0, 784) == EXPLODED_FACTOR * guess
    assert limit_of(1e6, 784) == EXPLODED_FACTOR * 1e6


def test_a_job_that_diverged(bad):
    job = jobs.submit(CONFIG, "cpu")
    Worker(once=True).run()
    assert jobs.get(job.id).state == "failed" and "kl became nan" in jobs.get(job.id).error
    again = jobs.submit(CONFIG, "cpu")  # as part of a sweep, say: nobody asked for this very run
    Worker(once=True).run()
    assert jobs.get(again.id).state == "failed" and "step" not in jobs.get(again.id).progress
    bad()
    asked = jobs.resume(job.id)
    Worker(once=True).run()
    assert jobs.get(asked.id).state == "done" and checkpoints.finished_run(CONFIG.name)


def test_pages_say_it_and_ask(bad, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    with pytest.raises(TrainingDiverged):
        runs.train_or_load(CONFIG, "cpu")
    bad()  # a page that opens times some steps
    said = lambda app: " ".join(e.value for kind in ("markdown", "warning", "caption") for e in app.get(kind))  # noqa: E731
    app = open_page("pages/lab/models.py")
    assert (
        not app.exception
        and "diverged" in said(app)
        and "step 6 (epoch 2); try a smaller" in said(app).replace("\\", "")
    )
    app = open_page("pages/lab/models.py", run=CONFIG.name)
    assert not app.exception and "Training diverged: kl became nan" in said(app)
    app = open_page("pages/lab/train.py", job=CONFIG.name)
    assert not app.exception and "diverged" in said(app) and "kl became nan" in said(app)
    app.button(key="train_resume").click().run()
    assert not app.exception
    assert checkpoints.find_run(CONFIG.name).status == "unfinished" and jobs.active(CONFIG.fingerprint)


def test_a_sweep_on_the_page_leaves_it_out(bad):
    from aevae.ui.train import sweep

    with pytest.raises(TrainingDiverged):
        runs.train_or_load(CONFIG, "cpu")
    other = tiny_config("vae", epochs=3, seed=1)
    found = sweep.runs_by_state([CONFIG, other])
    assert found["diverged"] == [CONFIG] and found["missing"] == [other]


@pytest.mark.parametrize(
    "note",
    [{}, {"step": "1"}, 7, {"step": 1, "epoch": 1, "term": "<b>", "value": "nan"}, {"value": 10**400},
     {"step": 1, "epoch": 1, "term": "kl", "value": 1.0, "limit": "x"}],
)  # fmt: skip
def test_a_foreign_note_is_damage(bad, note):
    with pytest.raises(TrainingDiverged):
        runs.train_or_load(CONFIG, "cpu")
    file = checkpoints.find_run(CONFIG.name).path / "state.json"
    file.write_text(json.dumps(files.read_json(file) | {"diverged": note}), encoding="utf-8")
    assert checkpoints.find_run(CONFIG.name).status == "damaged"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5.1e11])
def test_a_note_survives_its_file(value):
    facts = Diverged(6, 2, "kl", value, 543_000.0)
    assert str(Diverged.from_dict(json.loads(json.dumps(facts.to_dict(), allow_nan=False)))) == str(facts)


# -- what cannot be gone on from -------------------------------------------------------------------------------------


def interrupted(config) -> checkpoints.RunInfo:
    asked = iter(range(1000))
    assert not runs.train_or_load(config, "cpu", should_stop=lambda: next(asked) >= 6).finished
    return checkpoints.find_run(config.name)


def cut(folder):
    file = folder / "state.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def lose(folder):
    (folder / "state.safetensors").unlink()


def lose_film(folder):
    (folder / "film.safetensors").unlink()


def of_another(folder):
    other = tiny_config("vae", epochs=3, seed=5)
    (folder / "state.safetensors").write_bytes((interrupted(other).path / "state.safetensors").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"),
    [(cut, "state.safetensors is damaged"), (lose, "state.safetensors is missing"), (of_another, "of another run"),
     (lose_film, "film.safetensors is missing")],
)  # fmt: skip
def test_what_cannot_be_gone_on_from_is_said_and_set_aside(empty_store, capfd, damage, reason):
    info = interrupted(CONFIG)
    damage(info.path)
    before = {file.name: file.read_bytes() for file in info.path.iterdir()}
    events = []
    assert runs.train_or_load(CONFIG, "cpu", on_event=events.append).finished
    reasons = [event.reason for event in events if isinstance(event, BegunAnew)]
    assert len(reasons) == 1 and reason in reasons[0] and "starts again" in reasons[0]
    (kept,) = info.path.glob("set-aside-*")
    assert str(kept) in reasons[0] and {file.name: file.read_bytes() for file in kept.iterdir()} == before
    assert f"begun_anew run={CONFIG.fingerprint}" in capfd.readouterr().err
    assert len(runs.load_run(CONFIG.name).history) == 4


def test_a_job_says_it_too(empty_store, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    cut(interrupted(CONFIG).path)
    job = jobs.submit(CONFIG, "cpu")
    Worker(once=True).run()
    assert jobs.get(job.id).state == "done" and "starts again" in jobs.get(job.id).progress["begun_anew"]
    app = open_page("pages/lab/train.py", job=CONFIG.name)
    assert not app.exception and any("starts again" in warning.value for warning in app.warning)


def test_a_state_that_cannot_be_read_now_is_not_given_up(empty_store, monkeypatch):
    from aevae.store import recorder

    info = interrupted(CONFIG)
    before = {file.name: file.read_bytes() for file in info.path.iterdir()}

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "state.safetensors")

    monkeypatch.setattr(recorder, "safe_open", refuse)
    with pytest.raises(PermissionError):
        runs.train_or_load(CONFIG, "cpu")
    assert {file.name: file.read_bytes() for file in info.path.iterdir()} == before


def test_a_first_training_sets_nothing_aside(empty_store):
    events = []
    assert runs.train_or_load(CONFIG, "cpu", on_event=events.append).finished
    assert not [event for event in events if isinstance(event, BegunAnew)]
    assert not list(checkpoints.find_run(CONFIG.name).path.glob("set-aside-*"))
