"""Runs on disk: round trip, cache, resume, names, and the newest frame."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import BASIC, tiny_config
from PIL import Image
from safetensors.numpy import load_file

from aevae import paths
from aevae.models import build_model
from aevae.runs import load_run, train_or_load
from aevae.store import checkpoints, files, recorder
from aevae.store.checkpoints import read_run
from aevae.training.trainer import EpochDone, StepDone

FILES = {
    "config.json",
    "state.json",
    "model.safetensors",
    "history.jsonl",
    "film.safetensors",
    "metrics.json",
    "preview.png",
}


@pytest.mark.parametrize("family", BASIC)
def test_round_trip(store, family):
    run = load_run(store[family])
    assert {f.name for f in run.path.iterdir()} == FILES
    assert run.film["recon"].shape == (4, 16, 28, 28)
    assert run.film["step"].tolist() == [0, 1, 3, 4] and run.film["epoch"].tolist() == [0, 0.25, 0.75, 1]
    assert [r["epoch"] for r in run.history] == [0, 1]
    assert run.metrics["mnist-5k"]["images"] == 1000


def test_latent_summary(store):
    vae, ae = load_run(store["vae"]).latent_summary(), load_run(store["ae"]).latent_summary()
    assert vae["score_name"] == "KL (nats)" and ae["score_name"] == "variance"
    for s in (vae, ae):
        assert sorted(s["order"]) == [0, 1, 2]
        assert (np.diff(s["score"][s["order"]]) <= 0).all()
    stored = load_run(store["vae"]).metrics["mnist-5k"]["kl_per_dim"]
    assert np.allclose(vae["score"], stored, atol=1e-5)


def test_a_run_requested_twice_is_trained_once(store):
    seen = []
    result = train_or_load(tiny_config("vae"), "cpu", on_event=seen.append)
    assert result.cached and result.finished and not seen
    assert not train_or_load(tiny_config("vae"), "cpu", force=True).cached


def _files(folder):
    skip = {"state.json"}  # has the seconds
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.name not in skip}


def _without_times(content: bytes) -> list:
    lines = [json.loads(line) for line in content.splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_s")} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 2, 4, 7])
@pytest.mark.parametrize("family", ["denoising", "beta_vae"])
def test_resumed_run_is_the_same_run(empty_store, tmp_path, monkeypatch, family, stop):
    config = tiny_config(family, epochs=2)  # four steps an epoch
    train_or_load(config, "cpu")
    whole = _files(empty_store / config.name)
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "second"))
    asked = iter(range(1000))
    first = train_or_load(config, "cpu", should_stop=lambda: next(asked) >= stop)
    folder = paths.runs_dir() / config.name
    assert not first.finished and read_run(folder).status == "unfinished"
    assert json.loads((folder / "state.json").read_text("utf-8"))["step"] == stop
    events = []
    assert train_or_load(config, "cpu", on_event=events.append).finished
    assert sum(isinstance(e, EpochDone) for e in events) == 2 - stop // 4
    parts = _files(folder)
    assert _without_times(parts.pop("history.jsonl")) == _without_times(whole.pop("history.jsonl"))
    assert parts == whole


@pytest.mark.slow
def test_a_long_run_films_some_epochs_and_resumes_among_them(empty_store):
    config = tiny_config("ae", epochs=111, limit=64)  # one step an epoch; frames after 0, 2, 4, ... 110, 111
    asked = iter(range(1000))
    train_or_load(config, "cpu", should_stop=lambda: next(asked) >= 45)
    assert train_or_load(config, "cpu").finished
    run = load_run(config.name)
    assert len(run.history) == 112
    assert len(run.film["recon"]) == len(config.train.film_epochs) == 57


ELSEWHERE = """
from conftest import tiny_config
from aevae.runs import train_or_load
trained = []
result = train_or_load(tiny_config("vae", epochs=3), "cpu", on_event=trained.append)
print(result.finished, bool(trained))
"""


def elsewhere(code: str, *args: str) -> subprocess.Popen:
    """Another process that runs `code`, with this test's store."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(("tests", "."))}
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], cwd=paths.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_two_processes_train_once(empty_store):
    both = [elsewhere(ELSEWHERE) for _ in range(2)]
    said = sorted(process.communicate(timeout=240)[0].split()[-2:] for process in both)
    assert said == [[b"True", b"False"], [b"True", b"True"]]


def test_reader_meanwhile_sees_whole_files(empty_store):
    config = tiny_config("vae", epochs=6)
    folder = empty_store / config.name
    problems, over = [], threading.Event()

    def read():
        while not over.is_set():
            info = read_run(folder) if folder.exists() and (folder / "config.json").exists() else None
            if info is not None and info.status == "damaged":
                problems.append(info.reason)
            for name in ("film.safetensors", "model.safetensors"):
                if (folder / name).exists():
                    load_file(folder / name)

    reader = threading.Thread(target=read)
    reader.start()
    train_or_load(config, "cpu")
    over.set()
    reader.join()
    assert problems == []


