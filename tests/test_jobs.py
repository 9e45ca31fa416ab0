"""The queue and its worker: every state, and a worker that dies."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from conftest import tiny_config, until
from safetensors.numpy import load_file

from aevae import paths
from aevae.queue import jobs, processes, queuefile
from aevae.queue import worker as worker_module
from aevae.queue.errors import user_message
from aevae.queue.pace import PaceControl
from aevae.queue.progress import Progress
from aevae.queue.worker import Worker
from aevae.store import checkpoints, files


def long_config(seed=0):
    """Far more epochs than a test waits for."""
    return tiny_config("vae", epochs=1000, limit=400, seed=seed)


def serve() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "aevae", "worker", "--once"],
        cwd=paths.ROOT,
        env=os.environ | {"AEVAE_NICE": "0"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def state(number):
    return jobs.get(number).state


def epochs_done(config):
    return checkpoints.read_run(paths.runs_dir() / config.name).epochs


@pytest.fixture
def worker():
    started = []
    yield lambda: started.append(serve()) or started[-1]
    for process in started:
        process.kill()
        process.communicate()


def test_done(empty_store):
    config = tiny_config("ae", epochs=2)
    job = jobs.submit(config)
    assert (job.state, job.position, job.run) == ("queued", 1, config.name)
    assert Worker(once=True).run() == 0
    job = jobs.get(job.id)
    assert (job.state, job.error, job.progress["epochs_done"]) == ("done", "", 2)
    assert {"step", "steps", "images_per_s", "terms"} <= job.progress.keys()
    assert checkpoints.finished_run(config.name)


def test_the_same_run_is_queued_once(empty_store):
    first, other, again = (jobs.submit(tiny_config("ae", seed=s)) for s in (0, 1, 0))
    assert first.id == again.id != other.id
    assert [j.position for j in jobs.jobs()] == [1, 2]
    assert jobs.active(tiny_config("ae").fingerprint).id == first.id


def test_ended_jobs_follow_the_waiting(empty_store):
    ended = jobs.submit(tiny_config("ae"))
    jobs.cancel(ended.id)
    waiting = jobs.submit(tiny_config("ae", seed=1))
    assert [(j.id, j.state) for j in jobs.jobs()] == [(waiting.id, "queued"), (ended.id, "cancelled")]


def test_failed_with_a_sentence_and_a_trace(empty_store):
    job = jobs.submit(tiny_config("ae", limit=0), device="cuda:99")
    Worker(once=True).run()
    job = jobs.get(job.id)
    assert job.state == "failed" and "not available" in job.error and "\n" not in job.error
    assert "Traceback" in job.trace


def test_nan_fails_the_job_and_keeps_the_last_good_checkpoint(empty_store, monkeypatch):
    import torch

    from aevae.models.vae import VAE

    real = VAE.loss

    def loss(self, x, *, epoch=0.0, **kwargs):
        out = real(self, x, epoch=epoch, **kwargs)
        late = torch.as_tensor(epoch) > 1.2  # from the second step of the second epoch on
        out.terms["kl"] = torch.where(late, float("nan"), out.terms["kl"])
        return out

    monkeypatch.setattr(VAE, "loss", loss)
    config = tiny_config("vae", epochs=3)
    job = jobs.submit(config)
    Worker(once=True).run()
    job = jobs.get(job.id)
    assert job.state == "failed" and "kl became nan at step 6 (epoch 2)" in job.error
    assert epochs_done(config) == 1
    monkeypatch.setattr(VAE, "loss", real)
    assert jobs.resume(job.id).id != job.id
    Worker(once=True).run()
    assert checkpoints.finished_run(config.name)


def test_full_disk_fails_the_job(empty_store, monkeypatch):
    job = jobs.submit(tiny_config("ae"))
    real = files.write_atomic

    def full(path, data):
        if path.name == "model.safetensors":
            raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr(files, "write_atomic", full)
    Worker(once=True).run()
    assert jobs.get(job.id).error.startswith("the disk is full")
    assert checkpoints.finished_run(tiny_config("ae").name) is None


def test_cancel_queued(empty_store):
    job = jobs.submit(tiny_config("ae"))
    jobs.cancel(job.id)
    Worker(once=True).run()
    assert state(job.id) == "cancelled"
    assert checkpoints.list_runs() == []


@pytest.mark.slow
def test_cancel_running_keeps_the_checkpoint_and_resume_goes_on(empty_store, worker):
    config = long_config()
    job = jobs.submit(config)
    process = worker()
    until(lambda: epochs_done(config) >= 2)
    jobs.cancel(job.id)
    assert process.wait(30) == 0
    assert state(job.id) == "cancelled"
    done = checkpoints.read_run(paths.runs_dir() / config.name)
    assert done.status == "unfinished" and done.state["step"] > 0
    again = jobs.resume(job.id)
    worker()
    until(lambda: epochs_done(config) > done.epochs)
    assert state(again.id) == "running"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM kills there")
def test_sigterm_puts_the_job_back(empty_store, worker):
    config = long_config()
    job = jobs.submit(config)
    process = worker()
    until(lambda: epochs_done(config) >= 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    job = jobs.get(job.id)
    assert (job.state, job.attempts) == ("queued", 0), "ending in order is no failed attempt"


@pytest.mark.slow
def test_killed_worker_back_to_the_queue_once_then_failed(empty_store, worker):
    config = long_config()
    job = jobs.submit(config)
    for attempt in (1, 2):
        process = worker()
        until(lambda n=attempt: jobs.get(job.id).attempts == n and epochs_done(config) >= n)
        process.kill()
        process.wait()
        assert state(job.id) == "running", "nobody has noticed yet"
        assert not jobs.worker_alive()
    assert worker().wait(60) == 0
    job = jobs.get(job.id)
    assert job.state == "failed" and "2 times" in job.error
    assert checkpoints.read_run(paths.runs_dir() / config.name).status == "unfinished", "it can be resumed"


@pytest.mark.slow
def test_one_worker_per_device(empty_store, worker):
    jobs.submit(long_config())
    worker()
    until(jobs.worker_alive)
    second = worker()
    assert second.wait(30) == 3
    assert b"already serves" in second.stderr.read()


@pytest.mark.slow
def test_ensure_worker_starts_one_and_it_ends_with_its_parent(empty_store):
    code = (
        "import time; from aevae.queue import jobs; [jobs.ensure_worker() for _ in range(3)];"
        " print(jobs._spawned['auto'].pid);"
        " assert len(jobs._spawned) == 1; import sys; sys.stdout.flush(); time.sleep(60)"
    )
    job = jobs.submit(long_config())
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=paths.ROOT, stdout=subprocess.PIPE, encoding="utf-8")
    pid = int(parent.stdout.readline())
    until(lambda: state(job.id) == "running")
    parent.kill()
    parent.wait()
    until(lambda: not jobs.worker_alive(), 20)
    assert state(job.id) == "queued"
    until(lambda: not processes.is_running(pid), 60)


def test_a_job_of_a_dead_worker_of_another_device_goes_on(empty_store):
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'running', slot = 'cpu', attempts = 1")
    Worker("auto", once=True).run()
    assert state(job.id) == "done"


@pytest.mark.parametrize("device", ["cuda:99", "../../x"])
def test_no_worker_for_a_device_that_is_not_here(empty_store, device):
    job = jobs.submit(tiny_config("ae"))
    with pytest.raises(ValueError, match="device"):
        Worker(device, once=True).run()
    assert state(job.id) == "queued"


@pytest.mark.slow
def test_a_queue_taken_away_does_not_end_the_run(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.01)
    config, died = tiny_config("ae", epochs=20), []
    monkeypatch.setattr(threading, "excepthook", died.append)
    job, worker = jobs.submit(config), Worker(once=True)
    with jobs.transaction() as db:
        db.execute("DELETE FROM jobs")
    worker._train([job])
    assert checkpoints.finished_run(config.name) and not died


def test_the_end_of_a_job_waits_for_room_on_the_disk(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.01)
    job, real, refusals = jobs.submit(tiny_config("ae")), jobs.transaction, iter([True, True])

    def full():
        if next(refusals, False):
            raise jobs.QueueBroken("database or disk is full")
        return real()

    worker = Worker(once=True)
    monkeypatch.setattr(worker_module, "transaction", full)
    worker._end(job, "failed", "the disk is full", "", Progress())
    assert jobs.get(job.id).error == "the disk is full"


def test_cancel_ends_a_download(empty_store, monkeypatch):
    from aevae import datasets

    worker = Worker(once=True)

    def load(config, on_progress=None):
        on_progress(0.1, "Downloading")
        worker.cancelled.add(job.id)
        on_progress(0.2, "Downloading")

    monkeypatch.setattr(datasets, "load", load)
    job = jobs.submit(tiny_config("ae"))
    worker.run()
    assert state(job.id) == "cancelled"


def test_no_worker_without_work(empty_store):
    before = set(jobs._spawned)  # of other tests
    jobs.ensure_worker()
    assert set(jobs._spawned) <= before
    assert not empty_store.exists(), "a look leaves no trace"


def test_a_locked_queue_waits_to_be_changed_and_can_be_looked_at(empty_store, monkeypatch):
    jobs.submit(tiny_config("ae"))
    other = sqlite3.connect(empty_store / "queue.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    assert len(jobs.jobs()) == 1
    monkeypatch.setattr(queuefile, "LOCK_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(jobs.QueueBroken, match="in use by another program; try again"):
        jobs.submit(tiny_config("ae", seed=1))
    monkeypatch.setattr(queuefile, "LOCK_TIMEOUT_SECONDS", 10)
    threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
    jobs.submit(tiny_config("ae", seed=1))
    assert len(jobs.jobs()) == 2


def test_prune_keeps_the_newest(empty_store):
    for seed in range(4):
        jobs.cancel(jobs.submit(tiny_config("ae", seed=seed)).id)
    kept = jobs.submit(tiny_config("ae", seed=9))
    jobs.prune(keep=2)
    assert [j.state for j in jobs.jobs()] == ["queued", "cancelled", "cancelled"]
    assert jobs.jobs()[0].id == kept.id


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(28, "No space left"), "the disk is full"),
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried"), "smaller batch"),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x"),
        (ValueError("k must be 1"), "k must be 1"),
        (KeyError(), "KeyError"),
    ],
)
def test_errors_in_words(problem, words):
    assert words in user_message(problem)


# -- pace ------------------------------------------------------------------------------------------------------------


def step(number) -> int:
    return jobs.get(number).progress.get("step", -1)


def stands(number, at) -> bool:
    """Has the job come to this step, and does it stay there?"""
    until(lambda: step(number) == at and jobs.get(number).progress.get("held"), 20)
    time.sleep(0.6)
    return step(number) == at


def paused(config, worker) -> tuple[int, subprocess.Popen]:
    job = jobs.submit(config, "cpu")
    jobs.pace(job.id, "pause")
    process = worker()
    assert stands(job.id, 0)
    return job.id, process


@pytest.mark.slow
def test_paused_stands_still_and_goes_as_far_as_asked(empty_store, worker):
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
    assert process.wait(60) == 0 and state(number) == "done" and not now.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM kills there")
def test_a_paused_run_is_the_run_that_was_never_paused(empty_store, worker, tmp_path, monkeypatch):
    config = tiny_config("vae", epochs=3)
    number, process = paused(config, worker)
    jobs.advance(number, "epoch")
    assert stands(number, 4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert (state(number), jobs.get(number).pace) == ("queued", "pause"), "it ends while paused, and stays so"
    process = worker()
    until(lambda: state(number) == "running")
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
    until(lambda: step(number) > 0)
    first, begun = step(number), time.monotonic()
    time.sleep(3)
    rate = (step(number) - first) / (time.monotonic() - begun)
    assert 3 < rate < 6.5
    jobs.pace(number, "go")
    until(lambda: step(number) > first + 100)
    jobs.pace(number, "pause")
    time.sleep(1.5)
    there = step(number)
    assert stands(number, there)


@pytest.mark.slow
def test_cancel_while_paused(empty_store, worker):
    config = long_config()
    number, process = paused(config, worker)
    jobs.advance(number, "step")
    assert stands(number, 1)
    jobs.cancel(number)
    assert process.wait(10) == 0 and state(number) == "cancelled"
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


# -- an older file ---------------------------------------------------------------------------------------------------

VERSION_1 = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, run TEXT NOT NULL, config TEXT NOT NULL, device TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, slot TEXT NOT NULL DEFAULT '',
    cancel INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, started REAL, ended REAL, beat REAL,
    progress TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '', trace TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX one_active ON jobs (fingerprint) WHERE state IN ('queued', 'running');
PRAGMA user_version = 1;
"""


