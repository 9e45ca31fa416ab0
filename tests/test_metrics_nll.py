"""-log p(x) by importance sampling: against the exact value, over K, and what cannot be."""

import itertools
import math

import pytest
import torch
from model_helpers import LinearGaussian

from aevae.metrics.nll import importance


def estimate(model, mu, logvar, samples, seed=0):
    return importance(model, model.x, mu, logvar, samples, torch.Generator().manual_seed(seed))


def test_the_true_posterior_gives_the_exact_value_with_every_draw():
    model = LinearGaussian()
    found = estimate(model, *model.posterior(model.x), samples=3)
    assert torch.allclose(found.log_p, model.exact(), atol=1e-9)
    assert torch.allclose(found.effective, torch.tensor(3.0).double()) and found.variance.abs().max() < 1e-9


def test_a_wrong_posterior_comes_to_the_exact_value_and_its_error_is_that_said():
    model = LinearGaussian()
    mu, logvar = model.posterior(model.x)
    found = estimate(model, mu + 0.05 * (0.5 * logvar).exp(), logvar + 0.1, samples=5000)
    off = float((found.log_p - model.exact()).mean())
    assert abs(off) < 1e-3
    error = math.sqrt(float(found.variance.sum())) / len(model.x)
    assert abs(off) < 4 * error < 4e-3
    assert 1 < float(found.effective.mean()) < 5000


def test_the_bound_falls_with_k_and_never_below_the_truth():
    model = LinearGaussian()
    mu, logvar = model.posterior(model.x)
    bounds = []
    for k in (1, 5, 50, 2500):
        found = estimate(model, mu + (0.5 * logvar).exp(), logvar + 0.5, k)
        error = math.sqrt(float(found.variance.nan_to_num(0.02).sum())) / len(model.x)
        bounds.append((-float(found.log_p.mean()), error))
    truth = -float(model.exact().mean())
    for (wider, _), (closer, error) in itertools.pairwise(bounds):
        assert closer <= wider + 3 * error
    assert all(bound >= truth - 3 * error for bound, error in bounds) and bounds[0][0] > truth + 0.1


def test_chunks_of_draws_give_what_one_sum_gives(monkeypatch):
    from aevae.metrics import nll

    model = LinearGaussian()
    mu, logvar = model.posterior(model.x)
    monkeypatch.setattr(nll, "BLOCK_CODES", 7)  # 7 + 7 + 6 draws of one picture after the other
    generator = torch.Generator().manual_seed(5)
    chunked = importance(model, model.x[:1], mu[:1], logvar[:1] + 0.3, 20, generator)
    generator = torch.Generator().manual_seed(5)
    parts = [nll.log_weights(model, model.x[:1], mu[:1], logvar[:1] + 0.3, n, generator) for n in (7, 7, 6)]
    log_w = torch.cat(parts, 1)[0]
    assert float(chunked.log_p) == pytest.approx(float(log_w.logsumexp(0)) - math.log(20), abs=1e-12)
    weights = (log_w - log_w.max()).exp()
    assert float(chunked.effective) == pytest.approx(float(weights.sum() ** 2 / weights.square().sum()))
    relative = float(weights.var() / weights.mean() ** 2 / 20)
    assert float(chunked.variance) == pytest.approx(relative)


def test_bernoulli_pixels_are_weighed_as_the_models_own_likelihood_says():
    from aevae.metrics.nll import log_weights
    from aevae.models import build_model, family_class

    model = build_model(family_class("vae").Config(latent_dim=2, hidden=8, prior_std=0.5), 0).eval()
    draw = torch.Generator().manual_seed(1)
    x = torch.rand(3, 1, 28, 28, generator=draw)
    with torch.no_grad():
        mu, logvar = model.posterior(x)
        got = log_weights(model, x, mu, logvar, 4, torch.Generator().manual_seed(2))
        z = mu[:, None] + (0.5 * logvar).exp()[:, None] * torch.randn(
            3, 4, 2, generator=torch.Generator().manual_seed(2)
        )
        p, q = (
            torch.distributions.Normal(0, 0.5),
            torch.distributions.Normal(mu[:, None], (0.5 * logvar).exp()[:, None]),
        )
        pixels = torch.stack([model.nll(x, model.params(z[:, k])) for k in range(4)], 1)
    assert torch.allclose(got, -pixels + p.log_prob(z).sum(2) - q.log_prob(z).sum(2), atol=2e-3)


def test_the_quick_sum_of_softplus_is_the_sum():
    from aevae.metrics.nll import softplus_sum

    for scale in (0.0, 1.0, 30.0, 300.0):
        logits = scale * torch.randn(5, 784, generator=torch.Generator().manual_seed(0))
        exact = torch.nn.functional.softplus(logits.double()).sum(1)
        assert torch.allclose(softplus_sum(logits).double(), exact, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("samples", [0, -1, 100_001])
def test_k_must_be_a_number_of_draws(samples):
    model = LinearGaussian()
    with pytest.raises(ValueError, match=f"samples must be in 1..100000, got {samples}"):
        estimate(model, *model.posterior(model.x), samples=samples)
