"""One queue on disk for everybody, one worker process per lane. No torch, no Streamlit in this file's imports.

A lane is a device that trains, or `tasks`: what else takes longer than a page may (maps, evaluations), beside training.
A job is a row of SQLite; its worker (`aevae.worker`) is whoever holds the lock file of its lane, so a dead worker is
known by its free lock, not by a clock. States: queued -> running -> done | failed | cancelled.
"""

import contextlib
import hashlib
import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from filelock import FileLock, Timeout

from aevae import paths
from aevae.config import RunConfig

TRAIN = "train"  # the kind of job that is a RunConfig
TASKS_LANE = "tasks"  # the lane of all other kinds
KINDS = {"map": "aevae.embeddings.task:work", "evaluate": "aevae.metrics.task:work"}  # see `submit_task`
PACES = {"pause": 0.0, "crawl": 1.0, "slow": 5.0, "brisk": 20.0, "go": math.inf}  # steps a second
PATIENCE = 600  # seconds without a word after which a paused or slowed job goes on by itself
MOST_ACTIVE = 10_000  # jobs looked through for the one that waits or runs

MIGRATIONS = (  # from user_version 0 to 1, from 1 to 2, ...
    """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, run TEXT NOT NULL, config TEXT NOT NULL, device TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, slot TEXT NOT NULL DEFAULT '',
    cancel INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, started REAL, ended REAL, beat REAL,
    progress TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '', trace TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX one_active ON jobs (fingerprint) WHERE state IN ('queued', 'running')""",
    """
ALTER TABLE jobs ADD COLUMN pace TEXT NOT NULL DEFAULT 'go';
ALTER TABLE jobs ADD COLUMN ask_step INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN ask_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN told REAL NOT NULL DEFAULT 0""",
    "ALTER TABLE jobs ADD COLUMN sweep TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'train'",
)


@dataclass(frozen=True)
class Job:
    """A row of the queue. `progress`: step, steps, epoch, terms, images_per_s, seconds_left; before
    that, while data are fetched, loading (text) and part (0..1). `pace`: one of PACES, last `told` at this time;
    `ask_step`, `ask_epoch`: steps and epochs that a paused job is asked to go. `position` 1 is next in its lane. Jobs
    of one `sweep` are taken by the worker at once, and trained side by side where that can be. Of another `kind` than
    "train": `config` is the request, `run` a name for people, `progress` what the task said last."""

    id: int
    fingerprint: str
    run: str
    config: dict
    device: str
    state: str
    attempts: int
    slot: str
    cancel: bool
    created: float
    started: float | None
    ended: float | None
    beat: float | None
    progress: dict
    error: str
    trace: str
    pace: str = "go"
    ask_step: int = 0
    ask_epoch: int = 0
    told: float = 0.0
    sweep: str = ""
    kind: str = TRAIN
    position: int = 0

    @property
    def active(self) -> bool:
        return self.state in ("queued", "running")


class QueueBroken(RuntimeError):
    """The queue's file cannot be used; the message says what to do."""


@contextlib.contextmanager
def opened():
    """A connection inside one immediate transaction; creates the queue if need be."""
    root = paths.runs_dir()
    connection = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(root / "queue.sqlite", timeout=10, isolation_level=None)
        connection.row_factory = sqlite3.Row
        version = _version(connection)
        if version == 0:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if version != len(MIGRATIONS):
            _migrate(connection)
        yield connection
        connection.execute("COMMIT")
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise QueueBroken(
            f"the queue {root / 'queue.sqlite'} cannot be used ({error}); free some disk space or move it away"
        ) from error
    except OSError as error:
        raise QueueBroken(f"the store {root} cannot be written: {error.strerror}") from error
    finally:
        if connection is not None:
            connection.close()  # rolls back what was not committed


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to the newest schema, inside the open transaction: of two processes, one does it."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError("it was made by a newer version of this program")
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def job_of(row: sqlite3.Row, position: int = 0) -> Job:
    """The job that a row of the table `jobs` tells of."""
    values = dict(row)
    values["config"], values["progress"] = json.loads(values["config"]), json.loads(values["progress"])
    values["cancel"] = bool(values["cancel"])
    return Job(**values, position=position)


# -- what a page or a command asks -----------------------------------------------------------------------------------


def submit(config: RunConfig, device: str = "auto") -> Job:
    """Put a run on the queue. The same run is there once: asked again, the waiting or running job comes back."""
    return submit_all([config], device)[0]


def submit_all(configs: Sequence[RunConfig], device: str = "auto") -> list[Job]:
    """Put runs on the queue, several as one sweep; see `submit`."""
    names = "".join(config.name for config in configs)
    sweep = hashlib.sha256(names.encode()).hexdigest()[:12] if len(configs) > 1 else ""
    with opened() as db:
        numbers = [_enter(db, (c.fingerprint, c.name, json.dumps(c.to_dict()), device, sweep, TRAIN)) for c in configs]
    return [get(number) for number in numbers]


