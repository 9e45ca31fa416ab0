"""Estimated cost of a training on this machine."""

import dataclasses
import itertools
import time
from dataclasses import dataclass

import numpy as np

from aevae import datasets
from aevae.config import DataConfig
from aevae.models import build_model
from aevae.models.blocks import parameter_count
from aevae.run_config import RunConfig
from aevae.training.device import pick_device
from aevae.training.trainer import EpochDone, Trainer, TrainingData

SMALL_RATE = 1e-6  # learning rate of the timed steps, which then cannot diverge


@dataclass(frozen=True)
class Estimate:
    """Number of parameters of a model, and seconds of its training on this machine."""

    parameters: int
    seconds: float


def estimate(config: RunConfig, device: str = "auto", images: int = 0) -> Estimate:
    """The Estimate, from a few timed steps on random images. images: number of training images of the data set."""
    where = pick_device(device)
    model = build_model(config.model, config.seed)
    draw, steps, size = np.random.default_rng(0), 4, config.train.batch_size
    noise = draw.integers(0, 256, (size, *model.shape), dtype=np.uint8)
    labels = draw.integers(0, 10, size)
    recipe = dataclasses.replace(config.train, epochs=steps, lr=SMALL_RATE)
    trainer = Trainer(model, TrainingData(noise, noise[:1], (labels, labels[:1])), recipe, 0, where)
    marks: list[float] = []
    trainer.fit(lambda event: marks.append(time.perf_counter()) if isinstance(event, EpochDone) else None)
    per_step = min(b - a for a, b in itertools.pairwise(marks))
    total = -(-images // config.train.batch_size) * config.train.epochs
    return Estimate(parameter_count(model), per_step * total)


def data_size(data: DataConfig) -> int:
    """Number of training images of a data set, which is loaded."""
    return len(datasets.load(data).train.images)
