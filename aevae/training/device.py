"""Device and threads, chosen once."""

import contextlib
import ctypes
import os
import sys
import time

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU. Raises ValueError where the named device is not there."""
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not (kind == "cuda" and number.isdigit())):
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {name}")
    have = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        kind = next(k for k in ("cuda", "mps", "cpu") if have[k])
    if not have[kind] or (number and int(number) >= torch.cuda.device_count()):
        raise ValueError(f"device {name} is not available here; take auto or cpu")
    return torch.device(f"{kind}:{number}" if number else kind)


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
