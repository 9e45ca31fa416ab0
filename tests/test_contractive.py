"""Contraction, and denoising of clean images. Identities without digits are in `aevae.checks.contraction`."""

import dataclasses

import pytest
import torch
from model_helpers import train_fast

from aevae import losses
from aevae.browser.program import program
from aevae.metrics.geometry import jacobians
from aevae.models import build_model
from aevae.models.contractive import ContractiveConfig, by_products
from aevae.models.denoising import DenoisingConfig

CPU = torch.device("cpu")


def sse(model, x):
    with torch.no_grad():
        return float(losses.sse(x, model.decode(model.encode(x))).mean())


def norm(model, x):
    return model.metrics(x, torch.zeros(len(x)), torch.Generator())["jacobian"]


def spread(model, x):
    """Sum of the singular values of df/dx in parts of the largest, mean over pictures: how slowly they decay."""
    values = torch.linalg.svdvals(jacobians(lambda r: model.encode(r.unflatten(1, (1, 28, 28))), x.flatten(1)))
    return float((values / values[:, :1]).sum(1).mean())


@pytest.mark.parametrize("network", ["shallow", "mlp"])
def test_the_code_contracts(quarter, network):
    config = ContractiveConfig(latent_dim=16, hidden=64, network=network)
    options = {"epochs": 10, "batch_size": 64, "lr": 1e-2}
    x = quarter[1].float() / 255
    free, firm = (train_fast(dataclasses.replace(config, lam=lam), quarter, **options) for lam in (0.0, 10.0))
    assert norm(firm, x) < 0.6 * norm(free, x)
    assert sse(firm, x) < 50  # the mean picture has 52
    if network == "shallow":
        assert spread(firm, x[:50]) < spread(free, x[:50])


def test_untied_weights_cheat(quarter):
    """Provoked: without tied weights the encoder shrinks and the decoder grows; the penalty falls at little cost."""
    options = {"epochs": 8, "batch_size": 64, "lr": 2e-2}
    tied, loose = (
        train_fast(ContractiveConfig(latent_dim=32, lam=1.0, tied=tied), quarter, **options) for tied in (True, False)
    )
    x = quarter[1].float() / 255
    assert norm(loose, x) < 0.6 * norm(tied, x)
    assert loose.decoder[0].weight.norm(dim=0).mean() > 2 * loose.code[0].weight.norm(dim=1).mean()


def test_a_huge_lambda_makes_the_code_constant(quarter):
    model, x = train_fast(ContractiveConfig(latent_dim=16, lam=1000.0), quarter, epochs=8), quarter[1].float() / 255
    assert model.encode(x).std(0).mean() < 0.01


def test_cae_h_keeps_the_slope_alike_nearby(quarter):
    x, changes = quarter[1].float() / 255, []
    for hessian in (0.0, 30.0):
        model = train_fast(ContractiveConfig(latent_dim=16, lam=0.0, hessian=hessian), quarter, epochs=4)
        changes.append(model.change(x, model.encode(x), torch.Generator().manual_seed(0)).mean())
    assert changes[1] < 0.5 * changes[0]
    assert model.change(x, model.encode(x), None).abs().max() == 0


@pytest.mark.parametrize("network", ["shallow", "mlp", "conv"])
def test_a_test_pass_has_the_same_penalty(network):
    """Inference mode records no gradients; the norm of the Jacobian is there all the same."""
    model = build_model(ContractiveConfig(latent_dim=5, hidden=12, network=network))
    x = torch.rand(4, 1, 28, 28)
    mine = model.loss(x, generator=torch.Generator().manual_seed(1)).terms
    with torch.inference_mode():
        theirs = model.loss(x, generator=torch.Generator().manual_seed(1)).terms
    assert mine["contraction"] > 0
    assert {k: float(v) for k, v in mine.items()} == {k: float(v) for k, v in theirs.items()}


@pytest.mark.parametrize("network", ["shallow", "mlp", "conv"])
def test_the_penalty_has_the_gradient_of_the_jacobian(network):
    """The gradient of ||df/dx||^2 in the weights, against finite differences along one direction."""
    model = build_model(ContractiveConfig(latent_dim=3, hidden=8, network=network)).double()
    x = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    weight = model.code[0].weight if network == "shallow" else model.code.weight
    step = torch.randn_like(weight) * 1e-5

    def value():
        return model.code_and_norm(x, None)[1].sum()

    (slope,) = torch.autograd.grad(value(), weight)
    with torch.no_grad():
        weight.add_(step)
        above = value()
        weight.sub_(2 * step)
        below = value()
    assert torch.isclose((slope * step).sum() * 2, above - below, rtol=1e-5)


def test_an_unknown_layer_is_named():
    with pytest.raises(TypeError, match="no transposed of Tanh"):
        by_products([torch.nn.Tanh()], torch.rand(2, 3), None)


def test_jacobians_take_either_side():
    wide, tall = torch.randn(3, 7), torch.randn(7, 3)
    for w in (wide, tall):
        jacobian = jacobians(lambda x, w=w: x @ w.T, torch.rand(4, w.shape[1]))
        assert torch.allclose(jacobian, w.expand(4, *w.shape), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"tied": False}, {"network": "mlp"}, {"network": "conv"}])
def test_it_runs_in_the_browser(options):
    program(build_model(ContractiveConfig(latent_dim=6, hidden=12, **options)))


def test_the_fast_denoiser_keeps_clean_images(quarter):
    """A high rate without damping lets the codes of clean images, which it never saw, run away."""
    x = quarter[1].float() / 255
    ours = train_fast(DenoisingConfig(hidden=100), quarter, epochs=12, lr=1e-2)
    hasty = train_fast(DenoisingConfig(hidden=100), quarter, epochs=12, lr=3e-2, damping=0.0)

    def run_away(model):
        noisy = model.corrupt(x, torch.Generator().manual_seed(0))
        with torch.no_grad():
            return float(model.encode(x).norm(dim=1).mean() / model.encode(noisy).norm(dim=1).mean())

    assert run_away(ours) < 0.6 * run_away(hasty)
    assert sse(ours, x) < sse(hasty, x)
