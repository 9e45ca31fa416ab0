"""Faults that are really done to processes: they are killed, their clock jumps, memory and files have a limit.

After each: nothing finished is lost, nothing half-done looks done, the page says what happened, the next job runs.
Others of their kind are tested where the thing itself is: a worker killed between write and rename (test_runs), NaN
(test_worker), downloads (test_torchvision_sets), disks (test_faults_disks), files (test_faults_files).
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signals, limits and disks of POSIX", allow_module_level=True)

from conftest import tiny_config, until
from forks import forks
from job_helpers import assert_next_job_finishes, job_step, run_statuses
from page_helpers import message_text, open_cleared_page
from servers import free_port

from aevae import paths
from aevae.exchange import run_archive
from aevae.queue import jobs, queuefile
from aevae.queue import worker as worker_module
from aevae.queue.worker import Worker
from aevae.runs import load_run, train_or_load
from aevae.store import checkpoints

pytestmark = pytest.mark.usefixtures("no_worker")


@pytest.fixture
def child():
    """child(name, *args): a process that calls `faulty.name(*args)` on this test's store."""
    with forks() as start:
        yield start


# -- processes that die ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_killed_at_random_steps_makes_the_run_of_one_that_was_not(empty_store, tmp_path, monkeypatch, child):
    draw, config = random.Random(3), tiny_config("vae", epochs=5)  # of four steps each
    job = jobs.submit(config, "cpu")
    for at in sorted(draw.sample(range(1, 16), 3)):
        jobs.pace(job.id, "brisk")
        process = child("work")
        until(lambda number=job.id, at=at: job_step(number) >= at)
        process.kill()
        assert process.wait() == -signal.SIGKILL and run_statuses().get(config.name) != "finished"
        if jobs.get(job.id).attempts == worker_module.MAX_ATTEMPTS:
            assert child("work").wait() == 0
            assert "2 times" in jobs.get(job.id).error and "memory" in message_text(open_cleared_page(job=config.name))
            job = jobs.resume(job.id)
    jobs.pace(job.id, "go")
    assert child("work").wait() == 0 and jobs.get(job.id).state == "done"
    assert not list((empty_store / config.name).glob(".*")), "what never got its name is gone"
    killed = (empty_store / config.name / "model.safetensors").read_bytes()
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "straight"))
    straight = train_or_load(config, "cpu").name
    assert killed == (paths.runs_dir() / straight / "model.safetensors").read_bytes()


