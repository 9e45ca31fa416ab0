"""The lab Contraction: directions, distances and metrics are those of the runs; every control changes what it says."""

import numpy as np
import pytest
import torch
from page_helpers import sent_to_browser, sent_to_module

from aevae.latent import planes
from aevae.metrics import tangent
from aevae.ui.digit import picker
from aevae.ui.shared import cached

PAGE = "pages/autoencoders/04_contraction.py"


def run_of(family: str, **wanted):
    return cached.run(next(r.name for r in cached.finished((family,)) if wanted.items() <= r.config["model"].items()))


def test_what_is_felt_moves_the_code_and_what_is_not_does_not(page):
    run, picture = run_of("contractive"), cached.shown_digits()[0][picker.GOOD_DIGITS[3]]
    values, directions = tangent.jacobian_spectrum(run.model, picture)
    assert np.allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-4) and (np.diff(values) <= 0).all()
    for k in (0, 5):
        assert tangent.moved(run, picture, directions[k], np.array([0.01]))[0] == pytest.approx(
            0.01 * values[k], rel=0.05
        )
    blind = planes.null_directions(directions)
    assert tangent.moved(run, picture, blind, np.array([0.01]))[0] < 1e-3 * 0.01 * values[0]
    norm = run.model.code_and_norm(torch.tensor(picture[None]), None)[1]
    assert np.square(values).sum() == pytest.approx(float(norm[0]), rel=1e-4)
    box = page.selectbox(key="felt_by")
    box.set_value(next(option for option in box.options if option.startswith("Contractive"))).run()
    spec, arrays = sent_to_module(page, "contraction")
    shown = arrays["directions"].reshape(7, 784)
    assert np.allclose(np.abs((shown[:6] * directions[:6]).sum(1)), 1, atol=1e-3) and len(spec["names"]) == 7
    assert (shown.sum(1) >= 0).all()


def test_model_and_digit_change_the_directions(page):
    before = sent_to_module(page, "contraction")[1]
    box = page.selectbox(key="felt_by")
    box.set_value(next(option for option in box.options if option.startswith("Contractive"))).run()
    other = sent_to_module(page, "contraction")[1]
    page.number_input(key="digit").set_value(41).run()
    assert not page.exception
    third = sent_to_module(page, "contraction")[1]
    assert not np.allclose(before["directions"], other["directions"])
    assert np.array_equal(before["x"], other["x"]) and not np.array_equal(other["x"], third["x"])


def test_the_metric_is_what_small_steps_change(page):
    spec, arrays = sent_to_module(page, "contraction_geodesic")
    side, (x0, x1, y0, y1) = spec["side"], spec["box"]
    run = next(cached.run(r.name) for r in cached.finished() if r.name == spec["key"])
    metric = arrays["metric"].reshape(side, side, 3)
    i, j, h = 20, 30, 1e-3  # row, column; a part of a cell
    cell = np.array([(x1 - x0), (y1 - y0)]) / (side - 1)
    z = np.array([x0, y0]) + cell * [j, i]
    for step, expected in (([1, 0], metric[i, j, 0]), ([0, 1], metric[i, j, 2]), ([1, 1], metric[i, j] @ [1, 2, 1])):
        pair = run.model.double().decode(torch.tensor(np.stack([z, z + h * cell * step])))
        run.model.float()
        assert float((pair[1] - pair[0]).square().sum()) / h**2 == pytest.approx(expected, rel=0.1)


def test_the_address_restores_the_view(page):
    del page.session_state["address_visit"]  # somebody else comes
    for key, value in {"push": "-25", "a_x": "300", "b_y": "700"}.items():
        del page.session_state[key]
        page.query_params[key] = value
    page.run()
    shown = sent_to_browser(page)
    assert shown["contraction"][0]["spec"]["push"] == -25 and shown["contraction_geodesic"][0]["spec"]["ends"] == [
        300,
        200,
        850,
        700,
    ]


def test_places():
    codes = np.random.default_rng(0).normal(size=(4000, 2)) * [1, 3]
    assert planes.usual_distance(codes[:, :1], 4000) == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
    x0, x1, y0, y1 = planes.box_around(codes, 0.95, 0.0)
    assert np.allclose([x0, x1, y0, y1], [-1.96, 1.96, -5.88, 5.88], rtol=0.06)
    flat = np.tile([4.0, 0.0, 1.0], (5, 5, 1))
    flat[2, 2] = [16, 0, 4]
    assert planes.shade(flat).argmax() == 12
    directions = np.eye(3)[:2]
    assert np.allclose(np.abs(planes.null_directions(directions)), [0, 0, 1])
    assert planes.adding_ink(np.array([[1.0, -3], [2, 1]])).tolist() == [[-1, 3], [2, 1]]


def test_a_digit_of_ones_own_is_felt_too(page):
    before = [chart.proto.spec for chart in page.get("plotly_chart")]
    page.session_state["digit_own"] = np.eye(28, dtype=np.float32)[None]
    page.run()
    assert not page.exception and [chart.proto.spec for chart in page.get("plotly_chart")] != before