KILL = """
import os, sys
from conftest import tiny_config
from aevae.runs import train_or_load
real, config = os.replace, tiny_config("vae", epochs=2)
os.environ["AEVAE_RUNS"] = os.path.join(sys.argv[1], "whole")
train_or_load(config, "cpu")  # whatever is made at the first time, is made once for all
for at in sys.argv[2:]:
    if not (child := os.fork()):
        os.environ["AEVAE_RUNS"] = os.path.join(sys.argv[1], at)
        left = int(at)
        def replace(a, b):
            global left
            left -= 1
            if not left:
                os._exit(9)  # as SIGKILL would: between write and rename
            real(a, b)
        os.replace = replace
        train_or_load(config, "cpu")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
RENAMES = ("1", "2", "5", "7", "9", "11", "13", "17", "21", "24", "25", "26")  # 25 renames make this run


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_between_write_and_rename(empty_store, tmp_path, monkeypatch):
    said, error = elsewhere(KILL, str(tmp_path), *RENAMES).communicate()
    assert said.split() == [b"9"] * (len(RENAMES) - 1) + [b"0"], error.decode()
    config = tiny_config("vae", epochs=2)
    for at in RENAMES:
        monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / at))
        statuses = {run.status for run in checkpoints.list_runs()}
        assert ("finished" in statuses) == (at == RENAMES[-1])
        result = train_or_load(config, "cpu")
        assert result.finished and result.cached == (at == RENAMES[-1])
        run = load_run(config.name)
        assert len(run.history) == 3 and run.film["epoch"].tolist() == [0, 0.25, 0.75, 1, 2]


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "metrics.json"
    files.write_json(target, {"a": 1})

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_json(target, {"a": 2})
    assert json.loads(target.read_text("utf-8")) == {"a": 1}
    assert [f.name for f in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize("count", [2, 7])
def test_a_handful_of_own_images(empty_store, tmp_path, monkeypatch, count):
    from PIL import Image

    from aevae import datasets
    from aevae.config import DataConfig
    from aevae.exchange import run_archive

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(count):
        Image.fromarray(np.full((28, 28), 30 * i, np.uint8)).save(folder / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    data = datasets.resolve(DataConfig("images:pictures"))
    assert data.name == f"images:{folder}", "a path means the same in every process"
    config = dataclasses.replace(tiny_config("vae"), data=data)
    run = load_run(train_or_load(config, "cpu").name)
    assert run.film["original"].shape == (16, 28, 28)
    packed = run_archive.pack(run.info)
    checkpoints.delete_run(run.info)
    assert run_archive.unpack(packed) == run.name


def test_exact_images_have_a_finite_psnr():

    from aevae.config import DataConfig
    from aevae.runs import evaluate

    model = build_model(tiny_config("ae", likelihood="gaussian").model)
    model.decode = lambda z: seen.pop(0)
    from aevae import datasets

    seen = [torch.tensor(datasets.load(DataConfig()).test.images[:5]) / 255]
    assert evaluate(model, DataConfig(), torch.device("cpu"), limit=5)["psnr"] == 160


def test_wrong_arrays(store):
    run = load_run(store["vae"])
    with pytest.raises(ValueError, match="takes arrays"):
        run.encode(np.zeros((2, 28, 28), np.float32))
    with pytest.raises(ValueError, match="takes arrays"):
        run.decode(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="not finite"):
        run.decode(np.full((1, 3), np.nan, np.float32))
    assert run.decode(np.zeros((0, 3), np.float32)).shape == (0, 1, 28, 28)


# -- names -----------------------------------------------------------------------------------------------------------


def test_find_by_name_prefix_and_path(store):
    name = store["vae"]
    assert checkpoints.find_run(name).name == name
    assert checkpoints.find_run(name[-12:][:6]).name == name
    assert checkpoints.find_run(str(paths.runs_dir() / name)).name == name
    for wrong in ("", "..", "../..", "vae", "zz", "/etc"):
        with pytest.raises(ValueError, match="no run"):
            checkpoints.find_run(wrong)


def test_an_ambiguous_prefix_is_refused(store):
    names = [store["vae"], "ae-mnist-5k-" + store["vae"][-12:]]
    (paths.runs_dir() / names[1]).mkdir()
    with pytest.raises(ValueError, match="fits 2 runs"):
        checkpoints.find_run(store["vae"][-12:])


@pytest.mark.parametrize("name", ["../x", "a/b", "vae", ".locks", "vae-mnist-zzzzzzzzzzzz", ""])
def test_no_folder_for_a_wrong_name(empty_store, name):
    with pytest.raises(ValueError, match="not the name of a run"):
        checkpoints.run_folder(name)


def test_delete(store):
    info = checkpoints.find_run(store["ae"])
    code = f"from aevae.store import checkpoints as c; c.delete_run(c.find_run({info.name!r}))"
    with files.named_lock(info.name):
        done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, encoding="utf-8")
    assert "being trained; cancel it first" in done.stderr and info.path.exists()
    checkpoints.delete_run(info)
    assert not info.path.exists()
    assert store["ae"] not in [r.name for r in checkpoints.list_runs()]


def test_shipped_runs_stay(store, monkeypatch):
    monkeypatch.setenv("AEVAE_PRETRAINED", str(paths.runs_dir()))
    monkeypatch.setenv("AEVAE_RUNS", str(paths.runs_dir().parent / "own"))
    info = checkpoints.find_run(store["vae"])
    assert info.shipped
    with pytest.raises(ValueError, match="shipped"):
        checkpoints.delete_run(info)


# -- who looks on ----------------------------------------------------------------------------------------------------


def test_steps_are_reported(empty_store):
    events = []
    train_or_load(tiny_config("ae", epochs=2), "cpu", on_event=events.append)
    steps = [e for e in events if isinstance(e, StepDone)]
    assert steps and all(0 < e.step <= e.steps == 8 for e in steps)


def test_who_looks_on_sees_the_newest_frame_and_changes_nothing(empty_store, tmp_path, monkeypatch):
    config = tiny_config("vae", epochs=2)
    train_or_load(config, "cpu")
    unseen = _files(empty_store / config.name)
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "second"))
    folder, seen, events = paths.runs_dir() / config.name, [], []
    folder.mkdir(parents=True)
    (folder / "now.safetensors").write_bytes(b"left by a crash")

    def look() -> bool:
        now = load_file(folder / "now.safetensors")
        seen.append((int(now["step"][0]), float(now["epoch"][0])))
        assert now["recon"].shape == (1, 16, 28, 28)
        return False

    train_or_load(config, "cpu", events.append, should_stop=look, is_watched=lambda: True)
    assert seen == [(step, step / 4) for step in range(8)], "every step, before the next one"
    assert [e.step for e in events if isinstance(e, StepDone)][:1] == [0]
    files = _files(folder)
    assert "now.safetensors" not in files
    assert _without_times(files.pop("history.jsonl")) == _without_times(unseen.pop("history.jsonl"))
    assert files == unseen


def test_the_newest_frame_is_kept_now_and_then(empty_store, monkeypatch):
    monkeypatch.setattr(recorder, "MIN_FRAME_SECONDS", 1000.0)
    config, stamps = tiny_config("ae", epochs=3), set()

    def look() -> bool:
        stamps.add((paths.runs_dir() / config.name / "now.safetensors").stat().st_mtime_ns)
        return False

    train_or_load(config, "cpu", should_stop=look, is_watched=lambda: False)
    assert len(stamps) == 1, "at the beginning; the next one is due much later"


def test_a_frame_is_due_after_ten_times_what_the_last_one_took(tmp_path, monkeypatch):
    clock, written, trainer = [0.0], [], SimpleNamespace(step=0)
    film = SimpleNamespace(arrays=lambda frame: frame)
    writer = SimpleNamespace(film=film, trainer=trainer, newest_step=-1, next_newest=0.0, _now=tmp_path, _frame=dict)

    def write(*_):
        clock[0] += 3
        written.append(trainer.step)

    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(recorder.files, "write_atomic", write)
    for step, seconds in ((0, 1000.0), (1, 1032.9), (2, 1033.0), (3, 1037.0)):
        trainer.step, clock[0] = step, seconds
        recorder.Recorder.write_newest(writer, every=False)
    assert written == [0, 2]
    recorder.Recorder.write_newest(writer, every=True)
    assert written == [0, 2, 3]


def test_the_preview_shows_the_newest_frame():
    frames = np.ones((2, 16, 28, 28), np.uint8) * np.array([1, 100], np.uint8)[:, None, None, None]
    sheet = recorder.preview({"original": frames[0], "recon": frames, "sample": 2 * frames})
    assert {1, 100, 200} <= set(np.asarray(Image.open(io.BytesIO(sheet))).ravel().tolist())


@pytest.mark.slow
def test_waiting_is_no_time_of_training(empty_store):
    import time

    config = tiny_config("ae", epochs=1)
    train_or_load(config, "cpu", should_stop=lambda: bool(time.sleep(0.5)))  # before each of four steps
    assert read_run(empty_store / config.name).state["seconds"] < 1.9
