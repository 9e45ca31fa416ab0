"""The process that does what the queue (`aevae.jobs`) asks: trains, or works off tasks. Starts without torch.

A job found running under a free lock has lost its worker: it goes back to the queue once, then fails.
"""

import contextlib
import dataclasses
import errno
import importlib
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from filelock import Timeout

from aevae import checkpoints, logs, processes
from aevae.config import RunConfig
from aevae.jobs import KINDS, PACES, PATIENCE, TASKS_LANE, address_file, slot
from aevae.queuefile import TRAIN, Job, QueueBroken, job_of, opened

ATTEMPTS = 2  # a job whose worker died this often fails
DIED = (
    f"its worker died {ATTEMPTS} times, perhaps for want of memory (a smaller batch or network takes less); "
    "see worker.log in the store; what it had learnt is kept"
)
BEAT = 0.5  # seconds between two looks of a worker at its own row
IDLE_EXIT = 600  # a worker without a parent ends after so long without a job; None: never
TRUST = 0.1  # an estimate counts as much as this part of the steps
PEEK = 0.1  # seconds between two looks at the row of a job that is paused or slowed, and at the server
_nice = os.environ.get("AEVAE_NICE", "")
NICE = int(_nice) if _nice.isdigit() else 15  # the interface wins over training where cores are short


class _Stopped(Exception):
    """A download was left between two pieces."""


