"""What happened, one line each on stderr: `2026-11-21T18:01:02Z running job=12 kind=train run=0123456789ab`.

A job goes by its number, a run by its fingerprint. Of people there is nothing: no address, no session, no name, no
path, no word that somebody typed; why a job failed stands in the queue, where it can be deleted.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from aevae import paths

MAX_LOG_BYTES = 1_000_000  # bytes of worker.log; worker.log.1 keeps as many older ones


def event(what: str, **facts: str | int | float) -> None:
    """Write one line, the facts in their order; a reader that is gone is not waited for."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError, ValueError):  # a closed pipe, a full disk
        print(when, what, *(f"{key}={value}" for key, value in facts.items()), file=sys.stderr, flush=True)


# -- the workers' file -----------------------------------------------------------------------------------------------


def worker_file() -> Path:
    """Where workers that a server started print to."""
    return paths.runs_dir() / "worker.log"


def append_to_worker_file() -> None:
    """If this process prints to worker.log: open it anew, so that each line goes to the end of the file.

    Several workers share it, and it is cut while it is in use. A file that was opened by the parent does so on POSIX
    only; on Windows each process would write where it wrote last.
    """
    with contextlib.suppress(OSError):
        if not os.path.samestat(os.fstat(2), worker_file().stat()):
            return
        handle = os.open(worker_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0))
        for stream in (1, 2):
            os.dup2(handle, stream)
        os.close(handle)


def trim_worker_file() -> None:
    """Move the newest MAX_LOG_BYTES bytes of worker.log to worker.log.1 if the file has become longer than that."""
    file = worker_file()
    with contextlib.suppress(OSError, Timeout):
        if file.stat().st_size <= MAX_LOG_BYTES:
            return
        with FileLock(file.parent / ".locks" / "log.lock").acquire(timeout=0), open(file, "rb+") as log:
            size = log.seek(0, os.SEEK_END)
            if size > MAX_LOG_BYTES:  # nobody else was quicker
                log.seek(size - MAX_LOG_BYTES)
                file.with_name("worker.log.1").write_bytes(log.read())
                log.truncate(0)
