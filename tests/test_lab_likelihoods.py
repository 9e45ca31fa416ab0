"""The lab Likelihoods: draws have their moments, the linear VAE is probabilistic PCA, controls do what they say."""

import math

import numpy as np
import pytest
import torch
from conftest import open_page
from page_helpers import sent_to_module

from aevae.latent import components, linear_vae, pixels
from aevae.store import bundles

PAGE = "pages/variational/04_likelihoods.py"
KINDS = ("bernoulli", "continuous_bernoulli", "gaussian", "gaussian_learned", "categorical")


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_mean_and_the_deviation_that_the_likelihood_says(kind):
    model = bundles.load("likelihoods")[kind].model()
    z = np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)
    draws = pixels.sample_pixels(model, np.repeat(z, 1500, 0), *pixels.noise(1500)).reshape(1500, 784)
    with torch.inference_mode():
        params = model.params(torch.tensor(z))
        mean = (params if "gaussian" in kind else model.mean(params)).numpy().reshape(784)
    stray = pixels.strays(model, z).reshape(784)
    error = stray / math.sqrt(1500) + 5e-4
    assert (np.abs(draws.mean(0) - mean) < 6 * error).all()
    clear = stray > 0.15
    assert np.allclose(draws.std(0)[clear], stray[clear], rtol=0.25)
    if kind == "bernoulli":
        assert set(np.unique(draws)) <= {0.0, 1.0}
    if kind == "categorical":
        assert set(np.round(np.unique(draws) * 3).astype(int)) <= {0, 1, 2, 3}


def test_a_continuous_bernoulli_of_logit_0_is_uniform():
    model = bundles.load("likelihoods")["continuous_bernoulli"].model()
    for parameter in model.parameters():
        parameter.zero_()
    model.decoder[-1].by.zero_()
    assert np.allclose(pixels.strays(model, np.zeros((1, 8))), math.sqrt(1 / 12), atol=1e-6)
    draws = pixels.sample_pixels(model, np.zeros((1, 8)), *pixels.noise(1))
    assert abs(draws.mean() - 0.5) < 0.05 and draws.min() >= 0 and draws.max() <= 1


def test_the_decoders_share_one_encoder_and_the_learnt_sigma_is_the_best_one():
    members = bundles.load("likelihoods")
    first = members["bernoulli"].weights
    for member in members.values():
        assert all(
            np.array_equal(member.weights[k], first[k]) for k in first if k.startswith(("encoder", "mu", "logvar"))
        )
    learnt, fixed = members["gaussian_learned"].numbers, members["gaussian"].numbers
    assert learnt["recon"] < fixed["recon"] - 500
    s2 = math.exp(float(members["gaussian_learned"].model().pixel_variance_log()))
    sse = 2 * s2 * (learnt["recon"] - 392 * math.log(2 * math.pi * s2))
    assert s2 == pytest.approx(sse / 784, rel=0.1)


def test_the_linear_vae_is_probabilistic_pca():
    """Its ELBO is log p(x) under N(mean, W W^T + s2 I), exactly."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 5)) * [3, 2, 1, 0.3, 0.1] + 1
    found, s2 = components.fit(x, 5), 0.5
    lam = found.variance
    assert linear_vae.active(lam, s2).tolist() == [True, True, True, False, False]
    back = linear_vae.reconstructed(x, found.mean, found.axes, lam, s2)
    w = found.axes.T * np.sqrt(np.clip(lam - s2, 0, None))  # (P, D)
    m = w.T @ w + s2 * np.eye(5)
    mu = np.linalg.solve(m, w.T @ (x - found.mean).T).T
    assert np.allclose(back, found.mean + mu @ w.T)
    var = s2 * np.diag(np.linalg.inv(m))
    kl = 0.5 * (mu**2 + var - 1 - np.log(var)).sum(1)
    assert kl.mean() == pytest.approx(linear_vae.rate(lam, s2))
    noise = (var * (w**2).sum(0)).sum()
    recon = ((x - back) ** 2).sum(1) / (2 * s2) + noise / (2 * s2) + 2.5 * math.log(2 * math.pi * s2)
    c = w @ w.T + s2 * np.eye(5)
    d = x - found.mean
    log_p = -0.5 * ((d @ np.linalg.inv(c) * d).sum(1) + np.linalg.slogdet(2 * math.pi * c)[1])
    assert np.allclose(-(recon + kl), log_p)
    everything = linear_vae.reconstructed(x, found.mean, found.axes, lam, 1e-9)
    assert np.allclose(everything, x, atol=1e-5)
    nothing = linear_vae.sampled(rng.standard_normal((3, 5)), found.mean, found.axes, lam, 100.0)
    assert np.allclose(nothing, found.mean)


def test_the_browser_gets_five_decoders_of_the_chosen_digit(page):
    assert not page.exception and sent_to_module(page, "likelihoods")[0]["shown"] == [0], "one thing at a time"
    page.segmented_control(key="likelihood").set_value("all").run()
    spec, arrays = sent_to_module(page, "likelihoods")
    assert [model["kind"] for model in spec["models"]] == [KINDS[0], KINDS[1], "gaussian", "gaussian", "categorical"]
    assert spec["models"][2]["variance"] == pytest.approx(0.5) and spec["models"][3]["variance"] < 0.1
    assert spec["models"][4]["count"] == 4 and spec["shown"] == [0, 1, 2, 3, 4] and len(spec["dims"]) == 3
    page.segmented_control(key="likelihood").set_value("gaussian_learned").run()
    one, _arrays = sent_to_module(page, "likelihoods")
    assert one["shown"] == [3] and one["key"] != spec["key"]
    assert any("This digit, Gaussian, σ learnt: " in m.value for m in page.markdown)
    page.number_input(key="digit").set_value(3).run()
    assert not np.allclose(sent_to_module(page, "likelihoods")[1]["x"], arrays["x"])


def test_the_address_moves_the_code_and_the_numbers_follow(monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    app = open_page(PAGE)
    before = [m.value for m in app.markdown if "This digit" in m.value]
    app.session_state["step0"] = 3.0
    app.run()
    assert sent_to_module(app, "likelihoods")[0]["steps"] == [3.0, 0.0, 0.0] and app.query_params["step0"] in (
        "3",
        ["3"],
    )
    assert [m.value for m in app.markdown if "This digit" in m.value] != before


def test_a_browser_that_cannot_gets_images_of_the_server(page):
    page.session_state["live_trouble"] = {"": "browser"}
    page.segmented_control(key="likelihood").set_value("all").run()
    assert not page.exception and len(page.get("image")) == 6
    before = [image.proto.imgs[0].url for image in page.get("image")]
    page.number_input(key="digit").set_value(3).run()
    after = [image.proto.imgs[0].url for image in page.get("image")]
    assert all(a != b for a, b in zip(before[:5], after[:5], strict=True)) and after[5] == before[5]


def test_the_slider_of_sigma_ends_in_collapse(page):
    spec, arrays = sent_to_module(page, "beta")
    pictures = arrays["images"].astype(int)  # (F, 3, 10, 784)
    assert spec["frame"] == 5 and "σ = 0.707" in spec["frames"][5]["label"]
    assert np.ptp(pictures[-1, 1], axis=0).max() == 0, "MSE a pixel + KL: one picture for all"
    errors = np.square(pictures[:, 1] - pictures[:, 0]).sum((1, 2))
    assert (np.diff(errors) >= 0).all()
    assert "SSE + 784 · KL: 0 directions used" in spec["frames"][-1]["note"]
