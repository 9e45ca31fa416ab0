"""VAE and beta-VAE: samples, prior, schedules, free bits, capacity, total correlation. Identities: `aevae check`."""

import math

import pytest
import torch
from model_helpers import random_images, rng, small_model

from aevae import datasets
from aevae.config import DataConfig, TrainConfig, build
from aevae.models import build_model, family_class
from aevae.schedules import cyclic, warmup
from aevae.training.trainer import Trainer, TrainingData, fit

CPU = torch.device("cpu")
DIGITS = datasets.load(DataConfig("mnist-5k")).train.images[::13][:300]  # of all classes
RECIPE = TrainConfig(epochs=6, batch_size=50, lr=4e-3)
PENALTIES = ("beta", "capacity", "total_correlation")


def trained(family="beta_vae", recipe=RECIPE, **options):
    """Trainers side by side, one for each value of the options given as a tuple."""
    count = max(len(v) for v in options.values() if isinstance(v, tuple))
    each = [{k: v[i] if isinstance(v, tuple) else v for k, v in options.items()} for i in range(count)]
    team = [
        Trainer(small_model(family, hidden=64, **o), TrainingData(DIGITS, DIGITS[:100]), recipe, 0, CPU) for o in each
    ]
    assert fit(team)
    return [t.history[-1]["test"] for t in team], [t.model.eval() for t in team]


# -- draws and prior -------------------------------------------------------------------------------------------------


def test_more_samples_are_more_draws_of_the_same_objective():
    x = random_images()
    totals = torch.stack([small_model("vae", samples=1).loss(x, generator=rng(s)).total.detach() for s in range(60)])
    many = torch.stack([small_model("vae", samples=20).loss(x, generator=rng(s)).total.detach() for s in range(20)])
    assert many.std() < 0.5 * totals.std()
    assert (many.mean() - totals.mean()).abs() < 4 * totals.std() / 60**0.5


def test_samples_without_a_generator_are_the_mean():
    x = random_images()
    assert small_model("vae", samples=7).loss(x).total == small_model("vae").loss(x).total


def test_train_and_test_decode_the_same_kind_of_code():
    """A trap: the NLL of a sample while training, of mu while testing. Here both are of a sample."""
    model, x = small_model("vae"), random_images()
    training = model.train().loss(x, generator=rng()).terms
    testing = model.eval().loss(x, generator=rng()).terms
    assert all(torch.equal(training[k], testing[k]) for k in training)
    assert not torch.equal(training["recon"], model.loss(x).terms["recon"])


@pytest.mark.parametrize(
    "options", [{}, {"samples": 3}, {"free_bits": 0.3}, {"penalty": "capacity"}, {"likelihood": "categorical"}]
)
def test_the_batch_size_changes_no_weight(options):
    """A trap: the KL a mean over the batch and the NLL a sum, or the other way round."""
    model = small_model("beta_vae", **options)
    one, many = (model.loss(x) for x in (random_images(1), random_images(1).repeat(5, 1, 1, 1)))
    assert torch.isclose(one.total, many.total)
    assert torch.isclose(one.terms["kl"], many.terms["kl"])


def test_prior_of_another_scale():
    model, noise = small_model("vae", prior_std=0.5), torch.randn(8, 4, generator=rng())
    assert torch.equal(model.sample_prior(noise), 0.5 * noise)
    at_prior = model.kl_per_dim(torch.zeros(1, 4), torch.full((1, 4), 2 * math.log(0.5)))
    assert at_prior.abs().max() < 1e-6
    assert model.kl_per_dim(torch.zeros(1, 4), torch.zeros(1, 4)).min() > 0.5


def test_provoke_a_prior_far_too_narrow():
    """s0 = 0.01 and a posterior of scale 1: 5000 nats for each dimension, as the notes' formula says."""
    terms = small_model("vae", prior_std=0.01).loss(random_images(), generator=rng()).terms
    assert terms["kl"] > 4 * 3000


