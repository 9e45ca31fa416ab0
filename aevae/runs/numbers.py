"""The metrics that every run has in its metrics.json, and the units of all its numbers."""

from typing import TYPE_CHECKING

import torch

from aevae import datasets, spread
from aevae.config import DataConfig
from aevae.metrics import SCHEMA, basics, linear
from aevae.models import MAX_SEARCHED_IMAGES
from aevae.run_config import RunConfig
from aevae.units import NATS

if TYPE_CHECKING:
    from aevae.runs.opened import Run

UNITS = {
    "images": "images",
    "samples": "samples of z / image",
    "seed": "seed",
    "schema": "version",
}  # settings with which the metrics were measured


def units_of(run: "Run") -> dict[str, str]:
    """Name -> unit of every number of this run. Loss terms are in nats unless the family declares another unit.

    The unit of a bound (ELBO, L_K) says that larger is better: it has the sign of log p(x), other terms of -log p(x).
    """
    from aevae.metrics import EXTRAS, METRICS

    terms = dict.fromkeys(run.history[-1]["test"], NATS) if run.history else {}
    terms |= UNITS
    known = {name: extra.unit for name, extra in EXTRAS.items()}
    known |= {name: metric.signed_unit for name, metric in METRICS.items()}
    return spread.units(terms) | terms | run.model.units | known | UNITS


def evaluate(
    model,
    data: DataConfig,
    device: torch.device,
    samples: int = 1,
    limit: int = 0,
    seed: int = 0,
    trained_on: DataConfig | None = None,
) -> dict:
    """Name -> value of the metrics of `metrics.basics` on the test images of `data`.

    trained_on: the run's own data set; if given, metrics that need training images are added.
    """
    test = datasets.load(data).test.take(slice(limit or (None if model.has_encoder else MAX_SEARCHED_IMAGES)))
    x = torch.tensor(test.images).to(device).float().div_(255)
    labels = torch.tensor(test.labels).to(device)
    values = basics.measure(model, x, labels, samples, seed)
    if trained_on and "above_pca" in model.units:
        values |= linear.against_pca(model, x, datasets.load(trained_on).train.images)
    return values | {"images": len(x), "samples": samples, "seed": seed, "schema": SCHEMA}


def evaluate_model(config: RunConfig, model, device: torch.device) -> dict[str, dict]:
    """Data set -> metrics of a new run, on its own test set and, if different, on the test set that pages show."""
    sets = {d.name: d for d in (config.data, datasets.shown_for(config.data))}
    return {name: evaluate(model, data, device, trained_on=config.data) for name, data in sets.items()}
