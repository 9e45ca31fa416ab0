"""The queue: equal jobs, order, cancelled jobs, error messages, and its file, also of another version."""

import contextlib
import json
import sqlite3
import threading

import pytest
from conftest import tiny_config
from job_helpers import job_state

from aevae.queue import jobs, queuefile
from aevae.queue.errors import user_message
from aevae.queue.worker import Worker
from aevae.store import checkpoints


def test_the_same_run_is_queued_once(empty_store):
    first, other, again = (jobs.submit(tiny_config("ae", seed=s)) for s in (0, 1, 0))
    assert first.id == again.id != other.id
    assert [j.position for j in jobs.jobs()] == [1, 2]
    assert jobs.active(tiny_config("ae").fingerprint).id == first.id


def test_ended_jobs_follow_the_waiting(empty_store):
    ended = jobs.submit(tiny_config("ae"))
    jobs.cancel(ended.id)
    waiting = jobs.submit(tiny_config("ae", seed=1))
    found = [(job.id, job.state, job.active) for job in jobs.jobs()]
    assert found == [(waiting.id, "queued", True), (ended.id, "cancelled", False)]


def test_cancel_queued(empty_store):
    job = jobs.submit(tiny_config("ae"))
    jobs.cancel(job.id)
    Worker(once=True).run()
    assert job_state(job.id) == "cancelled"
    assert checkpoints.list_runs() == []


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
    ended = [jobs.submit(tiny_config("ae", seed=seed)).id for seed in range(4)]
    jobs.cancel(*ended)
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET ended = id")
    kept = jobs.submit(tiny_config("ae", seed=9)).id
    jobs.prune(keep=2)
    assert [job.id for job in jobs.jobs()] == [kept, ended[3], ended[2]]
    jobs.prune(keep=0, kind="map")
    assert len(jobs.jobs()) == 3, "there is no map"


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


def test_a_run_is_found_among_many(empty_store):
    many = jobs.submit_all([tiny_config("vae", seed=seed) for seed in range(64)])
    assert jobs.active(many[-1].fingerprint).id == many[-1].id


def test_a_queue_in_a_read_only_folder_can_be_looked_at(empty_store, monkeypatch):
    """SQLite cannot create its shared-memory file there."""
    job, refusal = jobs.submit(tiny_config("ae")), sqlite3.OperationalError("unable to open database file")
    refusal.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN

    def refuse(file):
        raise refusal

    monkeypatch.setattr(queuefile, "_open", refuse)
    assert jobs.get(job.id).run == job.run
    with pytest.raises(jobs.QueueBroken, match="cannot be written"):
        jobs.cancel(job.id)


# -- a damaged file --------------------------------------------------------------------------------------------------


def test_a_damaged_queue_is_kept_beside_a_new_one(empty_store, capfd):
    empty_store.mkdir()
    (empty_store / "queue.sqlite").write_bytes(b"no data base" * 1000)
    assert jobs.jobs() == []
    (kept,) = empty_store.glob("queue-damaged-*.sqlite")
    assert kept.read_bytes() == b"no data base" * 1000 and str(kept) in queuefile.set_aside()
    assert f"queue-damaged kept={kept.name}" in capfd.readouterr().err
    assert (empty_store / "queue.sqlite").read_bytes()[18:20] == b"\2\2", "WAL: readers do not wait for writers"


def test_a_damaged_queue_that_another_process_replaces_is_no_error(empty_store, monkeypatch, capfd):
    empty_store.mkdir()
    (empty_store / "queue.sqlite").write_bytes(b"no data base" * 1000)
    is_sound = queuefile._is_sound
    monkeypatch.setattr(queuefile, "_is_sound", lambda file: file.unlink() or is_sound(file))
    assert jobs.jobs() == [] and queuefile.set_aside() == "" and "queue-damaged" not in capfd.readouterr().err


def test_a_wrong_statement_replaces_no_sound_queue(empty_store):
    job = jobs.submit(tiny_config("ae"))
    with pytest.raises(jobs.QueueBroken, match="cannot be used"), jobs.transaction() as db:
        db.execute("SELECT nothing FROM jobs")
    assert jobs.get(job.id) and queuefile.set_aside() == ""


def test_the_nearest_folder_that_exists_is_tried(empty_store, monkeypatch):
    tried = []
    monkeypatch.setattr(queuefile.tempfile, "TemporaryFile", lambda dir: tried.append(dir) or contextlib.nullcontext())
    assert queuefile.store_problem() == ""
    empty_store.mkdir()
    assert queuefile.store_problem() == "" and tried == [empty_store.parent, empty_store]


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
    assert job_state(job.id) == "done"


def test_a_queue_of_a_later_version_is_left_alone(empty_store):
    jobs.submit(tiny_config("ae"))
    db = sqlite3.connect(empty_store / "queue.sqlite")
    db.execute("PRAGMA user_version = 99")
    with pytest.raises(jobs.QueueBroken, match="newer version"):
        jobs.jobs()
