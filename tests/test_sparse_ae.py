"""Sparse codes by L1, by KL, and by keeping the k largest. What needs no digits is in `aevae.checks.sparse`."""

import pytest
import torch
from model_helpers import train_fast

from aevae import losses
from aevae.browser.program import program
from aevae.models import build_model, family_class
from aevae.models.k_sparse import KSparseConfig, largest
from aevae.models.sparse import SparseConfig
from aevae.models.sparse_kl import KLSparseConfig

CPU = torch.device("cpu")


def numbers(model, quarter):
    x = quarter[1].float() / 255
    with torch.no_grad():
        error = losses.sse(x, model.decode(model.encode(x))).mean()
    return {"sse": float(error)} | model.metrics(x, torch.zeros(len(x)), torch.Generator())


# -- L1 --------------------------------------------------------------------------------------------------------------


def test_l1_makes_exact_zeros_and_more_of_them_with_lambda(quarter):
    free, firm = (
        numbers(train_fast(SparseConfig(latent_dim=64, lam=lam), quarter, epochs=6), quarter) for lam in (0.0, 1.0)
    )
    assert firm["zeros"] > free["zeros"] + 10 and firm["units_on"] < free["units_on"] - 6
    assert firm["sse"] < 30  # and it still reconstructs: the mean picture has 52


def test_without_unit_columns_the_scale_cheats(quarter):
    """Provoked: h shrinks, the columns grow, and the penalty falls though nothing became sparse."""
    fair, cheat = (
        train_fast(SparseConfig(latent_dim=64, lam=1.0, unit_norm=norm), quarter, epochs=6, lr=3e-2)
        for norm in (True, False)
    )
    x = quarter[1].float() / 255
    assert losses.l1(cheat.encode(x)).mean() < 0.6 * losses.l1(fair.encode(x)).mean()
    assert cheat.decoder[0].weight.norm(dim=0).mean() > 1.5
    assert torch.allclose(fair.decoder[0].weight.norm(dim=0), torch.ones(64), atol=1e-5)


def test_too_large_a_lambda_kills_all_units(quarter):
    """Provoked: no unit is on, and the answer is the mean picture."""
    dead = numbers(train_fast(SparseConfig(latent_dim=32, lam=30.0), quarter, epochs=6), quarter)
    assert dead["units_on"] < 0.5 and dead["sse"] > 45


# -- KL --------------------------------------------------------------------------------------------------------------


def test_kl_holds_the_mean_activation_near_rho(quarter):
    options = {"epochs": 8, "batch_size": 64, "lr": 2e-2}
    free = numbers(train_fast(KLSparseConfig(latent_dim=64, beta=0.0), quarter, **options), quarter)
    held = numbers(train_fast(KLSparseConfig(latent_dim=64, beta=10.0), quarter, **options), quarter)
    assert held["mean_activation"] < 0.1 < 0.2 < free["mean_activation"]


def test_small_batches_estimate_rho_hat_badly():
    """Provoked: E KL(rho || mean of B) grows as B shrinks, though every unit's true mean is rho."""
    h = torch.rand(64_000, generator=torch.Generator().manual_seed(0)).lt(0.05).float()

    def cost(batch):
        return losses.bernoulli_kl(0.05, h.view(-1, batch).mean(1).clamp(1e-6, 1 - 1e-6)).mean()

    assert cost(8) > 10 * cost(256)


# -- k ---------------------------------------------------------------------------------------------------------------


def test_k_units_are_on_and_alpha_keeps_more(quarter):
    model = train_fast(KSparseConfig(latent_dim=60, k=8, alpha=1.5), quarter, epochs=1)
    assert set((model.encode(quarter[1].float() / 255) != 0).sum(1).tolist()) == {12}


def test_training_keeps_k_of_its_time_and_evaluation_the_last():
    model, x = build_model(KSparseConfig(latent_dim=60, k=8, start_k=40, anneal_epochs=4)), torch.rand(5, 1, 28, 28)
    totals = [model.loss(x, epoch=epoch).total for epoch in (0.0, 2.0, 4.0)]
    z = model.code[0](model.encoder(x))
    for total, k in zip(totals, (40, 24, 8), strict=True):
        assert torch.isclose(total, model.nll(x, model.params(largest(z, k, k))).mean())
    assert torch.equal(model.loss(x, epoch=torch.tensor(2.0)).total, totals[1]), "the time may be a tensor"
    model.eval()
    assert torch.isclose(model.loss(x, epoch=0.0).total, totals[2])


@pytest.mark.slow
def test_annealing_saves_units(quarter):
    """Provoked: with few units from the start many are never used; many at first, and they live."""
    options = {"epochs": 8, "batch_size": 32, "lr": 5e-3}
    at_once = train_fast(KSparseConfig(latent_dim=300, k=5, anneal_epochs=0.0), quarter, **options)
    slowly = train_fast(KSparseConfig(latent_dim=300, k=5, start_k=100, anneal_epochs=4.0), quarter, **options)
    dead, few = (numbers(model, quarter)["units_dead"] for model in (at_once, slowly))
    assert few < 0.7 * dead


def test_tied_weights_are_one_matrix():
    model, x = build_model(KSparseConfig(latent_dim=20, k=5)), torch.rand(3, 1, 28, 28)
    assert torch.equal(model.decoder[0].weight, model.code[0].weight.T)
    assert [name for name, _ in model.named_parameters()] == ["code.0.weight", "code.0.bias", "decoder.0.bias"]
    copied = build_model(model.config, seed=5)
    copied.load_state_dict(model.state_dict())
    assert torch.equal(copied(x).params, model(x).params)


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("k_sparse", {"latent_dim": 10, "k": 20}, "k must be in 1..latent_dim=10, got 20"),
        ("k_sparse", {"k": 0}, "k must be in 1..1024, got 0"),
        ("k_sparse", {"alpha": 0.5}, "alpha must be in 1.0..5.0"),
        ("sparse", {"lam": -1}, "lam must be in 0.0..100.0"),
        ("sparse_kl", {"rho": 0}, "rho must be in 0.001..0.999"),
        ("sparse", {"latent_dim": 5000}, "latent_dim must be in 1..1024"),
    ],
)
def test_refusals(family, options, words):
    with pytest.raises(ValueError) as said:
        family_class(family).Config(**options)
    assert words in str(said.value)


@pytest.mark.parametrize(
    ("family", "options"),
    [("sparse", {}), ("sparse_kl", {}), ("k_sparse", {}), ("k_sparse", {"tied": False, "alpha": 2.0})],
)
def test_they_run_in_the_browser(family, options):
    program(build_model(family_class(family).Config(latent_dim=30, **options)))
