"""Event log, one line per event on stderr: `2026-11-21T18:01:02Z running job=12 kind=train run=0123456789ab`.

Jobs are identified by number, runs by fingerprint. The log contains no personal data: no address, session, name, path
or typed text. The reason why a job failed is stored in the queue only, where it can be deleted.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from aevae import paths

MAX_LOG_BYTES = 1_000_000  # size of worker.log; worker.log.1 contains as many older bytes


def event(what: str, **facts: str | int | float) -> None:
    """Write one line with the facts in order. A closed pipe or a full disk is ignored."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError, ValueError):
        print(when, what, *(f"{key}={value}" for key, value in facts.items()), file=sys.stderr, flush=True)


# -- the workers' file -----------------------------------------------------------------------------------------------


def worker_file() -> Path:
    """The path of worker.log, to which the workers of a server print."""
    return paths.runs_dir() / "worker.log"


def append_to_worker_file() -> None:
    """If this process prints to worker.log, open the file again in append mode.

    Several workers share the file, and `trim_worker_file` truncates it while they use it. The handle that the parent
    opened appends on POSIX only; on Windows each process would continue at its own last position.
    """
    with contextlib.suppress(OSError):
        if not os.path.samestat(os.fstat(2), worker_file().stat()):
            return
        handle = os.open(worker_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0))
        for stream in (1, 2):
            os.dup2(handle, stream)
        os.close(handle)


def trim_worker_file() -> None:
    """If worker.log is longer than MAX_LOG_BYTES, move its newest MAX_LOG_BYTES bytes to worker.log.1."""
    file = worker_file()
    with contextlib.suppress(OSError, Timeout):
        if file.stat().st_size <= MAX_LOG_BYTES:
            return
        with FileLock(file.parent / ".locks" / "log.lock").acquire(timeout=0), open(file, "rb+") as log:
            size = log.seek(0, os.SEEK_END)
            if size > MAX_LOG_BYTES:  # checked again under the lock
                log.seek(size - MAX_LOG_BYTES)
                file.with_name("worker.log.1").write_bytes(log.read())
                log.truncate(0)
