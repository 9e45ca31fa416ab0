"""Device and threads, chosen once."""

import contextlib
import ctypes
import math
import os
import sys
import time
import warnings

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
DEVICES = ("auto", "cpu", "cuda", "mps")
RETRY_SECONDS = 60.0  # after which a GPU that failed is tried again: its memory may have been full
_tried: dict[str, tuple[float, str]] = {}  # GPU -> when it was tried, and its problem
_driver_warnings: list[str] = []  # of a driver that is too old PyTorch warns once, and calls the GPU not available


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: the first GPU that computes, else the CPU (`gpu_warning` says why).

    Raises ValueError for a named device that is not here or on which this PyTorch cannot compute.
    """
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not (kind == "cuda" and number.isdecimal())):
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {name}")
    if kind == "auto":
        return torch.device(next((gpu for gpu in _gpus() if not _problem(gpu)), "cpu"))
    if kind != "cpu":
        gpu = f"cuda:{int(number)}" if number.strip("0") else kind
        if gpu not in _gpus():
            raise ValueError(f"device {name} is not available here; use auto or cpu")
        if problem := _problem(gpu):
            raise ValueError(f"this PyTorch cannot compute on device {name} ({problem}); use auto or cpu")
    return torch.device(kind, int(number)) if number else torch.device(kind)


def gpu_warning() -> str:
    """Why `auto` takes the CPU although there is a GPU, in one sentence; "" if there is none, or one that computes."""
    problems = {gpu: _problem(gpu) for gpu in _gpus()}
    if not problems or not all(problems.values()):
        return ""
    gpu, problem = next(iter(problems.items()))
    return f"There is a GPU ({gpu}), but this PyTorch cannot compute on it, so the CPU is used: {problem}."


def _gpus() -> list[str]:
    """The GPUs of this machine in the order in which `auto` tries them: "cuda", "cuda:1", ..., "mps"."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    _driver_warnings.extend(str(w.message) for w in caught if "CUDA" in str(w.message))
    cuda = [f"cuda:{i}" if i else "cuda" for i in range(count or bool(_driver_warnings))]
    return [*cuda, "mps"] if torch.backends.mps.is_available() else cuda


def _problem(gpu: str) -> str:
    """Why this PyTorch cannot compute on a GPU, by a small product there; "" if it can.

    Success is remembered for good, failure for RETRY_SECONDS.
    """
    tried_at, problem = _tried.get(gpu, (-math.inf, "not tried"))
    if problem and time.monotonic() - tried_at > RETRY_SECONDS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an old GPU PyTorch warns at length
                ones = torch.ones(8, 8, device=gpu)
                problem = "" if float((ones @ ones).sum()) == 8**3 else "it computed a wrong product"
        except Exception as error:  # no code for it, no driver, no memory: each raises a type of its own
            problem = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0].rstrip(".")
        _tried[gpu] = time.monotonic(), problem
    return problem


def set_threads(spare: int | None = None) -> int:
    """Set torch's thread count: `AEVAE_THREADS`, or as many cores as are idle now, `spare` of all cores left alone.

    By default a niced process (the worker) spares one, for the interface that it was niced for, another none.
    torch's default (all cores) collapses 5 to 15 times beside any other busy process. The count is part of what makes
    a CPU run repeatable to the bit; a resumed run takes the one it began with.
    """
    wanted = os.environ.get("AEVAE_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        count = int(wanted)
    else:
        if spare is None:
            spare = int(hasattr(os, "nice") and os.nice(0) > 0)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
        count = max(1, min(cores - spare, round(cores - busy_cores())))
    torch.set_num_threads(count)
    return count


def keep_memory() -> None:
    """Tell glibc to keep what is freed, up to 512 MB, instead of giving it back to the system in every step.

    A step frees and asks for the same few megabytes of activations; on two threads that cost a fifth of its time.
    Elsewhere nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            for option, value in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 512 << 20), (M_TOP_PAD, 64 << 20)):
                mallopt(option, value)


def busy_cores(seconds: float = 0.2) -> float:
    """How many cores others keep busy: measured over `seconds` on Linux, elsewhere the load of the last minute.

    Processes nicer than this one (a niced training) count too: two trainings on one core help nobody.
    """
    try:
        before = _ticks()
        time.sleep(seconds)
        (busy, every), cores = (b - a for a, b in zip(before, _ticks(), strict=True)), os.cpu_count() or 1
        return cores * busy / max(every, 1)
    except (OSError, ValueError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 1.0


def _ticks() -> tuple[int, int]:
    """Ticks of all cores since the start: busy, and all. Linux only."""
    with open("/proc/stat", encoding="ascii") as file:
        numbers = [int(n) for n in file.readline().split()[1:9]]  # user nice system idle iowait irq softirq steal
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)
