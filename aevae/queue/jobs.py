"""One queue on disk for everybody, one worker process per lane. No torch, no Streamlit in this file's imports.

A lane is a device that trains, or `tasks`: what else takes longer than a page may (maps, evaluations), beside training.
A job is a row of SQLite; its worker (`aevae.queue.worker`) is whoever holds the lock file of its lane, so a dead worker
is known by its free lock, not by a clock. States: queued -> running -> done | failed | cancelled.
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
from pathlib import Path

from filelock import FileLock, Timeout

from aevae import logs, paths
from aevae.queue import processes
from aevae.queue.queuefile import TRAIN, Job, QueueBroken, job_of, named_lock, queue_file, transaction, unwritable
from aevae.run_config import RunConfig
from aevae.store import checkpoints

TASKS_LANE = "tasks"  # the lane of all other kinds
KINDS = {  # see `submit_task`
    "map": "aevae.queue.map_task:work",
    "evaluate": "aevae.queue.evaluation_task:work",
    "estimate": "aevae.queue.estimates:work",  # which takes a second, and is taken before the others
}
PACES = {"pause": 0.0, "crawl": 1.0, "slow": 5.0, "brisk": 20.0, "go": math.inf}  # steps a second
PAUSE_LIMIT_SECONDS = 600  # seconds without a word after which a paused or slowed job goes on by itself
MAX_WAITING_TASKS = 300  # that wait: of thirty people ten each
POLL_SECONDS = 0.05  # between two looks at a worker that is to end
MAX_ACTIVE_JOBS = 10_000  # jobs looked through for the one that waits or runs

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
    with transaction() as db:
        numbers = [
            _insert_or_get(db, (c.fingerprint, c.name, json.dumps(c.to_dict()), device, sweep, TRAIN), begin)
            for c in configs
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
    written, fingerprint = json.dumps(request, sort_keys=True), task_fingerprint(kind, request)
    with transaction() as db:
        waiting = "SELECT count(*) FROM jobs WHERE kind != 'train' AND state = 'queued' AND fingerprint != ?"
        if db.execute(waiting, (fingerprint,)).fetchone()[0] >= MAX_WAITING_TASKS:
            raise QueueBroken(f"{MAX_WAITING_TASKS} maps and evaluations wait already; try again when some are done")
        number = _insert_or_get(db, (fingerprint, name, written, "cpu", "", kind))
    return get(number)


def task_fingerprint(kind: str, request: dict) -> str:
    """Identity of a task."""
    return hashlib.sha256(f"{kind} {json.dumps(request, sort_keys=True)}".encode()).hexdigest()[:12]


def _insert_or_get(db: sqlite3.Connection, values: tuple[str, str, str, str, str, str], progress: str = "{}") -> int:
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
    """Queue the same run again; it goes on from its checkpoint, even if it diverged. Raises ValueError, OSError."""
    job = get(number)
    if job is None:
        raise ValueError(f"there is no job {number}")
    if job.kind != TRAIN:
        return submit_task(job.kind, job.run, job.config)
    checkpoints.reopen(job.run)
    return submit(RunConfig.from_dict(job.config), job.device, job.progress.get("seconds_left"))


def cancel(*numbers: int) -> None:
    """Queued jobs are cancelled at once, running ones between two steps; their checkpoints stay."""
    now = time.time()
    with transaction() as db:
        for number in numbers:
            db.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (number,))
            db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'", (now, number)
            )


def pace(number: int, name: str) -> None:
    """Let a waiting or running job go at this pace (of PACES), until told otherwise. Raises ValueError."""
    if name not in PACES:
        raise ValueError(f"pace must be one of {', '.join(PACES)}, got {name}")
    _update_pace(number, "pace = ?, ask_step = 0, ask_epoch = 0", name)


def advance(number: int, by: str) -> None:
    """Let a job go one step, or to the end of an epoch (`by` "step" or "epoch"), and pause there. Raises ValueError."""
    if by not in ("step", "epoch"):
        raise ValueError(f"a job advances by step or epoch, got {by}")
    _update_pace(number, f"pace = 'pause', ask_{by} = ask_{by} + 1")


def _update_pace(number: int, change: str, *values) -> None:
    with transaction() as db:
        db.execute(
            f"UPDATE jobs SET {change}, told = max(?, 0.001 + (SELECT max(told) FROM jobs)) "  # whatever clocks do
            "WHERE id = ? AND state IN ('queued', 'running')",
            (*values, time.time(), number),
        )


def get(number: int) -> Job | None:
    """The job of this number, or None."""
    if not queue_file().exists():
        return None
    with transaction(write=False) as db:
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
    if not queue_file().exists():
        return []
    with transaction(write=False) as db:
        rows = db.execute(
            "SELECT * FROM jobs WHERE (kind = 'train') = ? "
            "ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, "
            "CASE WHEN state IN ('running', 'queued') THEN id ELSE -coalesce(ended, 0) END LIMIT ?",
            (lane != TASKS_LANE, limit),
        ).fetchall()
    waiting = itertools.count(1)
    return _with_start_times([job_of(row, next(waiting) if row["state"] == "queued" else 0) for row in rows])


def newest(fingerprint: str) -> Job | None:
    """The newest job of this fingerprint, whatever became of it."""
    rows = _select("WHERE fingerprint = ? ORDER BY id DESC LIMIT 1", fingerprint)
    return job_of(rows[0]) if rows else None


def ended_trainings(limit: int) -> list[Job]:
    """Trainings that are done, the newest first."""
    return [
        job_of(row) for row in _select("WHERE kind = 'train' AND state = 'done' ORDER BY ended DESC LIMIT ?", limit)
    ]


def _select(rest: str, *values) -> list[sqlite3.Row]:
    if not queue_file().exists():
        return []
    with transaction(write=False) as db:
        return db.execute(f"SELECT * FROM jobs {rest}", values).fetchall()


def seconds_left(sweep: Sequence[Job]) -> float | None:
    """Until these jobs of one sweep are done, whose groups go one after another; None: one is paused, or not known."""
    groups: dict[int, list[float | None]] = {}
    for job in sweep:
        left = job.progress.get("seconds_left") if job.pace == "go" else None
        groups.setdefault(job.progress.get("group", 0), []).append(left)
    lefts = [left for group in groups.values() for left in group]
    return None if None in lefts else sum(max(group) for group in groups.values())


def _with_start_times(listing: list[Job]) -> list[Job]:
    """The same, with `starts_in`: what runs and waits before a job takes so long."""
    ahead, sweeps, found = 0.0, set(), []
    for job in listing:
        found.append(dataclasses.replace(job, starts_in=ahead) if job.state == "queued" else job)
        if not job.active or job.sweep in sweeps:
            continue
        sweeps |= {job.sweep} - {""}
        left = seconds_left(
            [other for other in listing if other.active and other.sweep == job.sweep] if job.sweep else [job]
        )
        ahead = None if ahead is None or left is None else ahead + left
    return found


def active(fingerprint: str) -> Job | None:
    """The queued or running job of this run."""
    if not queue_file().exists():
        return None
    with transaction(write=False) as db:
        row = db.execute(
            "SELECT id FROM jobs WHERE fingerprint = ? AND state IN ('queued', 'running')", (fingerprint,)
        ).fetchone()
    return get(row["id"]) if row else None


def _any_active(lane: str) -> bool:
    if not queue_file().exists():
        return False
    with transaction(write=False) as db:
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


def prune(keep: int = 200, kind: str = "") -> None:
    """Forget all but the last ended jobs (of this kind; the runs stay)."""
    ended = "state NOT IN ('queued', 'running') AND (? IN ('', kind))"
    with transaction() as db:
        db.execute(
            f"DELETE FROM jobs WHERE {ended} AND id NOT IN "
            f"(SELECT id FROM jobs WHERE {ended} ORDER BY ended DESC LIMIT ?)",
            (kind, kind, keep),
        )


# -- workers ---------------------------------------------------------------------------------------------------------


def lane_lock(lane: str) -> FileLock:
    """What the worker of a lane holds."""
    return named_lock(f"worker-{lane.replace(':', '-')}")


def worker_alive(lane: str = "auto") -> bool:
    """Does a process hold the slot of this lane?"""
    try:
        with lane_lock(lane).acquire(timeout=0):
            return False
    except Timeout:
        return True


def address_file(lane: str, parent: int | str) -> Path:
    """Holds the process number of the worker that serves this lane for this parent process.

    The worker ends in order when the file is removed. So it can be reached however many launchers lie between the
    two: on Windows the `python.exe` of a virtual environment is one, and a signal would end the launcher alone.
    """
    return paths.runs_dir() / ".locks" / f"worker-{lane.replace(':', '-')}-of-{parent}.pid"


def _address(lane: str) -> int | None:
    """Process number of the worker that serves this lane for this process; None if there is none (yet)."""
    try:
        return int(address_file(lane, os.getpid()).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


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
            with open(logs.worker_file(), "ab") as out:  # until the worker opens it for itself
                _spawned[lane] = subprocess.Popen(
                    [sys.executable, "-m", "aevae", "worker", "--device", lane, "--parent", str(os.getpid())],
                    cwd=paths.ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
        except OSError as error:
            raise QueueBroken(unwritable(error.strerror)) from error


def end_workers(grace: float) -> None:
    """End the workers that this process started, for good; jobs of one that takes longer than `grace` seconds to come
    to the end of a step wait again, as if it had."""
    _ending.set()
    end = time.monotonic() + grace
    _spawning.acquire(timeout=grace / 4)  # one that is being started is known then
    started = [(lane, process, _address(lane)) for lane, process in _spawned.items()]
    for lane, *_ in started:
        with contextlib.suppress(OSError):
            address_file(lane, os.getpid()).unlink()
    for lane, process, worker in started:
        runs = lambda process=process, worker=worker: (  # noqa: E731
            process.poll() is None or (worker is not None and processes.is_running(worker))
        )
        while runs() and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        if runs():
            if worker is not None:
                processes.kill(worker)
            process.kill()
            process.wait()
            with contextlib.suppress(QueueBroken):
                requeue(lane)


def requeue(lane: str) -> None:
    """What a lane left running in order waits again (or is cancelled, if that was asked for)."""
    with transaction() as db:
        db.execute(
            "UPDATE jobs SET state = iif(cancel, 'cancelled', 'queued'), attempts = attempts - 1 "
            "WHERE state = 'running' AND slot = ?",
            (lane,),
        )
