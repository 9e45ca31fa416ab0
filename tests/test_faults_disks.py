"""Disks that are really full or read-only: the page says so, and what was finished stays."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import tiny_config
from job_helpers import run_statuses
from page_helpers import message_text, open_cleared_page

from aevae.queue import jobs
from aevae.queue.worker import Worker
from aevae.runs import load_run, train_or_load
from aevae.ui.shared import cached

pytestmark = pytest.mark.usefixtures("no_worker")


@pytest.fixture
def disk(tmp_path):
    """A disk of 24 MB, and a function that makes it read-only (or writable again)."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {done.stderr.strip()}")
    yield place, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small_store(disk, empty_store, monkeypatch):
    """The same disk with a store on it that holds a finished run."""
    monkeypatch.setenv("AEVAE_RUNS", str(disk[0] / "runs"))
    return *disk, train_or_load(tiny_config("ae"), "cpu").name


def fill(place: Path, left: int) -> Path:
    ballast = place / "ballast"
    ballast.write_bytes(bytes(max(shutil.disk_usage(place).free - left, 0)))
    return ballast


def test_a_full_disk(small_store):
    place, _remount, kept = small_store
    config = tiny_config("vae", hidden=400)  # a checkpoint takes ten times the room that is left
    job = jobs.submit(config, "cpu")
    ballast = fill(place, 1_000_000)
    Worker(once=True).run()
    assert (jobs.get(job.id).state, run_statuses()[kept]) == ("failed", "finished")
    assert run_statuses().get(config.name) in (None, "unfinished") and load_run(kept)
    assert "the disk is full; free some space, then resume" in message_text(open_cleared_page(job=config.name))
    with open(ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    app = open_cleared_page(train_latent_dim="7")
    app.button(key="train_start").click().run()
    assert not app.exception and "free some disk space" in message_text(app)
    assert run_statuses()[kept] == "finished" and [j.id for j in jobs.jobs()] == [job.id]
    ballast.unlink()
    again = jobs.resume(job.id)
    Worker(once=True).run()
    assert jobs.get(again.id).state == "done" and load_run(config.name)


def test_a_store_on_a_read_only_disk(small_store):
    place, remount, kept = small_store
    job = jobs.submit(tiny_config("vae"), "cpu")
    (place / "runs" / "queue.sqlite-shm").unlink(missing_ok=True)
    remount("ro")
    try:
        assert run_statuses() == {kept: "finished"} and load_run(kept).latent_summary()
        assert [(j.id, j.state) for j in jobs.jobs()] == [(job.id, "queued")] and jobs.get(job.id).position == 1
        app = open_cleared_page(train_latent_dim="7")
        app.button(key="train_start").click().run()
        assert (
            not app.exception
            and "cannot be written" in message_text(app)
            and "you can look at the stored runs" in message_text(app)
        )
        app = open_cleared_page("pages/lab/models.py", run=kept)
        app.button(key="models_delete").click().run()
        assert not app.exception and "Read-only file system" in message_text(app)
        assert kept in [run.name for run in cached.runs()]
        open_cleared_page("pages/explore/sliders.py")
    finally:
        remount("rw")
    Worker(once=True).run()
    assert jobs.get(job.id).state == "done"
