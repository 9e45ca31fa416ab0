"""Tasks on the queue, such as maps: they do not wait for trainings, and can fail or be cancelled."""

import threading
import time

import pytest
from conftest import tiny_config, until

from aevae.queue import jobs
from aevae.queue.worker import Worker


def a_task(request: dict, tell, should_stop) -> bool:
    """What the worker of tasks calls here: counts to `request["to"]`, and fails where asked to."""
    if request.get("fail"):
        raise ValueError(request["fail"])
    for i in range(request["to"]):
        tell({"at": i})
        if should_stop():
            return False
        time.sleep(request.get("rest", 0))
    return True


@pytest.fixture
def tasks(empty_store, monkeypatch):
    monkeypatch.setitem(jobs.KINDS, "map", f"{__name__}:a_task")
    return lambda: Worker(jobs.TASKS_LANE, once=True).run()


def test_a_task_is_done_and_reports_its_progress(tasks):
    job = jobs.submit_task("map", "counting", {"to": 3})
    assert (job.kind, job.run, job.config, job.state, job.position) == ("map", "counting", {"to": 3}, "queued", 1)
    tasks()
    job = jobs.get(job.id)
    assert (job.state, job.progress, job.error) == ("done", {"at": 2}, "")


def test_the_same_task_is_there_once_and_another_waits_behind_it(tasks):
    first, again = (jobs.submit_task("map", "counting", {"to": 3, "rest": 0}) for _ in range(2))
    other = jobs.submit_task("map", "counting", {"to": 4})
    assert first.id == again.id != other.id and other.position == 2
    tasks()
    assert jobs.submit_task("map", "counting", {"to": 3, "rest": 0}).id > other.id, "done: asked again, done again"


def test_so_many_tasks_wait_and_no_more(tasks, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_WAITING_TASKS", 2)
    first, _ = (jobs.submit_task("map", "counting", {"to": to}) for to in (1, 2))
    assert jobs.submit_task("map", "counting", {"to": 1}).id == first.id
    with pytest.raises(jobs.QueueBroken, match="2 maps and evaluations already wait"):
        jobs.submit_task("map", "counting", {"to": 3})
    tasks()
    assert jobs.submit_task("map", "counting", {"to": 3}).state == "queued"


def test_trainings_and_tasks_do_not_wait_for_each_other(tasks):
    training = jobs.submit(tiny_config("ae"))
    task = jobs.submit_task("map", "counting", {"to": 1})
    assert training.position == task.position == 1
    tasks()
    assert jobs.get(training.id).state == "queued" and jobs.get(task.id).state == "done"
    assert [job.id for job in jobs.jobs()] == [training.id]
    assert [job.id for job in jobs.jobs(lane=jobs.TASKS_LANE)] == [task.id]
    Worker(once=True).run()
    assert jobs.get(training.id).state == "done"


def test_a_task_that_cannot_be_says_why_and_the_next_goes_on(tasks):
    bad = jobs.submit_task("map", "counting", {"to": 1, "fail": "perplexity is too large"})
    good = jobs.submit_task("map", "counting", {"to": 1})
    tasks()
    assert (jobs.get(bad.id).state, jobs.get(bad.id).error) == ("failed", "perplexity is too large")
    assert "ValueError" in jobs.get(bad.id).trace and jobs.get(good.id).state == "done"
    with pytest.raises(ValueError, match="a task is one of map, evaluate, estimate, got dig"):
        jobs.submit_task("dig", "", {})


def test_a_task_is_cancelled_while_it_runs(tasks):
    job = jobs.submit_task("map", "counting", {"to": 1000, "rest": 0.02})
    thread = threading.Thread(target=tasks)
    thread.start()
    until(lambda: jobs.get(job.id).progress.get("at", 0) > 2)
    jobs.cancel(job.id)
    thread.join(10)
    assert not thread.is_alive() and jobs.get(job.id).state == "cancelled"
    assert jobs.resume(job.id).config == job.config


def test_the_order_of_a_request_is_no_part_of_its_identity(empty_store):
    request = {"space": "pixels", "n": 150}
    first = jobs.submit_task("map", "a map", request)
    assert jobs.submit_task("map", "a map", dict(reversed(request.items()))).id == first.id