def workers_of(server: int) -> list[str]:
    """Worker processes that this server started, dead or alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"--parent\0{server}\0".encode() in place.read_bytes():
                found.append(place.parent.name)
    return found


@pytest.fixture
def server():
    started = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(free_port())]
        started.append(subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_server_killed_while_it_trains_and_one_ended_in_order(empty_store, server):
    config = tiny_config("vae", epochs=1000, limit=400)
    job = jobs.submit(config, "cpu")
    first = server()  # nobody opens a page
    until(lambda: job_step(job.id) > 0, 120)
    first.kill()
    first.wait()
    until(lambda: not workers_of(first.pid))
    assert (jobs.get(job.id).state, jobs.get(job.id).attempts) == ("queued", 0)
    assert checkpoints.read_run(empty_store / config.name).state["step"] > 0, "Resume continues from there"
    second = server()
    until(lambda: jobs.get(job.id).state == "running", 120)
    second.send_signal(signal.SIGTERM)
    assert second.wait(3) == 0, "in three seconds, and as one that was asked to"
    assert not workers_of(second.pid) and not jobs.worker_alive()
    assert (jobs.get(job.id).state, jobs.get(job.id).attempts) == ("queued", 0)
    assert run_statuses()[config.name] == "unfinished"
    jobs.cancel(job.id)
    assert_next_job_finishes()


def test_a_worker_that_does_not_end_is_killed_and_its_job_waits_again(empty_store, monkeypatch):
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'running', slot = 'auto', attempts = 1")
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    process.stdout.readline()
    monkeypatch.setattr(jobs, "_spawned", {"auto": process})
    monkeypatch.setattr(jobs, "_ending", threading.Event())
    monkeypatch.setattr(jobs, "_spawning", threading.Lock())
    jobs.end_workers(0.1)
    assert process.poll() == -signal.SIGKILL
    assert (jobs.get(job.id).state, jobs.get(job.id).attempts) == ("queued", 0)


def test_an_import_that_dies_between_write_and_rename_leaves_nothing_half(store, tmp_path, monkeypatch, child):
    name = store["vae"]
    file = tmp_path / "run.zip"
    file.write_bytes(run_archive.pack(checkpoints.find_run(name)))
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "elsewhere"))
    for renames in range(1, 9):  # seven files and their folder
        assert child("take_in", str(file), renames).wait() == -signal.SIGKILL
        assert run_statuses() == {}
    assert child("take_in", str(file), 9).wait() == 0 and run_statuses() == {name: "finished"}


def test_what_a_dying_process_wrote_last_into_the_queue_is_rolled_back(empty_store, child):
    job = jobs.submit(tiny_config("ae"), "cpu")
    assert child("finish_all_but_die").wait() == -signal.SIGKILL
    assert jobs.get(job.id).state == "queued" and not queuefile.set_aside()
    assert_next_job_finishes()
    assert jobs.get(job.id).state == "done"


# -- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing_but_what_it_shows(empty_store, monkeypatch):
    real, draw = time.time, random.Random(0)
    monkeypatch.setattr(time, "time", lambda: real() + draw.uniform(-1e8, 1e8))
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.05)
    began, config = time.monotonic(), tiny_config("vae", epochs=2)
    job = jobs.submit(config, "cpu")
    jobs.pace(job.id, "pause")
    thread = threading.Thread(target=Worker(once=True).run)
    thread.start()
    until(lambda: job_step(job.id) == 0)
    beats = set()
    until(lambda: beats.add(jobs.get(job.id).beat) or len(beats) > 5)
    assert (jobs.get(job.id).pace, job_step(job.id)) == ("pause", 0), "nobody has been silent for ten minutes"
    for wanted in (1, 2, 3):
        jobs.advance(job.id, "step")
        until(lambda wanted=wanted: job_step(job.id) == wanted)
    jobs.pace(job.id, "go")
    thread.join(60)
    assert jobs.get(job.id).state == "done"
    run = load_run(config.name)
    took = time.monotonic() - began
    assert 0 < run.info.state["seconds"] < took
    assert all(0 <= line.get("seconds", 0) < took for line in run.history)


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_limit_on_files_is_a_full_disk(empty_store, child):
    """The like of a quota, for which nobody needs the right to mount a disk."""
    job = jobs.submit(tiny_config("vae", hidden=400), "cpu")
    assert child("work_on_small_files", 1_000_000).wait() == 0
    assert jobs.get(job.id).error.startswith("the disk is full") and "finished" not in run_statuses().values()
    again = jobs.resume(job.id)
    assert child("work").wait() == 0 and jobs.get(again.id).state == "done"


def test_a_worker_that_was_out_of_memory_makes_way_for_a_new_one(empty_store, monkeypatch):
    from aevae import runs

    def greedy(*_, **__):
        raise MemoryError

    monkeypatch.setattr(runs, "sweep", greedy)
    numbers = [jobs.submit(tiny_config("ae", seed=seed), "cpu").id for seed in range(2)]
    Worker(parent=os.getppid()).run()
    assert [jobs.get(number).state for number in numbers] == ["failed", "queued"]


@pytest.mark.slow
def test_want_of_memory_fails_the_job_and_the_next_one_runs(empty_store, child):
    config = tiny_config("vae", limit=0, hidden=4096, latent_dim=784, batch_size=4000)
    job, small = jobs.submit(config, "cpu"), jobs.submit(tiny_config("ae"), "cpu")
    first = tiny_config("ae", seed=1).to_dict()
    while jobs.get(job.id).state in ("queued", "running"):  # a worker may also die of it: then there is another
        assert child("work_in_little_memory", 100_000_000, first).wait() in (0, 1, -signal.SIGABRT, -signal.SIGSEGV)
    if jobs.get(small.id).state == "queued":
        assert child("work").wait() == 0
    assert (jobs.get(job.id).state, jobs.get(small.id).state) == ("failed", "done")
    assert "memory" in jobs.get(job.id).error and "a smaller batch or network" in message_text(
        open_cleared_page(job=config.name)
    )
    assert run_statuses().get(config.name) != "finished" and run_statuses()[small.run] == "finished"
