"""One queue on disk for everybody, one worker process per lane. No torch, no Streamlit in this file's imports.

A lane is a device that trains, or `tasks`: what else takes longer than a page may (maps, evaluations), beside training.
A job is a row of SQLite; its worker (`aevae.worker`) is whoever holds the lock file of its lane, so a dead worker is
known by its free lock, not by a clock. States: queued -> running -> done | failed | cancelled.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from aevae import logs, paths
from aevae.config import RunConfig

TRAIN = "train"  # the kind of job that is a RunConfig
TASKS_LANE = "tasks"  # the lane of all other kinds
KINDS = {"map": "aevae.embeddings.task:work", "evaluate": "aevae.metrics.task:work"}  # see `submit_task`
PACES = {"pause": 0.0, "crawl": 1.0, "slow": 5.0, "brisk": 20.0, "go": math.inf}  # steps a second
PATIENCE = 600  # seconds without a word after which a paused or slowed job goes on by itself
MOST_TASKS = 300  # that wait: of thirty people ten each
MOST_ACTIVE = 10_000  # jobs looked through for the one that waits or runs
WAIT = 10  # seconds, at most, for others to be done with the queue
DAMAGED = (  # perhaps: then the file is looked through. No question asked here is wrong in a sound one
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
)
UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

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
    """A row of the queue. `progress`: step, steps, epoch, terms, images_per_s, seconds_left, held (paused, and
    standing at that step); before that, while data are fetched, loading (text) and part (0..1). `pace`: one of
    PACES, last `told` at this time; `ask_step`, `ask_epoch`: steps and epochs that a paused job is asked to go.
    `position` 1 is next in its lane, and begins in about `starts_in` seconds (listings only; None: nobody knows,
    since something before it is paused). Jobs of one `sweep` are taken by the worker at once, and trained side by
    side where that can be. Of another `kind` than "train": `config` is the request, `run` a name for people,
    `progress` what the task said last."""

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
    starts_in: float | None = None

    @property
    def active(self) -> bool:
        return self.state in ("queued", "running")

    @property
    def part(self) -> float:
        """How much of it is done, 0..1."""
        steps = self.progress.get("steps")
        part = self.progress.get("step", 0) / steps if steps else self.progress.get("fraction", 0.0)
        return min(max(float(part), 0.0), 1.0)


class QueueBroken(RuntimeError):
    """The queue's file cannot be used; the message says what to do."""


@contextlib.contextmanager
def opened(write: bool = True):
    """A connection inside one transaction; creates the queue if need be.

    write: False to look only; then nobody waits for anybody, and a store that cannot be written will do. A damaged
    queue is set aside, and a new one begins (see `set_aside`). Raises QueueBroken.
    """
    file = paths.runs_dir() / "queue.sqlite"
    connection = None
    try:
        connection = _connect(file, write)
        yield connection
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        replaced = _code(error) in DAMAGED and _replace(file)
        raise QueueBroken(_why(file, error, replaced)) from error
    except OSError as error:
        raise QueueBroken(_unwritable(error.strerror)) from error
    finally:
        if connection is not None:
            connection.close()  # rolls back what was not committed


