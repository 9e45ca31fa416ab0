"""The lab ELBO: the three forms are one number, and every control changes what it says."""

import math

import numpy as np
import pytest
import torch
from conftest import open_page
from page_helpers import sent_to_module
from streamlit.testing.v1 import AppTest

from aevae.metrics import class_densities as densities
from aevae.metrics.bound import bound
from aevae.models import build_model, family_class
from aevae.runs import load_run, shown_images

PAGE = "pages/variational/01_elbo.py"


def table(app: AppTest) -> str:
    (found,) = [m.value for m in app.markdown if "| form |" in m.value]
    return found


def test_the_forms_agree_and_log_p_is_what_quadrature_says(monkeypatch):
    """A model of two numbers: the integral over z is a sum over a grid."""
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    run = load_run("vae-mnist-8af5219dbc7d")
    x = torch.tensor(shown_images(run.shown)[7:8])
    found = bound(run.model, x, draws=3000)
    one, two, three = found.forms
    assert one == pytest.approx(two, abs=0.2) and one == pytest.approx(three, abs=0.2)
    assert found.gap >= 0 and found.log_p > one
    at = torch.linspace(-4, 4, 161)
    z = torch.cartesian_prod(at, at)
    with torch.inference_mode():
        mu = run.model.encode(x)
        near = ((z - mu).abs() < 1.5).all(1)  # elsewhere the digit is not
        z = z[near]
        log = -run.model.nll(x.expand(len(z), -1, -1, -1), run.model.params(z)).double()
    log = log - 0.5 * z.double().square().sum(1) - math.log(2 * math.pi)
    exact = float(log.logsumexp(0)) + 2 * math.log(0.05)
    assert found.log_p == pytest.approx(exact, abs=0.3)


def test_where_the_decoder_ignores_the_code_the_bound_is_exact():
    """p(x|z) = p(x) and q = p(z): KL and gap are 0, and one draw is as good as many."""
    model = build_model(family_class("vae").Config(hidden=4, latent_dim=3), 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found = bound(model, torch.rand(1, 1, 28, 28), draws=50)
    assert found.kl == 0 and found.gap == pytest.approx(0, abs=1e-3)
    assert found.likelihood == pytest.approx(-784 * math.log(2), abs=1e-2)
    assert found.spread_closed == pytest.approx(0, abs=1e-3)
    assert found.entropy == pytest.approx(1.5 * math.log(2 * math.pi * math.e), abs=1e-5)
    assert found.effective == pytest.approx(50, rel=1e-3)


def test_model_and_digit_change_what_the_browser_receives_and_the_numbers(page):
    assert not page.exception
    spec, arrays = sent_to_module(page, "elbo")
    assert len(arrays["mu"]) == 2 and arrays["eps"].size == 2 * spec["most"]
    first = table(page)
    page.number_input(key="digit").set_value(3).run()
    assert table(page) != first
    other = sent_to_module(page, "elbo")[1]
    assert not np.allclose(other["x"], arrays["x"])
    wide = next(o for o in page.selectbox(key="elbo_model").options if "20 numbers" in o)
    page.selectbox(key="elbo_model").set_value("vae-mnist-7797c7142785").run()
    assert wide and len(sent_to_module(page, "elbo")[1]["mu"]) == 20


def test_the_model_draws_the_default_digit_as_itself(page):
    x = sent_to_module(page, "elbo")[1]["x"].reshape(1, 1, 28, 28)
    run = load_run(page.selectbox(key="elbo_model").value)
    read = densities.class_probabilities(densities.reader(), run.reconstruct(x).reshape(1, 784))[0]
    assert read.argmax() == 3 and read.max() > 0.9


def test_a_thing_to_try_moves_q_to_the_middle_of_the_plane(page):
    page.button(key="try_1").click().run()
    spec, arrays = sent_to_module(page, "elbo")
    i, j = spec["plane"]
    assert np.allclose([arrays["mu"][i] + spec["start"]["a"], arrays["mu"][j] + spec["start"]["b"]], 0, atol=1e-4)


def test_the_target_changes_p(page):
    assert len(sent_to_module(page, "elbo_divergence")[0]["p"]) == 2
    page.segmented_control(key="target").set_value("narrow").run()
    (part,) = sent_to_module(page, "elbo_divergence")[0]["p"]
    assert part == {"w": 1.0, "m": 0.0, "s": 0.01} and not sent_to_module(page, "elbo_divergence")[0]["free"]


def test_p_may_be_any_gaussian_and_the_address_knows_it(page):
    page.segmented_control(key="target").set_value("any").run()
    spec, _arrays = sent_to_module(page, "elbo_divergence")
    assert spec["free"] and spec["p"] == [{"w": 1.0, "m": 0.0, "s": 1.0}]
    page.session_state["p_mean"], page.session_state["p_spread"] = -1.5, 0.4
    page.run()
    assert sent_to_module(page, "elbo_divergence")[0]["p"] == [{"w": 1.0, "m": -1.5, "s": 0.4}]
    assert page.query_params["p_mean"] in ("-1.5", ["-1.5"]) and page.query_params["p_spread"] in ("0.4", ["0.4"])


def test_the_address_brings_the_hand_back(monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    app = open_page(PAGE, q_a="1.5", q_draws="3", q_b="nan")
    start = sent_to_module(app, "elbo")[0]["start"]
    assert start == {"a": 1.5, "b": 0.0, "spread": 1.0, "draws": 3}
