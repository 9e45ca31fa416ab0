"""Six likelihoods of a pixel, each through every part of a model. Their identities are in `aevae check`."""

import dataclasses
import json
import math

import pytest
import torch
from model_helpers import random_images, small_model

from aevae import losses
from aevae.config import LIKELIHOODS, DataConfig, TrainConfig
from aevae.models import family_class
from aevae.models.base import HALF_GREY_LEVEL
from aevae.run_config import RunConfig
from aevae.training.trainer import Trainer, TrainingData, fit

CPU = torch.device("cpu")
OLD = {  # fingerprints of runs made when there were three likelihoods and no options of the VAE but one
    ("ae", "bernoulli"): "2913fce52402",
    ("vae", "bernoulli"): "5a8ff624a40f",
    ("vae", "gaussian_learned"): "a63dc05d3b81",
    ("beta_vae", "gaussian"): "a0d7f8cb4822",
}


def make(likelihood, family="vae", **options):
    return small_model(family, likelihood=likelihood, **options)


def strokes(n=40):
    """Pictures whose border is always black, uint8."""
    images = torch.zeros(n, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 6:22, 6:22] = (random_images(n)[:, :, 6:22, 6:22] > 0.5).byte() * 255
    return images


@pytest.mark.parametrize(("family", "likelihood"), OLD)
def test_new_options_leave_the_old_fingerprints(family, likelihood):
    train = TrainConfig(lr=5e-3, damping=0.0)  # the defaults of then
    config = RunConfig(DataConfig(), family_class(family).Config(likelihood=likelihood), train)
    assert config.fingerprint == OLD[family, likelihood]
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_new_option_is_part_of_the_identity():
    base = family_class("vae").Config(likelihood="categorical")
    changes = ({}, {"grey_levels": 4}, {"samples": 2}, {"prior_std": 2.0}, {"free_bits": 0.1})
    prints = {RunConfig(DataConfig(), dataclasses.replace(base, **change)).fingerprint for change in changes}
    assert len(prints) == 5


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_training_begins_at_the_mean_image(likelihood, network):
    """Whatever the code says at first, the decoder's output is about the mean; a wrong start would be grey."""
    model = make(likelihood, network=network)
    mean = torch.linspace(0, 1, 784).view(1, 28, 28)  # pixels that are always black, and always white, too
    model.init_from_mean(mean)
    z = torch.zeros(1, 4)
    before = make(likelihood, network=network)
    moved = before.params(z) + model.decoder[-1].by
    assert torch.allclose(model.params(z), moved, atol=1e-4)
    at_start = model.mean(model.decoder[-1].by.unsqueeze(0))[0]
    assert torch.allclose(at_start, mean.clamp(HALF_GREY_LEVEL, 1 - HALF_GREY_LEVEL), atol=1e-4)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_training_from_the_mean_image_stays_finite_and_helps(likelihood):
    images = strokes()
    recipe = TrainConfig(epochs=3, batch_size=16, lr=2e-3)
    trainer = Trainer(make(likelihood), TrainingData(images, images), recipe, 0, CPU)
    assert trainer.fit()
    first, *_, last = (line["test"]["objective"] for line in trainer.history)
    assert math.isfinite(last) and last < first


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_side_by_side(likelihood):
    images, recipe = strokes(), TrainConfig(epochs=1, batch_size=20, lr=1e-3)
    alone = [Trainer(make(likelihood), TrainingData(images, images), recipe, seed, CPU) for seed in (0, 1)]
    team = [Trainer(make(likelihood), TrainingData(images, images), recipe, seed, CPU) for seed in (0, 1)]
    for each in alone:
        each.fit()
    fit(team)
    for one, other in zip(alone, team, strict=True):
        assert one.history[-1]["test"] == pytest.approx(other.history[-1]["test"], rel=1e-3)


def test_decoders_say_as_much_of_a_pixel_as_the_likelihood_needs():
    z = torch.zeros(2, 4)
    for likelihood in LIKELIHOODS:
        maps = 7 if likelihood == "categorical" else 1
        assert make(likelihood, grey_levels=7).params(z).shape == (2, maps, 28, 28)
    assert "pixel_logvar" not in dict(make("bernoulli").named_parameters())
    assert make("gaussian_pixel").pixel_logvar.shape == (1, 28, 28)
    assert make("gaussian_learned").pixel_logvar.shape == ()


