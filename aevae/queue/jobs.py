"""The job queue: one SQLite file per store, one worker process per lane. Imports neither torch nor Streamlit.

A lane is a device that trains, or `tasks` for other long computations (maps, evaluations). The worker of a lane
(`aevae.queue.worker`) holds the lane's lock file while it lives: a free lock means that there is no worker.
States of a job: queued -> running -> done | failed | cancelled.
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
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from aevae import logs, paths
from aevae.queue import processes
from aevae.queue.queuefile import TRAIN, Job, QueueBroken, job_of, queue_file, transaction, unwritable
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.store.files import named_lock

TASKS_LANE = "tasks"  # the lane of all jobs that are not trainings
KINDS = {  # kind of task -> module:function that runs it
    "map": "aevae.queue.map_task:work",
    "evaluate": "aevae.queue.evaluation_task:work",
    "estimate": "aevae.queue.estimates:work",  # takes about a second and precedes the other tasks
}
PACES = {"pause": 0.0, "crawl": 1.0, "slow": 5.0, "brisk": 20.0, "go": math.inf}  # steps per second
PAUSE_LIMIT_SECONDS = 600  # without a request for so long, a paused or slowed job continues at full speed
MAX_WAITING_TASKS = 300  # ten for each of thirty users
START_SECONDS = 3.0  # shortest time between two worker starts in one lane
POLL_SECONDS = 0.05  # interval of checks whether a stopping worker has ended
MAX_ACTIVE_JOBS = 10_000  # limit of listings that need every waiting and running job

# -- requests of pages and commands ----------------------------------------------------------------------------------


def submit(config: RunConfig, device: str = "auto", seconds: float | None = None) -> Job:
    """The queued or running job of this run; a new job if there is none.

    seconds: expected duration, shown to users whose jobs wait behind it.
    """
    return submit_all([config], device, seconds)[0]


def submit_all(configs: Sequence[RunConfig], device: str = "auto", seconds: float | None = None) -> list[Job]:
    """The jobs of these runs, as `submit` returns them. Several runs form one sweep that takes `seconds` in total."""
    names = "".join(config.name for config in configs)
    sweep = hashlib.sha256(names.encode()).hexdigest()[:12] if len(configs) > 1 else ""
    progress = json.dumps({} if seconds is None else {"seconds_left": round(seconds, 1)})
    with transaction() as db:
        numbers = [
            _insert_or_get(db, (c.fingerprint, c.name, json.dumps(c.to_dict()), device, sweep, TRAIN), progress)
            for c in configs
        ]
    return [get(number) for number in numbers]  # ty: ignore[invalid-explicit-return]  (none is missing)


def submit_task(kind: str, name: str, request: dict) -> Job:
    """The queued or running job of this task; a new job if there is none.

    The worker of TASKS_LANE calls the function KINDS[kind] as `work(request, tell, should_stop)`. `work` returns True
    if it finished and False if it was stopped, and raises ValueError with one sentence for a wrong request. The JSON
    data that it passes to `tell` becomes `Job.progress`. name: title of the job. Raises ValueError for an unknown
    kind, QueueBroken if too many tasks wait.
    """
    if kind not in KINDS:
        raise ValueError(f"a task is one of {', '.join(KINDS)}, got {kind}")
    written, fingerprint = json.dumps(request, sort_keys=True), task_fingerprint(kind, request)
    with transaction() as db:
        waiting = "SELECT count(*) FROM jobs WHERE kind != 'train' AND state = 'queued' AND fingerprint != ?"
        if db.execute(waiting, (fingerprint,)).fetchone()[0] >= MAX_WAITING_TASKS:
            raise QueueBroken(f"{MAX_WAITING_TASKS} maps and evaluations already wait; try again when some are done")
        number = _insert_or_get(db, (fingerprint, name, written, "cpu", "", kind))
    return get(number)  # ty: ignore[invalid-explicit-return]


def task_fingerprint(kind: str, request: dict) -> str:
    """Identity of a task: hash of its kind and request."""
    return hashlib.sha256(f"{kind} {json.dumps(request, sort_keys=True)}".encode()).hexdigest()[:12]


def _insert_or_get(db: sqlite3.Connection, values: tuple[str, str, str, str, str, str], progress: str = "{}") -> int:
    """Id of the queued or running job of this fingerprint; if there is none, of a new job with these values."""
    row = db.execute(
        "SELECT id FROM jobs WHERE fingerprint = ? AND state IN ('queued', 'running')", values[:1]
    ).fetchone()
    if row:
        return row["id"]
    done = db.execute(
        "INSERT INTO jobs (fingerprint, run, config, device, sweep, kind, progress, state, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?)",
        (*values, progress, time.time()),
    )
    number = int(done.lastrowid or 0)
    logs.event("queued", job=number, kind=values[-1], run=values[0])
    return number


def resume(number: int) -> Job:
    """A new job for the same run, resumed from its checkpoint even if it diverged. Raises ValueError, OSError."""
    job = get(number)
    if job is None:
        raise ValueError(f"there is no job {number}")
    if job.kind != TRAIN:
        return submit_task(job.kind, job.run, job.config)
    checkpoints.reopen(job.run)
    return submit(RunConfig.from_dict(job.config), job.device, job.progress.get("seconds_left"))


def cancel(*numbers: int) -> None:
    """Cancel jobs: queued ones at once, running ones between two steps. Their checkpoints stay."""
    now = time.time()
    with transaction() as db:
        for number in numbers:
            db.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = 'running'", (number,))
            db.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'", (now, number)
            )


def pace(number: int, name: str) -> None:
    """Set the pace (one of PACES) of a queued or running job. Raises ValueError."""
    if name not in PACES:
        raise ValueError(f"pace must be one of {', '.join(PACES)}, got {name}")
    _update_pace(number, "pace = ?, ask_step = 0, ask_epoch = 0", name)


def advance(number: int, by: str) -> None:
    """Let a job take one step (`by` "step") or finish its epoch ("epoch"), then pause. Raises ValueError."""
    if by not in ("step", "epoch"):
        raise ValueError(f"a job advances by step or epoch, got {by}")
    _update_pace(number, f"pace = 'pause', ask_{by} = ask_{by} + 1")


def _update_pace(number: int, change: str, *values) -> None:
    with transaction() as db:
        db.execute(
            f"UPDATE jobs SET {change}, told = max(?, 0.001 + (SELECT max(told) FROM jobs)) "  # grows
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
    """The running jobs, then the queued ones in order, then the newest ended ones; [] if there is no queue.

    lane: TASKS_LANE selects the tasks, any other value the trainings.
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
    """The newest job of this fingerprint in any state, or None."""
    rows = _select("WHERE fingerprint = ? ORDER BY id DESC LIMIT 1", fingerprint)
    return job_of(rows[0]) if rows else None