def _connect(file: Path, write: bool) -> sqlite3.Connection:
    if write:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _begun(sqlite3.connect(file, timeout=WAIT, isolation_level=None), write)
    except sqlite3.DatabaseError as error:
        if _code(error) in DAMAGED and _replace(file):
            return _begun(sqlite3.connect(file, timeout=WAIT, isolation_level=None), write)
        if write or _code(error) not in (*UNWRITABLE, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        # SQLite looks into a queue by way of a file beside it, which cannot be made here; nor can anybody change it
        return _begun(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", isolation_level=None, uri=True), write)


def _begun(connection: sqlite3.Connection, write: bool) -> sqlite3.Connection:
    """The same connection, in a transaction, and the file of the newest schema. Closed on failure."""
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        version = _version(connection)
        if version == 0:
            connection.execute("PRAGMA journal_mode = WAL")
        old = version != len(MIGRATIONS)
        connection.execute("BEGIN IMMEDIATE" if write or old else "BEGIN")
        if old:
            _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it


def _why(file: Path, error: sqlite3.Error, replaced: bool) -> str:
    """What is wrong with the queue, and what to do."""
    code = _code(error)
    if replaced:
        return f"the queue {file} was damaged; a new one begins, so ask once more"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the queue {file} is held by another program; try again in a moment"
    if code in UNWRITABLE:
        return _unwritable(str(error))
    return f"the queue {file} cannot be used ({error}); free some disk space or move it away"


def _unwritable(reason: str | None) -> str:
    return (
        f"the store {paths.runs_dir()} cannot be written ({reason}): what is there can be looked at, but nothing can "
        "be trained, changed or deleted until it can"
    )


def _replace(file: Path) -> bool:
    """Set the queue aside if it is damaged; of several processes that see the damage one does it."""
    with _lock("queue").acquire(timeout=WAIT):
        if _sound(file):
            return False
        aside = file.with_name(time.strftime("queue-damaged-%Y%m%d-%H%M%S.sqlite"))
        for end in ("-wal", "-shm", ""):  # the log first: it must not be taken for that of the new queue
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{file}{end}", f"{aside}{end}")
        logs.event("queue-damaged", kept=aside.name)
        return True


def _sound(file: Path) -> bool:
    """Is it whole, and does it have what every question asks for?"""
    if not file.exists():
        return True
    columns = ", ".join(f.name for f in dataclasses.fields(Job) if f.name not in ("position", "starts_in"))
    try:
        with contextlib.closing(_begun(sqlite3.connect(file, timeout=WAIT, isolation_level=None), True)) as connection:
            connection.execute(f"SELECT {columns} FROM jobs LIMIT 1")
            return connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        return _code(error) not in DAMAGED


def set_aside() -> str:
    """One sentence while a damaged queue lies in the store, else ""."""
    aside = sorted(paths.runs_dir().glob("queue-damaged-*.sqlite"))
    if not aside:
        return ""
    return (
        "the queue was damaged, so a new one has begun: no run is lost, but jobs that waited are; queue them again. "
        f"The damaged one is {aside[-1]}; this is said until that file is deleted"
    )


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
    values["config"], values["progress"] = _object(values["config"]), _object(values["progress"])
    values["cancel"] = bool(values["cancel"])
    return Job(**values, position=position)


def _object(text: str) -> dict:
    """A JSON object; what is none any more is an empty one, which no worker takes for a request."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# -- what a page or a command asks -----------------------------------------------------------------------------------


def submit(config: RunConfig, device: str = "auto", seconds: float | None = None) -> Job:
    """Put a run on the queue. The same run is there once: asked again, the waiting or running job comes back.

    seconds: what it is expected to take, for those who wait behind it.
    """
    return submit_all([config], device, seconds)[0]


def submit_all(configs: Sequence[RunConfig], device: str = "auto", seconds: float | None = None) -> list[Job]:
    """Put runs on the queue, several as one sweep, which takes so many seconds; see `submit`."""
    names = "".join(config.name for config in configs)
    sweep = hashlib.sha256(names.encode()).hexdigest()[:12] if len(configs) > 1 else ""
    begin = json.dumps({} if seconds is None else {"seconds_left": round(seconds, 1)})
    with opened() as db:
        numbers = [
            _enter(db, (c.fingerprint, c.name, json.dumps(c.to_dict()), device, sweep, TRAIN), begin) for c in configs
        ]
    return [get(number) for number in numbers]


def submit_task(kind: str, name: str, request: dict) -> Job:
    """Put a task on the queue: `work(request, tell, should_stop)` of KINDS[kind], in the worker of TASKS_LANE.

    The same kind and request is there once, as with `submit`. work returns whether it finished (False: it was
    stopped), raises ValueError with one sentence for what cannot be; what it tells (JSON data) is `Job.progress`.
    name: for people. Raises ValueError for an unknown kind, QueueBroken where too many wait.
    """
    if kind not in KINDS:
        raise ValueError(f"a task is one of {', '.join(KINDS)}, got {kind}")
    written = json.dumps(request, sort_keys=True)
    fingerprint = hashlib.sha256(f"{kind} {written}".encode()).hexdigest()[:12]
    with opened() as db:
        waiting = "SELECT count(*) FROM jobs WHERE kind != 'train' AND state = 'queued' AND fingerprint != ?"
        if db.execute(waiting, (fingerprint,)).fetchone()[0] >= MOST_TASKS:
            raise QueueBroken(f"{MOST_TASKS} maps and evaluations wait already; try again when some are done")
        number = _enter(db, (fingerprint, name, written, "cpu", "", kind))
    return get(number)


def _enter(db: sqlite3.Connection, values: tuple[str, str, str, str, str, str], progress: str = "{}") -> int:
    """Number of the active job of this fingerprint, which may be a new one made of `values`."""
    row = db.execute(
        "SELECT id FROM jobs WHERE fingerprint = ? AND state IN ('queued', 'running')", values[:1]
    ).fetchone()
    if row:
        return row["id"]
    number = db.execute(
        "INSERT INTO jobs (fingerprint, run, config, device, sweep, kind, progress, state, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
        (*values, progress, time.time()),
    ).lastrowid
    logs.event("queued", job=number, kind=values[-1], run=values[0])
    return number


def resume(number: int) -> Job:
    """Queue the same run again; it goes on from its checkpoint. Raises ValueError."""
    job = get(number)
    if job is None:
        raise ValueError(f"there is no job {number}")
    if job.kind != TRAIN:
        return submit_task(job.kind, job.run, job.config)
    return submit(RunConfig.from_dict(job.config), job.device, job.progress.get("seconds_left"))


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
            f"UPDATE jobs SET {change}, told = max(?, 0.001 + (SELECT max(told) FROM jobs)) "  # whatever clocks do
            "WHERE id = ? AND state IN ('queued', 'running')",
            (*values, time.time(), number),
        )


def get(number: int) -> Job | None:
    """The job of this number, or None."""
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return None
    with opened(write=False) as db:
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
    with opened(write=False) as db:
        rows = db.execute(
            "SELECT * FROM jobs WHERE (kind = 'train') = ? "
            "ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, "
            "CASE WHEN state IN ('running', 'queued') THEN id ELSE -coalesce(ended, 0) END LIMIT ?",
            (lane != TASKS_LANE, limit),
        ).fetchall()
    waiting = itertools.count(1)
    return _forecast([job_of(row, next(waiting) if row["state"] == "queued" else 0) for row in rows])


def _forecast(listing: list[Job]) -> list[Job]:
    """The same, with `starts_in`: what runs and waits before a job takes so long. A sweep runs side by side, as one."""
    ahead, sweeps, found = 0.0, set(), []
    for job in listing:
        found.append(dataclasses.replace(job, starts_in=ahead) if job.state == "queued" else job)
        if not job.active or job.sweep in sweeps:
            continue
        sweeps |= {job.sweep} - {""}
        left = job.progress.get("seconds_left") if job.pace == "go" else None
        ahead = None if ahead is None or left is None else ahead + left
    return found


def active(fingerprint: str) -> Job | None:
    """The queued or running job of this run."""
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return None
    with opened(write=False) as db:
        row = db.execute(
            "SELECT id FROM jobs WHERE fingerprint = ? AND state IN ('queued', 'running')", (fingerprint,)
        ).fetchone()
    return get(row["id"]) if row else None


def _any_active(lane: str) -> bool:
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return False
    with opened(write=False) as db:
        return bool(
            db.execute(
                "SELECT 1 FROM jobs WHERE state IN ('queued', 'running') AND (kind = 'train') = ? LIMIT 1",
                (lane != TASKS_LANE,),
            ).fetchone()
        )


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
    return _lock(f"worker-{lane.replace(':', '-')}")


def _lock(name: str) -> FileLock:
    locks = paths.runs_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


def worker_alive(lane: str = "auto") -> bool:
    """Does a process hold the slot of this lane?"""
    try:
        with slot(lane).acquire(timeout=0):
            return False
    except Timeout:
        return True


_spawned: dict[str, subprocess.Popen] = {}
_spawning = threading.Lock()  # thirty sessions ask in one second
_ending = threading.Event()  # this process is about to end, and starts no more workers


def ensure_worker(lane: str = "auto") -> None:
    """Start a worker process if jobs wait (or were left running) and none is there. Cheap; call it at every look.

    lane: the device that trains, or TASKS_LANE. Raises QueueBroken.
    """
    with _spawning:
        for ended in [key for key, process in _spawned.items() if process.poll() is not None]:  # which reaps it
            del _spawned[ended]
        try:
            if _ending.is_set() or lane in _spawned or not _any_active(lane) or worker_alive(lane):
                return
            with open(paths.runs_dir() / "worker.log", "ab") as out:
                _spawned[lane] = subprocess.Popen(
                    [sys.executable, "-m", "aevae", "worker", "--device", lane, "--parent", str(os.getpid())],
                    cwd=paths.ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
        except OSError as error:
            raise QueueBroken(_unwritable(error.strerror)) from error


def end_workers(grace: float) -> None:
    """End the workers that this process started, for good; jobs of one that takes longer than `grace` seconds to come
    to the end of a step wait again, as if it had."""
    _ending.set()
    end = time.monotonic() + grace
    _spawning.acquire(timeout=grace / 4)  # one that is being started is known then
    started = dict(_spawned)
    for process in started.values():
        process.terminate()
    for lane, process in started.items():
        try:
            process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            with contextlib.suppress(QueueBroken):
                give_back(lane)


def give_back(lane: str) -> None:
    """What a lane left running in order waits again (or is cancelled, if that was asked for)."""
    with opened() as db:
        db.execute(
            "UPDATE jobs SET state = iif(cancel, 'cancelled', 'queued'), attempts = attempts - 1 "
            "WHERE state = 'running' AND slot = ?",
            (lane,),
        )
