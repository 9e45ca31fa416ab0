"""The contract test of all families, and additional properties of some."""

import copy

import pytest
import torch
from conftest import fitting
from model_helpers import random_images, rng, variants

from aevae import losses
from aevae.corruption import KINDS, corrupt
from aevae.models import FAMILIES, blocks, build_model, family_class
from aevae.models.blocks import parameter_count


def make(family, **options):
    config = family_class(family).Config(**fitting(family, latent_dim=4, hidden=24) | options)
    model = build_model(config, seed=1)
    model.setup(20)
    return model


def extra_inputs(model, n=6):
    """Keyword arguments of the loss of the first n training images."""
    known = {"labels": torch.arange(n) % 3, "index": torch.arange(n)}
    return {k: v for k, v in known.items() if k in model.extra_inputs}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "network", "likelihood"), variants())
def test_contract(family, network, likelihood):
    model = make(family, **fitting(family, network=network, likelihood=likelihood))
    x = random_images(shape=model.shape)
    loss = model.loss(x, generator=rng(), epoch=3.0, **extra_inputs(model))
    loss.total.backward()
    assert loss.total.shape == () and torch.isfinite(loss.total)
    assert all(not t.requires_grad and t.shape == () for t in loss.terms.values())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert parameter.grad.to_dense().abs().sum() > 0, f"the gradient of {name} is 0"
    model.after_step()
    model.eval()
    if model.input == "image":
        z = model.encode(x)
        x_hat = model.decode(z)
        assert z.shape == (6, model.config.latent_dim) and x_hat.shape == x.shape
        assert x_hat.min() >= 0 and x_hat.max() <= 1
        assert torch.equal(model.encode(x), z), "encode must be deterministic"
        assert model.decode(model.sample_prior(torch.randn(2, model.config.latent_dim))).shape == (2, 1, 28, 28)
    assert model.objective and model.paper
    assert set(model.metrics(x, torch.arange(6) % 3, rng())) <= set(model.units)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_randomness_comes_from_the_generator(family):
    model = make(family)
    x = random_images(shape=model.shape)

    def total(*seed):
        return model.loss(x, generator=rng(*seed) if seed else None, **extra_inputs(model)).total.item()

    before = torch.get_rng_state()
    assert total(5) == total(5)
    assert total() == total()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("family", "network"), sorted({variant[:2] for variant in variants()}))
def test_no_layer_acts_otherwise_in_training(family, network):
    """Neither dropout nor a norm over the batch: a bound or a Jacobian is of the same function in both modes."""
    moody = (torch.nn.modules.dropout._DropoutNd, torch.nn.modules.batchnorm._BatchNorm)
    assert not any(isinstance(layer, moody) for layer in make(family, **fitting(family, network=network)).modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_look_changes_nothing(family):
    """The loss in eval mode leaves weights, codebooks and gradients as they were."""
    model = make(family).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.inference_mode():
        model.loss(
            random_images(shape=model.shape),
            generator=rng(),
            **({} if "index" in model.extra_inputs else extra_inputs(model)),
        )
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_from_the_seed_and_leave_the_global_state(family):
    before = torch.get_rng_state()
    config = family_class(family).Config(**fitting(family, latent_dim=2, hidden=8))
    a, b, c = (build_model(config, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], c[k]) for k in a)


def test_known_parameter_counts():
    vae = family_class("vae").Config
    assert parameter_count(build_model(vae())) == 652_824  # 784-400-{20,20}-400-784 with biases
    assert parameter_count(build_model(vae(network="conv"))) == 258_025


def test_a_mean_over_the_batch_not_a_sum():
    model, x = make("vae"), random_images(1)
    one = model.loss(x).total
    many = model.loss(x.repeat(5, 1, 1, 1)).total
    assert torch.isclose(one, many)


def test_elbo_is_the_true_bound_whatever_the_weight():
    terms = {beta: make("beta_vae", beta=beta).loss(random_images(), generator=rng()) for beta in (1.0, 7.0)}
    assert terms[1.0].terms["elbo"] == terms[7.0].terms["elbo"]
    assert terms[1.0].total == -terms[1.0].terms["elbo"]
    expected = terms[7.0].terms["recon"] + 7 * terms[7.0].terms["kl"]
    assert torch.isclose(terms[7.0].total, expected)


@pytest.mark.parametrize(("epoch", "weight"), [(0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)])
def test_warmup(epoch, weight):
    loss = make("beta_vae", beta=2.0, warmup_epochs=4.0).loss(random_images(), generator=rng(), epoch=epoch)
    assert torch.isclose(loss.total, loss.terms["recon"] + 2 * weight * loss.terms["kl"])


def test_beta_zero_feels_no_kl():
    model = make("beta_vae", beta=0.0)
    loss = model.loss(random_images(), generator=rng())
    assert loss.total == loss.terms["recon"]


def test_denoising_target_is_the_clean_image():
    model, x = make("denoising", noise="masking", noise_level=1.0), random_images()
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
    loss = model.loss(random_images(), generator=rng())
    assert torch.isfinite(loss.total)


@pytest.mark.parametrize("kind", KINDS)
def test_corruption(kind):
    x = random_images(3)
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
        corrupt(random_images(1), kind, level, rng())


def test_a_shift_that_is_zero_adds_nothing_and_a_loaded_one_is_there_again():
    x, by = torch.rand(2, *blocks.SHAPE), torch.rand(blocks.SHAPE)
    shift, again = blocks.FixedOffset(), blocks.FixedOffset()
    assert shift(x) is x
    shift.set_offset(by)
    assert torch.equal(shift(x), x + by)
    again.load_state_dict(shift.state_dict())
    assert torch.equal(again(x), x + by)
    again.load_state_dict(blocks.FixedOffset().state_dict())
    assert again(x) is x
    copied = copy.deepcopy(again)  # a copy sets its own flag
    copied.load_state_dict(shift.state_dict())
    assert torch.equal(copied(x), x + by) and again(x) is x
    assert blocks.FixedOffset()(x.bfloat16()).dtype == torch.float32, "a loss of products in half precision stays whole"


def test_layers_beside_each_other_are_the_layers():
    h, layers = torch.rand(5, 7), (torch.nn.Linear(7, 3), torch.nn.Linear(7, 3))
    together, apart = blocks.parallel_linear(h, *layers), [layer(h) for layer in layers]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(together, apart, strict=True))
    weights = [p for layer in layers for p in layer.parameters()]
    slopes = [torch.autograd.grad((a * b.exp()).sum(), weights) for a, b in (together, apart)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*slopes, strict=True))


@pytest.mark.parametrize("maps", [1, 3, 7, 8])
def test_up_convolution_is_the_transposed_convolution(maps):
    from aevae.models.blocks import UpConv

    torch.manual_seed(0)
    own = UpConv(5, maps).double()
    x = torch.randn(3, 5, 4, 6, dtype=torch.float64).requires_grad_()
    theirs = torch.nn.functional.conv_transpose2d(x, own.weight, own.bias, 2, 1)
    assert torch.allclose(own(x), theirs, rtol=0, atol=1e-12)
    draws = torch.randn(theirs.shape, generator=rng(), dtype=torch.float64)
    slopes = (torch.autograd.grad(out, (x, own.weight, own.bias), draws) for out in (own(x), theirs))
    for ours, reference in zip(*slopes, strict=True):
        assert torch.allclose(ours, reference, rtol=0, atol=1e-12)
