"""Monitoring: counters, log, start times of waiting jobs, bounded caches, few threads."""

import ast
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import open_page, tiny_config
from prometheus_client.parser import text_string_to_metric_families
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from aevae import logs, paths
from aevae.queue import jobs
from aevae.queue.worker import Worker
from aevae.store import checkpoints, files
from aevae.ui.frame import access, monitoring
from aevae.ui.shared import cached
from aevae.ui.train.jobs import state_text

PASSCODE = "four swans"
NVIDIA = "#!/bin/sh\necho '1024, 81559'\necho '0, 81559'\n"


@pytest.fixture
def counts(monkeypatch):
    fresh = monitoring.Counts()
    monkeypatch.setattr(monitoring, "counts", fresh)
    return fresh


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(monitoring.time, "monotonic", lambda: now[0])
    return now


def rerun_request(look: bool = False) -> bytes:
    message = BackMsg()
    message.rerun_script.is_auto_rerun = look
    return message.SerializeToString()


def ended(status: int = ForwardMsg.FINISHED_SUCCESSFULLY) -> bytes:
    return ForwardMsg(script_finished=status).SerializeToString()


def numbers() -> dict[tuple, float]:
    """(name, labels in their order) -> number, read as Prometheus reads it."""
    families = text_string_to_metric_families(monitoring.text().decode())
    return {(s.name, *(s.labels[k] for k in sorted(s.labels))): s.value for f in families for s in f.samples}


# -- answers ---------------------------------------------------------------------------------------------------------


def test_an_answer_lasts_from_the_press_to_the_end_of_the_run(counts, clock):
    turn = monitoring.Turn()
    for press, wait in ((1000.0, 0.25), (2000.0, 1.2)):
        clock[0] = press
        turn.on_request(rerun_request())
        turn.on_response(ForwardMsg(ref_hash="x").SerializeToString())
        clock[0] += wait
        turn.on_response(ended())
    turn.on_response(ended())  # nobody asked
    assert sorted(seconds for _when, seconds in counts.latest) == pytest.approx([0.25, 1.2])
    found = numbers()
    bucket = {bound: found["aevae_answer_seconds_bucket", "press", str(bound)] for bound in (0.2, 0.3, 1.0, 1.5)}
    assert bucket == {0.2: 0, 0.3: 1, 1.0: 1, 1.5: 2}
    assert found["aevae_answer_seconds_count", "press"] == 2
    assert found["aevae_answer_seconds_sum", "press"] == pytest.approx(1.45)
    assert counts.recent() == pytest.approx([1.2]), "the first press is longer ago"


def test_a_run_that_begins_anew_is_no_answer_and_a_second_press_waits_since_the_first(counts, clock):
    turn = monitoring.Turn()
    turn.on_request(rerun_request())
    clock[0] += 1
    turn.on_request(rerun_request())
    turn.on_response(ended(ForwardMsg.FINISHED_EARLY_FOR_RERUN))
    clock[0] += 1
    turn.on_response(ended())
    assert [seconds for _when, seconds in counts.latest] == [2.0]


def test_a_page_that_looks_again_is_counted_apart_and_a_press_meanwhile_is_a_press(counts, clock):
    turn = monitoring.Turn()
    turn.on_request(rerun_request(look=True))
    clock[0] += 3
    turn.on_response(ended(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY))
    assert numbers()["aevae_answer_seconds_sum", "look"] == 3 and not counts.latest
    turn.on_request(rerun_request(look=True))
    clock[0] += 3
    turn.on_request(rerun_request())
    clock[0] += 1
    turn.on_response(ended())
    assert [seconds for _when, seconds in counts.latest] == [1.0]


@pytest.mark.parametrize("message", [None, b"", b"\xff\xff\xff", BackMsg(stop_script=True).SerializeToString()])
def test_other_messages_count_no_run(counts, message):
    turn = monitoring.Turn()
    turn.on_request(message)
    turn.on_response(ended())
    assert not counts.latest


