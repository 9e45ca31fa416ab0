"""Files that are really cut or changed: runs, films, states, the queue, and half a download."""

import contextlib
import random
import sqlite3
import threading

import pytest
import torch
from conftest import tiny_config, until
from job_helpers import assert_next_job_finishes, job_step, run_statuses
from page_helpers import message_text, open_cleared_page
from servers import free_port

from aevae import datasets, paths
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

pytestmark = pytest.mark.usefixtures("no_worker")

SPOTS = 50  # where a file is cut, and where a bit of it is flipped


def cuts(data: bytes, spots: int = SPOTS) -> list[bytes]:
    """The file cut off at so many places from the first byte to the last but one."""
    return [data[: i * (len(data) - 1) // (spots - 1)] for i in range(spots)]


def flips(data: bytes, spots: int = SPOTS) -> list[bytes]:
    """The file with one bit flipped, here and there."""
    draw, found = random.Random(0), []
    for _ in range(spots):
        damaged = bytearray(data)
        damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        found.append(bytes(damaged))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cuts, flips])
def test_damaged_weights_and_films_are_noticed(store, damage):
    folder = paths.runs_dir() / store["vae"]
    for name in ("model.safetensors", "film.safetensors"):
        whole = (folder / name).read_bytes()
        for damaged in damage(whole):
            (folder / name).write_bytes(damaged)
            with pytest.raises(DamagedRun, match=name):
                load_run(store["vae"]).film  # noqa: B018
            if name == "film.safetensors":
                assert film_view.read(checkpoints.find_run(store["vae"])) is None
        if name == "film.safetensors":
            assert "film of this run is damaged" in message_text(
                open_cleared_page("pages/lab/models.py", run=store["vae"])
            )
        else:
            assert "is damaged" in message_text(open_cleared_page("pages/explore/sliders.py", model=store["vae"]))
        (folder / name).write_bytes(whole)
    assert load_run(store["vae"]).film
    assert [status for name, status in run_statuses().items() if name != store["vae"]] == ["finished"] * 3


@pytest.mark.parametrize("damage", [cuts, flips])
def test_damaged_text_never_breaks_a_listing(store, damage):
    folder = paths.runs_dir() / store["vae"]
    for name in ("config.json", "state.json", "history.jsonl", "metrics.json"):
        whole = (folder / name).read_bytes()
        for damaged in damage(whole, 20):
            (folder / name).write_bytes(damaged)
            status = run_statuses()[store["vae"]]
            with contextlib.suppress(ValueError):
                load_run(store["vae"])
            if damage is cuts and damaged != whole[:-1]:  # without the last line's end it is the same text
                assert status != "finished"
        open_cleared_page("pages/lab/models.py")
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
    assert {taken_up(damaged) for damaged in cuts(whole, 25) + flips(whole)} == {0}
    assert train_or_load(config, "cpu").finished and load_run(config.name)


@pytest.mark.slow
def test_a_damaged_queue_is_set_aside_and_the_next_job_is_taken(empty_store):
    kept = train_or_load(tiny_config("vae"), "cpu").name
    for seed in range(3):
        jobs.submit(tiny_config("ae", seed=seed), "cpu")
    file = empty_store / "queue.sqlite"
    whole = file.read_bytes()
    for seed, damaged in enumerate(cuts(whole) + flips(whole), 10):
        for left in empty_store.glob("queue*"):
            left.unlink()
        file.write_bytes(damaged)
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
    shown = message_text(open_cleared_page())
    assert "the queue was damaged" in shown and "queue them again" in shown
    assert_next_job_finishes()
    assert run_statuses()[kept] == "finished"


def test_a_run_outlives_its_queue(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.05)
    config = tiny_config("vae", epochs=2)
    job = jobs.submit(config, "cpu")
    jobs.pace(job.id, "pause")
    worker = Worker(once=True)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: job_step(job.id) == 0)
    with open(empty_store / "queue.sqlite", "r+b") as file:
        file.write(bytes(8192))
    until(queuefile.set_aside, 20)
    other = jobs.submit(tiny_config("ae"), "cpu")
    assert other.id == job.id, "a new queue counts from 1 again"
    thread.join(60)  # paused as it was: nobody could have let it go on
    assert not thread.is_alive() and run_statuses() == {config.name: "finished", other.run: "finished"}
    assert jobs.get(other.id).state == "done"


def test_a_worker_waits_for_a_queue_that_is_held(empty_store, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(queuefile, "LOCK_TIMEOUT_SECONDS", 0.05)
    job = jobs.submit(tiny_config("ae"), "cpu")
    other = sqlite3.connect(empty_store / "queue.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    logged, worker = threading.Event(), Worker()
    monkeypatch.setattr(worker_module.logs, "event", lambda name, **_: name == "queue_unusable" and logged.set())
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert logged.wait(60) and jobs.get(job.id).state == "queued"
    app = open_cleared_page(train_latent_dim="7")
    app.button(key="train_start").click().run()
    assert "in use by another program; try again" in message_text(app)
    other.execute("COMMIT")
    until(lambda: jobs.get(job.id).state == "done")
    worker.stop.set()
    thread.join(60)


def test_half_a_download_is_no_data_set(empty_store, tmp_path, monkeypatch):
    from torchvision import datasets as official

    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(official.KMNIST, "mirrors", [f"http://127.0.0.1:{free_port()}/"])  # nobody is there
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
        assert jobs.get(job.id).state == "failed" and run_statuses() == {}
        app = open_cleared_page(job=config.name)
        assert "mnist-5k works without a network" in message_text(app) and "train_take_5k_failed" in [
            b.key for b in app.button
        ]
    assert_next_job_finishes()
