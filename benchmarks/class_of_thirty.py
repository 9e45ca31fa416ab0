"""Load test with thirty users of one server: `python -m benchmarks.class_of_thirty`, on an idle machine.

Three parts, each with its own table; `--only` selects one.

lesson    30 sessions (`benchmarks.seat`) act every 3 to 10 s: change the page, the digit, a slider, the noise, or the
          selection in a map. One training runs meanwhile, and a real Chromium drags a slider. Printed: median and p95
          of response times, errors, lost sessions, frames per second, speed of the training relative to its speed
          alone, memory, and use of the cores.
presses   30 sessions press Train within 5 s, half of them for the same run. Printed: jobs, running and waiting jobs,
          and response times while all sessions watch.
sessions  500 sessions, ten at a time, open the app, visit two pages and close. Printed: the server's memory.

Clients and Chromium (software rendering) run on the same machine as the server, so the results are worse than those of
a class with its own machines. Linux only.
"""

import argparse
import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import statistics
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from aevae.browser.blob import unpack
from aevae.config import DataConfig, TrainConfig
from aevae.queue import jobs
from aevae.run_config import RunConfig
from benchmarks import results
from benchmarks.seat import Lost, Seat

PAGES = ("", "models", "denoise", "sliders", "interpolate", "embeddings", "compare", "train", "pca", "elbo", "codebook")
PAUSE = (3.0, 10.0)  # seconds between two actions of a user
WANDER = 0.3  # share of actions that change the page
ARRIVAL = 10.0  # seconds within which all users arrive
ALONE = 10.0  # seconds for which the speed of the training alone is measured
WITHIN = 5.0  # seconds within which all users press Train
TICK = os.sysconf("SC_CLK_TCK")


# -- actions of users ------------------------------------------------------------------------------------------------


def a_code(element, draw: random.Random) -> dict:
    """A slider of the latent code, dragged and let go."""
    _header, arrays = unpack(element.bytes)
    z = [float(v) for v in arrays["z"]]
    z[draw.randrange(len(z))] = draw.uniform(-2, 2)
    return {"z": z, "n": draw.randrange(1 << 40)}


def a_cell(element, draw: random.Random) -> dict:
    """One of the digits of a sheet."""
    x0, x1, y0, y1 = unpack(element.bytes)[0]["spec"]["extent"]
    return {"x": draw.uniform(min(x0, x1), max(x0, x1)), "y": draw.uniform(min(y0, y1), max(y0, y1))}


def some_points(element, draw: random.Random) -> dict:
    """A lasso in a map."""
    return {"selected": sorted(draw.sample(range(500), 40)), "point": draw.randrange(500), "n": draw.randrange(1 << 40)}


DEEDS = {  # key of a widget -> action
    "digit": lambda element, draw: draw.randrange(1000),
    "digit_grid": a_cell,
    "latent_code_live": a_code,
    "noise_live": lambda element, draw: {"level": round(draw.random(), 2), "n": draw.randrange(1 << 40)},
    "scrub_live": lambda element, draw: {"at": [round(draw.random(), 2)], "n": draw.randrange(1 << 40)},
    "steps": lambda element, draw: draw.randrange(3, 16),
    "compare_view": lambda element, draw: draw.choice(element.options).content,
    "atlas_view": some_points,
    "train_epochs": lambda element, draw: draw.randrange(1, 20),
    "models_family": lambda element, draw: draw.choice(element.options).content,
}


async def lesson(seat: Seat, draw: random.Random, end: float) -> None:
    """Act as one user until `end` (time.monotonic). Raises Lost."""
    await asyncio.sleep(draw.uniform(0, ARRIVAL))
    await seat.sit(draw.choice(PAGES))
    while time.monotonic() < end:
        await asyncio.sleep(draw.uniform(*PAUSE))
        deeds = [key for key in DEEDS if key in seat.elements]
        if not deeds or draw.random() < WANDER:
            await seat.go(draw.choice([path for path in PAGES if seat.pages[path] != seat.page]))
        else:
            key = draw.choice(deeds)
            here = next(path for path, page in seat.pages.items() if page == seat.page) or "start"
            await seat.do(key, DEEDS[key](seat.elements[key][1], draw), f"{key} on {here}")


# -- the server ------------------------------------------------------------------------------------------------------


def metrics(url: str) -> dict[str, float]:
    """`/metrics`: name with labels -> number."""
    lines = urllib.request.urlopen(f"{url}/metrics", timeout=60).read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def memory(url: str) -> float:
    """Memory of the server in MB."""
    return metrics(url)["aevae_memory_bytes"] / 2**20


def cpu(pid: int) -> float:
    """Processor seconds of a process; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def busy() -> float:
    """Busy seconds of all cores together."""
    user, nice, system, _idle, _waits, irq, soft, steal = map(
        int, Path("/proc/stat").read_text(encoding="ascii").split()[1:9]
    )
    return (user + nice + system + irq + soft + steal) / TICK


def children(pid: int) -> list[int]:
    """Ids of all descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text("ascii").split()):
                found += [child, *children(child)]
    return found


