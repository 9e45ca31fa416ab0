"""Numbers about trained models and maps: one file per metric. `METRICS` says what can be asked, `evaluate` finds it.

No torch at import.
"""

from aevae.metrics.evaluation import SCHEMA, current, evaluate, kept, missing
from aevae.metrics.metric import Metric
from aevae.metrics.registry import EXTRAS, METRICS

__all__ = ["EXTRAS", "METRICS", "SCHEMA", "Metric", "current", "evaluate", "kept", "missing"]
