"""The metrics of a run that the page shows, with units."""

import math

from aevae.reporting import comparison
from aevae.store.checkpoints import RunInfo

NOT_SHOWN = ("samples", "seed", "schema")  # keys of metrics that say how they were measured
KEY_METRICS = ("recon", "kl", "elbo", "sse")  # on a card


def unit_of(key: str) -> str:
    """The unit in a table, which says where larger is better."""
    return "test images" if key == "images" else comparison.describe(key).signed_unit


def finite_metrics(values) -> dict[str, float]:
    """The finite scalar values of untrusted metrics; other values are dropped."""
    if not isinstance(values, dict):
        return {}
    return {
        k: v
        for k, v in values.items()
        if k not in NOT_SHOWN and isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
    }


def main_metrics(run: RunInfo) -> dict[str, tuple[float, str]]:
    """Name -> (value, unit) of the KEY_METRICS on the run's own test set."""
    values = finite_metrics(run.metrics.get(run.dataset, {}))
    return {key: (values[key], comparison.describe(key).unit) for key in KEY_METRICS if key in values}


def metric_text(value: tuple[float, str]) -> str:
    number, unit = value
    return f"{number:.1f} {unit}"


def size_text(count: int) -> str:
    """A number of bytes as text: `4.2 MB`, `12 kB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
