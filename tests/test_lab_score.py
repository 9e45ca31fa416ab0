"""The lab Score field: the networks that are kept know the score; every control changes what it says."""

import numpy as np
import pytest
import torch
from page_helpers import sent_to_module

from aevae.figures.quiver import segments
from aevae.latent import slices
from aevae.metrics import toys

PAGE = "pages/autoencoders/05_score.py"


@pytest.mark.parametrize("name", toys.SHAPES)
@pytest.mark.parametrize("sigma", [0.2, 0.4, 0.8])
def test_the_learnt_field_is_the_score_where_the_data_are(name, sigma):
    found = toys.fidelity(name, sigma)
    assert found["near_error"] < 0.2 and found["near_cosine"] > 0.95


def test_a_perfect_denoiser_has_no_error(monkeypatch):
    """`fidelity` of E[x | noisy] in closed form is 0."""
    p = toys.mixture("moons")
    monkeypatch.setattr(toys, "denoise", lambda model, x, sigma: p.denoised(x, float(sigma[0])))
    assert toys.fidelity("moons", 0.3)["near_error"] < 1e-4


def test_the_network_that_travels_is_the_one_that_is_kept(page):
    spec, arrays = sent_to_module(page, "score")
    assert spec["key"] == "ring" and not spec["modes"]
    h = np.array([0.3 * toys.FINER, -1.2 * toys.FINER, np.log(0.5)], np.float32)
    for n in (0, 2, 4):
        bias = arrays[f"{n}.bias"]
        h = arrays[f"{n}.weight"].reshape(len(bias), -1) @ h + bias
        h = h / (1 + np.exp(-h)) if n < 4 else h
    x = torch.tensor([[0.3, -1.2]])
    expected = toys.denoise(toys.trained("ring"), x, torch.tensor([[0.5]])) - x
    assert np.allclose(0.5 * h, expected[0], atol=1e-5)
    assert arrays["parts"].reshape(-1, 4)[:, 3].sum() == pytest.approx(1)


def test_density_and_field_are_chosen(page):
    page.segmented_control(key="toy").set_value("three").run()
    spec, arrays = sent_to_module(page, "score")
    assert spec["key"] == "three" and spec["modes"] and len(arrays["parts"]) == 12 and spec["follow"] == "learnt"
    page.segmented_control(key="follow").set_value("true").run()
    assert sent_to_module(page, "score")[0]["follow"] == "true"


@pytest.mark.parametrize(("asked", "shown"), [("20", 20), ("101", 55), ("x", 55)])
def test_the_link_says_how_much_noise(page, asked, shown):
    del page.session_state["score_sigma"], page.session_state["address_visit"]  # somebody else comes
    page.query_params["score_sigma"] = asked
    page.run()
    assert sent_to_module(page, "score")[0]["sigma"] == shown


def test_training_learns():
    torch.manual_seed(0)
    sigma, x = torch.full((200, 1), 0.5), 2 * torch.rand(200, 2) - 1
    true = 0.25 * toys.mixture("three").score(x, 0.5)

    def error(model):
        return float((toys.denoise(model, x, sigma) - x - true).detach().norm() / true.norm())

    assert error(toys.train("three", steps=150, batch=128)) < 0.75 < error(toys.net())


def test_a_slice_shows_where_a_reconstruction_pulls(page):
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 2)))[0].T
    middle = np.arange(9.0)
    places, arrows = slices.pulled(lambda x: np.tile(middle, (len(x), 1)), middle, axes, 2.0, 5)
    assert places.shape == (25, 2) and places.min() == -2 and np.allclose(arrows, -places)
    x, y = segments(np.array([[0.0, 0], [5, 5]]), np.array([[1.0, 0], [0, 2]]), head=0.2)
    assert x[:6] == [0.0, 1.0, 0.8, 1.0, 0.8, None] and y[6:] == [5.0, 7.0, 6.6, 7.0, 6.6, None]
    before = page.get("plotly_chart")[-1].proto.spec
    box = page.selectbox(key="slice")
    box.set_value(next(option for option in box.options if option.startswith("AE"))).run()
    assert not page.exception and page.get("plotly_chart")[-1].proto.spec != before
