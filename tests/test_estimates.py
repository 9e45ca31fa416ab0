"""Estimates of training time: timed by the worker, corrected by earlier trainings; a page never trains."""

import ast
import dataclasses
import json
import time

import pytest
import torch
from conftest import open_page, tiny_config
from page_helpers import rerun_fragment

from aevae import paths
from aevae.config import DataConfig
from aevae.queue import estimates, jobs, queuefile
from aevae.queue.progress import Progress
from aevae.queue.worker import Worker
from aevae.ui.train import costs, form

pytestmark = pytest.mark.usefixtures("no_worker")

PACE = 1e-4  # seconds per image


def end(number: int, progress: dict, **values) -> None:
    """The job is done, and these are its progress and values."""
    values = {"state": "done", "ended": time.time(), "progress": json.dumps(progress)} | values
    with queuefile.transaction() as db:
        db.execute(f"UPDATE jobs SET {', '.join(f'{k} = ?' for k in values)} WHERE id = ?", (*values.values(), number))


def time_it(config, device: str = "cpu", seconds: float = PACE) -> None:
    end(estimates.submit(config, device).id, {"parameters": 1000, "seconds": seconds})


def train_it(config, seconds: float, beside: float = 3.0, device: str = "cpu") -> None:
    """A training that took so long."""
    end(jobs.submit(config, device).id, {"took": estimates.took([config], device, device, seconds, beside)})


# -- a page never trains ---------------------------------------------------------------------------------------------


def test_no_page_code_trains_or_sets_threads():
    wrong = []
    files = [*(paths.ROOT / "aevae" / "ui").rglob("*.py"), *(paths.ROOT / "pages").rglob("*.py"), paths.ROOT / "app.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", None))
            names = [name, *(a.name for a in getattr(node, "names", ()) if isinstance(a, ast.alias))]
            if {"set_num_threads", "set_threads", "estimate", "Trainer", "train_or_load"} & set(map(str, names)):
                wrong.append(f"{file.name}:{getattr(node, 'lineno', 0)}")
    assert not wrong


def test_the_train_page_leaves_torch_as_it_was(empty_store, monkeypatch):
    from aevae import runs

    monkeypatch.setattr(runs, "estimate", lambda *args: pytest.fail("a page trains"))
    monkeypatch.setattr(torch, "set_num_threads", lambda count: pytest.fail("a page sets threads"))
    at = open_page("pages/lab/train.py")
    assert not at.exception and {m.label: m.value for m in at.metric}["training time"] == "…"
    assert at.button(key="train_start"), "nobody has to wait for the estimate"
    (task,) = [job for job in jobs.jobs(lane=jobs.TASKS_LANE) if job.kind == estimates.KIND]
    assert task.state == "queued"


def test_the_page_shows_the_estimate_when_it_comes(empty_store, monkeypatch):
    at = open_page("pages/lab/train.py")
    Worker(jobs.TASKS_LANE, once=True).run()
    at.run()
    assert not at.exception and "…" not in {m.label: m.value for m in at.metric}["training time"]
    assert len(jobs.jobs(lane=jobs.TASKS_LANE)) == 1, "it is not asked for again"


def test_what_is_no_longer_wanted_is_given_up(empty_store):
    at = open_page("pages/lab/train.py")
    for hidden in (100, 200, 300):
        at.number_input(key="train_hidden").set_value(hidden).run()
    waiting = [job for job in jobs.jobs(lane=jobs.TASKS_LANE) if job.active]
    assert [job.config["config"]["model"]["hidden"] for job in waiting] == [300]


def test_a_timing_that_another_session_cancelled_is_queued_again(empty_store, monkeypatch):
    at = open_page("pages/lab/train.py")
    (task,) = jobs.jobs(lane=jobs.TASKS_LANE)
    jobs.cancel(task.id)
    for number in at._fragment_storage._fragments:
        rerun_fragment(at, number)
    assert not at.exception and any(job.active for job in jobs.jobs(lane=jobs.TASKS_LANE))


def test_train_asks_first_whether_the_run_exists(store, monkeypatch):
    from aevae.store import checkpoints

    monkeypatch.setattr(costs, "cost", lambda *args: pytest.fail("it exists: nothing is to be estimated"))
    raw = checkpoints.find_run(store["ae"]).config
    from aevae.run_config import RunConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(form, "run_form", lambda place: ([RunConfig.from_dict(raw)], "cpu"))
        at = open_page("pages/lab/train.py")
    assert not at.exception and any("is finished" in s.value for s in at.success)