def test_a_queue_of_version_1_goes_on(empty_store):
    config = tiny_config("ae")
    empty_store.mkdir()
    old = sqlite3.connect(empty_store / "queue.sqlite")
    old.executescript(VERSION_1)
    old.execute(
        "INSERT INTO jobs (fingerprint, run, config, device, state, created) VALUES (?, ?, ?, 'cpu', 'queued', 1)",
        (config.fingerprint, config.name, json.dumps(config.to_dict())),
    )
    old.commit()
    together = [threading.Thread(target=jobs.jobs) for _ in range(4)]
    [t.start() for t in together] and [t.join() for t in together]
    (job,) = jobs.jobs()
    assert (job.run, job.state, job.pace) == (config.name, "queued", "go")
    assert old.execute("PRAGMA user_version").fetchone() == (len(queuefile.MIGRATIONS),)
    Worker(once=True).run()
    assert state(job.id) == "done"


def test_a_queue_of_a_later_version_is_left_alone(empty_store):
    jobs.submit(tiny_config("ae"))
    db = sqlite3.connect(empty_store / "queue.sqlite")
    db.execute("PRAGMA user_version = 99")
    with pytest.raises(jobs.QueueBroken, match="newer version"):
        jobs.jobs()


# -- sweeps ----------------------------------------------------------------------------------------------------------


