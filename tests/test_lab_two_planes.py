"""The lab Two planes: what its models show, the classifier's numbers, and the values that page and browser share."""

import numpy as np
import pytest
import torch
from conftest import open_page
from page_helpers import sent_to_module

from aevae.browser.plain import SURE
from aevae.metrics import classifier
from aevae.store import bundles
from aevae.ui.labs import two_planes
from aevae.ui.shared import cached, url_values
from aevae.ui.sliders import hand_planes

PAGE = "pages/variational/00_two_planes.py"
NAMES = ["ae", "0.1", "0.5", "1", "2", "4", "8"]


def planes() -> dict[str, hand_planes.Plane]:
    return {plane.name: plane for plane in hand_planes.planes()}


def sure(images: np.ndarray) -> float:
    with torch.inference_mode():
        logits = classifier.reader()[0](torch.tensor(images, dtype=torch.float32))[1]
    return float((logits.softmax(1).max(1).values >= SURE).float().mean())


def test_random_codes_of_a_vae_are_digits_more_often_than_those_of_an_autoencoder():
    numbers = {name: plane.numbers for name, plane in planes().items()}
    assert list(numbers) == NAMES
    assert numbers["1"]["sure"] > numbers["ae"]["sure"] + 0.1
    assert numbers["1"]["sure"] > numbers["0.1"]["sure"] + 0.1
    assert numbers["1"]["kinds"] > numbers["ae"]["kinds"] + 2, "different digits in a handful"


def test_a_larger_weight_costs_sharpness_and_fewer_nats():
    members = [member for name, member in bundles.load("planes").items() if name != "ae"]
    kl, recon = (np.array([member.numbers[key] for member in members]) for key in ("kl", "recon"))
    assert (np.diff(kl) < 0).all() and (np.diff(recon) > 0).all()


@pytest.mark.parametrize("name", ["ae", "1", "8"])
def test_stored_shares_are_those_of_the_models_as_they_are_read(name):
    plane, model = planes()[name], bundles.load("planes")[name].model()
    noise = torch.tensor(np.random.default_rng(0).standard_normal((2000, 2)), dtype=torch.float32)
    with torch.inference_mode():
        codes = model.encode(torch.tensor(cached.shown_digits()[0]))
        fitted = codes.mean(0) + noise @ torch.linalg.cholesky(codes.T.cov()).T
        for key, z in (("sure", noise), ("sure_fitted", fitted)):
            assert sure(model.decode(z).numpy()) == pytest.approx(plane.numbers[key], abs=2e-3), key
    assert sure(cached.shown_digits()[0]) == pytest.approx(plane.numbers["sure_of_digits"])


def test_a_gaussian_fitted_to_its_codes_makes_the_autoencoder_a_generator():
    numbers = {name: plane.numbers for name, plane in planes().items()}
    assert numbers["ae"]["sure_fitted"] > numbers["ae"]["sure"] + 0.1
    assert numbers["ae"]["kinds_fitted"] > numbers["ae"]["kinds"] + 2


def test_places_are_codes_in_standard_deviations():
    images = cached.shown_digits()[0]
    for name in ("ae", "1"):
        plane = planes()[name]
        with torch.inference_mode():
            codes = bundles.load("planes")[name].model().encode(torch.tensor(images)).numpy()
        np.testing.assert_allclose(plane.mean + plane.places @ plane.scale.T, codes, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(planes()["ae"].places.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(planes()["ae"].places.T), np.eye(2), atol=1e-4)


def test_far_from_the_codes_the_vae_decodes_to_a_digit_and_the_ae_does_not():
    found = {}
    for name in ("ae", "1"):
        plane = planes()[name]
        z = torch.tensor((plane.mean + np.array(two_planes.FAR) @ plane.scale.T)[None], dtype=torch.float32)
        with torch.inference_mode():
            found[name] = sure(bundles.load("planes")[name].model().decode(z).numpy())
    assert found == {"ae": 0, "1": 1}


def test_the_page_sends_all_planes_and_the_hand_of_the_address(shipped_runs):
    app = open_page(PAGE, beta_at="5", hand_x="1.5", handful="3")
    assert not app.exception and not app.error
    spec, arrays = sent_to_module(app, "two_planes")
    assert [model["name"] for model in spec["models"]][:1] == ["AE"] and len(spec["models"]) == 7
    assert spec["state"] == {"beta": 5, "x": 1.5, "y": 0.0, "handful": 3} and spec["isTouched"]
    assert arrays["random"].shape == (10, 20, 2) and arrays["places0"].shape == (1000, 2)
    assert any("β = 8: reconstruction" in element.value for element in app.markdown)


def test_a_try_sets_the_page_up(shipped_runs):
    app = open_page(PAGE)
    spec, _arrays = sent_to_module(app, "two_planes")
    assert not spec["isTouched"] and spec["state"] == {"beta": 2, "x": 0, "y": 0, "handful": 0}
    app.button(key="try_1").click().run()
    spec, _arrays = sent_to_module(app, "two_planes")
    assert spec["isTouched"] and spec["state"]["x"] == two_planes.FAR[0]
    app.button(key="try_3").click().run()
    assert sent_to_module(app, "two_planes")[0]["state"]["beta"] == 0


def test_only_complete_messages_are_stored(monkeypatch):
    state: dict = {}
    monkeypatch.setattr(url_values.st, "session_state", state)
    receive = url_values.number_handler(two_planes.NAMES, two_planes._ranges())
    receive({"beta": 4, "x": 0.25, "y": -1.0, "handful": 2, "n": 1})
    assert state == {"beta_at": 4, "hand_x": 0.25, "hand_y": -1.0, "handful": 2}
    receive({"beta": 99, "x": 0.5, "y": -1.0, "handful": 2, "n": 2})
    assert state["beta_at"] == 4 and state["hand_x"] == 0.25
