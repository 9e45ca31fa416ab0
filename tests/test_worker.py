"""The worker of the queue: how a job ends, and a worker that dies."""

import signal
import subprocess
import sys
import threading

import pytest
from conftest import tiny_config, until
from job_helpers import job_state, long_config

from aevae import paths
from aevae.queue import jobs, processes
from aevae.queue import worker as worker_module
from aevae.queue.progress import Progress
from aevae.queue.worker import Worker
from aevae.store import checkpoints, files


def epochs_done(config):
    return checkpoints.read_run(paths.runs_dir() / config.name).epochs


def test_done(empty_store):
    config = tiny_config("ae", epochs=2)
    job = jobs.submit(config)
    assert (job.state, job.position, job.run) == ("queued", 1, config.name)
    assert Worker(once=True).run() == 0
    job = jobs.get(job.id)
    assert (job.state, job.error, job.progress["epochs_done"]) == ("done", "", 2)
    assert {"step", "steps", "images_per_s", "terms"} <= job.progress.keys()
    assert checkpoints.finished_run(config.name)


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


@pytest.mark.slow
def test_cancel_running_keeps_the_checkpoint_and_resume_goes_on(empty_store, worker):
    config = long_config()
    job = jobs.submit(config)
    process = worker()
    until(lambda: epochs_done(config) >= 2)
    jobs.cancel(job.id)
    assert process.wait(30) == 0
    assert job_state(job.id) == "cancelled"
    done = checkpoints.read_run(paths.runs_dir() / config.name)
    assert done.status == "unfinished" and done.state["step"] > 0
    again = jobs.resume(job.id)
    worker()
    until(lambda: epochs_done(config) > done.epochs)
    assert job_state(again.id) == "running"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM kills there")
def test_sigterm_puts_the_job_back(empty_store, worker_command):
    config = long_config()
    job = jobs.submit(config)
    process = worker_command()
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
        assert job_state(job.id) == "running", "nobody has noticed yet"
        assert not jobs.worker_alive()
    assert worker().wait(60) == 0
    job = jobs.get(job.id)
    assert job.state == "failed" and "2 times" in job.error
    assert checkpoints.read_run(paths.runs_dir() / config.name).status == "unfinished", "it can be resumed"


@pytest.mark.slow
def test_one_worker_per_device(empty_store, worker_command):
    jobs.submit(long_config())
    worker_command()
    until(jobs.worker_alive)
    second = worker_command()
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
    until(lambda: job_state(job.id) == "running")
    parent.kill()
    parent.wait()
    until(lambda: not jobs.worker_alive(), 20)
    assert job_state(job.id) == "queued"
    until(lambda: not processes.is_running(pid), 60)


def test_a_job_of_a_dead_worker_of_another_device_goes_on(empty_store):
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'running', slot = 'cpu', attempts = 1")
    Worker("auto", once=True).run()
    assert job_state(job.id) == "done"


@pytest.mark.parametrize("device", ["cuda:99", "../../x"])
def test_no_worker_for_a_device_that_is_not_here(empty_store, device):
    job = jobs.submit(tiny_config("ae"))
    with pytest.raises(ValueError, match="device"):
        Worker(device, once=True).run()
    assert job_state(job.id) == "queued"


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
    assert job_state(job.id) == "cancelled"


def test_cancelled_on_its_way_back_to_the_queue(empty_store):
    job = jobs.submit(tiny_config("vae"))
    worker = Worker(once=True)
    (claimed,) = worker._claim()
    jobs.cancel(job.id)
    worker._end(claimed, "queued", "", "", Progress())
    assert job_state(job.id) == "cancelled"
