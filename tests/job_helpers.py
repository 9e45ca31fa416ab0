"""Helpers for tests of the queue."""

from conftest import tiny_config

from aevae.queue import jobs
from aevae.queue.worker import Worker
from aevae.run_config import RunConfig
from aevae.runs import load_run
from aevae.store import checkpoints


def long_config(seed: int = 0) -> RunConfig:
    """Far more epochs than a test waits for."""
    return tiny_config("vae", epochs=1000, limit=400, seed=seed)


def job_state(number: int) -> str:
    return jobs.get(number).state


def job_step(number: int) -> int:
    """Number of the newest step that the job reported; -1 before the first."""
    return jobs.get(number).progress.get("step", -1)


def run_statuses() -> dict[str, str]:
    """Name of each run -> its status."""
    return {run.name: run.status for run in checkpoints.list_runs()}


def assert_next_job_finishes(seed: int = 99) -> None:
    job = jobs.submit(tiny_config("ae", seed=seed), "cpu")
    Worker(once=True).run()
    assert jobs.get(job.id).state == "done" and load_run(job.run).info.status == "finished"
