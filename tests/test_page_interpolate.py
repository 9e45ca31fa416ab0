"""The Interpolate page: each control changes what it says it changes, drawn by the server and live."""

import functools
import io
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from page_helpers import open_checked_page, widget
from PIL import Image
from pretend import Mounted
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.latent.interpolation import KINDS, arithmetic, bilinear, lerp, path, slerp
from aevae.metrics.neighbours import count_within
from aevae.runs import load_run
from aevae.ui.interpolate import path_view
from aevae.ui.shared import cached, image_sheets

PAGE = "pages/explore/interpolate.py"
page = functools.partial(open_checked_page, PAGE)


def strips(at: AppTest) -> list[str]:
    bodies = [element.value if hasattr(element, "value") else element.proto.body for element in at.get("html")]
    return [body for body in bodies if "<figure" in body]


def digits(*numbers: int) -> np.ndarray:
    return cached.shown_digits()[0][list(numbers)]


def test_an_empty_store_says_what_to_do(empty_store):
    at = page()
    assert "no trained model" in at.info[0].value
    assert not strips(at)


def test_two_digits_in_pixels_and_in_both_models(store):
    at = page(digit_a="3", digit_b="5")
    assert len(strips(at)) == 1 + 2 * 2  # the blend; AE and VAE, straight and spherical
    space = path_view.model_space(load_run(store["ae"]))
    walked = space.steps(path(*space.encode(digits(3, 5)), 9, "linear"))
    assert strips(at)[1].strip() == path_view.steps_html(walked).strip()
    assert len(at.get("plotly_chart")) == 2
    assert len(at.get("download_button")) == 1


def test_steps_path_and_digits_change_the_walk(store):
    at = page()
    assert strips(at)[0].count("<figure") == 9
    widget(at, "slider", "steps").set_value(5).run()
    assert all(strip.count("<figure") == 5 for strip in strips(at))
    widget(at, "button_group", "path").set_value("spherical").run()
    assert len(strips(at)) == 1 + 2
    before = strips(at)
    for letter in "ab":
        widget(at, "number_input", f"digit_{letter}").set_value(77 if letter == "a" else 78).run()
        assert all(new != old for new, old in zip(strips(at), before, strict=True))
        before = strips(at)


def test_four_corners(store):
    at = page()
    widget(at, "button_group", "walk").set_value("four").run()
    widget(at, "slider", "steps").set_value(4).run()
    widget(at, "button_group", "path").set_value("linear").run()
    for i, letter in enumerate("abcd"):
        widget(at, "number_input", f"digit_{letter}").set_value(20 + i).run()
    assert not at.exception
    space = path_view.model_space(load_run(store["vae"]))
    sheet = bilinear(space.encode(digits(20, 21, 22, 23)), 4).reshape(16, -1)
    assert strips(at)[2].strip() == path_view.steps_html(space.steps(sheet), 4).strip()


def test_latent_arithmetic(store):
    at = page(digit_a="3", digit_b="5", digit_c="8")
    widget(at, "button_group", "walk").set_value("sum").run()
    assert not at.exception
    assert len(strips(at)) == 3
    space = path_view.model_space(load_run(store["ae"]))
    result = space.steps(arithmetic(*space.encode(digits(3, 5, 8)))[None])
    assert f"= near a {cached.shown_digits()[1][result.nearest[0]]}" in strips(at)[1]
    assert f"<div>{result.holes[0]:.1f}</div>" in strips(at)[1]


def test_a_minus_a_plus_c_is_c(store):
    space = path_view.model_space(load_run(store["vae"]))
    a, c = space.encode(digits(3, 8))
    result = space.steps(arithmetic(a, a, c)[None])
    assert result.nearest[0] == 8
    assert result.holes[0] == pytest.approx(0, abs=1e-3)


def test_the_ends_are_real_codes_and_far_away_is_a_hole(store):
    space = path_view.model_space(load_run(store["ae"]))
    a, b = space.encode(digits(3, 5))
    steps = space.steps(path(a, b, 9))
    assert steps.holes[[0, -1]] == pytest.approx(0, abs=1e-3)
    assert steps.nearest[[0, -1]].tolist() == [3, 5]
    assert space.steps((a + 1000 * space.spacing)[None]).holes[0] > 10


