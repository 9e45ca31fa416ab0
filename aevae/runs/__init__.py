"""From config to trained run: config -> data set -> model -> trainer -> run folder -> opened run.

`train_or_load(config)` trains a run only if the store lacks it; `load_run(name)` opens a run of the store.
"""

from aevae.runs.cost import Estimate, data_size, estimate
from aevae.runs.export import SHIPPED_FRAMES, export_weights
from aevae.runs.numbers import evaluate, evaluate_model, units_of
from aevae.runs.opened import Run, load_run, shown_images, trained_on
from aevae.runs.training import Result, side_by_side, sweep, train_or_load

__all__ = [
    "SHIPPED_FRAMES",
    "Estimate",
    "Result",
    "Run",
    "data_size",
    "estimate",
    "evaluate",
    "evaluate_model",
    "export_weights",
    "load_run",
    "shown_images",
    "side_by_side",
    "sweep",
    "train_or_load",
    "trained_on",
    "units_of",
]
