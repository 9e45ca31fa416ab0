"""The configuration in `deploy/`: two replicas behind a real nginx, on one store. Fails in CI without nginx."""

import asyncio
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chromium import Server
from conftest import tiny_config, until
from servers import free_port, is_healthy

from aevae import paths
from aevae.queue import jobs
from aevae.store import checkpoints
from benchmarks.class_of_thirty import metrics
from benchmarks.seat import Seat

PUPILS = 4


class Class:
    """Two replicas and the nginx before them; `base`: the path under which they are served."""

    def __init__(self, tmp, nginx: str, base: str = ""):
        with ThreadPoolExecutor() as pool:
            self.replicas = list(pool.map(lambda _: Server(tmp / "runs", base), range(2)))
        recipe = (paths.ROOT / "deploy" / "nginx.conf").read_text("utf-8")
        self.port = free_port()
        for old, new in (
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("127.0.0.1:8501", f"127.0.0.1:{self.replicas[0].port}"),
            ("127.0.0.1:8502", f"127.0.0.1:{self.replicas[1].port}"),
            ("location / {", f"location /{base}/ {{" if base else "location / {"),
        ):
            assert recipe.count(old) == 1
            recipe = recipe.replace(old, new)
        temporary = " ".join(f"{part}_temp_path {tmp}/{part};" for part in ("client_body", "proxy", "fastcgi"))
        user = "user root;" if os.getuid() == 0 else ""
        (tmp / "nginx.conf").write_text(
            f"daemon off; {user} pid {tmp}/pid; error_log {tmp}/error.log; events {{}}\n"
            f"http {{ access_log off; {temporary} uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;\n{recipe}\n}}\n",
            "utf-8",
        )
        self.url = f"http://127.0.0.1:{self.port}" + (f"/{base}" if base else "")
        self.nginx = subprocess.Popen(
            [nginx, "-p", str(tmp), "-e", str(tmp / "early.log"), "-c", str(tmp / "nginx.conf")]
        )
        until(self._answers)

    def _answers(self) -> bool:
        assert self.nginx.poll() is None, "nginx did not start"
        return is_healthy(self.url)

    def sessions(self) -> list[int]:
        """Open sessions of each replica that lives."""
        return [int(metrics(r.url)["aevae_sessions"]) for r in self.replicas if r.process.poll() is None]

    def stop(self) -> None:
        self.nginx.send_signal(signal.SIGQUIT)
        for replica in self.replicas:
            if replica.process.poll() is None:
                replica.stop()
        self.nginx.wait(10)


@pytest.fixture(scope="session")
def nginx() -> str:
    """The program."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("nginx is not installed, and CI must test the recipe")
        pytest.skip("needs nginx (Debian: apt install nginx-light)")
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory, nginx):
    tmp = tmp_path_factory.mktemp("class")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_RUNS", str(tmp / "runs"))
        patch.setenv("AEVAE_CACHE", str(tmp / "cache"))
        lab = Class(tmp, nginx)
        yield lab
        lab.stop()


def cookie_of(url: str) -> str:
    """What a new visitor is given."""
    return urllib.request.urlopen(url, timeout=10).headers["Set-Cookie"].partition(";")[0]


async def two_seats(lab: Class) -> list[Seat]:
    """One at each replica."""
    found: dict[int, Seat] = {}
    while len(found) < 2:
        before, seat = lab.sessions(), Seat(lab.url, cookie_of(lab.url))
        await seat.sit()
        here = [b > a for a, b in zip(before, lab.sessions(), strict=True)].index(True)
        if here in found:
            await seat.leave()
        else:
            found[here] = seat
    return [found[0], found[1]]


@pytest.mark.slow
def test_a_visitor_stays_at_one_replica(lab):
    async def come_again() -> None:
        seats = await two_seats(lab)
        assert lab.sessions() == [1, 1]
        for here, seat in enumerate(seats):
            again = [Seat(lab.url, seat.cookie) for _ in range(3)]
            for other in again:
                await other.sit("models")
            assert lab.sessions()[here] == 4 and lab.sessions()[1 - here] == 1
            assert not any(other.errors for other in again), "its pictures lie in that replica's memory"
            for other in again:
                await other.leave()
        for seat in seats:
            await seat.leave()
        assert not any(seat.errors for seat in seats)

    asyncio.run(come_again())
    until(lambda: lab.sessions() == [0, 0])


def test_one_who_has_a_seat_is_given_no_other(lab):
    request = urllib.request.Request(lab.url, headers={"Cookie": cookie_of(lab.url)})
    assert urllib.request.urlopen(request, timeout=10).headers["Set-Cookie"] is None


@pytest.mark.parametrize("path", ["metrics", "_stcore/metrics"])
def test_numbers_of_one_replica_are_not_shown_to_the_class(lab, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{lab.url}/{path}", timeout=10)


@pytest.mark.slow
def test_all_press_train_at_once_and_a_killed_replica_loses_no_job(lab):
    """Half of them want the same run. The first run's worker belongs to one replica, which is killed."""
    held = jobs.submit(tiny_config("ae", epochs=3))  # first in the queue, and paused: nothing ends meanwhile
    jobs.pace(held.id, "pause")

    async def press() -> list[Seat]:
        seats = [Seat(lab.url, cookie_of(lab.url)) for _ in range(PUPILS)]
        await asyncio.gather(*(seat.sit("train") for seat in seats))
        for number, seat in enumerate(seats[PUPILS // 2 :], 1):
            await seat.do("train_seed", number)
        await asyncio.gather(*(seat.do("train_start") for seat in seats))
        there = 1 + 1 + PUPILS // 2  # the same run is queued once, whichever replica is asked
        for seat in seats:  # a page that looked again by itself meanwhile may have answered before the press did
            await seat.until(lambda: len(jobs.jobs()) == there)
            await seat.until(lambda seat=seat: any("in the queue" in text for text in seat.texts))
        listing = jobs.jobs()
        assert len(listing) == there
        assert [job.state for job in listing].count("running") <= 1
        for seat in seats:
            assert not seat.errors
            await seat.leave()
        return seats

    asyncio.run(press())
    until(lambda: jobs.get(held.id).state == "running")
    jobs.cancel(*(job.id for job in jobs.jobs() if job.state == "queued"))
    owner = until(lambda: next((r for r in lab.replicas if has_worker(r.process.pid)), None))
    (other,) = (replica for replica in lab.replicas if replica is not owner)
    owner.process.kill()
    owner.process.wait()
    until(lambda: has_worker(other.process.pid))
    jobs.pace(held.id, "go")
    until(lambda: jobs.get(held.id).state == "done")
    assert checkpoints.finished_run(held.run).epochs == 3

    async def look() -> list[str]:
        seat = Seat(lab.url, cookie_of(lab.url))  # whichever seat it is, it is at the one that lives
        await seat.sit("train", f"job={held.run}")
        await seat.leave()
        return seat.texts

    for _ in range(2):
        assert any("Finished: 3 epochs" in text for text in asyncio.run(look()))


def has_worker(pid: int) -> bool:
    """Has this process a child?"""
    return any(path.read_text("utf-8").strip() for path in Path(f"/proc/{pid}/task").glob("*/children"))