def test_pages_look_again_less_often_where_many_are_open(counts):
    assert monitoring.beat() == 1.0
    counts.sessions = 30
    assert monitoring.beat() == pytest.approx(30 / monitoring.POLLS_PER_SECOND) and monitoring.beat(5.0) == 5.0


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_the_queue_in_numbers(empty_store, counts):
    first, _second = (jobs.submit(tiny_config("ae", seed=seed)) for seed in (0, 1))
    with jobs.transaction() as db:
        progress = '{"step": 30, "steps": 120, "images_per_s": 5000}'
        db.execute("UPDATE jobs SET state = 'running', progress = ? WHERE id = ?", (progress, first.id))
    found = numbers()
    assert found["aevae_jobs", "training", "queued"] == found["aevae_jobs", "training", "running"] == 1
    assert found["aevae_jobs", "tasks", "queued"] == 0
    assert found["aevae_job_done_ratio", str(first.id), "train"] == 0.25
    assert found["aevae_job_images_per_second", str(first.id)] == 5000
    assert found["aevae_worker_up", "auto"] == 0
    with jobs.lane_lock("auto"):
        assert numbers()["aevae_worker_up", "auto"] == 1
    assert found["aevae_store_free_bytes",] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="the tool is a script of sh")
def test_memory_of_gpus_is_what_the_driver_says(counts, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert monitoring.gpus() == []
    tool = tmp_path / "nvidia-smi"
    for text, found in ((NVIDIA, [(1 << 30, 81559 << 20), (0, 81559 << 20)]), ("#!/bin/sh\necho '[N/A], x'\n", [])):
        tool.write_text(text, "utf-8")
        tool.chmod(0o755)
        assert monitoring.gpus() == found


def test_an_error_that_no_page_puts_into_words_is_counted_and_logged_without_its_words(counts, capsys):
    try:
        access.passcode.__wrapped__  # noqa: B018
    except AttributeError as problem:
        monitoring.page_failed(problem)
    assert counts.errors == 1 and numbers()["aevae_page_errors_total",] == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"\S+Z page_failed error=AttributeError at=tests/test_watch\.py:\d+\n", said)


def test_a_job_is_logged_by_its_number(empty_store, capsys):
    job = jobs.submit(tiny_config("ae"))
    assert capsys.readouterr().err.endswith(f"Z queued job={job.id} kind=train run={job.fingerprint}\n")
    assert jobs.submit(tiny_config("ae")).id == job.id
    assert capsys.readouterr().err == "", "asked again, nothing happened"


