"""Latent sliders as it opens: what the shipped models show there, one click further, and by another model."""

import numpy as np
import pytest
from conftest import open_page
from page_helpers import sent_to_module, without_error
from streamlit.testing.v1 import AppTest

from aevae.latent import sampling
from aevae.ui.digit import picker
from aevae.ui.shared import cached, image_sheets, run_picker
from aevae.ui.sliders import latent_code, live_view

PAGE = "pages/explore/sliders.py"
FIRST_DIGIT = picker.GOOD_DIGITS[3]


@pytest.fixture
def first(shipped_runs) -> AppTest:
    return without_error(open_page(PAGE))


def test_it_opens_on_a_clean_three_of_the_vae_with_two_numbers(first):
    run = cached.run(live_view.first_choice())
    assert (run.info.family, run.info.latent_dim) == ("vae", 2)
    spec, arrays = sent_to_module(first, "latent_plane")
    assert spec["run"] == run.name and spec["mode"] == "dims" and spec["dims"] in ([0, 1], [1, 0])
    images, labels = cached.shown_digits()
    assert labels[FIRST_DIGIT] == 3 and (arrays["image"] == np.rint(images[FIRST_DIGIT].ravel() * 255)).all()
    shown = run.decode(sent_to_module(first, "latent_code")[1]["z"][None])[0]
    nearest = np.square(images - shown).sum((1, 2, 3)).argsort()[:5]
    assert (labels[nearest] == 3).all(), "what it decodes looks like a 3"
    assert not sent_to_module(first, "latent_code")[0]["images"], "the image is beside the plane"


def test_twenty_numbers_are_one_click_away(first):
    size = first.segmented_control(key=live_view.SIZE)
    assert size.value == 2 and list(live_view.shipped_vaes()) and 20 in live_view.shipped_vaes()
    first.segmented_control(key=live_view.SIZE).set_value(20).run()
    spec, arrays = sent_to_module(without_error(first), "latent_code")
    assert spec["run"] == live_view.shipped_vaes()[20] and len(arrays["z"]) == 20


def test_the_try_that_breaks_shows_a_sample_of_a_model_without_a_prior(first):
    first.button(key="try_4").click().run()
    spec, arrays = sent_to_module(without_error(first), "latent_code")
    info = cached.run(spec["run"]).info
    assert info.family == "ae" and spec["gauge"]["prior"] is None
    assert arrays["z"] == pytest.approx(sampling.prior(1, info.latent_dim, 1)[0], abs=1e-3)
    assert np.linalg.norm(arrays["z"]) < spec["gauge"]["codes"][0], "nearer to 0 than 19 of 20 digits"
    first.button(key="try_1").click().run()
    assert sent_to_module(without_error(first), "latent_code")[0]["run"] == live_view.first_choice()


def test_another_model_gets_the_shown_image_and_not_the_code(store, monkeypatch):
    shown = {}
    monkeypatch.setattr(image_sheets, "show", lambda image, *rest, alt, **more: shown.update({alt: image}))
    without_error(open_page(PAGE, {"model": store["vae"], "beside": [store["ae"]]}, False))
    vae, ae = (shown[f"Image by {run_picker.label_of(store[family])}"] for family in ("vae", "ae"))
    space = latent_code.open_latent_space(store["vae"])
    z = latent_code.clip(space.codes[FIRST_DIGIT], space)
    assert vae[0] == pytest.approx(latent_code.decode_view(cached.run(store["vae"]), z), abs=1e-3)
    other = cached.run(store["ae"])
    assert ae[0] == pytest.approx(other.reconstruct(vae[None])[0, 0], abs=1e-5)
    assert np.abs(ae[0] - other.decode(z[None])[0, 0]).max() > 1e-3
