"""Processes that are forked from one that has imported torch, so that they begin at once. (Not on Windows.)"""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator

import faulty

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["torch._dynamo", "aevae.runs", "aevae.queue.worker", "aevae.exchange.run_archive"])


class Fork:
    """A process that calls `faulty.name(*args)` in this environment, with the methods of `subprocess.Popen`."""

    def __init__(self, name: str, *args):
        self.process = SERVER.Process(target=faulty.begin, args=(dict(os.environ), name, args))
        self.process.start()

    def wait(self, seconds: float = 60) -> int | None:
        """The exit code; None if it still runs."""
        self.process.join(seconds)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()


@contextlib.contextmanager
def forks() -> Iterator[Callable[..., Fork]]:
    """`Fork`; at the end the processes are killed."""
    started: list[Fork] = []

    def start(name: str, *args) -> Fork:
        started.append(Fork(name, *args))
        return started[-1]

    yield start
    for fork in started:
        fork.kill()
        fork.wait()
