"""Faults that are really done: processes are killed, disks are full or read-only, files are cut, clocks jump.

After each: nothing finished is lost, nothing half-done looks done, the page says what happened, the next job runs.
Others of their kind are tested where the thing itself is: a worker killed between write and rename (test_runs), NaN
(test_jobs), downloads (test_datasets).
"""

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signals, limits and disks of POSIX", allow_module_level=True)

import faulty
import torch
from conftest import open_page, tiny_config, until
from streamlit.testing.v1 import AppTest

from aevae import datasets, paths
from aevae.exchange import run_archive
from aevae.models import build_model
from aevae.queue import jobs, queuefile
from aevae.queue import worker as worker_module
from aevae.queue.worker import Worker
from aevae.runs import load_run, train_or_load
from aevae.store import checkpoints
from aevae.store.checkpoints import DamagedRun
from aevae.store.recorder import Recorder
from aevae.training.trainer import Trainer, TrainingData
from aevae.ui.film import film_view
from aevae.ui.shared import cached

FORKS = multiprocessing.get_context("forkserver")  # a process that has imported torch already: a worker in no time
FORKS.set_forkserver_preload(["torch._dynamo", "aevae.runs", "aevae.queue.worker", "aevae.exchange.run_archive"])
SPOTS = 50  # where a file is cut, and where a bit of it is flipped


@pytest.fixture(autouse=True)
def no_other_worker(monkeypatch):
    """Workers are started by the tests."""
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)


@pytest.fixture
def child():
    """child(name, *args): a process that calls `faulty.name(*args)` on this test's store."""
    started = []

    def start(name: str, *args):
        started.append(FORKS.Process(target=faulty.begin, args=(dict(os.environ), name, args)))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def ended(process, seconds=60) -> int:
    process.join(seconds)
    return process.exitcode


def step(number: int) -> int:
    return jobs.get(number).progress.get("step", -1)


def statuses() -> dict[str, str]:
    return {run.name: run.status for run in checkpoints.list_runs()}


def page(path: str = "pages/lab/train.py", **link: str) -> AppTest:
    cached.runs.clear()
    app = open_page(path, **link)
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return "\n".join(
        str(e.value) for kind in ("error", "warning", "info", "caption", "markdown") for e in app.get(kind)
    )


def next_job_runs(seed: int = 99) -> None:
    job = jobs.submit(tiny_config("ae", seed=seed), "cpu")
    Worker(once=True).run()
    assert jobs.get(job.id).state == "done" and load_run(job.run).info.status == "finished"


# -- processes that die ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_killed_at_random_steps_makes_the_run_of_one_that_was_not(empty_store, tmp_path, monkeypatch, child):
    draw, config = random.Random(3), tiny_config("vae", epochs=5)  # of four steps each
    job = jobs.submit(config, "cpu")
    for at in sorted(draw.sample(range(1, 16), 3)):
        jobs.pace(job.id, "brisk")
        process = child("work")
        until(lambda number=job.id, at=at: step(number) >= at)
        process.kill()
        assert ended(process) == -signal.SIGKILL and statuses().get(config.name) != "finished"
        if jobs.get(job.id).attempts == worker_module.MAX_ATTEMPTS:
            assert ended(child("work")) == 0
            assert "2 times" in jobs.get(job.id).error and "memory" in said(page(job=config.name))
            job = jobs.resume(job.id)
    jobs.pace(job.id, "go")
    assert ended(child("work")) == 0 and jobs.get(job.id).state == "done"
    assert not list((empty_store / config.name).glob(".*")), "what never got its name is gone"
    killed = (empty_store / config.name / "model.safetensors").read_bytes()
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "straight"))
    straight = train_or_load(config, "cpu").name
    assert killed == (paths.runs_dir() / straight / "model.safetensors").read_bytes()