def betas(*values, **more):
    return [tiny_config("beta_vae", beta=value, **more) for value in values]


def weights(name):
    return load_file(paths.runs_dir() / name / "model.safetensors")


def near(name, other) -> bool:
    """The same weights up to rounding (see tests/test_steps.py)."""
    return all(abs(value - other[key]).mean() < 1e-4 for key, value in weights(name).items())


@pytest.mark.slow
def test_one_of_a_sweep_is_cancelled_the_others_go_on_and_it_is_resumed(empty_store, tmp_path, monkeypatch):
    configs = betas(1.0, 4.0, 16.0, epochs=2)
    first, second, third = jobs.submit_all(configs, "cpu")
    assert first.sweep == second.sweep == third.sweep != ""
    jobs.advance(first.id, "step")
    thread = threading.Thread(target=Worker(once=True).run)
    thread.start()
    until(lambda: [step(job.id) for job in (first, second, third)] == [1, 1, 1])
    jobs.cancel(second.id)
    until(lambda: state(second.id) == "cancelled")
    jobs.pace(first.id, "go")
    jobs.pace(third.id, "go")
    thread.join()
    assert [state(job.id) for job in (first, second, third)] == ["done", "cancelled", "done"]
    assert not checkpoints.finished_run(second.run)
    again = jobs.resume(second.id)
    Worker(once=True).run()
    assert state(again.id) == "done"
    found = {config.name: weights(config.name) for config in configs}
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "straight"))
    for config in configs:
        jobs.submit(config, "cpu")
        Worker(once=True).run()
        assert near(config.name, found[config.name])