class Worker:
    """Takes jobs one after another until told to stop, until its parent is gone, or `once` the queue is empty."""

    def __init__(self, device: str = "auto", parent: int | None = None, once: bool = False):
        self.device, self.parent, self.once = device, parent, once
        self.stop = threading.Event()  # end the process; the job goes back to the queue
        self.cancelled: set[int] = set()  # end these jobs
        self.worn = False  # it was out of memory: what was being imported then is broken, what is free is in pieces

    def run(self) -> int:
        """Exit code: 0 at the end, 3 if another worker has the device. Raises ValueError for a device not here."""
        if self.device not in ("auto", TASKS_LANE):  # which are always here, and known without torch
            from aevae.training.device import pick_device

            pick_device(self.device)
        try:
            held = slot(self.device).acquire(timeout=3)  # longer than a page's glance at the lock
        except Timeout:
            print(f"another worker already serves {self.device}", file=sys.stderr)
            return 3
        with held, self._reachable():
            if threading.current_thread() is threading.main_thread():
                for name in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(name, lambda *_: self.stop.set())
            if hasattr(os, "nice"):
                os.nice(NICE)
            self._serve()
        return 0

    @contextlib.contextmanager
    def _reachable(self):
        """As long as it serves, the server that started it can ask it to end; it also ends when that server is gone."""
        if self.parent is None:
            yield
            return
        file = address_file(self.device, self.parent)
        over = threading.Event()
        with contextlib.suppress(OSError):  # on a full or read-only disk it can be killed only
            for left in file.parent.glob(address_file(self.device, "*").name):  # of workers that crashed
                left.unlink(missing_ok=True)
            file.write_text(str(os.getpid()), encoding="ascii")
        watch = threading.Thread(target=self._watch, args=(file, file.exists(), over), daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    def _watch(self, file: Path, reachable: bool, over: threading.Event) -> None:
        while processes.is_running(self.parent) and (file.exists() or not reachable):
            logs.trim_worker_file()
            if over.wait(PEEK):
                return
        self.stop.set()

    def _serve(self) -> None:
        idle = time.monotonic()
        while not self.stop.is_set():
            try:
                self._recover()
                jobs = self._claim()
            except QueueBroken:  # held by somebody, or on a full disk: that may pass
                if self.once:
                    raise
                logs.event("queue_unusable", lane=self.device)
                self.stop.wait(10 * BEAT)
                continue
            if jobs:
                self._train(jobs) if jobs[0].kind == TRAIN else self._do(jobs[0])
                idle = time.monotonic()
                if self.worn and self.parent is not None:
                    return  # the server starts another
            elif self.once or (self.parent is None and time.monotonic() - idle > IDLE_EXIT):
                return
            else:
                self.stop.wait(BEAT)

    def _recover(self) -> None:
        """What a slot left running has no worker if the slot is free, or ours: this one is between two jobs."""
        with opened() as db:
            slots = [row["slot"] for row in db.execute("SELECT DISTINCT slot FROM jobs WHERE state = 'running'")]
        for lane in slots:
            if lane == self.device:
                self._give_back(lane)
            else:
                with contextlib.suppress(Timeout), slot(lane).acquire(timeout=0):
                    self._give_back(lane)

    def _give_back(self, lane: str) -> None:
        with opened() as db:
            db.execute(
                "UPDATE jobs SET state = 'failed', ended = ?, error = ? WHERE state = 'running' AND slot = ? "
                "AND attempts >= ?",
                (time.time(), DIED, lane, ATTEMPTS),
            )
            db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running' AND slot = ?", (lane,))

    def _claim(self) -> list[Job]:
        """The next job, with the others of its sweep; [] if none waits."""
        task = self.device == TASKS_LANE
        mine = f"state = 'queued' AND kind {'!=' if task else '='} 'train' AND (? OR device IN ('auto', ?))"
        lane = (self.device in ("auto", TASKS_LANE), self.device)
        same = "sweep = ? AND sweep != '' AND device = ?"
        with opened() as db:
            order = "ORDER BY kind != 'estimate', id LIMIT 1"  # somebody waits for it before a form
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

    def _train(self, jobs: list[Job]) -> None:
        """Train. Cancelling one of a sweep stops all between two steps; the others wait again, and go on from there."""
        self.cancelled.clear()
        reins, over, spent = Reins(), threading.Event(), -time.monotonic()
        news = [Progress(lambda: time.monotonic() - reins.waited, job.progress.get("seconds_left")) for job in jobs]
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
            from aevae.training.device import gpu_warning

            device = jobs[0].device if self.device == "auto" else self.device
            configs = [RunConfig.from_dict(job.config) for job in jobs]
            spent += time.monotonic()
            datasets.load(configs[0].data, on_progress=self._loading(news))  # a download is seen
            spent -= time.monotonic()
            for progress in news:
                progress.note = gpu_warning() if device == "auto" else ""
            groups = self._expect(configs, device, jobs, news)
            stop = lambda: reins.wait(self._should_stop)  # noqa: E731
            results = runs.sweep(configs, device, hear, stop, watched=reins.watched)
            ends = [self._ended(job, result) for job, result in zip(jobs, results, strict=True)]
            self._learn(configs, device, news, groups, spent + time.monotonic() - reins.waited)
        except _Stopped:
            ends = [(self._stopped(job), "") for job in jobs]
        except BaseException as problem:  # what panics in Rust is no Exception
            error, trace = self._sentence(problem), traceback.format_exc()
            kept = [checkpoints.finished_run(job.run) for job in jobs]  # of a sweep some may be whole
            ends = [("done", "") if run else ("failed", error) for run in kept]
        over.set()
        heart.join()
        for job, (state, error), progress in zip(jobs, ends, news, strict=True):
            self._end(job, state, error, trace if error else "", progress)

    def _expect(
        self, configs: list[RunConfig], device: str, jobs: list[Job], news: "list[Progress]"
    ) -> list[list[int]]:
        """Tell each job its group and what that is expected to take. The groups, as numbers of jobs, in their order."""
        from aevae import estimates

        found = estimates.groups(configs, device)
        for number, (rows, seconds) in enumerate(found):
            for i in rows:
                told = jobs[i].progress.get("seconds_left")  # of all groups together
                news[i].begin(told and told / len(found) if seconds is None else seconds, number)
        return [rows for rows, _seconds in found]

    def _learn(self, configs: list[RunConfig], device: str, news: "list[Progress]", groups, seconds: float) -> None:
        """Keep with the first job of each group what it took, of `seconds` in all; it corrects later estimates."""
        from aevae import estimates
        from aevae.training.device import pick_device

        beside = max(seconds - sum(news[rows[0]].trained for rows in groups), 0.0) / len(groups)
        for rows in groups:
            if news[rows[0]].trained:
                group, whole = [configs[i] for i in rows], news[rows[0]].trained_whole
                with contextlib.suppress(QueueBroken):
                    news[rows[0]].now["took"] = estimates.took(group, device, str(pick_device(device)), whole, beside)

    def _do(self, task: Job) -> None:
        """Work off a task; see `jobs.submit_task`."""
        self.cancelled.clear()
        reins, over, news = Reins(), threading.Event(), Progress()
        heart = threading.Thread(target=self._beat, args=([task], [news], reins, over), daemon=True)
        heart.start()
        state, error, trace = "done", "", ""
        try:
            module, function = KINDS[task.kind].split(":")
            work = getattr(importlib.import_module(module), function)
            if not work(task.config, news.say, self._should_stop):
                state = self._stopped(task)
        except BaseException as problem:
            state, error, trace = "failed", self._sentence(problem), traceback.format_exc()
        over.set()
        heart.join()
        self._end(task, state, error, trace, news)

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
                with opened() as db:
                    row = db.execute("SELECT cancel FROM jobs WHERE id = ?", (job.id,)).fetchone()
                    if state == "queued" and row and row["cancel"]:
                        state = "cancelled"
                    db.execute(
                        "UPDATE jobs SET state = ?, error = ?, trace = ?, progress = ?, ended = ?, "
                        "attempts = attempts - (? = 'queued') WHERE id = ? AND fingerprint = ?",
                        (state, error, trace, json.dumps(progress.told()), time.time(), state, job.id, job.fingerprint),
                    )
                logs.event(state, job=job.id, kind=job.kind)
                return
            except QueueBroken:
                logs.event("end_not_written", job=job.id, state=state)
                if self.stop.wait(10 * BEAT):
                    raise

    def _sentence(self, problem: BaseException) -> str:
        """What went wrong, in words. Raises what means that the process is to end."""
        if isinstance(problem, SystemExit | KeyboardInterrupt):
            raise problem
        said = sentence(problem)
        self.worn = self.worn or said == OUT_OF_MEMORY or not isinstance(problem, Exception)
        return said

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
        beaten, told = -math.inf, None
        heard = time.monotonic()  # when somebody last said a word
        ids, mine = [job.id for job in jobs], {(job.id, job.fingerprint) for job in jobs}
        these = f"id IN ({', '.join('?' * len(ids))})"
        while True:
            now = time.monotonic()  # the clock may be set meanwhile
            with contextlib.suppress(QueueBroken), opened() as db:
                rows = db.execute(f"SELECT * FROM jobs WHERE {these} ORDER BY told DESC", ids).fetchall()
                rows = [row for row in rows if (row["id"], row["fingerprint"]) in mine]  # a new queue counts from 1
                if not rows:  # somebody took the queue away; the runs are worth their end
                    reins.tell("go")
                else:
                    self.cancelled.update(row["id"] for row in rows if row["cancel"])
                    changed = {row["id"]: row["progress"] for row in rows}
                    held = {"held": True} if reins.stands else {}
                    fresh = [(json.dumps(p.told() | held), i) for i, p in zip(ids, news, strict=True)]
                    if now - beaten >= BEAT or any(changed.get(i) != raw for raw, i in fresh):
                        beaten = now
                        db.executemany(
                            "UPDATE jobs SET beat = ?, progress = ? WHERE id = ?",
                            [(time.time(), raw, i) for raw, i in fresh],
                        )
                    row = rows[0]  # the one that was spoken to last speaks for all
                    if row["told"] != told:
                        told, heard = row["told"], now
                        reins.tell(row["pace"], row["ask_step"], row["ask_epoch"])
                        db.execute(
                            f"UPDATE jobs SET pace = ?, ask_step = 0, ask_epoch = 0 WHERE {these}", (row["pace"], *ids)
                        )
                    elif row["pace"] != "go" and now - heard > PATIENCE:
                        db.execute(f"UPDATE jobs SET pace = 'go', told = told + 1 WHERE {these}", ids)
            if over.wait(BEAT if reins.pace == "go" else PEEK):
                return


class Reins:
    """How fast a running job may go. The heart holds them; the trainer looks, and waits, between two steps."""

    def __init__(self):
        self.pace = "go"
        self.waited = 0.0  # seconds, all in all
        self.stands = False  # paused, and what was told last is where
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
                    self.stands = self.pace == "pause"
                    self._changed.wait(min(seconds, PEEK))
                self.stands = False
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
    """Listener that keeps the newest figures of a job as JSON data. `clock`: seconds spent at work; `expected`: how
    many it will take, until there are measured ones."""

    def __init__(self, clock=time.monotonic, expected: float | None = None):
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)
        self.note = ""  # one sentence about the device
        self.begin(expected)

    def begin(self, expected: float | None = None, group: int = 0) -> None:
        """What is known before the first step. group: which of those of a sweep that are trained one after another."""
        self._expected = expected
        self.now: dict = (
            {} if expected is None else {"seconds_left": round(expected, 1), "expected": round(expected, 1)}
        )
        self.now |= {"group": group} if group else {}

    @property
    def trained(self) -> float:
        """Seconds from the first step to the last end of an epoch."""
        return max(self._last[0] - self._first[0], 0.0) if self._first else 0.0

    @property
    def trained_whole(self) -> float:
        """The same for all steps, of which this job may have made the last ones only."""
        steps = self._last[1] - self._first[1] if self._first else 0
        return self.trained * self._last[1] / steps if steps > 0 else 0.0

    def told(self) -> dict:
        """What the queue is told: `now`, and the note if there is one."""
        return self.now | ({"note": self.note} if self.note else {})

    def loading(self, part: float, text: str) -> None:
        """The data set is being fetched: `part` in 0..1."""
        self.now = {"loading": text, "part": part}

    def say(self, figures: dict) -> None:
        """What a task tells."""
        self.now = figures

    def __call__(self, event) -> None:
        figures = dataclasses.asdict(event)
        if "reason" in figures:  # it could not go on
            self.now = {**self.now, "begun_anew": figures["reason"]}
            return
        if "record" in figures:  # an epoch is over: its line is in the run's history
            self.now = {**self.now, "epochs_done": figures["record"]["epoch"]}
            self._last = self._clock(), figures["record"].get("step", 0)
            return
        now, step = self._clock(), figures["step"]
        self._first = self._first or (now, step)
        if step > self._first[1]:  # the pace of this worker, tests and checkpoints included
            steps = figures["steps"] - self._first[1]
            part, elapsed = (step - self._first[1]) / steps, now - self._first[0]
            figures["seconds_left"] = round((1 - part) * self._whole(part, elapsed, steps / figures["steps"]), 1)
        figures["images_per_s"] = round(figures["images_per_s"], 1)
        self.now = {**self.now, **figures}

    def _whole(self, part: float, elapsed: float, share: float) -> float:
        """Seconds for all steps of this job, a `share` of those of the run; the estimate gives way to what is seen."""
        if self._expected is None:
            return elapsed / part
        return (TRUST * self._expected * share + elapsed) / (TRUST + part)


OUT_OF_MEMORY = "out of memory; take a smaller batch or network"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room on the disk, for this user, in a file
NO_MEMORY = (  # as torch, the system, threads, libraries being loaded, and Rust say it
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "can't start new thread",
    "failed to map segment",
    "memory allocation",
)


def sentence(problem: BaseException) -> str:
    """An error in words a student can use."""
    code, text = getattr(problem, "errno", None), str(problem)
    if code in FULL or "No space left on device" in text:
        return "the disk is full; free some space and resume, nothing finished is lost"
    if isinstance(problem, MemoryError) or code == errno.ENOMEM or any(words in text.lower() for words in NO_MEMORY):
        return OUT_OF_MEMORY
    if not isinstance(problem, Exception):  # a panic of safetensors
        return f"a library gave up ({text}), most likely for want of memory; take a smaller batch or network"
    if isinstance(problem, OSError):
        return f"{problem.strerror or problem}: {problem.filename or 'the store'}"
    return text or type(problem).__name__


def run_worker(device: str, parent: int | None, once: bool) -> int:
    """`python -m aevae worker`."""
    logs.append_to_worker_file()
    return Worker(device, parent, once).run()
