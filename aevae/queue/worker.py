"""The worker process: runs the jobs of the queue (`aevae.queue.jobs`), trainings or tasks. It starts without torch.

A job in the state "running" whose lane is not locked has lost its worker. It is queued again; the second time it fails.
"""

import contextlib
import importlib
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path

from filelock import Timeout

from aevae import logs
from aevae.config import DataConfig
from aevae.queue import processes
from aevae.queue.errors import OUT_OF_MEMORY, user_message
from aevae.queue.jobs import KINDS, PAUSE_LIMIT_SECONDS, TASKS_LANE, address_file, lane_lock
from aevae.queue.pace import POLL_SECONDS, PaceControl
from aevae.queue.progress import Progress
from aevae.queue.queuefile import TRAIN, Job, QueueBroken, job_of, transaction
from aevae.run_config import RunConfig
from aevae.store import checkpoints

MAX_ATTEMPTS = 2  # a job fails after its worker died this many times
WORKER_DIED = (
    f"its worker ended unexpectedly {MAX_ATTEMPTS} times, perhaps out of memory (use a smaller batch or network); "
    "see worker.log in the store; the progress is saved"
)
HEARTBEAT_SECONDS = 0.5  # a worker reads and writes its job this often
IDLE_SECONDS = 0.2  # an idle worker looks for jobs this often
MAX_IDLE_SECONDS = 600  # a worker without a parent ends after this long without a job; None: never
_nice = os.environ.get("AEVAE_NICE", "")
NICE = int(_nice) if _nice.isdigit() else 15  # the interface takes precedence over training


class _DownloadStopped(Exception):
    """A download was interrupted between two pieces."""


