"""What tests/test_faults.py lets go wrong, in processes of its own. They import this file anew: it is light."""

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
    """Be the worker until the queue is empty."""
    from aevae.queue.worker import Worker

    sys.exit(Worker(once=True).run())


def work_in_little_memory(more: int, config: dict) -> None:
    """The same, with so many bytes more than the program itself takes once it has trained such a run."""
    from aevae.run_config import RunConfig
    from aevae.runs import train_or_load

    train_or_load(RunConfig.from_dict(config), "cpu")
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))
    work()


def work_on_small_files(most: int) -> None:
    """The same, where a file may have so many bytes, as under a quota."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    work()


def take_in(file: str, renames: int) -> None:
    """Import a run from a zip, and die before it renames for the so-many-th time."""
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
    """Say of every job that it is done, and die before that is said for good."""
    from aevae.queue import jobs

    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'done'")
        os.kill(os.getpid(), signal.SIGKILL)
