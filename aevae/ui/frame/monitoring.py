"""Counts of this server process: for Prometheus (`/metrics`), for the teacher's page, and for the pages' poll rate.

`Watch` is ASGI middleware before Streamlit. It sees the messages of every session: an interaction goes in, the end of
the script's run comes out, and the time between them is the response time.
"""

import asyncio
import bisect
import contextlib
import os
import shutil
import subprocess
import time
import traceback
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from aevae import logs, paths
from aevae.queue import jobs
from aevae.ui import internals
from aevae.ui.internals import LOOK, PRESS, caches

HISTOGRAM_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)  # upper bounds of the buckets
MAX_END_BYTES = 400  # size limit of the message that ends a script run
MAX_RESPONSES = 5000  # response times that are stored
RECENT_SECONDS = 300.0  # window of `Counts.recent`
POLLS_PER_SECOND = 8  # target for all polling pages together
KEEPER_SECONDS = 2.0  # interval of checks that jobs have a worker
LANES = ("auto", jobs.TASKS_LANE)


class Counts:
    """Counters of this process."""

    def __init__(self):
        self.sessions = 0
        self.errors = 0
        self.answers = {kind: [0] * (len(HISTOGRAM_SECONDS) + 1) for kind in (PRESS, LOOK)}  # per bound
        self.seconds = dict.fromkeys((PRESS, LOOK), 0.0)
        self.latest: deque[tuple[float, float]] = deque(maxlen=MAX_RESPONSES)  # (when, seconds) of presses

    def add_response(self, kind: str, seconds: float) -> None:
        self.answers[kind][bisect.bisect_left(HISTOGRAM_SECONDS, seconds)] += 1
        self.seconds[kind] += seconds
        if kind == PRESS:
            self.latest.append((time.monotonic(), seconds))

    def recent(self) -> list[float]:
        """Response times of actions in the last RECENT_SECONDS, ascending."""
        since = time.monotonic() - RECENT_SECONDS
        return sorted(seconds for when, seconds in list(self.latest) if when >= since)


counts = Counts()


def beat(seconds: float = 1.0) -> float:
    """Poll interval in seconds for a page that wants `seconds`; longer if many pages poll."""
    return max(seconds, counts.sessions / POLLS_PER_SECOND)


# -- before Streamlit ------------------------------------------------------------------------------------------------