def training(seed: int = 0, epochs: int = 500) -> RunConfig:
    """A config whose training lasts longer than the benchmark."""
    from aevae.models import family_class

    return RunConfig(DataConfig("mnist-5k"), family_class("vae").Config(), TrainConfig(epochs=epochs), seed)


class Pace:
    """Steps per second of a running job between two calls of `look`."""

    def __init__(self, number: int):
        self.number, self.before = number, None

    def look(self) -> float:
        now = time.monotonic(), jobs.get(self.number).progress.get("step", 0)
        before, self.before = self.before, now
        return (now[1] - before[1]) / (now[0] - before[0]) if before else 0.0


async def begun(number: int) -> None:
    """Wait until the job has taken its first steps."""
    while not jobs.get(number).progress.get("step"):
        await asyncio.sleep(0.2)
        if not jobs.get(number).active:
            raise RuntimeError(jobs.get(number).error)


# -- a real browser --------------------------------------------------------------------------------------------------


async def drags(url: str, end: float, rates: list[float]) -> None:
    """Drag the first slider of a page in Chromium repeatedly; appends the frames per second of each drag to `rates`."""
    from playwright.async_api import async_playwright

    from benchmarks.live import drag, shipped

    async with async_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await p.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(f"{url}/sliders?model={shipped('mlp', 20).name}")
        await page.locator(".live input[type=range]").first.wait_for(timeout=60_000)
        await page.wait_for_timeout(3000)
        while time.monotonic() < end:
            seconds, _busy = await drag(page)
            await page.mouse.up()
            rates.append(await page.evaluate("seen.frames.size") / seconds)
            await page.wait_for_timeout(3000)
        await browser.close()


# -- the three parts -------------------------------------------------------------------------------------------------


def quantile(values: list[float], part: float) -> float:
    values = sorted(values)
    return values[min(int(part * len(values)), len(values) - 1)]


def table(part: str, rows: list[tuple[str, str]]) -> None:
    print()
    results.save(f"class_of_thirty_{part}", {"what": "", "measured": ""}, rows)


class Cores:
    """Use of cores by server, worker, Chromium and others since the beginning."""

    def __init__(self, server: int):
        self.server = server
        self.began, self.before = time.monotonic(), self._now()

    def _now(self) -> dict[str, float]:
        now = {"server": cpu(self.server), "worker": sum(map(cpu, children(self.server))), "clients": cpu(os.getpid())}
        now["Chromium"] = sum(map(cpu, children(os.getpid())))
        now["Chromium"] -= now["server"] + now["worker"]  # the server is a child, too
        return now | {"others": busy() - sum(now.values())}

    def look(self) -> dict[str, float]:
        now, seconds = self._now(), time.monotonic() - self.began
        return {name: (now[name] - self.before[name]) / seconds for name in now}


async def hold_lesson(url: str, pid: int, pupils: int, seconds: float, chromium: int, trains: bool) -> None:
    """Part 1."""
    job = jobs.submit(training()) if trains else None
    alone = together = 0.0
    if job:
        await begun(job.id)
        pace = Pace(job.id)
        pace.look()
        await asyncio.sleep(ALONE)
        alone = pace.look()
    draw = random.Random(0)
    seats = [Seat(url) for _ in range(pupils)]
    cores, end, rates, lost = Cores(pid), time.monotonic() + seconds, [], []

    async def attend(seat: Seat, seed: int) -> None:
        try:
            await lesson(seat, random.Random(seed), end)
        except Lost as problem:
            lost.append(str(problem))
        finally:
            await seat.leave()

    tasks = [asyncio.create_task(drags(url, end, rates)) for _ in range(chromium)]
    tasks += [asyncio.create_task(attend(seat, draw.randrange(1 << 30))) for seat in seats]
    await asyncio.sleep(seconds * 0.95)
    together, used, size = pace.look() if job else 0.0, cores.look(), memory(url)
    await asyncio.gather(*tasks)
    answers = [(what, s) for seat in seats for what, s in seat.seconds]
    pressed = [s for what, s in answers if what != "open"]
    opened = [s for what, s in answers if what == "open"]
    errors = Counter(error for seat in seats for error in seat.errors)
    rows = [
        (f"sessions, presses in {seconds:.0f} s", f"{pupils}, {len(pressed)}"),
        ("answer, median / p95 (s)", f"{statistics.median(pressed):.2f} / {quantile(pressed, 0.95):.2f}"),
        ("coming in, median / p95 (s)", f"{statistics.median(opened):.2f} / {quantile(opened, 0.95):.2f}"),
        ("errors, lost sessions", f"{sum(errors.values())}, {len(lost)}"),
        ("memory of the server (MB)", f"{size:.0f}"),
        ("cores taken", ", ".join(f"{name} {part:.2f}" for name, part in used.items())),
    ]
    if rates:
        rows.append(
            ("frames / s of a drag in Chromium, median / least", f"{statistics.median(rates):.0f} / {min(rates):.0f}")
        )
    if job:
        rows.append(("training, steps / s: alone, in the lesson", f"{alone:.0f}, {together:.0f}"))
        jobs.cancel(job.id)
    table("lesson", rows)
    kinds = {kind: [s for what, s in answers if what == kind] for kind, _ in answers}
    for kind, found in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        print(f"    {kind}: {len(found)}, median {statistics.median(found):.2f}, slowest {max(found):.2f} s")
    for problem, count in [*errors.most_common(8), *Counter(lost).most_common(4)]:
        print(f"    {count} x {problem}")


