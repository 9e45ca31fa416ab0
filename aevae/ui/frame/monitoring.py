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

import streamlit as st

from aevae import logs, paths
from aevae.queue import jobs

HISTOGRAM_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)  # seconds; of the histogram
PRESS, LOOK = "press", "look"  # a person did something; a page looked again by itself
MAX_END_BYTES = 400  # the message that ends a run is shorter
MAX_RESPONSES = 5000  # answers
RECENT_SECONDS = 300.0  # seconds
POLLS_PER_SECOND = 8  # a second, of all pages that look again by themselves
KEEPER_SECONDS = 2.0  # between two checks that jobs have a worker
LANES = ("auto", jobs.TASKS_LANE)


class Counts:
    """What this process has seen."""

    def __init__(self):
        self.sessions = 0
        self.errors = 0
        self.answers = {asked: [0] * (len(HISTOGRAM_SECONDS) + 1) for asked in (PRESS, LOOK)}  # per bound
        self.seconds = dict.fromkeys((PRESS, LOOK), 0.0)
        self.latest: deque[tuple[float, float]] = deque(maxlen=MAX_RESPONSES)  # (when, seconds) of presses

    def add_response(self, kind: str, seconds: float) -> None:
        self.answers[kind][bisect.bisect_left(HISTOGRAM_SECONDS, seconds)] += 1
        self.seconds[kind] += seconds
        if kind == PRESS:
            self.latest.append((time.monotonic(), seconds))

    def recent(self) -> list[float]:
        """Seconds of the presses of the last minutes, rising."""
        since = time.monotonic() - RECENT_SECONDS
        return sorted(seconds for when, seconds in list(self.latest) if when >= since)


counts = Counts()


def beat(seconds: float = 1.0) -> float:
    """Seconds between two looks of a page that looks again by itself: longer where many do."""
    return max(seconds, counts.sessions / POLLS_PER_SECOND)


# -- before Streamlit ------------------------------------------------------------------------------------------------


class Watch:
    """ASGI middleware: counts open sessions and times their answers. It changes nothing."""

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
        from google.protobuf.message import DecodeError
        from streamlit.proto.BackMsg_pb2 import BackMsg

        if not message or self.what == PRESS:
            return
        try:
            back = BackMsg.FromString(message)
        except DecodeError:
            return
        if back.WhichOneof("type") == "rerun_script":
            self.what, self.since = LOOK if back.rerun_script.is_auto_rerun else PRESS, time.monotonic()

    def on_response(self, message: bytes | None) -> None:
        """Handle a message to the browser. A run that ended only to start again is no response."""
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        if not message or not self.what or len(message) > MAX_END_BYTES:
            return
        forward = ForwardMsg.FromString(message)
        if forward.WhichOneof("type") != "script_finished":
            return
        if forward.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            counts.add_response(self.what, time.monotonic() - self.since)
            self.what = ""


def _is_own(file: Path) -> bool:
    """Whether a file belongs to the project: to the package, or to the checkout without its virtual environment."""
    return file.is_relative_to(paths.PACKAGE) or (file.is_relative_to(paths.ROOT) and "site-packages" not in file.parts)


def page_failed(problem: Exception) -> None:
    """`on_script_error` of the app: an error that no page has put into words is counted and logged, then shown."""
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
            with contextlib.suppress(jobs.QueueBroken, OSError):  # the Train page says what is wrong with the queue
                await asyncio.to_thread(jobs.ensure_worker, lane)
        await asyncio.sleep(KEEPER_SECONDS)


# -- what is shown ---------------------------------------------------------------------------------------------------


def caches() -> list[dict]:
    """Name, size (entries or bytes, see `unit`), hits and misses of every cache of this process."""
    families = ["cache_memory_bytes", "cache_lookups"]
    stats = st.runtime.get_instance().stats_mgr.get_stats(families) if st.runtime.exists() else {}
    found: dict[str, dict] = {}
    for stat in stats.get("cache_memory_bytes", ()):
        if stat.category_name in ("st_cache_data", "st_cache_resource"):
            unit = "bytes" if stat.category_name == "st_cache_data" else "entries"
            found[stat.cache_name] = {"held": stat.byte_length, "unit": unit, "hit": 0, "miss": 0}
    for stat in stats.get("cache_lookups", ()):
        if stat.labels["cache"] in found:
            found[stat.labels["cache"]][stat.labels["result"]] = stat.value
    return [{"name": name, **found[name]} for name in sorted(found)]


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
    """Bytes that this process holds in memory; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Collector:
    """All numbers of this module as Prometheus metric families, made on demand."""

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
        for asked, numbers in counts.answers.items():
            sums = [sum(numbers[: i + 1]) for i in range(len(numbers))]
            bounds = [*map(str, HISTOGRAM_SECONDS), "+Inf"]
            answers.add_metric([asked], list(zip(bounds, sums, strict=True)), counts.seconds[asked])
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
    """All of it in Prometheus' format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)


def middleware() -> list:
    """For `st.App`: the one that counts."""
    from starlette.middleware import Middleware

    return [Middleware(Watch)]


def routes() -> list:
    """For `st.App`: `/metrics`."""
    from starlette.responses import Response
    from starlette.routing import Route

    def metrics(request):
        return Response(text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/metrics", metrics)]
