"""Metrics of trained models and maps, one file each. `METRICS` lists them, `evaluate` computes them for a run.

This package does not import torch.
"""

from aevae.metrics.evaluation import SCHEMA, Listener, current, evaluate, missing, saved_entries
from aevae.metrics.metric import Metric
from aevae.metrics.registry import EXTRAS, METRICS

__all__ = ["EXTRAS", "METRICS", "SCHEMA", "Listener", "Metric", "current", "evaluate", "missing", "saved_entries"]