def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port())]
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
    until(lambda: step(job.id) > 0, 120)
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
    assert statuses()[config.name] == "unfinished"
    jobs.cancel(job.id)
    next_job_runs()


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
        assert ended(child("take_in", str(file), renames)) == -signal.SIGKILL
        assert statuses() == {}
    assert ended(child("take_in", str(file), 9)) == 0 and statuses() == {name: "finished"}


def test_what_a_dying_process_told_the_queue_last_was_not_said(empty_store, child):
    job = jobs.submit(tiny_config("ae"), "cpu")
    assert ended(child("finish_all_but_die")) == -signal.SIGKILL
    assert jobs.get(job.id).state == "queued" and not queuefile.set_aside()
    next_job_runs()
    assert jobs.get(job.id).state == "done"


# -- disks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A disk of 24 MB, and a function that makes it read-only (or writable again)."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {done.stderr.strip()}")
    yield place, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small_store(disk, empty_store, monkeypatch):
    """The same disk with a store on it that holds a finished run."""
    monkeypatch.setenv("AEVAE_RUNS", str(disk[0] / "runs"))
    return *disk, train_or_load(tiny_config("ae"), "cpu").name


def fill(place: Path, left: int) -> Path:
    ballast = place / "ballast"
    ballast.write_bytes(bytes(max(shutil.disk_usage(place).free - left, 0)))
    return ballast


