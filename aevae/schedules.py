"""Schedules. They are functions of the step or epoch without state, so resumed runs continue correctly."""

from typing import Any

import numpy as np


def warmup(epoch, length: float) -> Any:
    """Linear rise from 0 at epoch 0 to 1 at epoch `length`; always 1 if `length` is 0.

    epoch: a number or a scalar tensor; the result has the same type.
    Bowman et al. 2016, arXiv:1511.06349, section 3.1 (KL annealing); Sonderby et al. 2016, arXiv:1602.02282.
    """
    return _at_most(1.0, epoch / length) if length > 0 else 1.0


def cyclic(epoch, rise: float, cycles: int) -> Any:
    """A linear rise from 0 to 1 in `rise` epochs, then 1 for `rise` epochs, repeated `cycles` times; then 1.

    Always 1 if `rise` is 0. epoch: as in `warmup`. Fu et al. 2019, arXiv:1903.10145, eq. 6, with R = 0.5.
    """
    if rise <= 0:
        return 1.0
    end = 2 * rise * cycles
    return _at_most(1.0, _at_most(end, epoch) % (2 * rise) / rise + (epoch >= end))


def weights(model, epochs: float, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """(epochs (points,) in 0..`epochs`, weight of the KL at each (points,)) of a model config with `warmup_epochs`."""
    at = np.linspace(0, epochs, points)
    if model.anneal == "cyclic":
        return at, np.array([cyclic(e, model.warmup_epochs, model.cycles) for e in at])
    return at, np.array([warmup(e, model.warmup_epochs) for e in at])


def _at_most(limit: float, value) -> Any:
    return value.clamp(max=limit) if hasattr(value, "clamp") else min(limit, value)


MIN_WARMUP_STEPS = 20  # with the peak rate in its first steps, Adam diverges on wide networks


def one_cycle(step: int, steps: int, warm: float = 0.08) -> float:
    """Factor of the peak learning rate at `step` in 0..steps-1: a linear rise, then linear decay to 0.

    It rises over the share `warm` of the steps, but at least over MIN_WARMUP_STEPS, so a shorter run only rises.
    Smith & Topin 2019, arXiv:1708.07120 (one cycle, here with linear decay).
    """
    rise = max(float(MIN_WARMUP_STEPS), warm * steps)
    return min((step + 1) / rise, (steps - step) / max(1.0, steps - rise))
