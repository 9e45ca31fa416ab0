"""Worker processes: found, stopped and killed through a launcher, as on Windows; their log file stays small."""

import ast
import contextlib
import ctypes
import os
import subprocess
import sys
import threading
import time

import pytest
from conftest import tiny_config, until
from job_helpers import job_state, long_config

from aevae import logs, paths
from aevae.cli.parser import build_parser
from aevae.queue import estimates, jobs, processes
from aevae.queue.worker import Worker
from aevae.store import checkpoints

SERVER = """
import sys, time
from aevae.queue import jobs
sys.executable = sys.argv[1]
jobs.ensure_worker()
print(jobs._spawned["auto"].pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def launcher(tmp_path):
    """What `python.exe` of a virtual environment is on Windows: it starts the real interpreter as its child."""
    file = tmp_path / "launcher"
    file.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n', encoding="utf-8")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def spawned(monkeypatch):
    """`jobs` as a server of its own, whose end is not that of this process."""
    for name, value in (
        ("_spawned", {}),
        ("_next_start", {}),
        ("_ending", threading.Event()),
        ("_spawning", threading.Lock()),
    ):
        monkeypatch.setattr(jobs, name, value)
    yield jobs._spawned
    for process in jobs._spawned.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("lane", ["auto", "cpu", "cuda:1", jobs.TASKS_LANE])
def test_the_command_line_takes_what_a_worker_is_begun_with(lane):
    assert build_parser().parse_args(jobs.worker_arguments(lane)).device == lane


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["cpu", jobs.TASKS_LANE])
def test_a_worker_of_each_lane_serves(empty_store, spawned, lane):
    job = jobs.submit(tiny_config("ae"), "cpu") if lane == "cpu" else estimates.submit(tiny_config("ae"), "cpu")
    jobs.ensure_worker(lane)
    until(lambda: job_state(job.id) == "done", 60)


def test_a_worker_that_cannot_begin_is_not_begun_at_every_look(empty_store, spawned, monkeypatch):
    begun = []
    real = subprocess.Popen
    dies = [sys.executable, "-c", "raise SystemExit(2)"]
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda command, **rest: begun.append(command) or real(dies, **rest))
    jobs.submit(tiny_config("ae"))
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        jobs.ensure_worker()
        time.sleep(0.02)
    assert len(begun) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the launcher is a script of sh")
def test_a_launcher_between_server_and_worker(empty_store, launcher):
    job = jobs.submit(long_config())
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, launcher], cwd=paths.ROOT, stdout=subprocess.PIPE, encoding="utf-8"
    )
    between = int(server.stdout.readline())
    until(lambda: job_state(job.id) == "running", 60)
    worker = int(jobs.address_file("auto", server.pid).read_text(encoding="ascii"))
    assert worker != between, "the real worker is the launcher's child"
    server.kill()
    server.wait()
    until(lambda: not processes.is_running(worker), 20)
    assert not jobs.worker_alive() and (job_state(job.id), jobs.get(job.id).attempts) == ("queued", 0)
    assert not list((empty_store / ".locks").glob("*.pid"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the launcher is a script of sh")
def test_a_worker_behind_a_launcher_ends_in_order(empty_store, launcher, monkeypatch, spawned):
    monkeypatch.setattr(sys, "executable", launcher)
    job = jobs.submit(long_config())
    jobs.ensure_worker()
    until(lambda: job_state(job.id) == "running" and jobs.get(job.id).progress.get("step"), 60)
    worker = int(jobs.address_file("auto", os.getpid()).read_text(encoding="ascii"))
    began = time.monotonic()
    jobs.end_workers(20)
    assert time.monotonic() - began < 15
    assert not processes.is_running(worker) and spawned["auto"].poll() == 0
    assert (job_state(job.id), jobs.get(job.id).attempts) == ("queued", 0)
    assert checkpoints.read_run(empty_store / long_config().name).state["step"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="the launcher is a script of sh")
def test_a_worker_behind_a_launcher_that_does_not_end_is_killed(empty_store, launcher, spawned):
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'running', slot = 'auto', attempts = 1")
    deaf = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    process = subprocess.Popen([launcher, "-c", deaf], stdout=subprocess.PIPE)
    worker = int(process.stdout.readline())
    file = jobs.address_file("auto", os.getpid())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(worker), encoding="ascii")
    spawned["auto"] = process
    jobs.end_workers(0.1)
    assert process.poll() is not None
    until(lambda: not processes.is_running(worker), 5)
    assert (job_state(job.id), jobs.get(job.id).attempts) == ("queued", 0)


def test_a_worker_of_one_lane_leaves_the_address_of_another(empty_store):
    """Also where the server is process 1, as in a container."""
    other = jobs.address_file("cuda:1", os.getppid())
    other.parent.mkdir(parents=True)
    for file in (other, jobs.address_file("auto", 1)):
        file.write_text("1", encoding="ascii")
    Worker(parent=os.getppid(), once=True).run()
    assert other.exists() and not jobs.address_file("auto", 1).exists(), "the second was left by one that crashed"


def test_who_runs():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert processes.is_running(os.getpid()) and processes.is_running(process.pid)
    process.kill()
    until(lambda: not processes.is_running(process.pid), 5)
    assert process.returncode is None, "nobody has asked after it yet"
    process.wait()
    assert not processes.is_running(process.pid)
    processes.kill(process.pid)


@pytest.mark.parametrize(
    ("handle", "error", "waited", "runs"),
    [(7, 0, 0x102, True), (7, 0, 0, False), (None, 87, None, False), (None, 5, None, True)],
    ids=["runs", "ended", "never was", "not ours"],
)
def test_who_runs_on_windows(monkeypatch, handle, error, waited, runs):
    open_handles, calls = [], []

    class Function:
        def __init__(self, name, value):
            self.name, self.value = name, value

        def __call__(self, *arguments):
            calls.append((self.name, *arguments))
            open_handles.extend([handle] if self.name == "OpenProcess" and handle else [])
            open_handles.remove(arguments[0]) if self.name == "CloseHandle" else None
            return self.value

    class Kernel:
        def __init__(self, name, use_last_error):
            assert name == "kernel32" and use_last_error, "otherwise get_last_error() is always 0"
            self.OpenProcess = Function("OpenProcess", handle)
            self.WaitForSingleObject = Function("WaitForSingleObject", waited)
            self.CloseHandle = Function("CloseHandle", True)

    monkeypatch.setattr(ctypes, "WinDLL", Kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert processes.is_running(1234) is runs
    assert calls[0] == ("OpenProcess", 0x100000, False, 1234) and not open_handles
    assert calls[1:2] == ([("WaitForSingleObject", handle, 0)] if handle else [])


def test_an_ended_child_is_reaped():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
    processes.end_child(process)
    assert process.returncode


def test_a_process_of_another_user_runs_also_where_proc_is_missing(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(processes.Path, "read_bytes", refuse)
    assert processes.is_running(1)


# what ends processes, or names a parent that may be a launcher
POSIX = {"getppid", "getpgid", "kill", "killpg", "terminate", "send_signal", "SIGKILL", "fork", "waitpid"}


def posix_names(code: str) -> set[str]:
    """Names of POSIX in this code, other than those of `processes`."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr in POSIX and ast.unparse(node.value) != "processes":
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} & POSIX
        elif isinstance(node, ast.Constant):  # getattr(signal, "SIGKILL")
            found |= {node.value} & POSIX if isinstance(node.value, str) else set()
    return found


