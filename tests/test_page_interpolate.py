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
from aevae.runs import load_run
from aevae.ui.interpolate import path_view, spaces, steps_view
from aevae.ui.shared import cached

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
    at = page(digit_a="3", digit_b="5", path="both")
    assert len(strips(at)) == 2 * 2 + 1  # AE and VAE, straight and spherical; the blend
    space = spaces.model_space(load_run(store["ae"]))
    walked = space.steps(path(*space.encode(digits(3, 5)), 9, "linear"))
    assert strips(at)[0].strip() == steps_view.steps_html(walked).strip()
    assert "bar" in strips(at)[0].split("</style>")[1] and "bar" not in strips(at)[-1].split("</style>")[1]
    assert len(at.get("plotly_chart")) == 2
    assert len(at.get("download_button")) == 1


def test_steps_path_and_digits_change_the_walk(store):
    at = page()
    assert strips(at)[0].count("<figure") == 9
    widget(at, "slider", "steps").set_value(5).run()
    assert all(strip.count("<figure") == 5 for strip in strips(at))
    assert len(strips(at)) == 2 + 1
    widget(at, "button_group", "path").set_value("both").run()
    assert len(strips(at)) == 2 * 2 + 1
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
    space = spaces.model_space(load_run(store["vae"]))
    sheet = bilinear(space.encode(digits(20, 21, 22, 23)), 4).reshape(16, -1)
    assert strips(at)[1].strip() == steps_view.steps_html(space.steps(sheet), 4).strip()


def test_latent_arithmetic(store):
    at = page(digit_a="3", digit_b="5", digit_c="8", walk="sum")
    assert len(strips(at)) == 3
    space = spaces.model_space(load_run(store["ae"]))
    result = space.steps(arithmetic(*space.encode(digits(3, 5, 8)))[None])
    assert f"nearest: a {cached.shown_digits()[1][result.nearest[0]]}" in strips(at)[0]
    assert f"<div>{result.holes[0]:.1f}</div>" in strips(at)[0]


def test_a_minus_a_plus_c_is_c(store):
    space = spaces.model_space(load_run(store["vae"]))
    a, c = space.encode(digits(3, 8))
    result = space.steps(arithmetic(a, a, c)[None])
    assert result.nearest[0] == 8
    assert result.holes[0] == pytest.approx(0, abs=1e-3)


def test_the_ends_are_real_codes_and_far_away_is_a_hole(store):
    space = spaces.model_space(load_run(store["ae"]))
    a, b = space.encode(digits(3, 5))
    steps = space.steps(path(a, b, 9))
    assert steps.holes[[0, -1]] == pytest.approx(0, abs=1e-3)
    assert steps.nearest[[0, -1]].tolist() == [3, 5]
    assert space.steps((a + 1000 * space.spacing)[None]).holes[0] > 10


def test_the_pixel_space_blends(store):
    space = spaces.pixel_space()
    a, b = digits(3, 5)
    middle = space.steps(path(*space.encode(digits(3, 5)), 3)).images[1]
    assert middle == pytest.approx((a + b) / 2, abs=1e-6)
    assert space.steps(space.encode(digits(3, 5))).holes is None, "distances of pixels are not those of codes"
    assert [kind for _, _, kind in spaces.routes([space], ["spherical"])] == ["linear"]


def test_a_collapsed_model_has_no_scale():
    blank = np.zeros((5, 1, 28, 28), np.float32)
    space = spaces.Space("", lambda x: x, lambda z: blank[: len(z)], np.zeros((9, 2), np.float32), 0.0)
    steps = space.steps(np.zeros((2, 2), np.float32))
    assert np.isnan(steps.holes).all()
    assert "–" in steps_view.steps_html(steps)


def test_titles_cannot_carry_markup():
    steps = spaces.Steps(np.zeros((1, 1, 28, 28), np.float32), np.ones(1), np.zeros(1, int))
    assert "<script>" not in steps_view.steps_html(steps, titles=["<script>"])


def test_the_animation_shows_all_walks_side_by_side_below_their_names():
    walks = {"A": np.zeros((4, 1, 28, 28), np.float32), "B": np.ones((4, 1, 28, 28), np.float32)}
    with Image.open(io.BytesIO(steps_view.animation(walks))) as gif:
        assert (gif.format, gif.width) == ("GIF", 2 * 168 + 12)
        first, head = np.asarray(gif.convert("L")), gif.height - 168
    assert (first[head:, :168] == 0).all() and (first[head:, 180:] == 255).all()
    assert first[:head, :168].any() and first[:head, 180:].any(), "the names"
    long = steps_view.animation({"one two three four five six seven eight nine": walks["A"]})
    with Image.open(io.BytesIO(long)) as gif:
        assert gif.height > head + 168, "a long name has several lines"


