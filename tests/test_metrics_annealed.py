"""Annealed importance sampling: against the exact log p(x) of a linear Gaussian model, from both sides."""

import math
from types import SimpleNamespace

import pytest
import torch
from model_helpers import SIGMA, LinearGaussian

from aevae.metrics import annealed

CHAINS = 16


class Simulator(LinearGaussian):
    """The same model; it also keeps the code behind each image, an exact draw of the image's posterior."""

    config = SimpleNamespace(likelihood="gaussian", latent_dim=3)

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.z, eps = (torch.randn(40, n, generator=draw, dtype=torch.float64) for n in (3, 12))
        self.x = (self.z @ self.w.T + SIGMA * eps).view(40, 1, 3, 4)


@pytest.fixture(scope="module")
def bounds():
    """T -> error of the lower and of the upper estimate against the exact log p(x), in nats (40,) each."""
    model = Simulator()
    found = {
        t: annealed.interval(model, model.x, model.z, t, CHAINS, torch.Generator().manual_seed(2)) for t in (5, 50, 500)
    }
    return {t: annealed.Interval(*(side - model.exact() for side in both)) for t, both in found.items()}


@pytest.mark.slow
def test_the_exact_value_lies_between_the_two_estimates(bounds):
    for below, above in bounds.values():
        assert float(below.mean()) < 3 * annealed.standard_error(below)
        assert float(above.mean()) > -3 * annealed.standard_error(above)
    below, above = bounds[5]
    assert float(below.mean()) < -0.1 and float(above.mean()) > 0.1, "five temperatures are far too few"


def test_both_estimates_converge_to_the_exact_value(bounds):
    widths = [float((above - below).mean()) for below, above in bounds.values()]
    assert widths[0] > 3 * widths[1] > 9 * widths[2]
    below, above = bounds[500]
    assert float(below.abs().mean()) < 0.1 and float(above.abs().mean()) < 0.1


def test_the_mean_weight_is_the_likelihood_with_any_schedule():
    """E w = p(x), though the chains are far from equilibrium: log w itself is below it."""
    model, draw, chains = Simulator(), torch.Generator().manual_seed(3), 4000
    x = model.x[:2]
    betas = annealed.schedule(12)
    steps = annealed.tune(model, x, betas, draw)
    z = annealed.prior_codes(model, (chains, 2), x, draw)
    log_w = annealed.anneal(model, x, z, betas, steps, draw)
    ratio = (log_w - model.exact()[:2]).exp()  # (4000, 2), mean 1
    error = ratio.std(0) / math.sqrt(chains)
    assert float(((ratio.mean(0) - 1).abs() / error).max()) < 4 and float(error.max()) < 0.2
    assert float((log_w.mean(0) - model.exact()[:2]).max()) < -0.1


def test_hmc_leaves_the_posterior_invariant():
    """Draws of p(z|x) stay draws of p(z|x): mean and covariance of 20,000 chains."""
    model, draw = Simulator(), torch.Generator().manual_seed(4)
    x = model.x[:1]
    mu, logvar = model.posterior(x)
    z = mu + (0.5 * logvar).exp() * torch.randn(20_000, 1, 3, generator=draw, dtype=torch.float64)
    state = annealed.evaluate_at(model, x, z)
    for _ in range(3):
        state, acceptance = annealed.transition(model, x, state, 1.0, torch.full((1,), 0.11).double(), draw)
    assert 0.3 < float(acceptance.mean()) < 0.99
    scaled = ((state.z - mu) / (0.5 * logvar).exp()).squeeze(1)
    assert float(scaled.mean(0).abs().max()) < 4 / math.sqrt(20_000)
    assert torch.allclose(scaled.T.cov(), torch.eye(3).double(), atol=0.05)


def test_the_pilot_run_comes_near_the_target_acceptance():
    model, draw = Simulator(), torch.Generator().manual_seed(5)
    betas = annealed.schedule(200)
    steps = annealed.tune(model, model.x, betas, draw)
    assert steps.shape == (201, 40)
    state = annealed.evaluate_at(model, model.x, model.z.expand(200, -1, -1))
    acceptance = annealed.transition(model, model.x, state, 1.0, steps[-1], draw)[1]
    assert float(acceptance.mean()) == pytest.approx(annealed.TARGET_ACCEPTANCE, abs=0.15)


def test_the_schedule_goes_from_0_to_1():
    betas = annealed.schedule(10)
    assert betas[0] == 0 and betas[-1] == 1 and (betas.diff() > 0).all()
    assert torch.allclose(betas + betas.flip(0), torch.ones(11).double()), "as dense at both ends"
    with pytest.raises(ValueError, match="temperatures must be at least 1, got 0"):
        annealed.schedule(0)


def test_simulated_images_are_draws_of_the_decoder():
    from aevae.models import build_model, family_class

    z = torch.zeros(500, 2)
    for likelihood in ("bernoulli", "gaussian"):
        model = build_model(family_class("vae").Config(latent_dim=2, hidden=8, likelihood=likelihood), 0).eval()
        with torch.no_grad():
            x = annealed.simulate(model, z, torch.Generator().manual_seed(0))
            mean = model.decode(z[:1])
        if likelihood == "bernoulli":
            assert set(x.unique().tolist()) == {0.0, 1.0}
            assert float((x.mean(0) - mean[0]).abs().max()) < 0.12
        else:
            nll = model.nll(x, model.params(z)).detach()
            assert float(nll.mean()) == pytest.approx(
                784 * (0.5 + 0.5 * math.log(2 * math.pi) + math.log(model.config.sigma)), rel=0.02
            )
    model = build_model(family_class("vae").Config(latent_dim=2, hidden=8, likelihood="categorical"), 0)
    with pytest.raises(ValueError, match=r"simulated images need pixels that are bernoulli, .* got categorical"):
        annealed.simulate(model, z, torch.Generator())
