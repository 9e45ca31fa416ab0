"""Mathematical identities that need no data, in float64 with fixed seeds. Each returns a residual and has a tolerance.

`python -m aevae check` prints them, and the tests assert them. One file per subject, listed in SUBJECTS.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TypeVar

import torch

from aevae.models import build_model, family_class

SUBJECTS = (
    "likelihoods",
    "bounds",
    "collapse",
    "codebook",
    "time",
    "flow",
    "decoders",
    "groups",
    "linear",
    "sparse",
    "contraction",
    "manifold",
    "classes",
    "factors",
    "paths",
    "maps",
)
Identity = TypeVar("Identity", bound=Callable)
CHECKS: list[tuple[str, Callable, float]] = []


def check(name: str, tolerance: float) -> Callable[[Identity], Identity]:
    """Decorator that registers a function which returns the residual of an identity."""

    def register(function: Identity) -> Identity:
        CHECKS.append((name, function, tolerance))
        return function

    return register


def run() -> Iterator[tuple[str, float, float]]:
    """(name, residual, tolerance) of every identity, in order."""
    for name, function, tolerance in CHECKS:
        yield name, residual(function), tolerance


def residual(function: Callable) -> float:
    """The residual of an identity as a float."""
    return float(torch.as_tensor(function()).detach())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    """N(0, 1) numbers in float64."""
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def digits(count: int = 8) -> torch.Tensor:
    """Random images (count, 1, 28, 28) in [0, 1)."""
    return torch.rand(count, 1, 28, 28, generator=rng(7))


def same_loss(family_a: str, settings_a: dict, family_b: str, settings_b: dict) -> float:
    """Largest difference of losses and gradients of two families with equal seed, weights and noise."""
    sides = []
    for family, settings in ((family_a, settings_a), (family_b, settings_b)):
        model = build_model(family_class(family).Config(latent_dim=5, hidden=32, **settings), seed=3)
        loss = model.loss(digits(), generator=rng(1), epoch=0.5).total
        loss.backward()
        sides.append([loss.detach()] + [p.grad for p in model.parameters()])
    return max((a - b).abs().max().item() for a, b in zip(*sides, strict=True))


for _subject in SUBJECTS:
    import_module(f"aevae.checks.{_subject}")
