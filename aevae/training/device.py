"""Device and threads, chosen once."""

import os

import torch

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


def set_threads() -> int:
    """Set torch's thread count: `AEVAE_THREADS`, or all cores but one, which is left to the interface.

    torch's default (all cores) collapses 5 to 15 times beside any other busy process. The count is part of what makes
    a CPU run repeatable to the bit.
    """
    wanted = os.environ.get("AEVAE_THREADS", "")
    count = int(wanted) if wanted.isdigit() and int(wanted) > 0 else max(1, (os.cpu_count() or 2) - 1)
    torch.set_num_threads(count)
    return count
