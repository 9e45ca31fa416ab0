"""The lab PCA: what the browser turns is PCA or the run; the numbers it shows are those of the pictures."""

import numpy as np
import pytest
from page_helpers import sent_to_browser, sent_to_module
from sklearn.decomposition import PCA

from aevae.latent import rotation
from aevae.ui.shared import cached

PAGE = "pages/autoencoders/02_pca.py"


@pytest.mark.slow
def test_both_bases_are_what_they_say(page):
    x = cached.shown_digits()[0].reshape(-1, 784)
    train = cached.dataset().train.images.reshape(-1, 784) / 255
    pca = PCA(10, svd_solver="full").fit(train)
    spec, arrays = sent_to_module(page, "pca")
    assert spec["full"] == pytest.approx(np.square(x - pca.inverse_transform(pca.transform(x))).sum(1).mean(), rel=1e-5)
    shown = arrays["digits"].reshape(10, 784)
    ours = arrays["offset"] + arrays["codes"].reshape(10, 10) @ arrays["columns"].reshape(10, 784)
    assert np.allclose(ours, pca.inverse_transform(pca.transform(shown)), atol=1e-4)
    page.segmented_control(key="basis").set_value("linear_ae").run()
    assert not page.exception
    spec, arrays = sent_to_module(page, "pca")
    run = cached.run(page.selectbox(key="linear").value)
    ours = arrays["offset"] + arrays["codes"].reshape(10, 10) @ arrays["columns"].reshape(10, 784)
    assert np.allclose(ours.clip(0, 1), run.reconstruct(shown.reshape(-1, 1, 28, 28)).reshape(10, 784), atol=1e-4)


def test_the_address_restores_the_view(page):
    del page.session_state["address_visit"]  # somebody else comes
    for key, value in {"pca_turn": "33", "pca_keep": "4", "pca_digit": "7", "outliers": "6", "far_x": "1.5"}.items():
        del page.session_state[key]
        page.query_params[key] = value
    page.run()
    shown = sent_to_browser(page)
    assert [shown["pca"][0]["spec"][name] for name in ("turn", "keep", "chosen")] == [33, 4, 7]
    assert shown["pca_outliers"][0]["spec"]["at"] == {"count": 6, "x": 1.5, "y": 2.2}


@pytest.mark.parametrize("nonsense", ["91", "-1", "x", "1.5"])
def test_nonsense_in_the_address_is_the_default(page, nonsense):
    del page.session_state["pca_turn"], page.session_state["address_visit"]
    page.query_params["pca_turn"] = nonsense
    page.run()
    assert not page.exception and sent_to_module(page, "pca")[0]["turn"] == 0 and "pca_turn" not in page.query_params


def test_errors_of_parts_of_a_code():
    draw = np.random.default_rng(0)
    x, offset, columns = draw.normal(size=(50, 9)), draw.normal(size=9), draw.normal(size=(3, 9))
    codes = draw.normal(size=(50, 3))
    parts = rotation.moments(x, offset, columns, codes)
    m = draw.normal(size=(3, 3))
    expected = np.square(x - offset - (codes - codes @ m.T) @ columns).sum(1).mean()
    assert rotation.error_without(m, parts) == pytest.approx(expected)
    assert rotation.error_without(np.zeros((3, 3)), parts) == pytest.approx(parts["full"])
    a = rotation.skew(5)
    assert np.allclose(a, -a.T) and rotation.skew(1) == 0
    assert np.allclose(np.linalg.svd(a)[1], [1, 1, 1, 1, 0]), "four directions turn, one stays"