class Worker:
    """Runs jobs one after another until it is stopped, its parent ends, or, with `once`, the queue is empty."""

    def __init__(self, device: str = "auto", parent: int | None = None, once: bool = False):
        self.device, self.parent, self.once = device, parent, once
        self.stop = threading.Event()  # if set, the process ends and its job is queued again
        self.cancelled: set[int] = set()  # ids of jobs that users cancelled
        self.prepared = False  # whether torch is imported and the default data set is loaded
        self.restart_needed = False  # set when out of memory: imports may be broken, free memory is fragmented

    def run(self) -> int:
        """Exit code: 0 at the end, 3 if another worker has the lane. Raises ValueError for an unknown device."""
        if self.device not in ("auto", TASKS_LANE):  # other names are checked, which imports torch
            from aevae.training.device import pick_device

            pick_device(self.device)
        try:
            lock = lane_lock(self.device).acquire(timeout=3)  # `worker_alive` may hold it for a moment
        except Timeout:
            print(f"another worker already serves {self.device}", file=sys.stderr)
            return 3
        with lock, self._reachable():
            if threading.current_thread() is threading.main_thread():
                for name in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(name, lambda *_: self.stop.set())
            if hasattr(os, "nice"):
                os.nice(NICE)
            self._serve()
        return 0

    @contextlib.contextmanager
    def _reachable(self) -> Generator[None]:
        """Write the address file, and stop when it is removed or the parent process ends."""
        if self.parent is None:
            yield
            return
        file = address_file(self.device, self.parent)
        over = threading.Event()
        with contextlib.suppress(OSError):  # without the file (full or read-only disk) the worker can only be killed
            for left in file.parent.glob(address_file(self.device, "*").name):  # left by workers that crashed
                left.unlink(missing_ok=True)
            file.write_text(str(os.getpid()), encoding="ascii")
        watch = threading.Thread(target=self._watch, args=(self.parent, file, file.exists(), over), daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    def _watch(self, parent: int, file: Path, reachable: bool, over: threading.Event) -> None:
        while processes.is_running(parent) and (file.exists() or not reachable):
            logs.trim_worker_file()
            if over.wait(POLL_SECONDS):
                return
        self.stop.set()

    def _serve(self) -> None:
        idle_since = time.monotonic()
        while not self.stop.is_set():
            try:
                self._recover()
                jobs = self._claim()
            except QueueBroken:  # try again: another program may hold the lock, or the disk may be full
                if self.once:
                    raise
                logs.event("queue_unusable", lane=self.device)
                self.stop.wait(10 * HEARTBEAT_SECONDS)
                continue
            if jobs:
                self._train(jobs) if jobs[0].kind == TRAIN else self._run_task(jobs[0])
                idle_since = time.monotonic()
                if self.restart_needed and self.parent is not None:
                    return  # the server starts another worker
            elif self.once or (self.parent is None and time.monotonic() - idle_since > MAX_IDLE_SECONDS):
                return
            else:
                self._prepare()
                self.stop.wait(IDLE_SECONDS)

    def _prepare(self) -> None:
        """Import what a training needs and load the default data set, once, so that the first job starts at once."""
        if self.device == TASKS_LANE or self.prepared:
            return
        self.prepared = True
        with contextlib.suppress(Exception):  # a job would report the problem
            from aevae import datasets, runs  # noqa: F401  (imports torch)

            datasets.load(DataConfig())

    # -- jobs of the queue

    def _recover(self) -> None:
        """Queue the running jobs of lanes without a worker, and of this lane: this worker is between two jobs."""
        with transaction() as db:
            lanes = [row["slot"] for row in db.execute("SELECT DISTINCT slot FROM jobs WHERE state = 'running'")]
        for lane in lanes:
            if lane == self.device:
                self._requeue_lost(lane)
            else:
                with contextlib.suppress(Timeout), lane_lock(lane).acquire(timeout=0):
                    self._requeue_lost(lane)

    def _requeue_lost(self, lane: str) -> None:
        with transaction() as db:
            db.execute(
                "UPDATE jobs SET state = 'failed', ended = ?, error = ? WHERE state = 'running' AND slot = ? "
                "AND attempts >= ?",
                (time.time(), WORKER_DIED, lane, MAX_ATTEMPTS),
            )
            db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running' AND slot = ?", (lane,))

    def _claim(self) -> list[Job]:
        """The next job, with the others of its sweep; [] if no job waits."""
        task = self.device == TASKS_LANE
        mine = f"state = 'queued' AND kind {'!=' if task else '='} 'train' AND (? OR device IN ('auto', ?))"
        lane = (self.device in ("auto", TASKS_LANE), self.device)
        same = "sweep = ? AND sweep != '' AND device = ?"
        with transaction() as db:
            order = "ORDER BY kind != 'estimate', id LIMIT 1"  # estimates first: users wait for them at a form
            first = db.execute(f"SELECT * FROM jobs WHERE {mine} {order}", lane).fetchone()
            if first is None:
                return []
            rows = db.execute(
                f"SELECT * FROM jobs WHERE {mine} AND (id = ? OR ({same})) ORDER BY id",
                (*lane, first["id"], first["sweep"], first["device"]),
            ).fetchall()
            now = time.time()
            db.executemany(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, slot = ?, cancel = 0, "
                "started = coalesce(started, ?), beat = ? WHERE id = ?",
                [(self.device, now, now, row["id"]) for row in rows],
            )
        for row in rows:
            logs.event("running", job=row["id"], kind=row["kind"], lane=self.device)
        return [job_of(row) for row in rows]

    def _end(self, job: Job, state: str, error: str, trace: str, progress: Progress) -> None:
        """Write how the job ended. On a full disk, try again until there is space.

        A job that a user cancelled while it was being queued again ends as cancelled.
        """
        while True:
            try:
                with transaction() as db:
                    row = db.execute("SELECT cancel FROM jobs WHERE id = ?", (job.id,)).fetchone()
                    if state == "queued" and row and row["cancel"]:
                        state = "cancelled"
                    figures = json.dumps(progress.to_dict())
                    db.execute(
                        "UPDATE jobs SET state = ?, error = ?, trace = ?, progress = ?, ended = ?, "
                        "attempts = attempts - (? = 'queued') WHERE id = ? AND fingerprint = ?",
                        (state, error, trace, figures, time.time(), state, job.id, job.fingerprint),
                    )
                logs.event(state, job=job.id, kind=job.kind)
                return
            except QueueBroken:
                logs.event("end_not_written", job=job.id, state=state)
                if self.stop.wait(10 * HEARTBEAT_SECONDS):
                    raise

    # -- work

    def _train(self, jobs: list[Job]) -> None:
        """Train the jobs of one sweep. If one is cancelled, all stop between two steps; the others are queued again."""
        self.cancelled.clear()
        pace, setup_seconds = PaceControl(), -time.monotonic()
        progress = [
            Progress(lambda: time.monotonic() - pace.paused_seconds, job.progress.get("seconds_left")) for job in jobs
        ]
        ends, trace = [("failed", "")] * len(jobs), ""
        lead: list[int] = []  # index of the first job that reports; the others are at the same step

        def on_event(i: int, event) -> None:
            progress[i](event)
            lead or lead.append(i)
            if i == lead[0]:
                pace.on_event(event)

        with self._heartbeat(jobs, progress, pace):
            try:
                from aevae import datasets, runs  # imports torch
                from aevae.training.device import gpu_warning

                device = jobs[0].device if self.device == "auto" else self.device
                configs = [RunConfig.from_dict(job.config) for job in jobs]
                setup_seconds += time.monotonic()
                datasets.load(configs[0].data, on_progress=self._on_loading(progress))  # reports a download
                began = time.monotonic()
                for each in progress:
                    each.note = gpu_warning() if device == "auto" else ""
                groups = self._set_expected(configs, device, jobs, progress)
                stop = lambda: pace.wait(self._should_stop)  # noqa: E731
                results = runs.sweep(configs, device, on_event, stop, is_watched=pace.is_watched)
                ends = [self._state_of(job, result) for job, result in zip(jobs, results, strict=True)]
                seconds = setup_seconds + time.monotonic() - began - pace.paused_seconds
                self._save_timings(configs, device, progress, groups, seconds)
            except _DownloadStopped:
                ends = [(self._stopped_state(job), "") for job in jobs]
            except BaseException as problem:  # a Rust panic is not an Exception
                error, trace = self._user_message(problem), traceback.format_exc()
                finished = [checkpoints.finished_run(job.run) for job in jobs]  # some runs of a sweep may be finished
                ends = [("done", "") if run else ("failed", error) for run in finished]
        for job, (state, error), each in zip(jobs, ends, progress, strict=True):
            self._end(job, state, error, trace if error else "", each)

    def _run_task(self, task: Job) -> None:
        """Run a task; see `jobs.submit_task`."""
        self.cancelled.clear()
        progress = Progress()
        state, error, trace = "done", "", ""
        with self._heartbeat([task], [progress], PaceControl()):
            try:
                module, function = KINDS[task.kind].split(":")
                work = getattr(importlib.import_module(module), function)
                if not work(task.config, progress.set_figures, self._should_stop):
                    state = self._stopped_state(task)
            except BaseException as problem:
                state, error, trace = "failed", self._user_message(problem), traceback.format_exc()
        self._end(task, state, error, trace, progress)

    def _set_expected(
        self, configs: list[RunConfig], device: str, jobs: list[Job], progress: list[Progress]
    ) -> list[list[int]]:
        """Set the group and expected seconds of each job. Returns the groups as lists of indices of jobs."""
        from aevae.queue import estimates

        groups = estimates.groups(configs, device)
        for number, (indices, seconds) in enumerate(groups):
            for i in indices:
                total = jobs[i].progress.get("seconds_left")  # of all groups together
                progress[i].set_expected(total and total / len(groups) if seconds is None else seconds, number)
        return [indices for indices, _seconds in groups]

    def _save_timings(
        self, configs: list[RunConfig], device: str, progress: list[Progress], groups: list[list[int]], seconds: float
    ) -> None:
        """Store the measured time of each group with its first job, for later estimates. seconds: of all groups."""
        from aevae.queue import estimates
        from aevae.training.device import pick_device

        trained = sum(progress[indices[0]].trained_seconds for indices in groups)
        overhead = max(seconds - trained, 0.0) / len(groups)
        for indices in groups:
            first = progress[indices[0]]
            if first.trained_seconds:
                group = [configs[i] for i in indices]
                with contextlib.suppress(QueueBroken):
                    first.figures["took"] = estimates.took(
                        group, device, str(pick_device(device)), first.full_training_seconds, overhead
                    )

    def _on_loading(self, progress: list[Progress]) -> Callable[[float, str], None]:
        def on_progress(fraction: float, text: str) -> None:
            if self._should_stop():
                raise _DownloadStopped
            for each in progress:
                each.on_loading(fraction, text)

        return on_progress

    def _should_stop(self) -> bool:
        return self.stop.is_set() or bool(self.cancelled)

    def _state_of(self, job: Job, result) -> tuple[str, str]:
        """(state, error) of a job whose run ended with this result."""
        if result.finished:
            return "done", ""
        return ("failed", result.error) if result.error else (self._stopped_state(job), "")

    def _stopped_state(self, job: Job) -> str:
        """State of a stopped job: cancelled by a user, or queued (the process or another job of its sweep ends)."""
        return "cancelled" if job.id in self.cancelled else "queued"

    def _user_message(self, problem: BaseException) -> str:
        """One sentence about an error. Raises it again if it is meant to end the process."""
        if isinstance(problem, SystemExit | KeyboardInterrupt):
            raise problem
        message = user_message(problem)
        self.restart_needed |= message == OUT_OF_MEMORY or not isinstance(problem, Exception)
        return message

    # -- heartbeat

    @contextlib.contextmanager
    def _heartbeat(self, jobs: list[Job], progress: list[Progress], pace: PaceControl) -> Generator[None]:
        """Context in which a thread writes the jobs' progress to the queue and reads the users' requests from it."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(jobs, progress, pace, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, jobs: list[Job], progress: list[Progress], pace: PaceControl, over: threading.Event) -> None:
        written = -math.inf
        told, told_at = None, time.monotonic()  # `Job.told` of the last request of a user, and when it was read
        ids, mine = [job.id for job in jobs], {(job.id, job.fingerprint) for job in jobs}
        these = f"id IN ({', '.join('?' * len(ids))})"
        while True:
            now = time.monotonic()
            with contextlib.suppress(QueueBroken), transaction() as db:
                rows = db.execute(f"SELECT * FROM jobs WHERE {these} ORDER BY told DESC", ids).fetchall()
                rows = [row for row in rows if (row["id"], row["fingerprint"]) in mine]  # a new queue reuses the ids
                if not rows:  # the queue was removed; the runs are still worth finishing
                    pace.set_pace("go")
                else:
                    self.cancelled.update(row["id"] for row in rows if row["cancel"])
                    stored = {row["id"]: row["progress"] for row in rows}
                    held = {"held": True} if pace.is_paused else {}
                    fresh = [(json.dumps(p.to_dict() | held), i) for i, p in zip(ids, progress, strict=True)]
                    if now - written >= HEARTBEAT_SECONDS or any(stored.get(i) != text for text, i in fresh):
                        written = now
                        db.executemany(
                            "UPDATE jobs SET beat = ?, progress = ? WHERE id = ?",
                            [(time.time(), text, i) for text, i in fresh],
                        )
                    row = rows[0]  # the newest request counts for all jobs
                    if row["told"] != told:
                        told, told_at = row["told"], now
                        pace.set_pace(row["pace"], row["ask_step"], row["ask_epoch"])
                        db.execute(
                            f"UPDATE jobs SET pace = ?, ask_step = 0, ask_epoch = 0 WHERE {these}", (row["pace"], *ids)
                        )
                    elif row["pace"] != "go" and now - told_at > PAUSE_LIMIT_SECONDS:
                        db.execute(f"UPDATE jobs SET pace = 'go', told = told + 1 WHERE {these}", ids)
            if over.wait(HEARTBEAT_SECONDS if pace.pace == "go" else POLL_SECONDS):
                return


def run_worker(device: str, parent: int | None, once: bool) -> int:
    """The exit code of `python -m aevae worker`."""
    logs.append_to_worker_file()
    return Worker(device, parent, once).run()