def test_old_weights_fit():
    """Options that came later add nothing to a state; what they are is in the config."""
    names = set(small_model("vae", prior_std=0.3, free_bits=0.2, samples=3).state_dict())
    assert names == {f"{part}.{kind}" for part in ("encoder.2", "mu", "logvar", "decoder.0", "decoder.2")
                     for kind in ("weight", "bias")} | {"encoder.0.by", "decoder.4.by"}  # fmt: skip


# -- schedules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch", "share"),
    [(0, 0), (1, 0.5), (2, 1), (3, 1), (3.99, 1), (4, 0), (5, 0.5), (7, 1), (8, 1), (9, 1), (math.inf, 1)],
)
def test_cyclic(epoch, share):
    """Two cycles: two epochs up, two at 1, and again; then 1."""
    assert cyclic(epoch, 2.0, 2) == pytest.approx(share)
    if epoch < math.inf:
        assert float(cyclic(torch.tensor(float(epoch)), 2.0, 2)) == pytest.approx(share)
        assert float(warmup(torch.tensor(float(epoch)), 2.0)) == warmup(epoch, 2.0)


def test_no_warm_up_no_cycle():
    assert cyclic(0.0, 0.0, 4) == 1.0


@pytest.mark.parametrize("epoch", [0.0, 0.5, 2.0, 2.5])
def test_the_cycle_weighs_the_kl(epoch):
    model = small_model("beta_vae", beta=3.0, anneal="cyclic", warmup_epochs=1.0, cycles=2)
    loss = model.loss(random_images(), generator=rng(), epoch=epoch)
    assert torch.isclose(loss.total, loss.terms["recon"] + 3 * (epoch % 2) * loss.terms["kl"])


# -- what beta does --------------------------------------------------------------------------------------------------


def test_rate_falls_and_distortion_rises_with_beta():
    found, _ = trained(beta=(0.0, 1.0, 8.0, 100.0))
    rates, distortions = [t["kl"] for t in found], [t["recon"] for t in found]
    assert rates == sorted(rates, reverse=True) and distortions == sorted(distortions)
    assert rates[-1] < 0.1, "every code the same: total collapse"


@pytest.mark.parametrize(("beta", "latent_dim", "norm"), [(4.0, 10, 40 / 784), (1.0, 784, 1.0)])
def test_beta_is_said_per_pixel_too(beta, latent_dim, norm):
    model = build_model(family_class("beta_vae").Config(beta=beta, latent_dim=latent_dim, hidden=8))
    found = model.metrics(torch.rand(3, 1, 28, 28), torch.zeros(3), torch.Generator())
    assert found["beta_norm"] == pytest.approx(norm)


def test_provoke_no_kl():
    """Beta 0: noise costs bits, so q shrinks towards a point, as the notes say of a VAE without its KL."""
    _, (free, held) = trained(beta=(0.0, 1.0))
    x = torch.tensor(DIGITS[:100]).float() / 255
    with torch.no_grad():
        spread = [model.posterior(x)[1].mean() for model in (free, held)]
        wide = [model.encode(x).std() for model in (free, held)]
    assert spread[0] - 2 * wide[0].log() < spread[1] - 2 * wide[1].log() - 1


def test_free_bits_keep_what_beta_would_take():
    """Side by side: 100 KL leaves nothing, but where 0.2 nats of a dimension are free they are used."""
    (none, some), _ = trained(beta=100.0, free_bits=(0.0, 0.2), recipe=TrainConfig(20, 50, 1e-2))
    assert none["kl"] < 0.1
    assert some["kl"] > 0.7 * 4 * 0.2
    assert some["recon"] < none["recon"]


def test_a_free_bit_is_not_reported_as_a_bound():
    """`kl` and `elbo` are the true ones; only the objective counts lambda."""
    plain, spared = (small_model("vae", free_bits=f).loss(random_images(), generator=rng()) for f in (0.0, 5.0))
    assert plain.terms == spared.terms
    assert torch.isclose(spared.total, plain.terms["recon"] + 4 * 5.0)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_elbo_is_the_true_bound_whatever_the_penalty(penalty):
    terms = small_model("beta_vae", penalty=penalty).loss(random_images(), generator=rng()).terms
    assert terms["elbo"] == small_model("vae").loss(random_images(), generator=rng()).terms["elbo"]


