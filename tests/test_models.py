"""One contract for every family, and what each family adds to it."""

import pytest
import torch

from aevae import losses
from aevae.corruption import KINDS, corrupt
from aevae.models import FAMILIES, build_model, family_class
from aevae.models.blocks import parameter_count

LIKELIHOODS = ("bernoulli", "gaussian", "gaussian_learned")


def make(family, **options):
    return build_model(family_class(family).Config(**{"latent_dim": 4, "hidden": 24, **options}), seed=1)


def digits(n=6):
    return torch.rand(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("family", FAMILIES)
def test_contract(family, network, likelihood):
    model, x = make(family, network=network, likelihood=likelihood), digits()
    loss = model.loss(x, generator=rng(), epoch=3.0)
    loss.total.backward()
    assert loss.total.shape == () and torch.isfinite(loss.total)
    assert all(not t.requires_grad and t.shape == () for t in loss.terms.values())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"no gradient reaches {name}"
    model.eval()
    z = model.encode(x)
    x_hat = model.decode(z)
    assert z.shape == (6, 4) and x_hat.shape == x.shape
    assert x_hat.min() >= 0 and x_hat.max() <= 1
    assert torch.equal(model.encode(x), z), "encode must be deterministic"


@pytest.mark.parametrize("family", FAMILIES)
def test_all_randomness_comes_from_the_generator(family):
    model, x = make(family), digits()
    totals = [model.loss(x, generator=rng(s)).total.item() for s in (5, 5, 6)]
    assert totals[0] == totals[1]
    assert (totals[0] != totals[2]) == (family != "ae")
    still = [model.loss(x).total.item() for _ in range(2)]
    assert still[0] == still[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_from_the_seed_and_leave_the_global_state(family):
    before = torch.get_rng_state()
    config = family_class(family).Config(latent_dim=2, hidden=8)
    a, b, c = (build_model(config, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], c[k]) for k in a)


def test_known_parameter_counts():
    vae = family_class("vae").Config
    assert parameter_count(build_model(vae())) == 652_824  # 784-400-{20,20}-400-784 with biases
    assert parameter_count(build_model(vae(network="conv"))) == 258_025


def test_a_mean_over_the_batch_not_a_sum():
    model, x = make("vae"), digits(1)
    one = model.loss(x).total
    many = model.loss(x.repeat(5, 1, 1, 1)).total
    assert torch.isclose(one, many)


def test_elbo_is_the_true_bound_whatever_the_weight():
    terms = {beta: make("beta_vae", beta=beta).loss(digits(), generator=rng()) for beta in (1.0, 7.0)}
    assert terms[1.0].terms["elbo"] == terms[7.0].terms["elbo"]
    assert terms[1.0].total == -terms[1.0].terms["elbo"]
    expected = terms[7.0].terms["recon"] + 7 * terms[7.0].terms["kl"]
    assert torch.isclose(terms[7.0].total, expected)


@pytest.mark.parametrize(("epoch", "weight"), [(0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)])
def test_warmup(epoch, weight):
    loss = make("beta_vae", beta=2.0, warmup_epochs=4.0).loss(digits(), generator=rng(), epoch=epoch)
    assert torch.isclose(loss.total, loss.terms["recon"] + 2 * weight * loss.terms["kl"])


def test_beta_zero_feels_no_kl():
    model = make("beta_vae", beta=0.0)
    loss = model.loss(digits(), generator=rng())
    assert loss.total == loss.terms["recon"]


def test_autoencoder_scale_of_the_code_is_free():
    """z -> cz with g -> g(./c) leaves the loss where it was: an autoencoder's code has no unit."""
    model, x = make("ae"), digits()
    before = model.loss(x).total
    with torch.no_grad():
        model.code.weight *= 4
        model.code.bias *= 4
        model.decoder[0].weight /= 4
    assert torch.isclose(model.loss(x).total, before, rtol=1e-6)


def test_denoising_target_is_the_clean_picture():
    model, x = make("denoising", noise="masking", noise_level=1.0), digits()
    loss = model.loss(x, generator=rng())  # the encoder sees black only; the target is still x
    black = model(torch.zeros_like(x)).params
    assert torch.isclose(loss.total, losses.bernoulli_nll(x, black).mean())


def test_learned_variance_is_bounded_below():
    model = make("ae", likelihood="gaussian_learned")
    with torch.no_grad():
        model.pixel_logvar.fill_(-50.0)
    x = torch.zeros(2, 1, 28, 28)
    assert torch.isfinite(model.nll(x, x)).all()
    assert model.pixel_variance_log().exp().item() == pytest.approx(1e-4)


def test_logvar_is_clamped():
    model = make("vae")
    with torch.no_grad():
        model.logvar.bias.fill_(500.0)
    loss = model.loss(digits(), generator=rng())
    assert torch.isfinite(loss.total)


@pytest.mark.parametrize("kind", KINDS)
def test_corruption(kind):
    x = digits(3)
    assert corrupt(x, kind, 0.0, rng()) is x
    a, b, c = corrupt(x, kind, 0.5, rng(1)), corrupt(x, kind, 0.5, rng(1)), corrupt(x, kind, 0.5, rng(2))
    assert torch.equal(a, b) and not torch.equal(a, c) and not torch.equal(a, x)
    assert a.min() >= 0 and a.max() <= 1 and a.shape == x.shape


def test_block_covers_its_share():
    covered = corrupt(torch.ones(50, 1, 28, 28), "block", 0.25, rng())
    assert ((covered == 0).flatten(1).sum(1) == 14 * 14).all()
    assert (corrupt(torch.ones(2, 1, 28, 28), "block", 1.0, rng()) == 0).all()


@pytest.mark.parametrize(("kind", "level", "word"), [("rain", 0.5, "noise must be one of"), ("masking", 1.5, "0..1")])
def test_corruption_refuses(kind, level, word):
    with pytest.raises(ValueError, match=word):
        corrupt(digits(1), kind, level, rng())