def ended_trainings(limit: int) -> list[Job]:
    """Finished trainings, the newest first."""
    return [
        job_of(row) for row in _select("WHERE kind = 'train' AND state = 'done' ORDER BY ended DESC LIMIT ?", limit)
    ]


def _select(rest: str, *values) -> list[sqlite3.Row]:
    if not queue_file().exists():
        return []
    with transaction(write=False) as db:
        return db.execute(f"SELECT * FROM jobs {rest}", values).fetchall()


def seconds_left(sweep: Sequence[Job]) -> float | None:
    """Seconds until these jobs of one sweep end; None if one is paused or unknown. Groups run one after another."""
    groups: dict[int, float] = {}
    for job in sweep:
        group, left = job.progress.get("group", 0), job.progress.get("seconds_left")
        if left is None or job.pace != "go":
            return None
        groups[group] = max(left, groups.get(group, left))
    return sum(groups.values())


def _with_start_times(listing: list[Job]) -> list[Job]:
    """The same jobs with `starts_in`: the total seconds of the jobs before each one."""
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
    """The queued or running job of this run, or None."""
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


def _lock_file() -> Path:
    return paths.runs_dir() / ".locks" / "training-locked"


def lock(on: bool) -> None:
    """Set or clear the lock file that tells pages (`locked`) not to accept new runs. Existing jobs continue."""
    file = _lock_file()
    if on:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    else:
        file.unlink(missing_ok=True)