def test_the_heat_map_is_faint_up_to_one_spacing_and_full_at_four():
    shown = [steps_view.heat(hole) for hole in (None, float("nan"), 0.0, 1.0, 4.0, 9.0)]
    assert shown == pytest.approx([0, 0, 0, 0.15, 1, 1])
    assert steps_view.heat(1.01) > 0.3
    sheet = steps_view.steps_html(spaces.Steps(np.zeros((2, 1, 28, 28)), np.array([0.5, 4]), np.zeros(2, int)), 2)
    assert "opacity: 0.07" in sheet.replace("0.08", "0.07") and "opacity: 1.00" in sheet and "<div>0.5" not in sheet


# -- what the page shows first ---------------------------------------------------------------------------------------


@pytest.fixture
def shipped(shipped_runs) -> list[spaces.Space]:
    """The spaces of the shipped models with which the page begins: AE, VAE."""
    return [spaces.model_space(cached.run(name)) for name in path_view.first_choice(cached.finished())]


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_first_walk_the_ae_crosses_the_larger_hole(shipped, kind):
    assert cached.shown_digits()[1][list(path_view.FIRST_DIGITS["two"])].tolist() == [4, 9]
    ends = digits(*path_view.FIRST_DIGITS["two"])
    ae, vae = (space.holes(path(*space.encode(ends), 41, kind))[0].max() for space in shipped)
    assert ae > 1.5 * vae and vae < 2
    means = [space.mean_largest(kind) for space in shipped]
    assert means[0] > means[1], "as on the mean of many walks"


def test_the_walk_that_breaks_crosses_a_hole_in_both(shipped):
    assert all(space.holes(path(*space.encode(digits(369, 380)), 41))[0].max() > 3 for space in shipped)


def test_the_first_sum_is_a_slanted_seven(shipped_runs):
    (name,) = path_view.first_choice(cached.finished(), "sum")
    space = spaces.model_space(cached.run(name))
    images = digits(*path_view.FIRST_DIGITS["sum"])
    assert cached.shown_digits()[1][list(path_view.FIRST_DIGITS["sum"])].tolist() == [1, 1, 7]
    result = space.steps(arithmetic(*space.encode(images))[None])
    assert cached.run(name).config.model.latent_dim == 20
    assert cached.shown_digits()[1][result.nearest[0]] == 7
    slants = [slant(image) for image in (*images[:, 0], result.images[0, 0])]
    assert slants[0] < -0.5 and abs(slants[1]) < 0.05 and abs(slants[2]) < 0.05 and slants[3] < -0.25


def slant(image: np.ndarray) -> float:
    """Pixels to the right for each pixel downwards, by the moments of the ink."""
    down, right = np.mgrid[:28, :28]
    mass = image.sum()
    down, right = down - (image * down).sum() / mass, right - (image * right).sum() / mass
    return float((image * down * right).sum() / (image * down**2).sum())


def test_a_mean_of_walks_is_that_of_its_largest_distances():
    corners = np.array([[0, 0], [0, 2], [2, 0], [2, 2]], np.float32)
    square = spaces.Space("", lambda x: x, lambda z: z, corners, 1.0, mark=("square",), run="square")
    largest = {2.0: 1.0, 8**0.5: 2**0.5}  # length of a side, of a diagonal -> distance of its middle to a corner
    rng, found = np.random.default_rng(spaces.WALK_SEED), []
    for _walk in range(spaces.NUM_WALKS):
        a, b = rng.choice(4, 2, replace=False)
        found.append(largest[min(largest, key=lambda d: abs(d - np.linalg.norm(corners[a] - corners[b])))])
    assert square.mean_largest("linear") == pytest.approx(np.mean(found), rel=1e-5)


def test_another_type_of_path_begins_with_its_own_digits_until_they_are_changed(store):
    at = page()
    numbers = lambda: tuple(widget(at, "number_input", f"digit_{c}").value for c in "ab")  # noqa: E731
    assert numbers() == path_view.FIRST_DIGITS["two"]
    widget(at, "button_group", "walk").set_value("sum").run()
    assert numbers() == path_view.FIRST_DIGITS["sum"][:2]
    widget(at, "number_input", "digit_b").set_value(5).run()
    widget(at, "button_group", "walk").set_value("two").run()
    assert numbers() == (path_view.FIRST_DIGITS["sum"][0], 5)


