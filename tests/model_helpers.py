"""Helpers for tests of models: small models, random images, short trainings."""

import dataclasses
import math
from collections.abc import Iterable
from types import SimpleNamespace

import torch
from conftest import tiny_config

from aevae.config import DataConfig, preset
from aevae.losses import gaussian_nll
from aevae.models import FAMILIES, build_model, family_class
from aevae.run_config import RunConfig
from aevae.training.trainer import Trainer, TrainingData


def choices(family: str, option: str) -> tuple:
    """The possible values of an option of this family; () if it has no such option."""
    fields = {f.name: f for f in dataclasses.fields(family_class(family).Config)}
    return fields[option].metadata["choices"] if option in fields else ()


def variants() -> list[tuple[str, str, str]]:
    """(family, network, likelihood) for every network and every likelihood of each family; "": no choice."""
    found = []
    for family in FAMILIES:
        networks, likelihoods = (choices(family, name) or ("",) for name in ("network", "likelihood"))
        found += [(family, network, likelihoods[0]) for network in networks]
        found += [(family, networks[0], likelihood) for likelihood in likelihoods[1:]]
    return found


def of_pictures(families: Iterable[str]) -> list[str]:
    """Those of the families that encode single images."""
    return [family for family in families if family_class(family).input == "image"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(n: int = 6, shape: tuple[int, ...] = (1, 28, 28), seed: int = 0) -> torch.Tensor:
    """(n, *shape), each value uniform in [0, 1)."""
    return torch.rand(n, *shape, generator=rng(seed))


def small_model(family: str, seed: int = 1, **options):
    """A model with a code of 4 numbers and 24 hidden units, if the options do not say otherwise."""
    return build_model(family_class(family).Config(**{"latent_dim": 4, "hidden": 24} | options), seed)


def train_fast(config, images: list[torch.Tensor], **options):
    """The model of this config after the fast recipe with these options. images: for training and for testing."""
    recipe = dataclasses.replace(preset("fast", DataConfig("mnist-5k"), type(config)), **options)
    trainer = Trainer(build_model(config), TrainingData(*images), recipe, 0, torch.device("cpu"))
    trainer.fit()
    return trainer.model.eval()


def beta_configs(*values: float, **more) -> list[RunConfig]:
    """A tiny beta-VAE for each value of beta."""
    return [tiny_config("beta_vae", beta=value, **more) for value in values]


def ignore(*_) -> None:
    """A receiver of progress reports that does nothing."""


SIGMA = 0.3  # of LinearGaussian


class LinearGaussian:
    """x = W z + SIGMA eps, z ~ N(0, I), W with orthogonal columns: p(z|x) is a diagonal Gaussian, and p(x) known."""

    config = SimpleNamespace(likelihood="gaussian")

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        q, _ = torch.linalg.qr(torch.randn(12, 3, generator=draw, dtype=torch.float64))
        self.w = q * torch.tensor([1.5, 0.7, 0.2], dtype=torch.float64)
        z, eps = (torch.randn(40, n, generator=draw, dtype=torch.float64) for n in (3, 12))
        self.x = (z @ self.w.T + SIGMA * eps).view(40, 1, 3, 4)

    def params(self, z):
        return (z @ self.w.T).view(-1, 1, 3, 4)

    def nll(self, x, params):
        return gaussian_nll(x, params, 2 * math.log(SIGMA))

    def posterior(self, x):
        precision = 1 + self.w.square().sum(0) / SIGMA**2
        mu = x.flatten(1) @ self.w / SIGMA**2 / precision
        return mu, -precision.log().expand_as(mu)

    def exact(self):
        covariance = self.w @ self.w.T + SIGMA**2 * torch.eye(12, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(torch.zeros(12).double(), covariance).log_prob(self.x.flatten(1))