def test_the_pixel_space_blends(store):
    space = path_view.pixel_space()
    a, b = digits(3, 5)
    middle = space.steps(path(*space.encode(digits(3, 5)), 3)).images[1]
    assert middle == pytest.approx((a + b) / 2, abs=1e-6)
    assert [kind for _, _, kind in path_view.routes([space], ["spherical"])] == ["linear"]


def test_a_collapsed_model_has_no_scale():
    blank = np.zeros((5, 1, 28, 28), np.float32)
    space = path_view.Space("", lambda x: x, lambda z: blank[: len(z)], np.zeros((9, 2), np.float32), 0.0)
    steps = space.steps(np.zeros((2, 2), np.float32))
    assert np.isnan(steps.holes).all()
    assert "–" in path_view.steps_html(steps)


def test_titles_cannot_carry_markup():
    steps = path_view.Steps(np.zeros((1, 1, 28, 28), np.float32), np.ones(1), np.zeros(1, int))
    assert "<script>" not in path_view.steps_html(steps, titles=["<script>"])


def test_the_animation_shows_all_walks_side_by_side():
    walks = [np.zeros((4, 1, 28, 28), np.float32), np.ones((4, 1, 28, 28), np.float32)]
    frames = path_view.side_by_side(walks)
    assert frames.shape == (4, 28, 28 + 2 + 28)
    with Image.open(io.BytesIO(image_sheets.gif(frames, scale=1))) as gif:
        assert gif.size == (58, 28)
        assert gif.format == "GIF"


def test_first_choice_is_a_fair_pair(store):
    families = {run.name: run.family for run in cached.finished()}
    assert [families[name] for name in path_view.first_choice(cached.finished())] == ["ae", "vae"]
    assert path_view.first_choice([]) == []


def test_the_link_restores_the_view(store):
    at = page(walk="Four corners", path="spherical", steps="3", digit_c="40", digit_d="41")
    numbers = [widget(at, "number_input", f"digit_{letter}").value for letter in "abcd"]
    assert numbers[2:] == [40, 41]
    space = path_view.model_space(load_run(store["vae"]))
    sheet = bilinear(space.encode(digits(*numbers)), 3, "spherical").reshape(9, -1)
    assert strips(at)[2].strip() == path_view.steps_html(space.steps(sheet), 3).strip()


@pytest.mark.parametrize("query", [{"steps": "99"}, {"walk": "?"}, {"digit_a": "-1"}, {"digit_b": "x"}, {"path": "0"}])
def test_nonsense_in_the_link_is_ignored(store, query):
    assert len(strips(page(**query))) == 1 + 2 * 2


# -- live ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(monkeypatch) -> Mounted:
    return Mounted(monkeypatch, "scrub")


def test_the_scrub_bar_knows_every_route(store, mounted):
    page(digit_a="3", digit_b="5", t="0.3")
    assert mounted.programs == [store["ae"], store["vae"]]
    assert mounted.spec["at"] == [0.3]
    assert mounted.spec["keys"] == ["digit_a", "digit_b"]
    assert [s["program"] for s in mounted.spec["spaces"]] == [-1, 0, 1]
    walked = [(r["space"], r["kind"]) for r in mounted.spec["routes"]]
    assert walked == [(0, "linear"), (1, "linear"), (1, "spherical"), (2, "linear"), (2, "spherical")]
    assert np.array_equal(mounted.arrays["ends"], digits(3, 5).reshape(2, -1))
    space = path_view.model_space(load_run(store["vae"]))
    codes = space.encode(digits(3, 5))
    assert mounted.arrays["codes_2"] == pytest.approx(codes, abs=1e-6)
    places = path(*codes, 41, "spherical")
    distance = np.linalg.norm(places[:, None].astype(float) - space.reference, axis=2) / space.spacing  # (41, 1000)
    assert mounted.arrays["holes_4"] == pytest.approx(distance.min(1), rel=1e-3, abs=1e-3)
    near = (distance <= 1).sum(1)
    assert np.abs(mounted.arrays["near_4"].astype(int) - near).max() <= 1  # a code on the very edge may round
    assert near.max() > 0
    assert mounted.spec["cap"] >= max(mounted.arrays[f"holes_{r}"].max() for r in range(5))


