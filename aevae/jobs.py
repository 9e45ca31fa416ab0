"""One queue on disk for everybody, one worker process per device. No torch, no Streamlit in this file's imports.

A job is a row of SQLite; its worker is whoever holds the lock file of a device slot, so a dead worker is known by its
free lock, not by a clock. States: queued -> running -> done | failed | cancelled. A job found running under a free
lock goes back to the queue once, then fails.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from filelock import FileLock, Timeout

from aevae import checkpoints, paths
from aevae.config import RunConfig

ATTEMPTS = 2  # a job whose worker died this often fails
BEAT = 0.5  # seconds between two looks of a worker at its own row
IDLE_EXIT = 600  # a worker without a parent ends after so long without a job; None: never
_nice = os.environ.get("AEVAE_NICE", "")
PACES = {"pause": 0.0, "crawl": 1.0, "slow": 5.0, "brisk": 20.0, "go": math.inf}  # steps a second
PEEK = 0.1  # seconds between two looks at the row of a job that is paused or slowed
MOST_ACTIVE = 10_000  # jobs looked through for the one that waits or runs
PATIENCE = 600  # seconds without a word after which a paused or slowed job goes on by itself
NICE = int(_nice) if _nice.isdigit() else 15  # the interface wins over training where cores are short

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
)


@dataclass(frozen=True)
class Job:
    """A row of the queue. `progress`: step, steps, epoch, terms, images_per_s, seconds_left; before
    that, while data are fetched, loading (text) and part (0..1). `pace`: one of PACES, last `told` at this time;
    `ask_step`, `ask_epoch`: steps and epochs that a paused job is asked to go. `position` 1 is next. Jobs of one
    `sweep` are taken by the worker at once, and trained side by side where that can be."""

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
    position: int = 0

    @property
    def active(self) -> bool:
        return self.state in ("queued", "running")


class QueueBroken(RuntimeError):
    """The queue's file cannot be used; the message says what to do."""


@contextlib.contextmanager
def _queue():
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


def _job(row: sqlite3.Row, position: int = 0) -> Job:
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
    with _queue() as db:
        numbers = [_enter(db, config, device, sweep) for config in configs]
    return [get(number) for number in numbers]


def _enter(db: sqlite3.Connection, config: RunConfig, device: str, sweep: str) -> int:
    """Number of the active job of this run, which may be a new one."""
    row = db.execute(
        "SELECT id FROM jobs WHERE fingerprint = ? AND state IN ('queued', 'running')", (config.fingerprint,)
    ).fetchone()
    if row:
        return row["id"]
    return db.execute(
        "INSERT INTO jobs (fingerprint, run, config, device, state, created, sweep) "
        "VALUES (?, ?, ?, ?, 'queued', ?, ?)",
        (config.fingerprint, config.name, json.dumps(config.to_dict()), device, time.time(), sweep),
    ).lastrowid


def resume(number: int) -> Job:
    """Queue the same run again; it goes on from its checkpoint. Raises ValueError."""
    job = get(number)
    if job is None:
        raise ValueError(f"there is no job {number}")
    return submit(RunConfig.from_dict(job.config), job.device)


def cancel(*numbers: int) -> None:
    """Queued jobs are cancelled at once, running ones between two steps; their checkpoints stay."""
    now = time.time()
    with _queue() as db:
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
    with _queue() as db:
        db.execute(
            f"UPDATE jobs SET {change}, told = ? WHERE id = ? AND state IN ('queued', 'running')",
            (*values, time.time(), number),
        )


def get(number: int) -> Job | None:
    """The job of this number, or None."""
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return None
    with _queue() as db:
        row = db.execute("SELECT * FROM jobs WHERE id = ?", (number,)).fetchone()
        before = db.execute("SELECT count(*) FROM jobs WHERE state = 'queued' AND id <= ?", (number,)).fetchone()[0]
    return _job(row, before if row["state"] == "queued" else 0) if row else None


def jobs(limit: int = 50) -> list[Job]:
    """Running, then queued in their order, then the last ended ones. A queue that does not exist is empty."""
    if not (paths.runs_dir() / "queue.sqlite").exists():
        return []
    with _queue() as db:
        rows = db.execute(
            "SELECT * FROM jobs ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, "
            "CASE WHEN state IN ('running', 'queued') THEN id ELSE -coalesce(ended, 0) END LIMIT ?",
            (limit,),
        ).fetchall()
    waiting = [row["id"] for row in rows if row["state"] == "queued"]
    return [_job(row, waiting.index(row["id"]) + 1 if row["id"] in waiting else 0) for row in rows]