def locked() -> bool:
    """Whether `lock` is on."""
    return _lock_file().exists()


def prune(keep: int = 200, kind: str = "") -> None:
    """Delete all but the `keep` newest ended jobs of this kind ("": of all kinds). Their runs stay."""
    ended = "state NOT IN ('queued', 'running') AND (? IN ('', kind))"
    with transaction() as db:
        db.execute(
            f"DELETE FROM jobs WHERE {ended} AND id NOT IN "
            f"(SELECT id FROM jobs WHERE {ended} ORDER BY ended DESC LIMIT ?)",
            (kind, kind, keep),
        )


# -- workers ---------------------------------------------------------------------------------------------------------


def lane_lock(lane: str) -> FileLock:
    """The lock that the worker of a lane holds."""
    return named_lock(f"worker-{lane.replace(':', '-')}")


def worker_alive(lane: str = "auto") -> bool:
    """Whether a process holds the lock of this lane."""
    try:
        with lane_lock(lane).acquire(timeout=0):
            return False
    except Timeout:
        return True


def address_file(lane: str, parent: int | str) -> Path:
    """The file with the process id of the worker that serves this lane for this parent process.

    Removing the file ends the worker cleanly. A signal might reach a launcher only: on Windows the `python.exe` of a
    virtual environment starts the real interpreter as its child.
    """
    return paths.runs_dir() / ".locks" / f"worker-{lane.replace(':', '-')}-of-{parent}.pid"


def _address(lane: str) -> int | None:
    """Process id of the worker that serves this lane for this process; None if there is none (yet)."""
    try:
        return int(address_file(lane, os.getpid()).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


_spawned: dict[str, subprocess.Popen] = {}
_next_start: dict[str, float] = {}  # lane -> earliest start of its next worker (time.monotonic)
_spawning = threading.Lock()  # thirty sessions may call `ensure_worker` in one second
_ending = threading.Event()  # this process is ending and starts no more workers


def worker_arguments(lane: str) -> list[str]:
    """Command-line arguments of a worker of this process."""
    return ["worker", "--device", lane, "--parent", str(os.getpid())]


def ensure_worker(lane: str = "auto") -> None:
    """Start a worker process if there are queued or running jobs and no worker. Cheap: pages call it at every rerun.

    lane: the device that trains, or TASKS_LANE. Raises QueueBroken.
    """
    _start_worker(lane, lambda: _any_active(lane))


def wake_worker(lane: str = "auto") -> None:
    """Start a worker process before its first job; it imports what a training needs. Raises QueueBroken."""
    _start_worker(lane, lambda: True)


def _start_worker(lane: str, is_needed: Callable[[], bool]) -> None:
    with _spawning:
        for ended in [key for key, process in _spawned.items() if process.poll() is not None]:  # poll() reaps it
            del _spawned[ended]
        try:
            if _ending.is_set() or lane in _spawned or not is_needed() or worker_alive(lane):
                return
            if time.monotonic() < _next_start.get(lane, 0.0):  # do not restart a failing worker at every rerun
                return
            _next_start[lane] = time.monotonic() + START_SECONDS
            with open(logs.worker_file(), "ab") as out:  # used until the worker opens the file itself
                _spawned[lane] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "aevae", *worker_arguments(lane)],
                    env=os.environ | paths.import_path(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
        except OSError as error:
            raise QueueBroken(unwritable(error.strerror)) from error


def end_workers(grace: float) -> None:
    """End the workers that this process started, and start no new ones.

    A worker that does not reach the end of its step within `grace` seconds is killed and its jobs are queued again.
    """
    _ending.set()
    end = time.monotonic() + grace
    _spawning.acquire(timeout=grace / 4)  # wait until a worker that is being started is in _spawned
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
            processes.end_child(process)
            with contextlib.suppress(QueueBroken):
                requeue(lane)


def requeue(lane: str) -> None:
    """Queue the running jobs of a lane again, or cancel them if a user asked for it. Does not count as an attempt."""
    with transaction() as db:
        db.execute(
            "UPDATE jobs SET state = iif(cancel, 'cancelled', 'queued'), attempts = attempts - 1 "
            "WHERE state = 'running' AND slot = ?",
            (lane,),
        )