def test_the_plane_between_four(store, mounted):
    at = page(walk="Four corners", path="spherical", across="0.25", down="1.0")
    assert mounted.spec["at"] == [0.25, 1.0]
    assert mounted.arrays["ends"].shape == (4, 784) and mounted.arrays["holes_2"].shape == (225,)
    mounted.send(at, at=[0.5, 0.75], n=3)
    assert (mounted.spec["at"], mounted.spec["n"]) == ([0.5, 0.75], 3)
    assert at.query_params["down"] == "0.75"


def test_the_place_of_the_browser_is_kept_over_pages_and_in_the_link(store, mounted):
    at = mounted.send(page(), at=[0.123], n=1)
    assert (mounted.spec["at"], mounted.spec["n"]) == ([0.12], 1)
    assert at.query_params["t"] == "0.12"
    at.switch_page("pages/explore/sliders.py").run()
    at.switch_page(PAGE).run()
    assert mounted.spec["at"] == [0.12]


@pytest.mark.slow
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"at": 0.2},
        {"at": []},
        {"at": [1.01], "n": -1},
        {"at": [True], "n": True},
        {"at": ["0.2"], "n": "2"},
        {"at": [None]},
        {"at": [float("nan")]},
        {"at": [float("inf")], "n": 2**60},
        {"at": [0.1, 0.2, 0.3]},
        {"at": {"0": 0.2}},
        {"at": "ab"},
        {"at": [[0.2]]},
    ],
)
def test_no_place_is_no_place(store, mounted, payload):
    mounted.send(page(), **payload)
    assert (mounted.spec["at"], mounted.spec["n"]) == ([0.5], 0)


def test_without_a_browser_that_can_the_server_draws_the_place(store):
    at = page()
    at.session_state["live_trouble"] = {"": "layer"}
    at.run()
    assert any("server" in caption.value for caption in at.caption)
    assert len(strips(at)) == 1 + 1 + 2 * 2
    widget(at, "slider", "t").set_value(0.25).run()
    space = path_view.model_space(load_run(store["vae"]))
    a, b = space.encode(
        digits(widget(at, "number_input", "digit_a").value, widget(at, "number_input", "digit_b").value)
    )
    here = space.steps(np.stack([lerp(a, b, 0.25), slerp(a, b, 0.25)]))
    for i in range(2):
        assert f"<div>{here.holes[i]:.1f}</div>" in strips(at)[0].split("<figure")[4 + i]
    widget(at, "button_group", "walk").set_value("four").run()
    widget(at, "slider", "down").set_value(1.0).run()
    assert not at.exception and strips(at)[0].count("<figure") == 5


def test_counting_within_a_radius():
    bank = np.array([[0, 0], [1, 0], [0, 2]], np.float32)
    assert count_within(bank, bank, 1.5).tolist() == [2, 2, 1]
    assert count_within(np.empty((0, 2)), bank, 1).tolist() == []
    with pytest.raises(ValueError, match="are needed"):
        count_within(np.zeros((1, 3)), bank, 1)


def test_the_browser_walks_as_python_does(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("needs node")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20))
    pairs = {
        "any": (a, b),
        "small": (a[:2], 1e-3 * b[:2]),
        "parallel": (a, 3 * a),
        "opposite": (a, -2 * a),
        "equal": (a, a),
        "zero": (np.zeros(20), b),
        "one number": (a[:1], -b[:1]),
        "nearly parallel": (a, a + 1e-4 * b),
    }
    cases = [
        {"title": f"{kind}, {title}", "kind": kind, "at": [t], "code": (lerp if kind == "linear" else slerp)(*ends, t)}
        | {"ends": np.array(ends, np.float32)}
        for kind in KINDS
        for title, ends in pairs.items()
        for t in (0, 0.25, 0.5, 0.9, 1)
    ]
    corners = rng.normal(size=(4, 5)).astype(np.float32)
    for kind in KINDS:
        sheet = bilinear(corners, 5, kind)
        cases += [
            {"title": f"{kind} sheet", "kind": kind, "at": [u / 4, v / 4], "code": sheet[v, u], "ends": corners}
            for u, v in ((0, 0), (4, 0), (1, 3), (2, 2), (4, 4))
        ]
    (tmp_path / "walks.json").write_text(json.dumps(cases, default=np.ndarray.tolist), "utf-8")
    done = subprocess.run(
        ["node", "--test", str(paths.ROOT / "tests" / "test_scrub.mjs")],
        env=os.environ | {"AEVAE_WALKS": str(tmp_path / "walks.json")},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0 and "skipped 0" in done.stdout, done.stdout
