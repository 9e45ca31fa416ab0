"""The SQLite file of the queue, one row per job. Queries and updates are in `aevae.queue.jobs`.

A missing file is created, an old one is migrated to the newest schema, a damaged one is set aside.
"""

import contextlib
import dataclasses
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from aevae import logs, paths
from aevae.store.files import named_lock

TRAIN = "train"  # the kind of job whose request is a RunConfig
LOCK_TIMEOUT_SECONDS = 10  # longest wait for other processes that write to the queue
DAMAGE_ERRORS = (  # the file may be damaged and is checked; in a sound file no statement of this package fails
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
    """A row of the queue.

    progress: of a training the keys step, steps, epoch, terms, images_per_s, seconds_left, note, held (the job is
    paused at this step), begun_anew (one sentence, if the run could not be resumed from its checkpoint); while data
    are downloaded, loading (text) and part (0..1) instead.
    pace: one of PACES, last changed at the time `told`. ask_step, ask_epoch: numbers of steps and epochs that a paused
    job may still take.
    position: place in its lane (1: next), and `starts_in`: seconds until its start, in listings only. None: unknown,
    because a job before it is paused.
    sweep: the worker claims all jobs of a sweep together and trains them side by side where possible.
    kind: "train", or the kind of a task, whose `config` is the request, `run` the title and `progress` the last report.
    """

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
        """The finished fraction, 0..1."""
        steps = self.progress.get("steps")
        part = self.progress.get("step", 0) / steps if steps else self.progress.get("fraction", 0.0)
        return min(max(float(part), 0.0), 1.0)


class QueueBroken(RuntimeError):
    """The file of the queue cannot be used. The message says what to do."""


def queue_file() -> Path:
    """The path of the queue; the file may not exist yet."""
    return paths.runs_dir() / "queue.sqlite"


@contextlib.contextmanager
def transaction(write: bool = True) -> Generator[sqlite3.Connection]:
    """A connection inside one transaction. Creates the queue if it is missing.

    write: False for a read-only transaction, which waits for no other process and works in a read-only store. A damaged
    queue is moved aside and replaced by a new one (see `set_aside`). Raises QueueBroken.
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
        return _begin(_open(file), write)
    except sqlite3.DatabaseError as error:
        if _error_code(error) in DAMAGE_ERRORS:
            _replace(file)  # unless another process has just done it
            return _begin(_open(file), write)
        if write or _error_code(error) not in (*UNWRITABLE_ERRORS, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        # SQLite cannot create its shared-memory file in a read-only folder; nobody can write there, so it is not needed
        return _begin(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", isolation_level=None, uri=True), write)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None)


def _begin(connection: sqlite3.Connection, write: bool) -> sqlite3.Connection:
    """The same connection in a transaction, with the newest schema. It is closed on failure."""
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
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is SQLite's primary error code


def _message(file: Path, error: sqlite3.Error, replaced: bool) -> str:
    """One sentence: what is wrong with the queue, and what to do."""
    code = _error_code(error)
    if replaced:
        return f"the queue {file} was damaged and is replaced by a new one; try again"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the queue {file} is in use by another program; try again in a moment"
    if code in UNWRITABLE_ERRORS:
        return unwritable(str(error))
    return f"the queue {file} cannot be used ({error}); free some disk space or move it away"


def unwritable(reason: str | None) -> str:
    """One sentence: the store cannot be written for this reason, and what users cannot do."""
    return (
        f"the store {paths.runs_dir()} cannot be written ({reason}): you can look at the stored runs, but you "
        "cannot train, change or delete anything until it can be written"
    )


def store_problem() -> str:
    """One sentence: why the store cannot be written; "" if it can. Leaves no file behind."""
    folder = paths.runs_dir().absolute()
    while not folder.exists() and folder != folder.parent:  # the store is created at its first use
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return unwritable(error.strerror)


def _replace(file: Path) -> bool:
    """Move the damaged queue aside. True if this process did it, False if another process did."""
    with named_lock("queue").acquire(timeout=LOCK_TIMEOUT_SECONDS):
        if _is_sound(file):
            return False
        aside = file.with_name(time.strftime("queue-damaged-%Y%m%d-%H%M%S.sqlite"))
        for end in ("-wal", "-shm", ""):  # the log first, or SQLite would apply it to the new queue
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{file}{end}", f"{aside}{end}")
        logs.event("queue-damaged", kept=aside.name)
        return True


def _is_sound(file: Path) -> bool:
    """Whether the file is undamaged and has every column of `Job`."""
    if not file.exists():
        return True
    columns = ", ".join(f.name for f in dataclasses.fields(Job) if f.name not in ("position", "starts_in"))
    try:
        with contextlib.closing(_begin(_open(file), True)) as connection:
            connection.execute(f"SELECT {columns} FROM jobs LIMIT 1")
            return connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        return _error_code(error) not in DAMAGE_ERRORS


def set_aside() -> str:
    """One sentence while the store holds a damaged queue, else ""."""
    aside = sorted(paths.runs_dir().glob("queue-damaged-*.sqlite"))
    if not aside:
        return ""
    return (
        "the queue was damaged, so it was replaced: no run is lost, but waiting jobs are lost; queue them again. "
        f"The damaged queue is {aside[-1]}; delete that file to hide this message"
    )


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _migrate(connection: sqlite3.Connection) -> None:
    """Migrate the file to the newest schema, inside the open transaction so that only one process does it."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError("it was made by a newer version of this program")
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def job_of(row: sqlite3.Row, position: int = 0) -> Job:
    """The Job of a row of the table `jobs`."""
    values = dict(row)
    values["config"], values["progress"] = _object(values["config"]), _object(values["progress"])
    values["cancel"] = bool(values["cancel"])
    return Job(**values, position=position)


def _object(text: str) -> dict:
    """The JSON object of a text; {} for damaged text, which every worker refuses as a request."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