class Watch:
    """ASGI middleware that counts open sessions and measures their response times. It changes nothing."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket":
            return await self.app(scope, receive, send)
        turn = Turn()

        async def receive_and_count():
            message = await receive()
            if message["type"] == "websocket.receive":
                turn.on_request(message.get("bytes"))
            return message

        async def send_and_count(message):
            await send(message)
            if message["type"] == "websocket.send":
                turn.on_response(message.get("bytes"))

        counts.sessions += 1
        try:
            await self.app(scope, receive_and_count, send_and_count)
        finally:
            counts.sessions -= 1


class Turn:
    """The open requests of one session."""

    def __init__(self):
        self.what, self.since = "", 0.0

    def on_request(self, message: bytes | None) -> None:
        """Handle a message from the browser. A request during a run is answered by the next run."""
        if message and self.what != PRESS and (kind := internals.request_kind(message)):
            self.what, self.since = kind, time.monotonic()

    def on_response(self, message: bytes | None) -> None:
        """Handle a message to the browser."""
        if message and self.what and len(message) <= MAX_END_BYTES and internals.ends_run(message):
            counts.add_response(self.what, time.monotonic() - self.since)
            self.what = ""


def _is_own(file: Path) -> bool:
    """Whether a file belongs to the project: to the package, or to the checkout without its virtual environment."""
    return file.is_relative_to(paths.PACKAGE) or (file.is_relative_to(paths.ROOT) and "site-packages" not in file.parts)


def page_failed(problem: Exception) -> None:
    """`on_script_error` of the app: count and log an error that no page handled; Streamlit then shows it."""
    counts.errors += 1
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(problem.__traceback__)]
    own = [(f, line) for f, line in frames if _is_own(f)]
    at = f"{own[-1][0].relative_to(paths.PACKAGE.parent)}:{own[-1][1]}" if own else "?"
    logs.event("page_failed", error=type(problem).__name__, at=at)


@contextlib.asynccontextmanager
async def lifespan(app):
    """While the server runs, keep a worker alive for every queue that has jobs."""
    logs.event("server_up", pid=os.getpid())
    keeper = asyncio.create_task(_keep())
    yield
    keeper.cancel()
    logs.event("server_down", pid=os.getpid())


async def _keep() -> None:
    while True:
        for lane in LANES:
            with contextlib.suppress(jobs.QueueBroken, OSError):  # the Train page shows the problem
                await asyncio.to_thread(jobs.ensure_worker, lane)
        await asyncio.sleep(KEEPER_SECONDS)


# -- what is shown ---------------------------------------------------------------------------------------------------


def gpus() -> list[tuple[int, int]]:
    """(bytes used, bytes in total) of every NVIDIA GPU, from nvidia-smi; [] without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5, check=True).stdout
        rows = [line.split(",") for line in out.splitlines() if line.strip()]
        return [(int(used) << 20, int(total) << 20) for used, total in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def memory() -> int:
    """Resident memory of this process in bytes; 0 if unknown."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Collector:
    """Prometheus collector of all numbers of this module."""

    def collect(self) -> Iterator:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        def gauge(name: str, help: str, rows: list[tuple[tuple, float]], labels: tuple = ()):
            family = GaugeMetricFamily(f"aevae_{name}", help, labels=labels)
            for values, number in rows:
                family.add_metric([str(value) for value in values], number)
            return family

        yield gauge("sessions", "Open sessions", [((), counts.sessions)])
        yield CounterMetricFamily("aevae_page_errors", "Unexpected errors on pages", counts.errors)
        answers = HistogramMetricFamily(
            "aevae_answer_seconds", "Seconds from a user's action to the end of the response", labels=["asked"]
        )
        for kind, numbers in counts.answers.items():
            sums = [sum(numbers[: i + 1]) for i in range(len(numbers))]
            bounds = [*map(str, HISTOGRAM_SECONDS), "+Inf"]
            answers.add_metric([kind], list(zip(bounds, sums, strict=True)), counts.seconds[kind])
        if internals.message_types():
            yield answers
        yield from self._queue(gauge)
        held = caches()
        for unit in ("entries", "bytes"):
            rows = [((c["name"],), c["held"]) for c in held if c["unit"] == unit]
            yield gauge(f"cache_{unit}", f"Size of a cache in {unit}", rows, ("cache",))
        rows = [((c["name"], result), c[result]) for c in held for result in ("hit", "miss")]
        yield gauge("cache_lookups", "Cache lookups since the start", rows, ("cache", "result"))
        yield gauge("memory_bytes", "Memory of the server", [((), memory())])
        for name, column in (("used", 0), ("total", 1)):
            rows = [((i,), gpu[column]) for i, gpu in enumerate(gpus())]
            yield gauge(f"gpu_memory_{name}_bytes", f"GPU memory, {name}", rows, ("gpu",))

    def _queue(self, gauge) -> Iterator:
        rows, running = [], []
        for lane in ("training", jobs.TASKS_LANE):
            with contextlib.suppress(jobs.QueueBroken, OSError):
                listing = jobs.jobs(jobs.MAX_ACTIVE_JOBS, lane)
                rows += [((lane, s), sum(job.state == s for job in listing)) for s in ("queued", "running", "failed")]
                running += [job for job in listing if job.state == "running"]
        yield gauge("jobs", "Jobs in the queue; failed: among the newest ended jobs", rows, ("lane", "state"))
        parts = [((job.id, job.kind), job.part) for job in running]
        yield gauge("job_done_ratio", "Fraction of a running job that is done", parts, ("job", "kind"))
        pace = [((job.id,), job.progress["images_per_s"]) for job in running if job.progress.get("images_per_s")]
        yield gauge("job_images_per_second", "Images per second of a running training", pace, ("job",))
        alive = [((lane,), int(jobs.worker_alive(lane))) for lane in LANES]
        yield gauge("worker_up", "1 if a worker is running, else 0", alive, ("lane",))
        free = next((f for f in (paths.runs_dir(), *paths.runs_dir().parents) if f.is_dir()), None)
        yield gauge(
            "store_free_bytes", "Free disk space for runs", [((), shutil.disk_usage(free).free)] if free else []
        )


def text() -> bytes:
    """All metrics in the text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)


def middleware() -> list:
    """Middleware for `st.App`."""
    from starlette.middleware import Middleware

    return [Middleware(Watch)]


def routes() -> list:
    """Routes for `st.App`: `/metrics`."""
    from starlette.responses import Response
    from starlette.routing import Route

    def metrics(request):
        return Response(text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/metrics", metrics)]
