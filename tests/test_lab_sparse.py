"""The lab Sparse: the units that the browser adds up are the run's; every control changes what it says."""

import numpy as np
import pytest
from page_helpers import sent_to_browser, sent_to_module
from streamlit.testing.v1 import AppTest

from aevae.figures import signed
from aevae.latent import filters
from aevae.ui.shared import cached

PAGE = "pages/autoencoders/03_sparse.py"


def choose(page: AppTest, begins: str) -> AppTest:
    box = page.selectbox(key="sparse")
    box.set_value(next(option for option in box.options if option.startswith(begins)))
    page.run()
    assert not page.exception
    return page


@pytest.mark.slow
@pytest.mark.parametrize("family", ["k-sparse", "Sparse AE (L1)", "Sparse AE (KL)"])
def test_a_digit_is_the_sum_of_its_units(page, family):
    choose(page, family)
    spec, arrays = sent_to_module(page, "sparse")
    total = arrays["offset"] + arrays["h"] @ arrays["filters"].reshape(spec["units"], 784).astype(np.float32)
    made = 1 / (1 + np.exp(-total)) if spec["sigmoid"] else total.clip(0, 1)
    images, _labels = cached.shown_digits()
    assert np.array_equal(arrays["digit"], images[page.number_input(key="digit").value].reshape(-1))
    (name,) = (run.name for run in cached.finished() if spec["key"].startswith(run.name))
    assert np.abs(made - cached.run(name).reconstruct(arrays["digit"].reshape(1, 1, 28, 28)).reshape(-1)).max() < 0.02
    assert sorted(arrays["shown"].tolist()) == list(range(spec["units"]))
    assert len(sent_to_module(page, "sparse_penalty")[1]["units"]) == (spec["units"] if family.endswith("(KL)") else 0)


def test_another_digit_has_other_units(page):
    before = sent_to_module(page, "sparse")[1]
    page.number_input(key="digit").set_value(77).run()
    after = sent_to_module(page, "sparse")[1]
    assert not np.array_equal(before["h"], after["h"]) and np.array_equal(before["filters"], after["filters"])


def test_how_many_are_allowed_changes_what_they_draw(page):
    def seen():
        return page.get("image")[0].proto.imgs[0].url, [m.value for m in page.markdown if "dead" in m.value]

    many = seen()
    page.segmented_control(key="allowed").set_value("10-cold").run()
    assert not page.exception
    few = seen()
    assert many[0] != few[0]
    assert "**0 of 200 units dead**" in many[1][0]
    assert f"**{filters.stored()['10-cold']['dead']} of 200 units dead**" in few[1][0]


def test_the_address_restores_the_view(page):
    del page.session_state["address_visit"]  # somebody else comes
    for key, value in {"rho": "0.05", "rho_hat": "0.3", "units_kept": "4"}.items():
        del page.session_state[key]
        page.query_params[key] = value
    page.run()
    shown = sent_to_browser(page)
    assert (shown["sparse_penalty"][0]["spec"]["rho"], shown["sparse_penalty"][0]["spec"]["hat"]) == (0.05, 0.3)
    assert shown["sparse"][0]["spec"]["kept"] == 4


def test_the_filters_that_are_kept():
    stored = filters.stored()
    assert set(stored) == set(filters.SETTINGS)
    for one in stored.values():
        assert one["filters"].shape == (60, 28, 28) and np.allclose(np.abs(one["filters"]).max((1, 2)), 1)
        assert one["used"].shape == (200,) and (np.diff(one["used"]) <= 0).all()
        assert (one["used"] == 0).sum() == one["dead"]
    sums = {name: one["used"].sum() for name, one in stored.items()}  # mean number of units on, which is k
    assert sums == pytest.approx({"70": 70, "40": 40, "25": 25, "10": 10, "10-cold": 10}, rel=1e-4)
    assert stored["10-cold"]["dead"] > stored["10"]["dead"]


def test_signed_images():
    assert signed.tint(np.array([0.0, 2.0, -2.0, 1.0])).tolist() == [
        [0, 0, 0], [255, 158, 44], [72, 150, 255], [128, 79, 22]
    ]  # fmt: skip
    sheet = signed.sheet(np.ones((3, 4, 5)), 2, scale=2, gap=2)
    assert sheet.shape == (18, 22, 4)
    assert sheet[0, 0].tolist() == [255, 158, 44, 255] and sheet[8, 0, 3] == 0 and sheet[17, 21, 3] == 0
