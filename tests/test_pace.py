"""The pace of a training: paused, step by step, slow, and at full speed; the run stays the same."""

import itertools
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from conftest import tiny_config, until
from job_helpers import job_state, job_step, long_config
from safetensors.numpy import load_file

from aevae import paths
from aevae.queue import jobs
from aevae.queue import pace as pace_module
from aevae.queue import worker as worker_module
from aevae.queue.pace import PaceControl
from aevae.queue.worker import Worker
from aevae.store import checkpoints


def stands(number, at) -> bool:
    """Has the job come to this step, and does it stay there?"""
    until(lambda: job_step(number) == at and jobs.get(number).progress.get("held"), 20)
    time.sleep(0.6)
    return job_step(number) == at


def paused(config, worker) -> tuple[int, subprocess.Popen]:
    job = jobs.submit(config, "cpu")
    jobs.pace(job.id, "pause")
    process = worker()
    assert stands(job.id, 0)
    return job.id, process


@pytest.mark.slow
def test_a_paused_run_waits_and_continues_to_the_requested_step(empty_store, worker):
    config = tiny_config("vae", epochs=3)  # of 4 steps
    number, process = paused(config, worker)
    now = empty_store / config.name / "now.safetensors"
    for ask, wanted in (("step", 1), ("step", 2), ("epoch", 4), ("step", 5), ("epoch", 8)):
        jobs.advance(number, ask)
        assert stands(number, wanted), (ask, wanted)
        assert load_file(now)["step"].tolist() == [wanted]
    for _ in range(3):
        jobs.advance(number, "step")
    assert stands(number, 11)
    assert time.time() - jobs.get(number).beat < 3, "the heart goes on"
    assert jobs.get(number).progress["seconds_left"] < 5, "waiting is not counted"
    jobs.pace(number, "go")
    assert process.wait(60) == 0 and job_state(number) == "done" and not now.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM kills there")
def test_a_paused_run_is_the_run_that_was_never_paused(empty_store, worker, tmp_path, monkeypatch):
    config = tiny_config("vae", epochs=3)
    number, process = paused(config, worker)
    jobs.advance(number, "epoch")
    assert stands(number, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert (job_state(number), jobs.get(number).pace) == ("queued", "pause"), "it ends while paused, and stays so"
    process = worker()
    until(lambda: job_state(number) == "running")
    jobs.advance(number, "step")
    assert stands(number, 5)
    jobs.pace(number, "slow")
    assert process.wait(60) == 0
    paced = {n: (empty_store / config.name / n).read_bytes() for n in ("model.safetensors", "film.safetensors")}
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "second"))
    jobs.submit(config, "cpu")
    assert worker().wait(60) == 0
    assert paced == {n: (paths.runs_dir() / config.name / n).read_bytes() for n in paced}


@pytest.mark.slow
def test_slow_is_slow(empty_store, worker):
    number, _ = paused(tiny_config("ae", epochs=1000), worker)
    jobs.pace(number, "slow")
    until(lambda: job_step(number) > 0)
    first, begun = job_step(number), time.monotonic()
    time.sleep(3)
    rate = (job_step(number) - first) / (time.monotonic() - begun)
    assert 3 < rate < 6.5
    jobs.pace(number, "go")
    until(lambda: job_step(number) > first + 100)
    jobs.pace(number, "pause")
    time.sleep(1.5)
    there = job_step(number)
    assert stands(number, there)


@pytest.mark.slow
def test_cancel_while_paused(empty_store, worker):
    config = long_config()
    number, process = paused(config, worker)
    jobs.advance(number, "step")
    assert stands(number, 1)
    jobs.cancel(number)
    assert process.wait(10) == 0 and job_state(number) == "cancelled"
    assert checkpoints.read_run(paths.runs_dir() / config.name).state["step"] == 1


def test_a_forgotten_pause_ends(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "PAUSE_LIMIT_SECONDS", 1)
    config = tiny_config("ae")
    job = jobs.submit(config)
    jobs.pace(job.id, "pause")
    began = time.monotonic()
    Worker(once=True).run()
    assert 1 < time.monotonic() - began < 60 and checkpoints.finished_run(config.name)
    assert jobs.get(job.id).pace == "go"


def test_pace_and_advance_refuse_other_words(empty_store):
    job = jobs.submit(tiny_config("ae"))
    for wrong in (lambda: jobs.pace(job.id, "fly"), lambda: jobs.advance(job.id, "mile")):
        with pytest.raises(ValueError, match="got"):
            wrong()
    jobs.cancel(job.id)
    jobs.pace(job.id, "pause")
    assert jobs.get(job.id).pace == "go", "an ended job has no pace"


def test_pace_control_allows_as_many_steps_as_requested():
    def passed(pace) -> int:
        count = 0
        while True:
            pace.is_watched()
            asked = itertools.count()
            if pace.wait(lambda asked=asked: next(asked) >= 2):  # that long it would wait
                return count
            count += 1

    pace = PaceControl()
    assert not pace.is_watched() and not pace.wait(lambda: False)
    pace.set_pace("pause")
    assert not pace.wait(lambda: False), "unseen, the pause begins a step later"
    assert passed(pace) == 0
    pace.set_pace("pause", steps=3)
    assert passed(pace) == 3
    pace.set_pace("pause", epochs=1)
    assert not pace.is_watched() and not pace.wait(lambda: False), "it hurries to the end of the epoch"
    pace.set_pace("pause")
    assert pace.is_watched() and passed(pace) == 0, "pause takes back what was asked"
    seen = []
    assert pace.is_watched() and pace.wait(lambda: seen.append(pace.is_paused) or len(seen) > 2)
    assert seen[:3] == [False, True, True] and not pace.is_paused, "what was told last is where it stands"
    pace.set_pace("pause", steps=1)
    pace.set_pace("pause", steps=1)
    assert passed(pace) == 2, "two clicks are two steps"
    pace.set_pace("pause", epochs=1)
    for _ in range(2):
        pace.on_event(SimpleNamespace(record={"step": 4}))
        assert passed(pace) == 0, "an epoch ends without being counted below 0"


@pytest.mark.parametrize(("name", "seconds"), [("crawl", 1.0), ("slow", 0.2), ("brisk", 0.05), ("go", 0.0)])
def test_time_between_two_steps(monkeypatch, name, seconds):
    pace, now = PaceControl(), [100.0]
    assert not pace.is_paused
    monkeypatch.setattr(pace_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(timeout):
        assert 0 < timeout <= 0.1, "so that a stop is noticed soon"
        now[0] += timeout

    monkeypatch.setattr(pace._changed, "wait", wait)
    pace.set_pace(name)
    for step in range(4):
        assert pace.is_watched() == bool(seconds) and not pace.wait(lambda: False)
        assert now[0] - 100 == pytest.approx(step * seconds) and pace.paused_seconds == pytest.approx(step * seconds)
