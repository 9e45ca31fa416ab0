"""The file of the queue: a row of SQLite is a job; made where it is missing, brought to the newest schema, set aside
where it is damaged. What is asked of it is `aevae.queue.jobs`."""

import contextlib
import dataclasses
import json
import os
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from aevae import logs, paths

TRAIN = "train"  # the kind of job that is a RunConfig
LOCK_TIMEOUT_SECONDS = 10  # seconds, at most, for others to be done with the queue
DAMAGE_ERRORS = (  # perhaps: then the file is looked through. No question asked here is wrong in a sound one
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
)
UNWRITABLE_ERRORS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

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
    """A row of the queue. `progress`: step, steps, epoch, terms, images_per_s, seconds_left, note, held (paused,
    and standing at that step), begun_anew (a sentence, if it could not go on from its checkpoint); before that, while
    data are fetched, loading (text) and part (0..1). `pace`: one of PACES, last `told` at this time; `ask_step`,
    `ask_epoch`: steps and epochs that a paused job is asked to go. `position` 1 is next in its lane, and begins in
    about `starts_in` seconds (listings only; None: nobody knows, since something before it is paused). Jobs of one
    `sweep` are taken by the worker at once, and trained side by side where that can be. Of another `kind` than
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


def queue_file() -> Path:
    """Where it is, or will be."""
    return paths.runs_dir() / "queue.sqlite"


def named_lock(name: str) -> FileLock:
    """A lock that is known by this name beside the queue, and ends with its process."""
    locks = paths.runs_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


@contextlib.contextmanager
def transaction(write: bool = True):
    """A connection inside one transaction; creates the queue if need be.

    write: False to look only; then nobody waits for anybody, and a store that cannot be written will do. A damaged
    queue is set aside, and a new one begins (see `set_aside`). Raises QueueBroken.
    """
    file, connection = queue_file(), None
    try:
        connection = _connect(file, write)
        yield connection
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        replaced = _error_code(error) in DAMAGE_ERRORS and _replace(file)
        raise QueueBroken(_message(file, error, replaced)) from error
    except OSError as error:
        raise QueueBroken(unwritable(error.strerror)) from error
    finally:
        if connection is not None:
            connection.close()  # rolls back what was not committed


def _connect(file: Path, write: bool) -> sqlite3.Connection:
    if write:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _begin(sqlite3.connect(file, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None), write)
    except sqlite3.DatabaseError as error:
        if _error_code(error) in DAMAGE_ERRORS and _replace(file):
            return _begin(sqlite3.connect(file, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None), write)
        if write or _error_code(error) not in (*UNWRITABLE_ERRORS, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        # SQLite looks into a queue by way of a file beside it, which cannot be made here; nor can anybody change it
        return _begin(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", isolation_level=None, uri=True), write)


def _begin(connection: sqlite3.Connection, write: bool) -> sqlite3.Connection:
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


def _error_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it


def _message(file: Path, error: sqlite3.Error, replaced: bool) -> str:
    """What is wrong with the queue, and what to do."""
    code = _error_code(error)
    if replaced:
        return f"the queue {file} was damaged; a new one begins, so ask once more"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the queue {file} is held by another program; try again in a moment"
    if code in UNWRITABLE_ERRORS:
        return unwritable(str(error))
    return f"the queue {file} cannot be used ({error}); free some disk space or move it away"


def unwritable(reason: str | None) -> str:
    """What it means that the store cannot be written."""
    return (
        f"the store {paths.runs_dir()} cannot be written ({reason}): what is there can be looked at, but nothing can "
        "be trained, changed or deleted until it can"
    )


def store_problem() -> str:
    """Why nothing can be written to the store, in a sentence; "" if it can be. Leaves no trace."""
    folder = paths.runs_dir().absolute()
    while not folder.exists() and folder != folder.parent:  # the store is made when it is needed
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return unwritable(error.strerror)


def _replace(file: Path) -> bool:
    """Set the queue aside if it is damaged; of several processes that see the damage one does it."""
    with named_lock("queue").acquire(timeout=LOCK_TIMEOUT_SECONDS):
        if _is_sound(file):
            return False
        aside = file.with_name(time.strftime("queue-damaged-%Y%m%d-%H%M%S.sqlite"))
        for end in ("-wal", "-shm", ""):  # the log first: it must not be taken for that of the new queue
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{file}{end}", f"{aside}{end}")
        logs.event("queue-damaged", kept=aside.name)
        return True


def _is_sound(file: Path) -> bool:
    """Is it whole, and does it have what every question asks for?"""
    if not file.exists():
        return True
    columns = ", ".join(f.name for f in dataclasses.fields(Job) if f.name not in ("position", "starts_in"))
    try:
        with contextlib.closing(
            _begin(sqlite3.connect(file, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None), True)
        ) as connection:
            connection.execute(f"SELECT {columns} FROM jobs LIMIT 1")
            return connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        return _error_code(error) not in DAMAGE_ERRORS


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
