"""Groups of parameters: each is trained, at its own rate, alone and side by side, and after a resume."""

import dataclasses

import pytest
import torch
from conftest import tiny_config

from aevae import datasets
from aevae.models import FAMILIES, build_model, family_class
from aevae.models.vae import VAE
from aevae.training.trainer import Trainer, TrainingData, fit

CPU = torch.device("cpu")
SCALE = 0.25  # of the decoder's rate


def trainer(family: str = "vae", seed: int = 0, **recipe) -> Trainer:
    config = tiny_config(family, seed=seed)
    data = datasets.load(config.data)
    labels = (data.train.labels, data.test.labels)
    recipe = dataclasses.replace(config.train, **recipe)
    model = build_model(config.model, seed)
    return Trainer(model, TrainingData(data.train.images, data.test.images, labels), recipe, seed, CPU)


def weights(of: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in of.model.named_parameters()}


def steps(count: int):
    asked = iter(range(1000))
    return lambda: next(asked) >= count


@pytest.fixture
def two_groups(monkeypatch):
    """A VAE whose decoder learns more slowly."""
    monkeypatch.setattr(
        VAE,
        "parameter_groups",
        lambda self: [
            {"params": [p for name, p in self.named_parameters() if not name.startswith("decoder")]},
            {"params": list(self.decoder.parameters()), "scale": SCALE},
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_with_a_gradient_moves(family):
    one = trainer(family)
    before, gradients = weights(one), set()
    for name, p in one.model.named_parameters():
        p.register_hook(lambda g, name=name: gradients.add(name) if g.to_dense().any() else None)
    assert one.fit()
    still = {name for name, value in weights(one).items() if torch.equal(value, before[name])}
    assert gradients and not still & gradients
    assert len(still) < len(before) / 4, f"{still} are there, but nothing trains them"


def test_each_of_two_plain_groups_is_trained_at_its_rate(two_groups):
    one = trainer(damping=0.0, schedule="constant", lr=1e-3)
    before = weights(one)
    assert not one.fit(should_stop=steps(1))
    moved = {name: (value - before[name]).abs().max().item() for name, value in weights(one).items()}
    assert {round(m, 7) for name, m in moved.items() if name.startswith("decoder")} == {SCALE * 1e-3}
    assert {round(m, 7) for name, m in moved.items() if not name.startswith("decoder")} == {1e-3}


def test_two_groups_side_by_side_are_two_groups_alone(two_groups):
    team, alone = ([trainer(seed=seed) for seed in range(2)] for _ in range(2))
    assert fit(team)
    for one, other in zip(team, alone, strict=True):
        assert other.fit()
        for name, value in weights(other).items():
            torch.testing.assert_close(weights(one)[name], value, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2], ids=["alone", "side by side"])
def test_two_groups_are_taken_up_again(two_groups, count):
    straight, stopped, again = ([trainer(seed=seed) for seed in range(count)] for _ in range(3))
    assert fit(straight) and not fit(stopped, should_stop=steps(2))
    for one, other in zip(again, stopped, strict=True):
        tensors, meta = other.state()
        assert {key.split(".")[0] for key in tensors} >= {"adam", "adam2"}
        one.load_state(tensors, meta)
    assert fit(again)
    for one, other in zip(again, straight, strict=True):
        for name, value in weights(other).items():
            torch.testing.assert_close(weights(one)[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (lambda self: [{"params": list(self.decoder.parameters())}], r"encoder\S* is in none"),
        (lambda self: [{"params": list(self.parameters())}] * 2, "is in 2"),
        (lambda self: [], "is in none"),
    ],
    ids=["forgotten", "twice", "nothing"],
)
def test_a_parameter_is_in_exactly_one_group(monkeypatch, groups, said):
    monkeypatch.setattr(family_class("vae"), "parameter_groups", groups)
    with pytest.raises(ValueError, match=said):
        trainer()
