"""The Interpolate page: each control changes what it says it changes."""

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.latent.interpolation import arithmetic, bilinear, path
from aevae.runs import load_run
from aevae.ui import interpolating, loaders, pictures

PAGE = "pages/explore/interpolate.py"


def page(**query: str) -> AppTest:
    at = AppTest.from_file(str(paths.ROOT / "app.py"), default_timeout=60).run()
    at.switch_page(PAGE)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


def strips(at: AppTest) -> list[str]:
    return [element.value if hasattr(element, "value") else element.proto.body for element in at.get("html")]


def pick(at: AppTest, kind: str, key: str):
    return next(widget for widget in getattr(at, kind) if widget.key == key)


def digits(*numbers: int) -> np.ndarray:
    return loaders.test_digits()[0][list(numbers)]


def test_an_empty_store_says_what_to_do(empty_store):
    at = page()
    assert "no trained model" in at.info[0].value
    assert not strips(at)


def test_two_digits_in_pixels_and_in_both_models(store):
    at = page(digit_a="3", digit_b="5")
    assert len(strips(at)) == 1 + 2 * 2  # the blend; AE and VAE, straight and spherical
    space = interpolating.model_space(load_run(store["ae"]))
    walked = space.steps(path(*space.encode(digits(3, 5)), 9, "linear"))
    assert strips(at)[1].strip() == interpolating.steps_html(walked).strip()
    assert len(at.get("plotly_chart")) == 2
    assert len(at.get("download_button")) == 1


def test_steps_path_and_digits_change_the_walk(store):
    at = page()
    assert strips(at)[0].count("<figure") == 9
    pick(at, "slider", "steps").set_value(5).run()
    assert all(strip.count("<figure") == 5 for strip in strips(at))
    pick(at, "button_group", "path").set_value("spherical").run()
    assert len(strips(at)) == 1 + 2
    before = strips(at)
    for letter in "ab":
        pick(at, "number_input", f"digit_{letter}").set_value(77 if letter == "a" else 78).run()
        assert all(new != old for new, old in zip(strips(at), before, strict=True))
        before = strips(at)


def test_four_corners(store):
    at = page()
    pick(at, "button_group", "walk").set_value("four").run()
    pick(at, "slider", "steps").set_value(4).run()
    pick(at, "button_group", "path").set_value("linear").run()
    for i, letter in enumerate("abcd"):
        pick(at, "number_input", f"digit_{letter}").set_value(20 + i).run()
    assert not at.exception
    space = interpolating.model_space(load_run(store["vae"]))
    sheet = bilinear(space.encode(digits(20, 21, 22, 23)), 4).reshape(16, -1)
    assert strips(at)[2].strip() == interpolating.steps_html(space.steps(sheet), 4).strip()


def test_latent_arithmetic(store):
    at = page(digit_a="3", digit_b="5", digit_c="8")
    pick(at, "button_group", "walk").set_value("sum").run()
    assert not at.exception
    assert len(strips(at)) == 3
    space = interpolating.model_space(load_run(store["ae"]))
    result = space.steps(arithmetic(*space.encode(digits(3, 5, 8)))[None])
    assert f"= near a {loaders.test_digits()[1][result.nearest[0]]}" in strips(at)[1]
    assert f"<div>{result.holes[0]:.1f}</div>" in strips(at)[1]


def test_a_minus_a_plus_c_is_c(store):
    space = interpolating.model_space(load_run(store["vae"]))
    a, c = space.encode(digits(3, 8))
    result = space.steps(arithmetic(a, a, c)[None])
    assert result.nearest[0] == 8
    assert result.holes[0] == pytest.approx(0, abs=1e-3)


def test_the_ends_are_real_codes_and_far_away_is_a_hole(store):
    space = interpolating.model_space(load_run(store["ae"]))
    a, b = space.encode(digits(3, 5))
    steps = space.steps(path(a, b, 9))
    assert steps.holes[[0, -1]] == pytest.approx(0, abs=1e-3)
    assert steps.nearest[[0, -1]].tolist() == [3, 5]
    assert space.steps((a + 1000 * space.spacing)[None]).holes[0] > 10


def test_the_pixel_space_blends(store):
    space = interpolating.pixel_space()
    a, b = digits(3, 5)
    middle = space.steps(path(*space.encode(digits(3, 5)), 3)).images[1]
    assert middle == pytest.approx((a + b) / 2, abs=1e-6)
    assert [kind for _, _, kind in interpolating.routes([space], ["spherical"])] == ["linear"]


def test_a_collapsed_model_has_no_scale():
    blank = np.zeros((5, 1, 28, 28), np.float32)
    space = interpolating.Space("", lambda x: x, lambda z: blank[: len(z)], np.zeros((9, 2), np.float32), 0.0)
    steps = space.steps(np.zeros((2, 2), np.float32))
    assert np.isnan(steps.holes).all()
    assert "–" in interpolating.steps_html(steps)


def test_titles_cannot_carry_markup():
    steps = interpolating.Steps(np.zeros((1, 1, 28, 28), np.float32), np.ones(1), np.zeros(1, int))
    assert "<script>" not in interpolating.steps_html(steps, titles=["<script>"])


def test_the_animation_shows_all_walks_side_by_side():
    walks = [np.zeros((4, 1, 28, 28), np.float32), np.ones((4, 1, 28, 28), np.float32)]
    frames = interpolating.side_by_side(walks)
    assert frames.shape == (4, 28, 28 + 2 + 28)
    with Image.open(io.BytesIO(pictures.gif(frames, scale=1))) as gif:
        assert gif.size == (58, 28)
        assert gif.format == "GIF"


def test_first_choice_is_a_fair_pair(store):
    families = {run.name: run.family for run in loaders.finished()}
    assert [families[name] for name in interpolating.first_choice(loaders.finished())] == ["ae", "vae"]
    assert interpolating.first_choice([]) == []


def test_the_link_restores_the_view(store):
    at = page(walk="Four corners", path="spherical", steps="3", digit_c="40", digit_d="41")
    numbers = [pick(at, "number_input", f"digit_{letter}").value for letter in "abcd"]
    assert numbers[2:] == [40, 41]
    space = interpolating.model_space(load_run(store["vae"]))
    sheet = bilinear(space.encode(digits(*numbers)), 3, "spherical").reshape(9, -1)
    assert strips(at)[2].strip() == interpolating.steps_html(space.steps(sheet), 3).strip()


@pytest.mark.parametrize("query", [{"steps": "99"}, {"walk": "?"}, {"digit_a": "-1"}, {"digit_b": "x"}, {"path": "0"}])
def test_nonsense_in_the_link_is_ignored(store, query):
    assert len(strips(page(**query))) == 1 + 2 * 2