def test_a_whole_sweep_is_cancelled_at_once_and_resumed_together(empty_store):
    configs = betas(1.0, 4.0, epochs=2)
    numbers = [job.id for job in jobs.submit_all(configs, "cpu")]
    jobs.advance(numbers[0], "step")
    thread = threading.Thread(target=Worker(once=True).run)
    thread.start()
    until(lambda: [step(number) for number in numbers] == [1, 1])
    jobs.cancel(*numbers)
    thread.join()
    assert [state(number) for number in numbers] == ["cancelled", "cancelled"]
    assert [checkpoints.read_run(paths.runs_dir() / config.name).state["step"] for config in configs] == [1, 1]
    again = jobs.submit_all(configs, "cpu")
    assert {job.sweep for job in again} == {jobs.get(numbers[0]).sweep}
    Worker(once=True).run()
    assert {state(job.id) for job in again} == {"done"}


def test_one_of_a_sweep_diverges(empty_store, monkeypatch):
    import torch

    from aevae.models.beta_vae import BetaVAE

    monkeypatch.setattr(BetaVAE, "kl_weight", property(lambda self: torch.where(self.beta > 10, torch.nan, self.beta)))
    good, bad = jobs.submit_all(betas(1.0, 16.0), "cpu")
    Worker(once=True).run()
    assert state(good.id) == "done" and checkpoints.finished_run(good.run)
    bad = jobs.get(bad.id)
    assert bad.state == "failed" and "became nan" in bad.error and not checkpoints.finished_run(bad.run)


def test_two_sweeps_that_share_a_run(empty_store):
    a, b, c = betas(1.0, 4.0, 16.0)
    one, two = jobs.submit_all([a, b], "cpu"), jobs.submit_all([b, c], "cpu")
    assert two[0].id == one[1].id and two[1].sweep not in ("", one[0].sweep)
    assert len(jobs.jobs()) == 3
    jobs.cancel(*(job.id for job in one))
    assert [job.state for job in map(jobs.get, (one[0].id, one[1].id, two[1].id))] == [
        "cancelled", "cancelled", "queued",
    ]  # fmt: skip
    jobs.submit_all([b, c], "cpu")
    Worker(once=True).run()
    assert not checkpoints.finished_run(a.name)
    assert checkpoints.finished_run(b.name) and checkpoints.finished_run(c.name)