def test_a_try_sets_the_page_up(store, mounted):
    at = page(digit_a="3", digit_b="5")
    at.button(key="try_4").click().run()
    assert not at.exception
    assert np.array_equal(mounted.arrays["ends"], digits(369, 380).reshape(2, -1)) and mounted.spec["at"] == [0.3]
    at.button(key="try_3").click().run()
    assert widget(at, "button_group", "walk").value == "sum" and len(strips(at)) >= 2
    assert tuple(widget(at, "number_input", f"digit_{c}").value for c in "abc") == path_view.FIRST_DIGITS["sum"]


def test_first_choice_is_a_fair_pair(store):
    families = {run.name: run.family for run in cached.finished()}
    assert [families[name] for name in path_view.first_choice(cached.finished())] == ["ae", "vae"]
    assert path_view.first_choice([]) == []


def test_the_link_restores_the_view(store):
    at = page(walk="Four corners", path="spherical", steps="3", digit_c="40", digit_d="41")
    numbers = [widget(at, "number_input", f"digit_{letter}").value for letter in "abcd"]
    assert numbers[2:] == [40, 41]
    space = spaces.model_space(load_run(store["vae"]))
    sheet = bilinear(space.encode(digits(*numbers)), 3, "spherical").reshape(9, -1)
    assert strips(at)[1].strip() == steps_view.steps_html(space.steps(sheet), 3).strip()


@pytest.mark.parametrize("query", [{"steps": "99"}, {"walk": "?"}, {"digit_a": "-1"}, {"digit_b": "x"}, {"path": "0"}])
def test_nonsense_in_the_link_is_ignored(store, query):
    assert len(strips(page(**query))) == 2 + 1


# -- live ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(monkeypatch) -> Mounted:
    return Mounted(monkeypatch, "scrub")


def test_the_scrub_bar_knows_every_route(store, mounted):
    page(digit_a="3", digit_b="5", t="0.3", path="both")
    assert mounted.programs == [store["ae"], store["vae"]]
    assert mounted.spec["at"] == [0.3]
    assert mounted.spec["keys"] == ["digit_a", "digit_b"]
    assert [s["program"] for s in mounted.spec["spaces"]] == [0, 1, -1]
    walked = [(r["space"], r["kind"]) for r in mounted.spec["routes"]]
    assert walked == [(0, "linear"), (0, "spherical"), (1, "linear"), (1, "spherical"), (2, "linear")]
    assert np.array_equal(mounted.arrays["ends"], digits(3, 5).reshape(2, -1))
    space = spaces.model_space(load_run(store["vae"]))
    codes = space.encode(digits(3, 5))
    assert mounted.arrays["codes_1"] == pytest.approx(codes, abs=1e-6)
    places = path(*codes, 41, "spherical")
    distance = np.linalg.norm(places[:, None].astype(float) - space.reference, axis=2) / space.spacing  # (41, 1000)
    assert mounted.arrays["holes_3"] == pytest.approx(distance.min(1), rel=1e-3, abs=1e-3)
    assert "holes_4" not in mounted.arrays and mounted.spec["routes"][4]["mean"] == 0, "the blend has no distance"
    assert mounted.spec["routes"][3]["mean"] == pytest.approx(space.mean_largest("spherical"))
    assert mounted.spec["cap"] >= max(mounted.arrays[f"holes_{r}"].max() for r in range(4))


def test_the_plane_between_four(store, mounted):
    at = page(walk="Four corners", path="spherical", across="0.25", down="1.0")
    assert mounted.spec["at"] == [0.25, 1.0]
    assert mounted.arrays["ends"].shape == (4, 784) and mounted.arrays["holes_1"].shape == (225,)
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
    assert len(strips(at)) == 2 * (2 + 1)
    widget(at, "slider", "t").set_value(0.25).run()
    space = spaces.model_space(load_run(store["vae"]))
    a, b = space.encode(
        digits(widget(at, "number_input", "digit_a").value, widget(at, "number_input", "digit_b").value)
    )
    here = space.steps(lerp(a, b, 0.25)[None])
    assert f"<div>{here.holes[0]:.1f}</div>" in strips(at)[1]
    widget(at, "button_group", "walk").set_value("four").run()
    widget(at, "slider", "down").set_value(1.0).run()
    assert not at.exception and len(strips(at)) == 2 * (2 + 1)


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
