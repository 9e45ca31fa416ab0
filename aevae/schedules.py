"""Functions of the training time, so that a resumed run finds again where it was."""

import numpy as np


def warmup(epoch, length: float):
    """Linear rise from 0 at the start to 1 after `length` epochs; 1 throughout where `length` is 0.

    `epoch`: a number, or a scalar tensor (then the result is one).

    Bowman et al. 2016, arXiv:1511.06349, section 3.1 (KL annealing); Sonderby et al. 2016, arXiv:1602.02282.
    """
    return _at_most(1.0, epoch / length) if length > 0 else 1.0


def cyclic(epoch, rise: float, cycles: int):
    """`cycles` times: linear from 0 to 1 within `rise` epochs, then as long at 1; 1 afterwards, or where `rise` is 0.

    `epoch`: as of `warmup`. Fu et al. 2019, arXiv:1903.10145, eq. 6, with R = 0.5.
    """
    if rise <= 0:
        return 1.0
    end = 2 * rise * cycles
    return _at_most(1.0, _at_most(end, epoch) % (2 * rise) / rise + (epoch >= end))


def weights(model, epochs: float, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Epochs 0..`epochs` and the weight that the KL has there, each (points,), of a config with `warmup_epochs`."""
    at = np.linspace(0, epochs, points)
    if model.anneal == "cyclic":
        return at, np.array([cyclic(e, model.warmup_epochs, model.cycles) for e in at])
    return at, np.array([warmup(e, model.warmup_epochs) for e in at])


def _at_most(limit: float, value):
    return value.clamp(max=limit) if hasattr(value, "clamp") else min(limit, value)


MIN_WARMUP_STEPS = 20  # at least: with a full rate in its first steps Adam diverges on wide networks


def one_cycle(step: int, steps: int, warm: float = 0.08) -> float:
    """Share of the peak learning rate in step 0..steps-1: linear up, then linear to 0.

    It rises over the first `warm` of the steps, but over MIN_WARMUP_STEPS at least: a run of no more steps only rises.
    Smith & Topin 2019, arXiv:1708.07120 (one cycle, here with a straight way down).
    """
    rise = max(float(MIN_WARMUP_STEPS), warm * steps)
    return min((step + 1) / rise, (steps - step) / max(1.0, steps - rise))
