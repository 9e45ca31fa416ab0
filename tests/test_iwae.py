"""IWAE: the bound, its samples, its memory. Identities: `aevae check`."""

import pytest
import torch
from model_helpers import random_images, rng, small_model

from aevae import datasets, losses
from aevae.config import DataConfig, TrainConfig, build
from aevae.models import family_class
from aevae.training.trainer import Trainer, TrainingData

CPU = torch.device("cpu")
DIGITS = datasets.load(DataConfig("mnist-5k")).train.images[::13][:200]


def trained(family, **options):
    trainer = Trainer(
        small_model(family, **options), TrainingData(DIGITS, DIGITS[:50]), TrainConfig(3, 40, 3e-3), 0, CPU
    )
    assert trainer.fit()
    return trainer


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_learned", "categorical"])
def test_one_sample_trains_the_vae(likelihood):
    one, vae = (trained(f, samples=1, likelihood=likelihood) for f in ("iwae", "vae"))
    for a, b in zip(one.model.parameters(), vae.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert one.history[-1]["test"]["elbo"] == vae.history[-1]["test"]["elbo"] == one.history[-1]["test"]["iwae"]


def test_more_draws_a_tighter_bound():
    """L_1 <= L_5 <= L_50 of one trained model; its ELBO does not depend on K."""
    model, x = trained("vae").model, torch.tensor(DIGITS[:50]).float() / 255
    bounds, elbos = [], []
    with torch.no_grad():
        for k in (1, 5, 50):
            same = small_model("iwae", samples=k)
            same.load_state_dict(model.state_dict())
            terms = [same.loss(x, generator=rng(s)).terms for s in range(20)]
            bounds.append(float(torch.stack([t["iwae"] for t in terms]).mean()))
            elbos.append(float(torch.stack([t["elbo"] for t in terms]).mean()))
    assert bounds[0] + 0.2 < bounds[1] < bounds[2] - 0.05
    assert bounds[0] == elbos[0]
    assert elbos == pytest.approx([elbos[0]] * 3, abs=0.3)


def test_the_log_of_a_mean_not_the_mean_of_logs():
    """Spot the mistake 7. Of the same draws the one is above the other, unless all weigh the same."""
    model, x = small_model("iwae", samples=8), random_images()
    mu, logvar = model.posterior(x)
    z = model.reparameterize(mu, logvar, rng())
    log_w = model.log_weights(model.nll_of(x, z), z, mu, logvar)
    assert (losses.log_mean_exp(log_w) > log_w.mean(0)).all()
    assert torch.isclose(model.loss(x, generator=rng()).total, -losses.log_mean_exp(log_w).mean())
    assert torch.allclose(losses.log_mean_exp(torch.full((5, 3), -700.0)), torch.full((3,), -700.0))


def test_draws_are_decoded_one_after_another():
    """A trap: K draws of every picture at once, 784 numbers each, do not fit into memory. No gradient, no K-fold."""
    model, rows = small_model("iwae", samples=50), []
    model.decoder.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    with torch.inference_mode():
        terms = model.loss(random_images(20), generator=rng()).terms
    assert rows == [20] * 50
    assert torch.isfinite(terms["iwae"])


def test_hopeless_weights_stay_finite():
    """Weights e^-100000 have a logarithm all the same."""
    model = small_model("iwae", samples=5)
    with torch.no_grad():
        model.decoder[2].bias.fill_(400.0)
    loss = model.loss(random_images(), generator=rng())
    loss.total.backward()
    assert torch.isfinite(loss.total) and all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_without_a_generator_z_is_mu():
    assert small_model("iwae", samples=9).loss(random_images()).total == small_model("vae").loss(random_images()).total


def test_another_prior():
    """The closed KL and the weights know the same prior: their means agree."""
    model, x = small_model("iwae", samples=2, prior_std=0.4), random_images()
    with torch.no_grad():
        mu, logvar = model.posterior(x)
        kl = model.kl_per_dim(mu, logvar).sum(1)
        z = torch.cat([model.reparameterize(mu, logvar, rng(s)) for s in range(2000)])
        drawn = -model.log_weights(torch.zeros(len(z), len(x)), z, mu, logvar)
    assert ((drawn.mean(0) - kl).abs() < 4 * drawn.std(0) / len(z) ** 0.5).all()


@pytest.mark.parametrize("option", ["free_bits", "warmup_epochs", "anneal", "cycles"])
def test_what_needs_a_kl_in_the_objective_is_not_offered(option):
    with pytest.raises(ValueError, match=f"unknown option '{option}'; IWAEConfig has"):
        build(family_class("iwae").Config, {option: 1})


def test_refusals():
    with pytest.raises(ValueError, match=r"samples must be in 1\.\.100, got 101"):
        family_class("iwae").Config(samples=101)