def test_a_full_disk(small_store):
    place, _remount, kept = small_store
    config = tiny_config("vae", hidden=400)  # a checkpoint takes ten times the room that is left
    job = jobs.submit(config, "cpu")
    ballast = fill(place, 1_000_000)
    Worker(once=True).run()
    assert (jobs.get(job.id).state, statuses()[kept]) == ("failed", "finished")
    assert statuses().get(config.name) in (None, "unfinished") and load_run(kept)
    assert "the disk is full; free some space, then resume" in said(page(job=config.name))
    with open(ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    app = page(train_latent_dim="7")
    app.button(key="train_start").click().run()
    assert not app.exception and "free some disk space" in said(app)
    assert statuses()[kept] == "finished" and [j.id for j in jobs.jobs()] == [job.id]
    ballast.unlink()
    again = jobs.resume(job.id)
    Worker(once=True).run()
    assert jobs.get(again.id).state == "done" and load_run(config.name)


def test_a_limit_on_files_is_a_full_disk(empty_store, child):
    """The like of a quota, for which nobody needs the right to mount a disk."""
    job = jobs.submit(tiny_config("vae", hidden=400), "cpu")
    assert ended(child("work_on_small_files", 1_000_000)) == 0
    assert jobs.get(job.id).error.startswith("the disk is full") and "finished" not in statuses().values()
    again = jobs.resume(job.id)
    assert ended(child("work")) == 0 and jobs.get(again.id).state == "done"


def test_a_store_on_a_read_only_disk(small_store):
    place, remount, kept = small_store
    job = jobs.submit(tiny_config("vae"), "cpu")
    (place / "runs" / "queue.sqlite-shm").unlink(missing_ok=True)
    remount("ro")
    try:
        assert statuses() == {kept: "finished"} and load_run(kept).latent_summary()
        assert [(j.id, j.state) for j in jobs.jobs()] == [(job.id, "queued")] and jobs.get(job.id).position == 1
        app = page(train_latent_dim="7")
        app.button(key="train_start").click().run()
        assert not app.exception and "cannot be written" in said(app) and "you can look at the stored runs" in said(app)
        app = page("pages/lab/models.py", run=kept)
        app.button(key="models_delete").click().run()
        assert not app.exception and "Read-only file system" in said(app)
        assert kept in [run.name for run in cached.runs()]
        page("pages/explore/sliders.py")
    finally:
        remount("rw")
    Worker(once=True).run()
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
    until(lambda: step(job.id) == 0)
    beats = set()
    until(lambda: beats.add(jobs.get(job.id).beat) or len(beats) > 5)
    assert (jobs.get(job.id).pace, step(job.id)) == ("pause", 0), "nobody has been silent for ten minutes"
    for wanted in (1, 2, 3):
        jobs.advance(job.id, "step")
        until(lambda wanted=wanted: step(job.id) == wanted)
    jobs.pace(job.id, "go")
    thread.join(60)
    assert jobs.get(job.id).state == "done"
    run = load_run(config.name)
    took = time.monotonic() - began
    assert 0 < run.info.state["seconds"] < took
    assert all(0 <= line.get("seconds", 0) < took for line in run.history)


# -- files -----------------------------------------------------------------------------------------------------------


def cuts(data: bytes, spots: int = SPOTS) -> list[bytes]:
    """The file cut off at so many places from the first byte to the last but one."""
    return [data[: i * (len(data) - 1) // (spots - 1)] for i in range(spots)]


def flips(data: bytes, spots: int = SPOTS) -> list[bytes]:
    """The file with one bit flipped, here and there."""
    draw, found = random.Random(0), []
    for _ in range(spots):
        spoilt = bytearray(data)
        spoilt[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        found.append(bytes(spoilt))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cuts, flips])
def test_damaged_weights_and_films_are_noticed(store, damage):
    folder = paths.runs_dir() / store["vae"]
    for name in ("model.safetensors", "film.safetensors"):
        whole = (folder / name).read_bytes()
        for spoilt in damage(whole):
            (folder / name).write_bytes(spoilt)
            with pytest.raises(DamagedRun, match=name):
                load_run(store["vae"]).film  # noqa: B018
            if name == "film.safetensors":
                assert film_view.read(checkpoints.find_run(store["vae"])) is None
        if name == "film.safetensors":
            assert "film of this run is damaged" in said(page("pages/lab/models.py", run=store["vae"]))
        else:
            assert "is damaged" in said(page("pages/explore/sliders.py", model=store["vae"]))
        (folder / name).write_bytes(whole)
    assert load_run(store["vae"]).film
    assert [status for name, status in statuses().items() if name != store["vae"]] == ["finished"] * 3


@pytest.mark.parametrize("damage", [cuts, flips])
def test_damaged_text_never_breaks_a_listing(store, damage):
    folder = paths.runs_dir() / store["vae"]
    for name in ("config.json", "state.json", "history.jsonl", "metrics.json"):
        whole = (folder / name).read_bytes()
        for spoilt in damage(whole, 20):
            (folder / name).write_bytes(spoilt)
            status = statuses()[store["vae"]]
            with contextlib.suppress(ValueError):
                load_run(store["vae"])
            if damage is cuts and spoilt != whole[:-1]:  # without the last line's end it is the same text
                assert status != "finished"
        page("pages/lab/models.py")
        (folder / name).write_bytes(whole)


@pytest.mark.slow
def test_only_a_whole_state_is_taken_up(empty_store):
    config, steps = tiny_config("vae", epochs=2), iter(range(100))
    train_or_load(config, "cpu", should_stop=lambda: next(steps) >= 5)
    file = empty_store / config.name / "state.safetensors"
    whole, data = file.read_bytes(), datasets.load(config.data)

    def taken_up(content: bytes) -> int:
        file.write_bytes(content)
        labels = (data.train.labels, data.test.labels)
        images = TrainingData(data.train.images, data.test.images, labels)
        trainer = Trainer(build_model(config.model), images, config.train, 0, torch.device("cpu"))
        Recorder(config, trainer, data.test).resume()
        return trainer.step

    assert taken_up(whole) == 5
    assert {taken_up(spoilt) for spoilt in cuts(whole, 25) + flips(whole)} == {0}
    assert train_or_load(config, "cpu").finished and load_run(config.name)


@pytest.mark.slow
def test_a_damaged_queue_is_set_aside_and_the_next_job_is_taken(empty_store):
    kept = train_or_load(tiny_config("vae"), "cpu").name
    for seed in range(3):
        jobs.submit(tiny_config("ae", seed=seed), "cpu")
    file = empty_store / "queue.sqlite"
    whole = file.read_bytes()
    for seed, spoilt in enumerate(cuts(whole) + flips(whole), 10):
        for left in empty_store.glob("queue*"):
            left.unlink()
        file.write_bytes(spoilt)
        for attempt in range(3):
            try:
                jobs.jobs()
                job = jobs.submit(tiny_config("ae", seed=seed), "cpu")
                assert job.id in [j.id for j in jobs.jobs()] and job.state == "queued"
                break
            except jobs.QueueBroken as problem:
                assert attempt < 2, problem
                if "newer version" in str(problem):  # that bit: what to do is said, and not done by itself
                    file.unlink()
    for left in empty_store.glob("queue*"):
        left.unlink()
    file.write_bytes(b"no data base" * 1000)
    assert jobs.jobs() == []
    told = said(page())
    assert "the queue was damaged" in told and "queue them again" in told
    next_job_runs()
    assert statuses()[kept] == "finished"


def test_a_run_outlives_its_queue(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.05)
    config = tiny_config("vae", epochs=2)
    job = jobs.submit(config, "cpu")
    jobs.pace(job.id, "pause")
    worker = Worker(once=True)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: step(job.id) == 0)
    with open(empty_store / "queue.sqlite", "r+b") as file:
        file.write(bytes(8192))
    until(queuefile.set_aside, 20)
    other = jobs.submit(tiny_config("ae"), "cpu")
    assert other.id == job.id, "a new queue counts from 1 again"
    thread.join(60)  # paused as it was: nobody could have let it go on
    assert not thread.is_alive() and statuses() == {config.name: "finished", other.run: "finished"}
    assert jobs.get(other.id).state == "done"


def test_a_worker_waits_for_a_queue_that_is_held(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(queuefile, "LOCK_TIMEOUT_SECONDS", 0.05)
    job = jobs.submit(tiny_config("ae"), "cpu")
    other = sqlite3.connect(empty_store / "queue.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    told, worker = threading.Event(), Worker()
    monkeypatch.setattr(worker_module.logs, "event", lambda name, **_: name == "queue_unusable" and told.set())
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert told.wait(60) and jobs.get(job.id).state == "queued"
    app = page(train_latent_dim="7")
    app.button(key="train_start").click().run()
    assert "in use by another program; try again" in said(app)
    other.execute("COMMIT")
    until(lambda: jobs.get(job.id).state == "done")
    worker.stop.set()
    thread.join(60)


# -- data and memory -------------------------------------------------------------------------------------------------


def test_half_a_download_is_no_data_set(empty_store, tmp_path, monkeypatch):
    from torchvision import datasets as official

    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(official.KMNIST, "mirrors", [f"http://127.0.0.1:{port()}/"])  # nobody is there
    raw = tmp_path / "data" / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte"):
        (raw / name).write_bytes(b"\x1f\x8b\x08\x00half of it")
    (raw / "tmpabc.part").write_bytes(b"\x1f\x8b")
    config = tiny_config("ae")
    config = type(config)(type(config.data)("kmnist", limit=200), config.model, config.train)
    for last in (False, True):  # a file is missing; all are there, and none is whole
        if last:
            (raw / "t10k-labels-idx1-ubyte").write_bytes(b"half of it")
        job = jobs.submit(config, "cpu")
        Worker(once=True).run()
        assert jobs.get(job.id).state == "failed" and statuses() == {}
        app = page(job=config.name)
        assert "mnist-5k works without a network" in said(app) and "train_take_5k_failed" in [b.key for b in app.button]
    next_job_runs()


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
        assert ended(child("work_in_little_memory", 100_000_000, first)) in (0, 1, -signal.SIGABRT, -signal.SIGSEGV)
    if jobs.get(small.id).state == "queued":
        assert ended(child("work")) == 0
    assert (jobs.get(job.id).state, jobs.get(small.id).state) == ("failed", "done")
    assert "memory" in jobs.get(job.id).error and "a smaller batch or network" in said(page(job=config.name))
    assert statuses().get(config.name) != "finished" and statuses()[small.run] == "finished"