def test_capacity_draws_the_kl_to_it():
    found, _ = trained(penalty="capacity", capacity=(2.0, 6.0), capacity_epochs=2.0, gamma=50.0)
    assert found[0]["kl"] == pytest.approx(2, abs=0.7) and found[1]["kl"] == pytest.approx(6, abs=1.2)
    assert found[1]["recon"] < found[0]["recon"]


@pytest.mark.parametrize(("epoch", "capacity"), [(0.0, 0.0), (1.0, 5.0), (9.0, 20.0), (math.inf, 20.0)])
def test_capacity_grows(epoch, capacity):
    model = small_model("beta_vae", penalty="capacity", capacity=20.0, capacity_epochs=4.0, gamma=10.0)
    loss = model.loss(random_images(), generator=rng(), epoch=epoch)
    assert torch.isclose(loss.total, loss.terms["recon"] + 10 * (loss.terms["kl"] - capacity).abs())


def test_total_correlation_is_weighed_alone():
    x, parts = random_images().double(), []
    for beta in (1.0, 6.0):
        model = small_model("beta_vae", penalty="total_correlation", beta=beta).double()
        model.setup(4000)
        parts.append(model.loss(x, generator=rng()))
    assert parts[0].terms == parts[1].terms
    assert torch.isclose(parts[1].total - parts[0].total, 5 * parts[0].terms["total_correlation"])


def test_total_correlation_falls_where_it_costs():
    _, models = trained(penalty="total_correlation", beta=(1.0, 30.0), recipe=TrainConfig(10, 100, 4e-3))
    x = torch.tensor(DIGITS).float() / 255
    plain, dear = (model.metrics(x, torch.zeros(len(x)), rng())["total_correlation"] for model in models)
    assert dear < 0.7 * plain


def test_the_number_of_images_travels_with_the_weights():
    model = small_model("beta_vae", penalty="total_correlation")
    model.setup(4000)
    copy = small_model("beta_vae", penalty="total_correlation")
    copy.load_state_dict(model.state_dict())
    assert copy.pictures == 4000
    assert copy.loss(random_images(), generator=rng()).total == model.loss(random_images(), generator=rng()).total
    assert torch.isfinite(model.loss(random_images(1), generator=rng()).total), "one picture has no others"


# -- what is measured ------------------------------------------------------------------------------------------------


def test_three_numbers_make_up_the_kl():
    _, (model,) = trained("vae", free_bits=(0.0,))
    x = torch.tensor(DIGITS).float() / 255
    found = model.metrics(x, torch.zeros(len(x)), rng())
    with torch.no_grad():
        kl = float(model.kl_per_dim(*model.posterior(x)).sum(1).mean())
    assert set(found) == set(model.units)
    assert found.pop("aggregate_images") == len(x) == 300
    assert sum(found.values()) == pytest.approx(kl, rel=1e-5)
    assert 0 < found["index_code_mi"] < min(kl, math.log(300)) + 1e-6
    assert found == {k: v for k, v in model.metrics(x, torch.zeros(len(x)), rng()).items() if k in found}


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "options", "sentence"),
    [
        ("vae", {"prior_std": 0.0}, r"prior_std must be in 0\.001\.\.100\.0, got 0\.0"),
        ("vae", {"samples": 0}, r"samples must be in 1\.\.100, got 0"),
        ("vae", {"free_bits": -1.0}, r"free_bits must be in 0\.0\.\.10\.0, got -1\.0"),
        ("vae", {"anneal": "cosine"}, "anneal must be one of linear, cyclic, got cosine"),
        ("vae", {"beta": 2.0}, "unknown option 'beta'; VAEConfig has .*"),
        ("beta_vae", {"penalty": "mmd"}, "penalty must be one of beta, capacity, total_correlation, got mmd"),
        ("beta_vae", {"capacity": math.nan}, "capacity must be a finite number, got nan"),
    ],
)
def test_refusals(family, options, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        build(family_class(family).Config, options)
    assert "\n" not in str(refused.value)