def submit_task(kind: str, name: str, request: dict) -> Job:
    """Put a task on the queue: `work(request, tell, should_stop)` of KINDS[kind], in the worker of TASKS_LANE.

    The same kind and request is there once, as with `submit`. work returns whether it finished (False: it was
    stopped), raises ValueError with one sentence for what cannot be; what it tells (JSON data) is `Job.progress`.
    name: for people. Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"a task is one of {', '.join(KINDS)}, got {kind}")
    written = json.dumps(request, sort_keys=True)
    fingerprint = hashlib.sha256(f"{kind} {written}".encode()).hexdigest()[:12]
    with opened() as db:
        number = _enter(db, (fingerprint, name, written, "cpu", "", kind))
    return get(number)


def _enter(db: sqlite3.Connection, values: tuple[str, str, str, str, str, str]) -> int:
    """Number of the active job of this fingerprint, which may be a new one made of `values`."""
    row = db.execute(
        "SELECT id FROM jobs WHERE fingerprint = ? AND state IN ('queued', 'running')", values[:1]
    ).fetchone()
    if row:
        return row["id"]
    return db.execute(
        "INSERT INTO jobs (fingerprint, run, config, device, sweep, kind, state, created) "
        "VALUES (?, ?, ?, ?, ?, ?, 'queued', ?)",
        (*values, time.time()),
    ).lastrowid


def resume(number: int) -> Job:
    """Queue the same run again; it goes on from its checkpoint. Raises ValueError."""
    job = get(number)
    if job is None:
        raise ValueError(f"there is no job {number}")
    if job.kind != TRAIN:
        return submit_task(job.kind, job.run, job.config)
    return submit(RunConfig.from_dict(job.config), job.device)


def cancel(*numbers: int) -> None:
    """Queued jobs are cancelled at once, running ones between two steps; their checkpoints stay."""
    now = time.time()
    with opened() as db:
        for number in numbers:
            db.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (number,))
            db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'", (now, number)
            )


def pace(number: int, name: str) -> None:
    """Let a waiting or running job go at this pace (of PACES), until told otherwise. Raises ValueError."""
    if name not in PACES:
        raise ValueError(f"pace must be one of {', '.join(PACES)}, got {name}")
    _tell(number, "pace = ?, ask_step = 0, ask_epoch = 0", name)


def advance(number: int, by: str) -> None:
    """Let a job go one step, or to the end of an epoch (`by` "step" or "epoch"), and pause there. Raises ValueError."""
    if by not in ("step", "epoch"):
        raise ValueError(f"a job advances by step or epoch, got {by}")
    _tell(number, f"pace = 'pause', ask_{by} = ask_{by} + 1")


def _tell(number: int, change: str, *values) -> None:
    with opened() as db:
        db.execute(
            f"UPDATE jobs SET {change}, told = ? WHERE id = ? AND state IN ('queued', 'running')",
            (*values, time.time(), number),
        )


def get(number: int) -> Job | None:
    """The job of this number, or None."""
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return None
    with opened() as db:
        row = db.execute("SELECT * FROM jobs WHERE id = ?", (number,)).fetchone()
        before = db.execute(
            "SELECT count(*) FROM jobs JOIN jobs AS this ON this.id = ? WHERE jobs.state = 'queued' "
            "AND jobs.id <= this.id AND (jobs.kind = 'train') = (this.kind = 'train')",
            (number,),
        ).fetchone()[0]
    return job_of(row, before if row["state"] == "queued" else 0) if row else None


def jobs(limit: int = 50, lane: str = TRAIN) -> list[Job]:
    """Running, then queued in their order, then the last ended ones. A queue that does not exist is empty.

    lane: TASKS_LANE for the tasks; any other for the trainings.
    """
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return []
    with opened() as db:
        rows = db.execute(
            "SELECT * FROM jobs WHERE (kind = 'train') = ? "
            "ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, "
            "CASE WHEN state IN ('running', 'queued') THEN id ELSE -coalesce(ended, 0) END LIMIT ?",
            (lane != TASKS_LANE, limit),
        ).fetchall()
    waiting = [row["id"] for row in rows if row["state"] == "queued"]
    return [job_of(row, waiting.index(row["id"]) + 1 if row["id"] in waiting else 0) for row in rows]


def active(fingerprint: str) -> Job | None:
    """The queued or running job of this run."""
    return next((job for job in jobs(MOST_ACTIVE) if job.active and job.fingerprint == fingerprint), None)


def _lock_file():
    return paths.runs_dir() / ".locks" / "training-locked"


def lock(on: bool) -> None:
    """Tell pages (with `locked`) not to take new runs for a while; what waits and runs goes on."""
    file = _lock_file()
    if on:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    else:
        file.unlink(missing_ok=True)


def locked() -> bool:
    """Has `lock` been asked for?"""
    return _lock_file().exists()


def prune(keep: int = 200) -> None:
    """Forget all but the last ended jobs (the runs stay)."""
    with opened() as db:
        db.execute(
            "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND id NOT IN "
            "(SELECT id FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY ended DESC LIMIT ?)",
            (keep,),
        )


# -- workers ---------------------------------------------------------------------------------------------------------


def slot(lane: str) -> FileLock:
    """What the worker of a lane holds."""
    locks = paths.runs_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"worker-{lane.replace(':', '-')}.lock")


def worker_alive(lane: str = "auto") -> bool:
    """Does a process hold the slot of this lane?"""
    try:
        with slot(lane).acquire(timeout=0):
            return False
    except Timeout:
        return True


_spawned: dict[str, subprocess.Popen] = {}


def ensure_worker(lane: str = "auto") -> None:
    """Start a worker process if jobs wait (or were left running) and none is there. Cheap; call it at every look.

    lane: the device that trains, or TASKS_LANE.
    """
    for ended in [key for key, process in _spawned.items() if process.poll() is not None]:  # which reaps it
        del _spawned[ended]
    if lane in _spawned or not any(job.active for job in jobs(lane=lane)) or worker_alive(lane):
        return
    log = paths.runs_dir() / "worker.log"
    with open(log, "ab") as out:
        _spawned[lane] = subprocess.Popen(
            [sys.executable, "-m", "aevae", "worker", "--device", lane, "--parent", str(os.getpid())],
            cwd=paths.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
