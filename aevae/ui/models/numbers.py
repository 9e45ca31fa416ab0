"""The numbers of a run that pages show, with units."""

import math

from aevae.reporting import comparison
from aevae.store.checkpoints import RunInfo

NOT_SHOWN = ("samples", "seed", "schema")  # keys of metrics that say how they were measured
KEY_NUMBERS = ("recon", "kl", "elbo", "sse")  # on a card


def unit_of(key: str) -> str:
    """The unit in a table, which says where larger is better."""
    return "test images" if key == "images" else comparison.describe(key).signed_unit


def finite_numbers(values) -> dict[str, float]:
    """The finite scalar numbers of untrusted metrics; other values are dropped."""
    if not isinstance(values, dict):
        return {}
    return {
        k: v
        for k, v in values.items()
        if k not in NOT_SHOWN and isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
    }


def main_numbers(run: RunInfo) -> dict[str, tuple[float, str]]:
    """Name -> (value, unit) of the KEY_NUMBERS on the run's own test set."""
    values = finite_numbers(run.metrics.get(run.dataset, {}))
    return {key: (values[key], comparison.describe(key).unit) for key in KEY_NUMBERS if key in values}


def number_text(value: tuple[float, str]) -> str:
    number, unit = value
    return f"{number:.1f} {unit}"


def size_text(count: int) -> str:
    """A number of bytes as text: `4.2 MB`, `12 kB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
