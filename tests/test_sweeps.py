"""Sweeps on the queue: several runs are trained together, and each is cancelled or fails alone."""

import threading

import pytest
from conftest import until
from job_helpers import job_state, job_step
from model_helpers import beta_configs
from safetensors.numpy import load_file

from aevae import paths
from aevae.queue import jobs
from aevae.queue.worker import Worker
from aevae.store import checkpoints


def weights(name):
    return load_file(paths.runs_dir() / name / "model.safetensors")


def near(name, other) -> bool:
    """The same weights up to rounding (see tests/test_steps.py)."""
    return all(abs(value - other[key]).mean() < 1e-4 for key, value in weights(name).items())


@pytest.mark.slow
def test_one_of_a_sweep_is_cancelled_the_others_go_on_and_it_is_resumed(empty_store, tmp_path, monkeypatch):
    configs = beta_configs(1.0, 4.0, 16.0, epochs=2)
    first, second, third = jobs.submit_all(configs, "cpu")
    assert first.sweep == second.sweep == third.sweep != ""
    jobs.advance(first.id, "step")
    thread = threading.Thread(target=Worker(once=True).run)
    thread.start()
    until(lambda: [job_step(job.id) for job in (first, second, third)] == [1, 1, 1])
    jobs.cancel(second.id)
    until(lambda: job_state(second.id) == "cancelled")
    jobs.pace(first.id, "go")
    jobs.pace(third.id, "go")
    thread.join()
    assert [job_state(job.id) for job in (first, second, third)] == ["done", "cancelled", "done"]
    assert not checkpoints.finished_run(second.run)
    again = jobs.resume(second.id)
    Worker(once=True).run()
    assert job_state(again.id) == "done"
    found = {config.name: weights(config.name) for config in configs}
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "straight"))
    for config in configs:
        jobs.submit(config, "cpu")
        Worker(once=True).run()
        assert near(config.name, found[config.name])


def test_a_whole_sweep_is_cancelled_at_once_and_resumed_together(empty_store):
    configs = beta_configs(1.0, 4.0, epochs=2)
    numbers = [job.id for job in jobs.submit_all(configs, "cpu")]
    jobs.advance(numbers[0], "step")
    thread = threading.Thread(target=Worker(once=True).run)
    thread.start()
    until(lambda: [job_step(number) for number in numbers] == [1, 1])
    jobs.cancel(*numbers)
    thread.join()
    assert [job_state(number) for number in numbers] == ["cancelled", "cancelled"]
    assert [checkpoints.read_run(paths.runs_dir() / config.name).state["step"] for config in configs] == [1, 1]
    again = jobs.submit_all(configs, "cpu")
    assert {job.sweep for job in again} == {jobs.get(numbers[0]).sweep}
    Worker(once=True).run()
    assert {job_state(job.id) for job in again} == {"done"}


def test_one_of_a_sweep_diverges(empty_store, monkeypatch):
    import torch

    from aevae.models.beta_vae import BetaVAE

    monkeypatch.setattr(BetaVAE, "kl_weight", property(lambda self: torch.where(self.beta > 10, torch.nan, self.beta)))
    good, bad = jobs.submit_all(beta_configs(1.0, 16.0), "cpu")
    Worker(once=True).run()
    assert job_state(good.id) == "done" and checkpoints.finished_run(good.run)
    bad = jobs.get(bad.id)
    assert bad.state == "failed" and "became nan" in bad.error and not checkpoints.finished_run(bad.run)


def test_two_sweeps_that_share_a_run(empty_store):
    a, b, c = beta_configs(1.0, 4.0, 16.0)
    one, two = jobs.submit_all([a, b], "cpu"), jobs.submit_all([b, c], "cpu")
    assert two[0].id == one[1].id and two[1].sweep not in ("", one[0].sweep)
    assert len(jobs.jobs()) == 3
    jobs.cancel(*(job.id for job in one))
    assert [job.state for job in map(jobs.get, (one[0].id, one[1].id, two[1].id))] == [
        "cancelled", "cancelled", "queued",
    ]  # fmt: skip
    jobs.submit_all([b, c], "cpu")
    Worker(once=True).run()
    assert not checkpoints.finished_run(a.name)
    assert checkpoints.finished_run(b.name) and checkpoints.finished_run(c.name)
