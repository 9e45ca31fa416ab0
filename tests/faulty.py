"""Functions that tests/test_faults.py runs in child processes, which import only this small file."""

import os
import resource
import signal
import sys
from pathlib import Path


def begin(env: dict[str, str], name: str, args: tuple) -> None:
    """Call the function of this name in this environment."""
    os.environ.update(env)
    globals()[name](*args)


def work() -> None:
    """Run a worker until the queue is empty."""
    from aevae.queue.worker import Worker

    sys.exit(Worker(once=True).run())


def work_in_little_memory(more: int, config: dict) -> None:
    """`work` with `more` bytes of memory beyond what the process uses after training such a run."""
    from aevae.run_config import RunConfig
    from aevae.runs import train_or_load

    train_or_load(RunConfig.from_dict(config), "cpu")
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))
    work()


def work_on_small_files(most: int) -> None:
    """`work` with a limit of `most` bytes per file, as under a quota."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    work()


def take_in(file: str, renames: int) -> None:
    """Import a run from a zip, and die before rename number `renames`."""
    from aevae.exchange import run_archive

    real, left = os.replace, [renames]

    def replace(a, b):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        real(a, b)

    os.replace = replace
    run_archive.unpack(Path(file).read_bytes())


def finish_all_but_die() -> None:
    """Mark every job as done, and die before the commit."""
    from aevae.queue import jobs

    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'done'")
        os.kill(os.getpid(), signal.SIGKILL)
