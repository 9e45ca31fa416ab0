"""Choice of the device and of the number of threads."""

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
RETRY_SECONDS = 60.0  # a GPU that failed is tried again after this time: its memory may have been full
_tried: dict[str, tuple[float, str]] = {}  # GPU -> (time of the try, problem or "")
_driver_warnings: list[str] = []  # PyTorch warns once about an old driver and reports the GPU as not available


def pick_device(name: str = "auto") -> torch.device:
    """The torch device of this name. `auto`: the first GPU that works, else the CPU (`gpu_warning` says why).

    Raises ValueError for a named device that does not exist or on which this PyTorch cannot compute.
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
    """One sentence: why `auto` selects the CPU although there is a GPU; "" if there is none or it works."""
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
    """Why this PyTorch cannot compute on a GPU; "" if it can. A small matrix product is tried.

    Success is cached for the process, failure for RETRY_SECONDS.
    """
    tried_at, problem = _tried.get(gpu, (-math.inf, "not tried"))
    if problem and time.monotonic() - tried_at > RETRY_SECONDS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's long warning about an old GPU
                ones = torch.ones(8, 8, device=gpu)
                problem = "" if float((ones @ ones).sum()) == 8**3 else "it computed a wrong product"
        except Exception as error:  # no kernels, no driver, no memory: each raises another type
            problem = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0].rstrip(".")
        _tried[gpu] = time.monotonic(), problem
    return problem


def set_threads(spare: int | None = None) -> int:
    """Set torch's thread count and return it: `AEVAE_THREADS`, or the number of idle cores, at most all but `spare`.

    By default a niced process (the worker) spares one core for the interface, any other process none. With torch's
    default (all cores) a training becomes 5 to 15 times slower beside another busy process. A CPU run repeats bit for
    bit only with the same count, so a resumed run uses the count that it began with.
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
    """Tell glibc to keep up to 512 MB of freed memory instead of returning it to the system in every step.

    A step frees and allocates the same few megabytes of activations; on two threads that took a fifth of its time.
    Does nothing with another C library.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            for option, value in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 512 << 20), (M_TOP_PAD, 64 << 20)):
                mallopt(option, value)


def busy_cores(seconds: float = 0.2) -> float:
    """Number of cores that other processes use: measured over `seconds` on Linux, elsewhere the last minute's load.

    Processes with a lower priority (other trainings) count, too: two trainings should not share a core.
    """
    try:
        before = _ticks()
        time.sleep(seconds)
        (busy, every), cores = (b - a for a, b in zip(before, _ticks(), strict=True)), os.cpu_count() or 1
        return cores * busy / max(every, 1)
    except (OSError, ValueError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 1.0


def _ticks() -> tuple[int, int]:
    """(busy, total) ticks of all cores since the system started. Linux only."""
    with open("/proc/stat", encoding="ascii") as file:
        numbers = [int(n) for n in file.readline().split()[1:9]]  # user nice system idle iowait irq softirq steal
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)