def test_a_timing_that_fails_says_so_and_the_button_stays(empty_store):
    at = open_page("pages/lab/train.py")
    (task,) = jobs.jobs(lane=jobs.TASKS_LANE)
    end(task.id, {}, state="failed", error="out of memory")
    at.run()
    assert not at.exception and any("out of memory" in c.value for c in at.caption)
    assert at.button(key="train_start")


def test_the_worker_times_before_it_draws_maps(empty_store, monkeypatch):
    order = []
    monkeypatch.setitem(jobs.KINDS, "map", f"{__name__}:noted_map")
    monkeypatch.setattr("aevae.queue.estimates.work", lambda asked, tell, stop: order.append("estimate") or True)
    globals()["noted_map"] = lambda asked, tell, stop: order.append("map") or True
    jobs.submit_task("map", "a map", {"n": 1})
    estimates.submit(tiny_config("ae"), "cpu")
    Worker(jobs.TASKS_LANE, once=True).run()
    assert order == ["estimate", "map"]


def test_timing_leaves_the_threads_of_the_worker(empty_store):
    before = torch.get_num_threads()
    reported = []
    assert estimates.work(estimates.request(tiny_config("vae"), "cpu"), reported.append, lambda: False)
    assert torch.get_num_threads() == before
    assert reported[0]["parameters"] > 0 and 0 < reported[0]["seconds"] < 1


def test_timings_are_bounded(empty_store, monkeypatch):
    monkeypatch.setattr(estimates, "MAX_TIMINGS", 3)
    for dim in range(1, 8):
        time_it(tiny_config("ae", latent_dim=dim))
    done = jobs.submit(tiny_config("ae"))
    end(done.id, {})
    jobs.prune(3, estimates.KIND)
    assert len(jobs.jobs(lane=jobs.TASKS_LANE)) == 3 and jobs.get(done.id), "trainings stay"


# -- held against what happened --------------------------------------------------------------------------------------


def of(epochs: int = 20, family: str = "vae", **options):
    config = tiny_config(family, epochs=epochs, **options)
    return dataclasses.replace(config, data=DataConfig())


def seconds(config) -> float:
    return costs.cost([config], "cpu").seconds


def test_without_a_history_all_parts_count(empty_store):
    time_it(of())
    plain = 20 * PACE * (4000 + 1000 / 3)
    assert seconds(of()) > plain + estimates.START_SECONDS + 20 * estimates.EPOCH_SECONDS
    assert seconds(of(40)) - seconds(of(20)) == pytest.approx(plain + 20 * (0.25 + 0.05), rel=0.01)


@pytest.mark.parametrize("slower", [0.5, 1.7, 4.0])
def test_an_estimate_comes_right_after_one_training(empty_store, slower):
    """An estimate of 12 s took 20: the next one is 20."""
    config, other = of(), of(50)
    time_it(config)
    raw = estimates.computed([config], PACE, "cpu")
    train_it(config, slower * raw, beside=6.0)
    assert seconds(config) == pytest.approx(slower * raw + 6.0, rel=0.02)
    assert seconds(other) == pytest.approx(slower * estimates.computed([other], PACE, "cpu") + 6.0, rel=0.02)


def test_a_simulated_term(empty_store):
    """Estimates converge on a machine whose trainings take 1.8 times the steps and 8 s beside, whatever is trained."""
    errors = []
    for i in range(12):
        config = of(5 + 7 * i % 40, hidden=16 + 8 * (i % 3))
        if estimates.pace(config, "cpu") is None:
            time_it(config, seconds=PACE * (1 + i % 3))
        took = 1.8 * estimates.computed([config], PACE * (1 + i % 3), "cpu")
        errors.append(abs(seconds(config) / (took + 8.0) - 1))
        train_it(dataclasses.replace(config, seed=i), took, beside=8.0)
    assert errors[0] > 0.3 and max(errors[3:]) < 0.05


def test_one_outlier_does_not_change_the_estimate(empty_store):
    time_it(of())
    raw = estimates.computed([of()], PACE, "cpu")
    for seed, slower in enumerate((2.0, 2.0, 40.0, 2.0)):
        train_it(dataclasses.replace(of(), seed=seed), slower * raw)
    assert seconds(of()) == pytest.approx(2 * raw + 3.0, rel=0.02)


