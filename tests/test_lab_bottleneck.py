"""The lab Bottleneck: what is handed to the browser is PCA and the runs; every control changes what it says."""

import numpy as np
import pytest
from page_helpers import sent_to_module
from pretend import Mounted
from sklearn.decomposition import PCA

from aevae import datasets
from aevae.config import DataConfig
from aevae.metrics import class_densities as densities
from aevae.store import bundles

PAGE = "pages/autoencoders/01_bottleneck.py"


@pytest.mark.slow
def test_the_browser_gets_pca_and_an_autoencoder_of_each_size(page):
    spec, arrays = sent_to_module(page, "bottleneck")
    data = datasets.load(DataConfig("mnist-5k"))
    pca = PCA(64, svd_solver="full").fit(data.train.images.reshape(-1, 784) / 255)
    shown = arrays["digits"].reshape(10, 784)
    k = 12
    ours = arrays["mean"] + arrays["coefficients"].reshape(10, 64)[:, :k] @ arrays["axes"].reshape(64, 784)[:k]
    theirs = pca.transform(shown)[:, :k] @ pca.components_[:k] + pca.mean_
    assert np.allclose(ours, theirs, atol=1e-4)
    shipped = [member.config.model.latent_dim for member in bundles.load("bottleneck").values()]
    assert spec["sizes"] == [1, 2, 4, 8, 16, 32, 64] == shipped
    errors = np.square(arrays["images"].reshape(7, 10, 784) - shown).sum(2).mean(1)
    assert (np.diff(errors) < 0).all() and (np.diff(spec["errors"]) < 0).all(), "more numbers, less error"


def test_at_the_default_size_the_network_is_readable_and_pca_is_not(page):
    spec, arrays = sent_to_module(page, "bottleneck")
    k, at = spec["k"], spec["sizes"].index(spec["k"])
    flat = arrays["mean"] + arrays["coefficients"].reshape(10, 64)[:, :k] @ arrays["axes"].reshape(64, 784)[:k]
    read = [
        (densities.class_probabilities(densities.reader(), x.clip(0, 1)).argmax(1) == np.arange(10)).sum()
        for x in (flat, arrays["images"].reshape(7, 10, 784)[at])
    ]
    assert read[0] <= 6 and read[1] >= 9 and spec["errors"][at] < 0.7 * spec["left"][k]


def test_where_random_codes_come_from_changes_what_they_decode_to(page):
    def sheet():
        return page.get("image")[0].proto.imgs[0].url

    box = sheet()
    page.segmented_control(key="holes_from").set_value("prior").run()
    prior = sheet()
    assert box != prior
    page.selectbox(key="holes").set_value(next(o for o in page.selectbox(key="holes").options if o.startswith("VAE")))
    page.run()
    assert sheet() != prior
    assert not page.exception


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "kept"), [("16", 16), ("12", 8), ("0", 2), ("65", 2), ("x", 2)])
def test_the_link_says_how_many_numbers(page, asked, kept):
    del page.session_state["kept"], page.session_state["address_visit"]  # somebody else comes
    page.query_params["kept"] = asked
    page.run()
    assert sent_to_module(page, "bottleneck")[0]["k"] == kept
    assert page.query_params.get("kept") in ((None,) if kept == 2 else (asked, [asked]))


def test_a_thing_to_try_sets_the_slider(page):
    page.button(key="try_1").click().run()
    assert sent_to_module(page, "bottleneck")[0]["k"] == 1


def test_the_plane_of_two_numbers_is_at_the_place_of_the_address(page):
    spec, arrays = sent_to_module(page, "latent_plane")
    assert spec["run"].startswith("ae-") and spec["dims"] == [0, 1] and spec["behind"] == "codes"
    assert np.allclose(arrays["z"], arrays["codes"].astype(float).mean(0), atol=0.1) and not arrays["image"].size
    page.session_state["hole_x"], page.session_state["hole_y"] = 1.5, float(arrays["low"][1]) - 100
    page.run()
    assert np.allclose(sent_to_module(page, "latent_plane")[1]["z"], [1.5, arrays["low"][1]])
    assert page.query_params["hole_x"] in ("1.5", ["1.5"])
    page.segmented_control(key="behind").set_value("pictures").run()
    assert sent_to_module(page, "latent_plane")[0]["behind"] == "pictures"


def test_what_the_plane_sends_is_believed_only_if_it_is_a_place(monkeypatch, page):
    browser = Mounted(monkeypatch, "latent_plane")
    page.run()
    browser.send(page, z=[2.0, -1.0], n=1)
    assert np.allclose(browser.arrays["z"], [2, -1]) and browser.spec["read"] == {"latent_plane": 1}
    for bad in ([1.0], [1.0, float("nan")], "12", [True, 0.0], None):
        browser.send(page, z=bad, n="x")
        assert np.allclose(browser.arrays["z"], [2, -1])
