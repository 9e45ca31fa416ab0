"""The lab Flow: warps with known answers, and a page whose controls do what they say."""

import functools

import numpy as np
import pytest
from page_helpers import open_checked_page
from pretend import Mounted
from streamlit.testing.v1 import AppTest

from aevae.latent import flows
from aevae.ui.shared import cached

PAGE = "pages/beyond/05_flow.py"
page = functools.partial(open_checked_page, PAGE)


@pytest.fixture(scope="module")
def run():
    return cached.run(cached.finished(("flow_vae",), input="pair")[0].name)


def url(at: AppTest, place: int = 0) -> str:
    return at.get("image")[place].proto.imgs[0].url


def test_the_exact_flow_shifts():
    flow = flows.exact("right")
    assert flow.shape == (flows.NUM_STEPS, 2, 28, 28)
    assert np.allclose(flow[:, 0], -3 * flows.amounts()[:, None, None]) and np.abs(flow[:, 1]).max() < 1e-5
    x = cached.shown_digits()[0][:1]
    assert np.allclose(flows.changed(x, "right")[..., 3:], x[..., :-3], atol=1e-5)


def test_a_learnt_direction_turns_and_its_opposite_turns_back(run):
    x = cached.shown_digits()[0]
    ways = flows.directions(run, x[:100])
    assert set(ways) == set(flows.KINDS)
    learnt, true = flows.edits(run, x[5], ways["right"]), flows.exact("right")
    ink = x[5, 0] > 0.5
    middle = [learnt[i, 0][ink].mean() for i in (4, 8, 12)]  # by -1, 0, 1
    assert middle[0] > 1.5 and abs(middle[1]) < 1 and middle[2] < -1.5
    assert np.sign(true[4, 0].mean()) == np.sign(middle[0])


def test_a_flow_creates_no_ink(run):
    black = np.zeros((1, 28, 28), np.float32)
    assert not flows.onto(run, black, cached.shown_digits()[0][:3]).any()


def test_a_painter_s_direction(run):
    painter, x = cached.run(cached.finished(("vae",))[0].name), cached.shown_digits()[0][:50]
    step = flows.painted(painter, x, "slant")
    mean = painter.encode(x).mean(0) + step
    assert np.allclose(mean, painter.encode(flows.changed(x, "slant")).mean(0), atol=1e-4)


def test_each_control_reaches_the_browser(monkeypatch):
    browser = Mounted(monkeypatch, "flow")
    at = page(digit="9", amount="-0.5")
    assert browser.spec["amount"] == -0.5 and browser.arrays["learnt"].shape == (17, 2, 28, 28)
    slant = browser.arrays["learnt"]
    at.segmented_control(key="kind").set_value("rotation").run()
    assert not np.array_equal(browser.arrays["learnt"], slant)
    painter, warped = browser.programs, url(at)
    choice = at.selectbox(key="painter")
    choice.set_value(next(option for option in cached.finished(("ae",))).name).run()
    assert browser.programs != painter and url(at) == warped
    at.number_input(key="digit").set_value(10).run()
    assert url(at) != warped
    browser.send(at, amount=1.5)
    assert at.query_params["amount"] == "1.5" and browser.spec["amount"] == 1.5
    for bad in (3, float("nan"), "1", None, True):
        browser.send(at, amount=bad)
        assert browser.spec["amount"] == 1.5


def test_without_a_browser_the_server_draws(monkeypatch):
    from aevae.ui.live import component

    monkeypatch.setattr(component, "trouble", lambda names, *, has_server_version: "No." if names else None)
    assert url(page(amount="1")) != url(page(amount="-1"))
    page(amount="nan"), page(amount="x")


def test_an_empty_store_says_what_to_do(empty_store):
    assert "There is no trained Flow VAE" in page().info[0].value