def test_a_worker_logs_what_it_takes_and_how_it_ends(empty_store, capsys):
    jobs.submit(tiny_config("ae"))
    assert Worker(once=True).run() == 0
    lines = [line.partition("Z ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines[1:] == ["running job=1 kind=train lane=auto", "done job=1 kind=train"]


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    logs.event("server_up", pid=1)


def test_only_a_teacher_sees_the_server_page(empty_store, counts, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    monkeypatch.setenv("AEVAE_PASSCODE", PASSCODE)
    jobs.submit(tiny_config("ae"))
    app = open_page("pages/lab/server.py")
    assert not app.metric
    assert [info.value for info in app.info] == [access.refusal()]
    app.text_input(key="gate_code").set_value(PASSCODE).run()
    assert not app.exception
    assert {"open sessions", "memory of the server"} <= {metric.label for metric in app.metric}
    assert any("AE" in text.value and "number 1 in the queue" in text.value for text in app.markdown)


# -- when a waiting job begins ---------------------------------------------------------------------------------------


def test_a_job_begins_when_all_before_it_have_ended(empty_store):
    for seed, seconds in enumerate((10.0, 20.0, 40.0)):
        jobs.submit(tiny_config("ae", seed=seed), seconds=seconds)
    assert [job.starts_in for job in jobs.jobs()] == [0.0, 10.0, 30.0]
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'running', progress = '{\"seconds_left\": 4.5}' WHERE id = 1")
    assert [job.starts_in for job in jobs.jobs()] == [None, 4.5, 24.5]
    assert state_text(jobs.jobs()[2]) == "waiting, number 2 in the queue, starts in about 20 s"


def test_a_sweep_runs_side_by_side_so_it_is_waited_for_once(empty_store):
    jobs.submit_all([tiny_config("ae", seed=seed) for seed in range(3)], seconds=60.0)
    jobs.submit(tiny_config("vae"))
    assert [job.starts_in for job in jobs.jobs()] == [0.0, 60.0, 60.0, 60.0]


def test_nobody_knows_behind_a_job_that_is_paused_or_that_says_nothing(empty_store):
    first = jobs.submit(tiny_config("ae"), seconds=10.0)
    jobs.submit(tiny_config("ae", seed=1))
    jobs.submit(tiny_config("ae", seed=2))
    assert [job.starts_in for job in jobs.jobs()] == [0.0, 10.0, None]
    jobs.pace(first.id, "pause")
    assert [job.starts_in for job in jobs.jobs()] == [0.0, None, None]
    assert state_text(jobs.jobs()[1]) == "waiting, number 2 in the queue"


def test_a_run_that_is_resumed_is_expected_to_take_what_was_left(empty_store):
    job = jobs.submit(tiny_config("ae"), seconds=100.0)
    jobs.cancel(job.id)
    jobs.resume(job.id)
    jobs.submit(tiny_config("ae", seed=1))
    assert [found.starts_in for found in jobs.jobs() if found.active] == [0.0, 100.0]


# -- what thirty share -----------------------------------------------------------------------------------------------


def cached_functions():
    """(file, function, decorator) of everything that is kept."""
    for file in [*(paths.ROOT / "aevae").rglob("*.py"), *(paths.ROOT / "pages").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for decorator in getattr(node, "decorator_list", ()):
                text = ast.unparse(decorator)
                if re.match(r"(st\.cache_(data|resource)|(functools\.)?(lru_)?cache)\b", text):
                    yield f"{file.relative_to(paths.ROOT)}:{node.name}", node, text


def test_every_cache_is_bounded():
    """By its number of entries; or by having nothing to tell one entry from another."""
    found = list(cached_functions())
    assert len(found) > 50
    endless = [
        name
        for name, node, text in found
        if node.args.args and not re.search(r"max_entries=\d+|maxsize=\d+|lru_cache$|lru_cache\(\)$", text)
    ]
    assert {name.partition(":")[0] for name in endless} <= {"aevae/metrics/toys.py"}, "a toy is one of three"


def test_a_run_is_read_again_only_when_one_of_its_files_has_changed(store, monkeypatch):
    before, read = checkpoints.list_runs(), []
    real = checkpoints.read_json
    monkeypatch.setattr(checkpoints, "read_json", lambda path: read.append(path.name) or real(path))
    assert checkpoints.list_runs() == before and read == []
    info = checkpoints.find_run(store["vae"])
    files.write_json(info.path / "metrics.json", {"mnist-5k": {"sse": 7.25}})
    after = checkpoints.find_run(store["vae"])
    assert after.metrics == {"mnist-5k": {"sse": 7.25}} and "metrics.json" in read
    weights = info.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert checkpoints.find_run(store["vae"]).status == "damaged"
    assert checkpoints.find_run(store["ae"]).status == "finished"


def test_what_is_made_of_a_listing_is_made_once_while_it_stands(store):
    made = []
    for _ in range(3):
        cached.once("numbers", lambda: made.append(1))
    assert len(made) == 1
    cached.runs.clear()
    cached.once("numbers", lambda: made.append(2))
    assert made == [1, 2]


def test_a_figure_is_drawn_once_for_all_who_see_it(empty_store):
    drawn = []

    def chart(points, title=""):
        drawn.append((points, title))
        return len(drawn)

    points = np.arange(3.0)
    assert [cached.figure(chart, points, title=t) for t in ("a", "b", "a")] == [1, 2, 1]
    assert cached.figure(chart, points + 1, title="a") == 3


@pytest.mark.slow
def test_the_server_computes_on_one_thread_a_session():
    code = "import app, numpy, torch; print(torch.get_num_threads())"
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "AEVAE_THREADS")}
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, env=env, capture_output=True, encoding="utf-8")
    assert done.stdout.split()[-1:] == ["1"], done.stderr[-2000:]


@pytest.mark.parametrize("cores", [1, 2, 4, 16])
@pytest.mark.parametrize("busy", [0.0, 0.6])
def test_two_workers_and_the_server_take_no_more_threads_than_there_are_cores(monkeypatch, cores, busy):
    """Each counts what the others keep busy, and leaves a core for the server; one thread each is the least."""
    import torch

    from aevae.training import device

    monkeypatch.delenv("AEVAE_THREADS", raising=False)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda pid: range(cores), raising=False)
    own, taken = torch.get_num_threads(), 0
    try:
        for _ in range(2):
            monkeypatch.setattr(device, "busy_cores", lambda: busy + taken)  # noqa: B023
            taken += device.set_threads(spare=1)
    finally:
        torch.set_num_threads(own)
    assert taken <= max(2, cores)


@pytest.mark.slow
def test_workers_started_by_a_server_choose_their_own_threads(empty_store):
    """The server's own count is in their environment; torch is told another."""
    code = (
        "from aevae.training import device\nimport torch\n"
        "device.busy_cores = lambda: 0.0\ndevice.os.sched_getaffinity = lambda pid: range(8)\n"
        "print(torch.get_num_threads(), device.set_threads(spare=1), torch.get_num_threads())"
    )
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    env.pop("AEVAE_THREADS", None)
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, env=env, capture_output=True, encoding="utf-8")
    assert done.stdout.split() == ["1", "7", "7"], done.stderr[-2000:]
