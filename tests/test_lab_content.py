"""The lab Content and style: evidence with known answers, and a page whose controls do what they say."""

import functools

import numpy as np
import pytest
from page_helpers import open_checked_page
from pretend import Mounted

from aevae.latent import groups
from aevae.metrics import class_densities as densities
from aevae.ui.shared import cached

PAGE = "pages/beyond/04_content.py"
page = functools.partial(open_checked_page, PAGE)


@pytest.fixture(scope="module")
def run():
    return cached.run(cached.finished(("ml_vae",))[0].name)


def test_evidence_adds_up(run):
    images, labels = cached.shown_digits()
    group = groups.group_of(labels, 3, 5)
    assert set(labels[group]) == {3}
    mu, variance = groups.evidence(run, images[group])
    single = [groups.evidence(run, images[i : i + 1]) for i in group]
    precision = np.cumsum([1 / v[0] for _m, v in single], axis=0)
    assert np.allclose(1 / variance, precision, rtol=1e-4)
    assert np.allclose(mu[-1], sum(m[0] / v[0] for m, v in single) / precision[-1], atol=1e-4)
    assert (np.diff(variance, axis=0) < 0).all()


def test_codes_cross(run):
    z = groups.crossed(np.array([[1, 2], [3, 4]]), np.array([[5], [6], [7]]))
    assert z.shape == (2, 3, 3) and z[1, 2].tolist() == [3, 4, 7] and z[0, 0].tolist() == [1, 2, 5]
    images = cached.shown_digits()[0][:2]
    code = run.encode(images)
    size = run.config.model.content_dim
    assert np.array_equal(groups.styles(run, images), code[:, size:])
    mixed = groups.crossed(code[:, :size], groups.styles(run, images))
    assert np.array_equal(mixed[[0, 1], [0, 1]], code)


def test_the_grid_opens_with_rows_that_keep_their_digit_and_one_image_does_not(monkeypatch):
    browser = Mounted(monkeypatch, "content")
    page()
    a, run = browser.arrays, cached.run(cached.finished(("ml_vae",))[0].name)
    assert browser.spec["count"] == 16 and browser.spec["spread"] == 0

    def readable(n: int) -> int:
        """How many of the seventy decoded images are read as the digit of their row."""
        z = groups.crossed(a["mu"].reshape(10, 16, -1)[:, n - 1], a["styles"].reshape(7, -1))
        images = run.decode(z.reshape(70, -1)).reshape(70, 784).clip(0, 1)
        return int(
            (
                densities.class_probabilities(densities.reader(), images).argmax(1).reshape(10, 7).T == np.arange(10)
            ).sum()
        )

    assert readable(16) >= 69 and readable(1) <= 60


def test_each_control_reaches_the_browser(monkeypatch):
    browser = Mounted(monkeypatch, "content")
    at = page(count="8")
    assert browser.spec["count"] == 8 and browser.spec["spread"] == 0
    assert browser.arrays["mu"].shape == browser.arrays["variance"].shape == (10, 16, 10)
    assert browser.arrays["heads"].shape == (7, 28, 28)
    first = browser.arrays["styles"]
    at.number_input(key="styles_seed").set_value(5).run()
    assert not np.array_equal(browser.arrays["styles"], first)
    at.segmented_control(key="styles").set_value("drawn").run()
    assert browser.arrays["heads"].shape[0] == 0 and browser.arrays["styles"].shape == (7, 10)
    at.segmented_control(key="content").set_value("drawn").run()
    assert browser.spec["spread"] == 1
    browser.send(at, count=3)
    assert at.query_params["count"] == "3" and browser.spec["count"] == 3
    for bad in (0, 17, "3", None, True):
        browser.send(at, count=bad)
        assert browser.spec["count"] == 3
    assert len(at.get("plotly_chart")) == 1


def test_without_a_browser_the_server_draws(monkeypatch):
    from aevae.ui.live import component

    monkeypatch.setattr(component, "trouble", lambda names, *, has_server_version: "No.")
    one, other = (page(count=count).get("image")[0].proto.imgs[0].url for count in ("1", "9"))
    assert one != other


def test_an_empty_store_says_what_to_do(empty_store):
    assert "no trained ML-VAE" in page().info[0].value