def test_processes_are_ended_and_named_in_one_place():
    folders = (paths.ROOT / place for place in ("aevae", "pages"))
    files = [paths.ROOT / "app.py", *(file for folder in folders for file in folder.rglob("*.py"))]
    named = {file.relative_to(paths.ROOT).as_posix() for file in files if posix_names(file.read_text("utf-8"))}
    assert len(files) > 100 and named == {"aevae/queue/processes.py"}


@pytest.mark.parametrize(
    ("code", "names"),
    [("os.getppid()", {"getppid"}), ("os.kill(1, 2)", {"kill"}), ("process.terminate()", {"terminate"}),
     ("getattr(signal, 'SIGKILL', 9)", {"SIGKILL"}), ("from os import kill", {"kill"}), ("processes.kill(1)", set()),
     ("process.poll() or process.wait()", set()), ("'kill -9 is not used'", set())],
)  # fmt: skip
def test_what_is_of_posix(code, names):
    assert posix_names(code) == names


def test_what_workers_print_stays_short(empty_store, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 1000)
    empty_store.mkdir()
    older = empty_store / "worker.log.1"
    with open(logs.worker_file(), "ab", buffering=0) as out:
        for i in range(500):
            out.write(b"line %4d\n" % i)
            logs.trim_worker_file()
            assert sum(file.stat().st_size for file in (logs.worker_file(), older) if file.exists()) <= 2 * 1010
    assert (older.read_bytes() + logs.worker_file().read_bytes()).endswith(b"line  498\nline  499\n")
    logs.worker_file().write_bytes(bytes(100_000))  # of an older program
    logs.trim_worker_file()
    assert (logs.worker_file().stat().st_size, older.stat().st_size) == (0, 1000)


@pytest.mark.slow
def test_a_worker_cuts_the_file_while_it_prints(empty_store, spawned):
    empty_store.mkdir()
    logs.worker_file().write_bytes(b"old\n" * logs.MAX_LOG_BYTES)
    job = jobs.submit(tiny_config("ae"))
    jobs.ensure_worker()
    until(lambda: job_state(job.id) == "done", 60)
    with contextlib.suppress(KeyError):
        until(lambda: f"done job={job.id}".encode() in logs.worker_file().read_bytes(), 10)
    assert logs.worker_file().stat().st_size < 10_000 and b"\0" not in logs.worker_file().read_bytes()
    assert (empty_store / "worker.log.1").stat().st_size == logs.MAX_LOG_BYTES
    jobs.end_workers(10)
