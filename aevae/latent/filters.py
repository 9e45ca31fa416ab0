"""Decoder columns of k-sparse autoencoders for several k, stored by scripts/make_filters.py."""

import functools
from pathlib import Path

import numpy as np

from aevae.store import bundles

SETTINGS = ("70", "40", "25", "10", "10-cold")


@functools.cache
def stored() -> dict[str, dict]:
    """Setting -> dict: filters (60, 28, 28) in -1..1, each normalised, the most used first; used (200,), share of test
    digits that activate each unit, descending; dead: number of units that are never active; sse: squared error / digit.
    Raises `bundles.Missing`."""
    arrays = bundles.read_bundle(Path(__file__).with_name("filters.safetensors"))
    return {
        name: {
            "filters": arrays[f"filters-{name}"].reshape(-1, 28, 28).astype(np.float32) / 127,
            "used": -np.sort(-arrays[f"used-{name}"]),
            "dead": int((arrays[f"used-{name}"] == 0).sum()),
            "sse": float(arrays[f"sse-{name}"][0]),
        }
        for name in SETTINGS
    }