def test_provoke_a_variance_for_each_pixel_on_a_black_border():
    """s -> 0 and NLL -> -inf where a pixel never changes; the bound at 1e-4 holds it."""
    model = make("gaussian_pixel")
    with torch.no_grad():
        model.pixel_logvar.fill_(-50.0)
    black = torch.zeros(2, 1, 28, 28)
    floor = 784 * 0.5 * (math.log(1e-4) + math.log(2 * math.pi))
    assert model.nll(black, black).tolist() == pytest.approx([floor, floor], rel=1e-5)
    assert model.pixel_variance_log().exp().min().item() == pytest.approx(1e-4)


@pytest.mark.parametrize("levels", [2, 4, 16, 256])
def test_levels_are_those_nearest_to_the_pixel(levels):
    """256: each of the 256 grey values of a file is its own level."""
    grey = torch.arange(256).view(1, 1, 16, 16) / 255
    logits = torch.full((1, levels, 16, 16), -30.0)
    nearest = (grey * (levels - 1)).round().long()
    logits.scatter_(1, nearest, 30.0)
    assert losses.categorical_nll(grey, logits).item() == pytest.approx(0, abs=1e-3)
    assert torch.allclose(losses.expected_level(logits), nearest / (levels - 1), atol=1e-6)
    assert (losses.expected_level(logits) - grey).abs().max() <= 0.5 / (levels - 1) + 1e-6
    if levels == 256:
        assert len(nearest.unique()) == 256


def test_categorical_without_knowledge_costs_log_of_the_levels():
    assert losses.categorical_nll(random_images(3), torch.zeros(3, 16, 28, 28)).tolist() == pytest.approx(
        [784 * math.log(16)] * 3
    )


@pytest.mark.parametrize("eta", [-800.0, -30.0, -0.2, -1e-4, 0.0, 1e-7, 0.19, 0.21, 30.0, 800.0])
def test_continuous_bernoulli_in_single_precision(eta):
    """No nan, no inf, in value and slope, where tanh is 1 and where differences cancel."""
    x, logit = torch.tensor([[0.3]]), torch.tensor([[eta]], requires_grad=True)
    nll = losses.continuous_bernoulli_nll(x, logit)
    slope = torch.autograd.grad(nll.sum(), logit)[0]
    exact = torch.tensor([[eta]], dtype=torch.float64, requires_grad=True)
    better = losses.continuous_bernoulli_nll(x.double(), exact)
    expected = torch.autograd.grad(better.sum(), exact)[0]
    assert nll.item() == pytest.approx(better.item(), rel=1e-5, abs=1e-6)
    assert slope.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    mean = losses.continuous_bernoulli_mean(logit.detach())
    assert 0 <= mean.item() <= 1
    assert slope.item() == pytest.approx(mean.item() - 0.3, abs=1e-5), "an exponential family"


def test_lambda_is_not_the_mean_image():
    """Showing sigmoid(logits) of a continuous Bernoulli is a known mistake: too much contrast."""
    model, logits = make("continuous_bernoulli"), torch.full((1, 1, 28, 28), math.log(0.01 / 0.99))
    assert model.mean(logits).mean().item() == pytest.approx(0.2074, abs=1e-3)


def test_grey_images_cost_a_bernoulli_their_entropy_and_a_density_nothing():
    """A cross-entropy of grey pictures cannot fall below their entropy; do not compare likelihoods by their nats."""
    x = torch.full((1, 1, 28, 28), 0.5)
    assert losses.bernoulli_nll(x, torch.zeros_like(x)).item() == pytest.approx(784 * math.log(2))
    assert losses.continuous_bernoulli_nll(x, torch.zeros_like(x)).item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"likelihood": "poisson"}, "likelihood must be one of bernoulli, gaussian, .*, categorical, got poisson"),
        ({"grey_levels": 1}, r"grey_levels must be in 2\.\.256, got 1"),
        ({"grey_levels": 2.5}, "grey_levels must be a whole number, got 2.5"),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        family_class("vae").Config(**options)


def test_a_family_whose_decoder_cannot_says_so():
    with pytest.raises(ValueError, match="likelihood must be one of"):
        family_class("deep_ae").Config(likelihood="categorical")