def test_the_nearest_history_counts(empty_store):
    """Same size before same family before any; another device says nothing."""
    small, large, other = of(hidden=16), of(hidden=64), of(family="ae")
    for config in (small, large, other):
        time_it(config)
        time_it(config, "cuda")
    raw = estimates.computed([small], PACE, "cpu")
    train_it(small, 9 * raw, device="cuda")
    assert estimates.correction(small, "cpu", "cpu")[0] == 1
    train_it(other, 4 * raw)
    assert estimates.correction(small, "cpu", "cpu")[0] == pytest.approx(4, rel=0.01)
    train_it(large, 3 * raw)
    assert estimates.correction(small, "cpu", "cpu")[0] == pytest.approx(3, rel=0.01)
    train_it(small, 2 * raw)
    assert estimates.correction(small, "cpu", "cpu")[0] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    "rubbish",
    [None, 3, [], {}, {"device": "cpu"}, {"device": "cpu", "factor": "x", "beside": None},
     {"device": "cpu", "factor": -1, "beside": True}],
)  # fmt: skip
def test_rubbish_in_the_history_counts_for_nothing(empty_store, rubbish):
    time_it(of())
    end(jobs.submit(of()).id, {"took": rubbish})
    assert estimates.correction(of(), "cpu", "cpu") == (1.0, estimates.START_SECONDS)


def test_a_training_writes_down_what_it_took(empty_store, monkeypatch):
    monkeypatch.setattr(estimates, "MIN_SECONDS", 0.0)
    config = tiny_config("ae", epochs=3)
    estimates.submit(config, "cpu")
    Worker(jobs.TASKS_LANE, once=True).run()
    job, began = jobs.submit(config, "cpu"), time.monotonic()
    Worker("cpu", once=True).run()
    took = jobs.get(job.id).progress["took"]
    assert took["beside"] <= time.monotonic() - began, "not the age of the machine"
    assert took["device"] == "cpu" and took["family"] == "ae" and took["seconds"] > 0 and took["beside"] > 0
    assert took["factor"] > 0 and estimates.correction(config, "cpu", "cpu")[0] == took["factor"]


def test_groups_of_a_sweep_write_down_each_their_own(empty_store, monkeypatch):
    monkeypatch.setattr(estimates, "MIN_SECONDS", 0.0)
    configs = [tiny_config("beta_vae", epochs=2, hidden=h, beta=b) for h in (16, 24) for b in (0.5, 1.0)]
    for config in configs[::2]:
        time_it(config)
    queued = jobs.submit_all(configs, "cpu", 10.0)
    Worker("cpu", once=True).run()
    took = [jobs.get(job.id).progress.get("took") for job in queued]
    assert [t is not None for t in took] == [True, False, True, False]
    assert took[0]["size"] != took[2]["size"]


# -- while it runs ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    step: int
    steps: int = 100
    epoch: int = 1
    terms: dict = dataclasses.field(default_factory=dict)
    images_per_s: float = 1.0


def test_of_steps_as_fast_as_expected_the_rest_is_left():
    clock = [0.0]
    progress = Progress(lambda: clock[0], 97.0)  # of 100 steps
    assert progress.figures["seconds_left"] == 97.0
    for step in (1, 51):
        clock[0] = 0.97 * step
        progress(Step(step))
    assert progress.figures["seconds_left"] == 47.5, "49 steps of 0.97 s, to a tenth"


def test_what_is_left_begins_at_the_estimate_and_ends_at_the_truth():
    clock = [0.0]
    progress = Progress(lambda: clock[0], 30.0)
    progress(Step(1))
    lefts = []
    for step in range(2, 101):
        clock[0] = 8.0 * (step == 2) + 0.6 * step  # a first step that takes as long as thirteen
        progress(Step(step))
        lefts.append(progress.figures["seconds_left"])
    assert lefts[0] < 120, "before, one slow step meant a quarter of an hour"
    assert lefts[-1] == 0 and max(lefts[20:]) < 60


def test_a_sweep_of_groups_takes_the_sum_of_them():
    def job(number, left, group, pace="go"):
        progress = {"seconds_left": left} | ({"group": group} if group else {})
        return jobs.Job(number, "", "", {}, "cpu", "running", 1, "", False, 0, 0, None, 0, progress, "", "", pace)

    assert jobs.seconds_left([job(1, 5.0, 0), job(2, 7.0, 0), job(3, 20.0, 1)]) == 27
    assert jobs.seconds_left([job(1, 5.0, 0), job(2, 20.0, 1, "pause")]) is None


def test_the_cost_of_a_wide_sweep_times_few_models(empty_store):
    configs = [tiny_config("ae", latent_dim=d) for d in range(1, 41)]
    found = costs.cost(configs, "cpu")
    assert found.seconds is None and len(found.missing) == costs.MAX_TIMED
    for config in found.missing:
        time_it(config)
    assert costs.cost(configs, "cpu").seconds > 40 * estimates.START_SECONDS
