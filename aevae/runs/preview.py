"""A run before its first step: what its film begins with, without a folder and without training."""

import numpy as np
import torch

from aevae import datasets
from aevae.models import build_model, family_class
from aevae.run_config import RunConfig
from aevae.training.film import Film
from aevae.training.trainer import Trainer, TrainingData


def first_frame(config: RunConfig) -> tuple[dict[str, np.ndarray], dict] | None:
    """(film with its first frame, traits of the model) of the untrained run, the same as its training records.

    None for models without an encoder of single images to a vector, and while the data set is not on this computer.
    """
    family = family_class(config.model.family)
    if family.input != "image" or family.latent != "continuous" or not family.has_encoder:
        return None
    if not datasets.is_available(config.data):
        return None
    data = datasets.load(config.data)
    model, cpu = build_model(config.model, config.seed), torch.device("cpu")
    given = TrainingData(data.train.images, data.test.images, (data.train.labels, data.test.labels))
    Trainer(model, given, config.train, config.seed, cpu)  # sets the model up
    film = Film(data.test.images, data.test.labels, config.model.latent_dim)
    return film.arrays(film.frame(model, cpu, 0, 0.0)), model.traits
