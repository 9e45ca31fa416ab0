"""Tests that need a GPU; skipped without one."""

import math

import pytest
import torch
from conftest import fitting

from aevae import datasets, runs
from aevae.config import DataConfig, TrainConfig
from aevae.models import FAMILIES, build_model, family_class
from aevae.training.device import pick_device
from aevae.training.optimizers import Adam
from aevae.training.trainer import Trainer, TrainingData, fit

pytestmark = pytest.mark.skipif(pick_device().type != "cuda", reason="no CUDA here")
CPU = torch.device("cpu")
DIGITS = datasets.load(DataConfig("mnist-5k")).train
RECIPE = TrainConfig(epochs=4, batch_size=32, lr=3e-3)


def trainer(family, device, seed=0, recipe=RECIPE, **model):
    config = family_class(family).Config(**fitting(family, latent_dim=3, hidden=16) | model)
    rows = slice(0, 4000, 20)
    data = datasets.load(DataConfig(config.dataset)).train if config.dataset == "moving-digits" else DIGITS
    images, labels = (data.images[rows], data.labels[rows]) if data is DIGITS else (data.images[:64], data.labels[:64])
    return Trainer(
        build_model(config, seed),
        TrainingData(images, images[:20], (labels, labels[:20])),
        recipe,
        seed,
        torch.device(device),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_and_resumes_on_a_gpu(family):
    one = trainer(family, "cuda")
    assert one.fit()
    print(family, one.launch)
    values = [v for record in one.history for v in (*record["test"].values(), *record.get("train", {}).values())]
    assert all(map(math.isfinite, values))
    assert one.history[-1]["test"]["objective"] < one.history[0]["test"]["objective"]
    half = trainer(family, "cuda")
    middle = half.steps // 2 + 1
    assert not half.fit(should_stop=lambda: half.step >= middle)
    rest = trainer(family, "cuda")
    rest.load_state(*half.state())
    assert rest.fit()
    assert rest.history[-1]["test"] == pytest.approx(one.history[-1]["test"], rel=2e-2, abs=2e-2)


@pytest.mark.parametrize("family", ["ae", "linear_ae"])
def test_without_noise_a_gpu_ends_where_a_cpu_ends(family):
    ends = [trainer(family, device) for device in ("cpu", "cuda")]
    for each in ends:
        assert each.fit()
    here, there = (each.history[-1]["test"] for each in ends)
    assert here == pytest.approx(there, rel=1e-2)


@pytest.mark.parametrize("damping", [0.0, 1.0])
@pytest.mark.parametrize("models", [None, 3])
def test_the_step_of_a_gpu_is_that_of_a_cpu(damping, models):
    lead = () if models is None else (models,)
    draw = torch.Generator().manual_seed(0)
    first = [torch.randn(*lead, 20, 30, generator=draw), torch.randn(*lead, 7, generator=draw)]
    sides = []
    for device in ("cpu", "cuda"):
        parameters = [torch.nn.Parameter(p.clone().to(device)) for p in first]
        sides.append((parameters, Adam(parameters, TrainConfig(damping=damping), torch.device(device), models=models)))
    for step in range(20):
        for i in range(2):
            g = torch.randn(first[i].shape, generator=draw) * 10.0 ** (step % 3)
            for parameters, _ in sides:
                parameters[i].grad = g.to(parameters[i].device)
        for _, adam in sides:
            adam.step_fused()
    for a, b in zip(sides[0][0], sides[1][0], strict=True):
        assert torch.allclose(a, b.cpu(), atol=1e-5)


def test_side_by_side_on_a_gpu():
    team = [trainer("vae", "cuda", seed) for seed in range(3)]
    assert fit(team) and team[0].launch == "graph"
    alone = trainer("vae", "cuda", 1)
    assert alone.fit() and alone.launch == "graph"
    assert team[1].history[-1]["test"] == pytest.approx(alone.history[-1]["test"], rel=2e-2)


def test_numbers_on_a_gpu():
    one = trainer("vae", "cuda")
    one.fit()
    here = runs.evaluate(one.model, DataConfig("mnist-5k"), torch.device("cuda"), limit=200)
    one.model.to("cpu")
    there = runs.evaluate(one.model, DataConfig("mnist-5k"), CPU, limit=200)
    assert here["sse"] == pytest.approx(there["sse"], rel=1e-3)