async def press_train(url: str, pupils: int) -> None:
    """Part 2."""
    seats = [Seat(url) for _ in range(pupils)]
    for seat in seats:
        await seat.sit("train")
    for i, seat in enumerate(seats[pupils // 2 :], 1):
        await seat.do("train_seed", i)
    draw, began = random.Random(1), time.monotonic()

    async def press(seat: Seat) -> float:
        await asyncio.sleep(draw.uniform(0, WITHIN))
        return await seat.do("train_start", what="press Train")

    pressed = await asyncio.gather(*(press(seat) for seat in seats))
    took = time.monotonic() - began
    running: list[int] = []
    waits: list[float] = []
    for _ in range(10):
        listing = jobs.jobs(500)
        running.append(sum(job.state == "running" for job in listing))
        seat = draw.choice(seats)
        waits.append(await seat.go(draw.choice(("denoise", "sliders"))))
        await seat.go("train")
        await asyncio.sleep(0.3)
    informed = [seat for seat in seats if re.search(r"number \d+ in the queue, starts in", "\n".join(seat.texts))]
    table(
        "presses",
        [
            (f"presses in {took:.1f} s", f"{len(pressed)}, {pupils // 2} of them for one run"),
            ("jobs; running at once, at most", f"{len(listing)}; {max(running)}"),
            ("answer to the press, median / slowest (s)", f"{statistics.median(pressed):.2f} / {max(pressed):.2f}"),
            ("pages while all watch, median / slowest (s)", f"{statistics.median(waits):.2f} / {max(waits):.2f}"),
            ("sessions that read their place in the queue and when the run starts", str(len(informed))),
            ("errors", str(sum(len(seat.errors) for seat in seats))),
        ],
    )
    jobs.cancel(*(job.id for job in jobs.jobs(500) if job.active))
    for seat in seats:
        for error in seat.errors:
            print("   ", error)
        await seat.leave()


async def come_and_go(url: str, sessions: int) -> None:
    """Part 3."""
    sizes, errors = [(0, memory(url))], Counter()

    async def visit(number: int) -> list[str]:
        seat, draw = Seat(url), random.Random(number)
        await seat.sit()
        await seat.go(draw.choice(PAGES[1:]))
        await seat.leave()
        return seat.errors

    for first in range(0, sessions, 10):
        for found in await asyncio.gather(*(visit(first + i) for i in range(10))):
            errors.update(found)
        if (first + 10) % max(sessions // 10, 10) == 0:
            sizes.append((first + 10, memory(url)))
    print()
    columns = {"sessions opened and closed": "d", "memory of the server (MB)": ".0f"}
    results.save("class_of_thirty_sessions", columns, sizes)
    print(f"    errors: {errors.total()}")
    for problem, count in errors.most_common(8):
        print(f"    {count} x {problem}")


async def report(url: str, pid: int, asked: argparse.Namespace) -> None:
    warm = Seat(url)
    await warm.sit()
    for path in PAGES:
        await warm.go(path)  # first visits import and compute what stays
    await warm.leave()
    if asked.only in ("", "lesson"):
        await hold_lesson(url, pid, asked.pupils, asked.seconds, asked.chromium, not asked.no_training)
    if asked.only in ("", "presses"):
        await press_train(url, asked.pupils)
    if asked.only in ("", "sessions"):
        await come_and_go(url, asked.sessions)


def main() -> None:
    ask = argparse.ArgumentParser(prog="python -m benchmarks.class_of_thirty", description=__doc__.partition("\n")[0])
    ask.add_argument("--pupils", type=int, default=30)
    ask.add_argument("--seconds", type=float, default=120, help="of the lesson")
    ask.add_argument("--chromium", type=int, default=1, help="real browsers in the lesson")
    ask.add_argument("--sessions", type=int, default=500, help="that open and close in the third part")
    ask.add_argument("--no-training", action="store_true", help="in the lesson")
    ask.add_argument("--only", choices=("lesson", "presses", "sessions"), default="")
    ask.add_argument("--url", default="", help="a server that runs already (with this AEVAE_RUNS, and --pid)")
    ask.add_argument("--pid", type=int, default=0)
    asked = ask.parse_args()
    if asked.url:
        return asyncio.run(report(asked.url, asked.pid, asked))
    with tempfile.TemporaryDirectory() as store:
        os.environ["AEVAE_RUNS"] = store
        from benchmarks.live import wait_for
        from benchmarks.startup import serve

        process, url = serve()
        try:
            wait_for(url)
            asyncio.run(report(url, process.pid, asked))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


if __name__ == "__main__":
    main()