def test_cancelled_on_its_way_back_to_the_queue(empty_store):
    job = jobs.submit(tiny_config("vae"))
    worker = Worker(once=True)
    (claimed,) = worker._claim()
    jobs.cancel(job.id)
    worker._end(claimed, "queued", "", "", Progress())
    assert state(job.id) == "cancelled"


def test_a_run_is_found_among_many(empty_store):
    many = jobs.submit_all([tiny_config("vae", seed=seed) for seed in range(64)])
    assert jobs.active(many[-1].fingerprint).id == many[-1].id


# -- tasks -----------------------------------------------------------------------------------------------------------


def a_task(request: dict, tell, should_stop) -> bool:
    """What the worker of tasks calls here: counts to `request["to"]`, and fails where asked to."""
    if request.get("fail"):
        raise ValueError(request["fail"])
    for i in range(request["to"]):
        tell({"at": i})
        if should_stop():
            return False
        time.sleep(request.get("rest", 0))
    return True


@pytest.fixture
def tasks(empty_store, monkeypatch):
    monkeypatch.setitem(jobs.KINDS, "map", f"{__name__}:a_task")
    return lambda: Worker(jobs.TASKS_LANE, once=True).run()


def test_a_task_is_done_and_tells_how_far_it_is(tasks):
    job = jobs.submit_task("map", "counting", {"to": 3})
    assert (job.kind, job.run, job.config, job.state, job.position) == ("map", "counting", {"to": 3}, "queued", 1)
    tasks()
    job = jobs.get(job.id)
    assert (job.state, job.progress, job.error) == ("done", {"at": 2}, "")


def test_the_same_task_is_there_once_and_another_waits_behind_it(tasks):
    first, again = (jobs.submit_task("map", "counting", {"to": 3, "rest": 0}) for _ in range(2))
    other = jobs.submit_task("map", "counting", {"to": 4})
    assert first.id == again.id != other.id and other.position == 2
    tasks()
    assert jobs.submit_task("map", "counting", {"to": 3, "rest": 0}).id > other.id, "done: asked again, done again"


def test_so_many_tasks_wait_and_no_more(tasks, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_WAITING_TASKS", 2)
    first, _ = (jobs.submit_task("map", "counting", {"to": to}) for to in (1, 2))
    assert jobs.submit_task("map", "counting", {"to": 1}).id == first.id
    with pytest.raises(jobs.QueueBroken, match="2 maps and evaluations already wait"):
        jobs.submit_task("map", "counting", {"to": 3})
    tasks()
    assert jobs.submit_task("map", "counting", {"to": 3}).state == "queued"


def test_trainings_and_tasks_do_not_wait_for_each_other(tasks):
    training = jobs.submit(tiny_config("ae"))
    task = jobs.submit_task("map", "counting", {"to": 1})
    assert training.position == task.position == 1
    tasks()
    assert jobs.get(training.id).state == "queued" and jobs.get(task.id).state == "done"
    assert [job.id for job in jobs.jobs()] == [training.id]
    assert [job.id for job in jobs.jobs(lane=jobs.TASKS_LANE)] == [task.id]
    Worker(once=True).run()
    assert jobs.get(training.id).state == "done"


def test_a_task_that_cannot_be_says_why_and_the_next_goes_on(tasks):
    bad = jobs.submit_task("map", "counting", {"to": 1, "fail": "perplexity is too large"})
    good = jobs.submit_task("map", "counting", {"to": 1})
    tasks()
    assert (jobs.get(bad.id).state, jobs.get(bad.id).error) == ("failed", "perplexity is too large")
    assert "ValueError" in jobs.get(bad.id).trace and jobs.get(good.id).state == "done"
    with pytest.raises(ValueError, match="a task is one of map, evaluate, estimate, got dig"):
        jobs.submit_task("dig", "", {})


def test_a_task_is_cancelled_while_it_runs(tasks):
    job = jobs.submit_task("map", "counting", {"to": 1000, "rest": 0.02})
    thread = threading.Thread(target=tasks)
    thread.start()
    until(lambda: jobs.get(job.id).progress.get("at", 0) > 2)
    jobs.cancel(job.id)
    thread.join(10)
    assert not thread.is_alive() and jobs.get(job.id).state == "cancelled"
    assert jobs.resume(job.id).config == job.config