def active(fingerprint: str) -> Job | None:
    """The queued or running job of this run."""
    return next((job for job in jobs(MOST_ACTIVE) if job.active and job.fingerprint == fingerprint), None)


def prune(keep: int = 200) -> None:
    """Forget all but the last ended jobs (the runs stay)."""
    with _queue() as db:
        db.execute(
            "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND id NOT IN "
            "(SELECT id FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY ended DESC LIMIT ?)",
            (keep,),
        )


# -- the worker process ----------------------------------------------------------------------------------------------


def _slot(device: str) -> FileLock:
    locks = paths.runs_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"worker-{device.replace(':', '-')}.lock")


def worker_alive(device: str = "auto") -> bool:
    """Does a process hold the slot of this device?"""
    try:
        with _slot(device).acquire(timeout=0):
            return False
    except Timeout:
        return True


_spawned: list[subprocess.Popen] = []


def ensure_worker(device: str = "auto") -> None:
    """Start a worker process if jobs wait (or were left running) and none is there. Cheap; call it at every look."""
    _spawned[:] = [p for p in _spawned if p.poll() is None]  # also reaps the ended ones
    if _spawned or not any(job.active for job in jobs()) or worker_alive(device):
        return
    log = paths.runs_dir() / "worker.log"
    with open(log, "ab") as out:
        _spawned.append(
            subprocess.Popen(
                [sys.executable, "-m", "aevae", "worker", "--device", device, "--parent", str(os.getpid())],
                cwd=paths.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        )


class _Stopped(Exception):
    """A download was left between two pieces."""


class Worker:
    """Takes jobs one after another until told to stop, until its parent is gone, or `once` the queue is empty."""

    def __init__(self, device: str = "auto", parent: int | None = None, once: bool = False):
        self.device, self.parent, self.once = device, parent, once
        self.stop = threading.Event()  # end the process; the job goes back to the queue
        self.cancelled: set[int] = set()  # end these jobs

    def run(self) -> int:
        """Exit code: 0 at the end, 3 if another worker has the device. Raises ValueError for a device not here."""
        if self.device != "auto":  # which is always here, and known without torch
            from aevae.training.device import pick_device

            pick_device(self.device)
        try:
            slot = _slot(self.device).acquire(timeout=3)  # longer than a page's glance at the lock
        except Timeout:
            print(f"another worker already serves {self.device}", file=sys.stderr)
            return 3
        with slot:
            if threading.current_thread() is threading.main_thread():
                for name in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(name, lambda *_: self.stop.set())
            if hasattr(os, "nice"):
                os.nice(NICE)
            threading.Thread(target=self._watch_parent, daemon=True).start()
            self._serve()
        return 0

    def _serve(self) -> None:
        idle = time.monotonic()
        while not self.stop.is_set():
            self._recover()
            jobs = self._claim()
            if jobs:
                self._work(jobs)
                idle = time.monotonic()
            elif self.once or (self.parent is None and time.monotonic() - idle > IDLE_EXIT):
                return
            else:
                self.stop.wait(BEAT)

    def _recover(self) -> None:
        """What a slot left running has no worker if the slot is free, or ours: this one is between two jobs."""
        with _queue() as db:
            slots = [row["slot"] for row in db.execute("SELECT DISTINCT slot FROM jobs WHERE state = 'running'")]
        for slot in slots:
            if slot == self.device:
                self._give_back(slot)
            else:
                with contextlib.suppress(Timeout), _slot(slot).acquire(timeout=0):
                    self._give_back(slot)

    def _give_back(self, slot: str) -> None:
        with _queue() as db:
            db.execute(
                "UPDATE jobs SET state = 'failed', ended = ?, error = ? WHERE state = 'running' AND slot = ? "
                "AND attempts >= ?",
                (time.time(), f"its worker died {ATTEMPTS} times; see worker.log in the store", slot, ATTEMPTS),
            )
            db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running' AND slot = ?", (slot,))

    def _claim(self) -> list[Job]:
        """The next job, with the others of its sweep; [] if none waits."""
        mine = "state = 'queued' AND (? = 'auto' OR device IN ('auto', ?))"
        same = "sweep = ? AND sweep != '' AND device = ?"
        with _queue() as db:
            first = db.execute(f"SELECT * FROM jobs WHERE {mine} ORDER BY id LIMIT 1", (self.device,) * 2).fetchone()
            if first is None:
                return []
            rows = db.execute(
                f"SELECT * FROM jobs WHERE {mine} AND (id = ? OR ({same})) ORDER BY id",
                (self.device, self.device, first["id"], first["sweep"], first["device"]),
            ).fetchall()
            now = time.time()
            db.executemany(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, slot = ?, cancel = 0, "
                "started = coalesce(started, ?), beat = ? WHERE id = ?",
                [(self.device, now, now, row["id"]) for row in rows],
            )
        return [_job(row) for row in rows]

    def _work(self, jobs: list[Job]) -> None:
        """Train. Cancelling one of a sweep stops all between two steps; the others wait again, and go on from there."""
        self.cancelled.clear()
        reins, over = Reins(), threading.Event()
        news = [Progress(lambda: time.monotonic() - reins.waited) for _ in jobs]
        heart = threading.Thread(target=self._beat, args=(jobs, news, reins, over), daemon=True)
        heart.start()
        ends, trace = [("failed", "")] * len(jobs), ""
        leads: list[int] = []  # the first that is heard of; the others are at the same step

        def hear(i: int, event) -> None:
            news[i](event)
            leads or leads.append(i)
            if i == leads[0]:
                reins.heed(event)

        try:
            from aevae import datasets, runs  # torch comes here

            device = jobs[0].device if self.device == "auto" else self.device
            configs = [RunConfig.from_dict(job.config) for job in jobs]
            datasets.load(configs[0].data, on_progress=self._loading(news))  # a download is seen
            for progress in news:
                progress.now = {}
            stop = lambda: reins.wait(self._should_stop)  # noqa: E731
            results = runs.sweep(configs, device, hear, stop, watched=reins.watched)
            ends = [self._ended(job, result) for job, result in zip(jobs, results, strict=True)]
        except _Stopped:
            ends = [(self._stopped(job), "") for job in jobs]
        except Exception as problem:
            error, trace = sentence(problem), traceback.format_exc()
            print(trace, file=sys.stderr, flush=True)
            kept = [checkpoints.finished_run(job.run) for job in jobs]  # of a sweep some may be whole
            ends = [("done", "") if run else ("failed", error) for run in kept]
        over.set()
        heart.join()
        for job, (state, error), progress in zip(jobs, ends, news, strict=True):
            self._end(job, state, error, trace if error else "", progress)

    def _ended(self, job: Job, result) -> tuple[str, str]:
        """State and error of a job whose run ended so."""
        if result.finished:
            return "done", ""
        return ("failed", result.error) if result.error else (self._stopped(job), "")

    def _end(self, job: Job, state: str, error: str, trace: str, progress: "Progress") -> None:
        """Write what became of the job; a disk too full even for that is asked again until it has room.

        One that was cancelled while it went back to the queue is cancelled.
        """
        while True:
            try:
                with _queue() as db:
                    row = db.execute("SELECT cancel FROM jobs WHERE id = ?", (job.id,)).fetchone()
                    if state == "queued" and row and row["cancel"]:
                        state = "cancelled"
                    db.execute(
                        "UPDATE jobs SET state = ?, error = ?, trace = ?, progress = ?, ended = ?, "
                        "attempts = attempts - (? = 'queued') WHERE id = ?",
                        (state, error, trace, json.dumps(progress.now), time.time(), state, job.id),
                    )
                return
            except QueueBroken as problem:
                print(f"job {job.id} is {state}: {problem}", file=sys.stderr, flush=True)
                if self.stop.wait(10 * BEAT):
                    raise

    def _should_stop(self) -> bool:
        return self.stop.is_set() or bool(self.cancelled)

    def _stopped(self, job: Job) -> str:
        """The state of a job that was stopped: by a person, or because this process or another of its sweep ends."""
        return "cancelled" if job.id in self.cancelled else "queued"

    def _loading(self, news: "list[Progress]"):
        def listen(part: float, text: str) -> None:
            if self._should_stop():
                raise _Stopped
            for progress in news:
                progress.loading(part, text)

        return listen

    def _beat(self, jobs: list[Job], news: "list[Progress]", reins: "Reins", over: threading.Event) -> None:
        """The heart of running jobs: tells the queue how far they are, and them what people ask of them."""
        begun, beaten, told = time.time(), 0.0, None
        ids = [job.id for job in jobs]
        these = f"id IN ({', '.join('?' * len(ids))})"
        while True:
            now = time.time()
            with contextlib.suppress(QueueBroken), _queue() as db:
                rows = db.execute(f"SELECT * FROM jobs WHERE {these} ORDER BY told DESC", ids).fetchall()
                if rows:  # else somebody took the queue away; the runs are worth their end
                    self.cancelled.update(row["id"] for row in rows if row["cancel"])
                    changed = {row["id"]: row["progress"] for row in rows}
                    fresh = [(json.dumps(p.now), i) for i, p in zip(ids, news, strict=True)]
                    if now - beaten >= BEAT or any(changed.get(i) != raw for raw, i in fresh):
                        beaten = now
                        db.executemany(
                            "UPDATE jobs SET beat = ?, progress = ? WHERE id = ?", [(now, raw, i) for raw, i in fresh]
                        )
                    row = rows[0]  # the one that was spoken to last speaks for all
                    if row["told"] != told:
                        told = row["told"]
                        reins.tell(row["pace"], row["ask_step"], row["ask_epoch"])
                        db.execute(
                            f"UPDATE jobs SET pace = ?, ask_step = 0, ask_epoch = 0 WHERE {these}", (row["pace"], *ids)
                        )
                    elif row["pace"] != "go" and now - max(told, begun) > PATIENCE:
                        db.execute(f"UPDATE jobs SET pace = 'go', told = ? WHERE {these}", (now, *ids))
            if over.wait(BEAT if reins.pace == "go" else PEEK):
                return

    def _watch_parent(self) -> None:
        """Ends with the server that started it. (os.getppid changes when the parent is gone.)"""
        if self.parent is None:
            return
        while os.getppid() == self.parent:
            time.sleep(BEAT)
        self.stop.set()


class Reins:
    """How fast a running job may go. The heart holds them; the trainer looks, and waits, between two steps."""

    def __init__(self):
        self.pace = "go"
        self.waited = 0.0  # seconds, all in all
        self._steps = self._epochs = 0  # that a paused job may still go
        self._held = False  # at the last look
        self._last = 0.0  # when the last step was let go
        self._changed = threading.Condition()

    def tell(self, pace: str, steps: int = 0, epochs: int = 0) -> None:
        """A new pace; or so many steps and epochs more."""
        with self._changed:
            if not steps and not epochs:
                self._steps = self._epochs = 0
            self.pace = pace
            self._steps += steps
            self._epochs += epochs
            self._changed.notify_all()

    def heed(self, event) -> None:
        """An epoch's end uses up one of the epochs."""
        if hasattr(event, "record") and event.record["step"]:
            with self._changed:
                self._epochs = max(self._epochs - 1, 0)

    def watched(self) -> bool:
        """Is each step looked at? Only whoever found so will be made to wait: what is paused has been shown."""
        self._held = self.pace != "go" and not self._epochs  # on its way to the end of an epoch it hurries
        return self._held

    def wait(self, stop) -> bool:
        """Come back when the next step may begin; whether the training shall rather end (`stop()`)."""
        if self._held:
            began = time.monotonic()
            with self._changed:
                while (seconds := self._left()) > 0 and not stop():
                    self._changed.wait(min(seconds, PEEK))
                self._last = time.monotonic()
                self._steps = max(self._steps - 1, 0)
            self.waited += self._last - began
        return stop()

    def _left(self) -> float:
        """Seconds until the next step may begin; inf where it may not."""
        if self.pace == "pause":
            return 0.0 if self._steps or self._epochs else math.inf
        return self._last + 1 / PACES[self.pace] - time.monotonic()


class Progress:
    """Listener that keeps the newest figures of a job as JSON data. `clock`: seconds spent at work."""

    def __init__(self, clock=time.monotonic):
        self.now: dict = {}
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def loading(self, part: float, text: str) -> None:
        """The data set is being fetched: `part` in 0..1."""
        self.now = {"loading": text, "part": part}

    def __call__(self, event) -> None:
        figures = dataclasses.asdict(event)
        if "record" in figures:  # an epoch is over: its line is in the run's history
            self.now = {**self.now, "epochs_done": figures["record"]["epoch"]}
            return
        now, step = self._clock(), figures["step"]
        self._first = self._first or (now, step)
        if step > self._first[1]:  # the pace of this worker, tests and checkpoints included
            pace = (now - self._first[0]) / (step - self._first[1])
            figures["seconds_left"] = round(pace * (figures["steps"] - step), 1)
        figures["images_per_s"] = round(figures["images_per_s"], 1)
        self.now = {**self.now, **figures}


def sentence(problem: BaseException) -> str:
    """An error in words a student can use."""
    if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
        return "the disk is full; free some space and resume, nothing finished is lost"
    if isinstance(problem, (MemoryError,)) or "out of memory" in str(problem).lower():
        return "out of memory; take a smaller batch or network"
    if isinstance(problem, OSError):
        return f"{problem.strerror or problem}: {problem.filename or 'the store'}"
    return str(problem) or type(problem).__name__


def run_worker(device: str, parent: int | None, once: bool) -> int:
    """`python -m aevae worker`."""
    return Worker(device, parent, once).run()
