"""Latent sliders: the numbers beneath, what the browser may say, and every widget of both versions of the page."""

import numpy as np
import pytest
import torch
from conftest import open_page, tiny_config
from page_helpers import sent_to_module, without_error
from streamlit.testing.v1 import AppTest

from aevae.latent import sampling
from aevae.runs import train_or_load
from aevae.ui.digit import picker
from aevae.ui.shared import cached
from aevae.ui.sliders import latent_code, live_view, server_view

PAGE = "pages/explore/sliders.py"
FIRST_DIGIT = picker.GOOD_DIGITS[3]


def opened(model: str = "", live: bool = True, **params: str) -> AppTest:
    """The page; without `live` as it is where the browser cannot decode."""
    return open_page(PAGE, ({"model": model} if model else {}) | params, live)


def served(model: str) -> AppTest:
    return opened(model, live=False)


def code(app: AppTest) -> list[float]:
    return [app.slider(key=f"z_{d}").value for d in range(3) if f"z_{d}" in app.session_state]


def open_dead(app: AppTest) -> AppTest:
    app.session_state["dead"] = True
    return app.run()


# -- numbers


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "1,nan,3", "1,inf,3", "a,b,c", "1;2;3", "1,,3", "1e99,0,0"])
def test_what_is_no_code_of_three_numbers_is_refused(text):
    assert latent_code.parse_code(text, 3) is None


def test_a_code_survives_the_link():
    z = np.array([0.12, -1.3, 0.0], np.float32)
    assert latent_code.format_code(z) == "0.12,-1.3,0"
    np.testing.assert_allclose(latent_code.parse_code(latent_code.format_code(z), 3), z)


def test_sliders_reach_every_code():
    codes = np.random.default_rng(0).normal(5, [[1, 20, 0]], (500, 3)).astype(np.float32)
    for prior_std in (1.0, 0.1, 0.0):
        near, far = latent_code.nominal_range(codes.mean(0), codes.std(0), prior_std)
        low, high = latent_code.reach(codes, near, far)
        assert (low <= codes.min(0)).all() and (high >= codes.max(0)).all()
        assert (low <= near).all() and (high >= far).all() and (high > low).all()


def test_fitted_draws_have_mean_and_covariance_of_the_codes():
    rng = np.random.default_rng(1)
    codes = (rng.normal(size=(300, 2)) @ [[2, 1], [0, 0.5]] + [4, -1]).astype(np.float32)
    draws = np.stack([latent_code.fitted_draw(codes, seed) for seed in range(4000)])
    np.testing.assert_allclose(draws.mean(0), codes.mean(0), atol=0.12)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(codes.T), atol=0.25)
    np.testing.assert_array_equal(latent_code.fitted_draw(codes, 7), draws[7])


def test_density_of_the_prior():
    here, typical = latent_code.prior_density(np.zeros(2, np.float32))
    assert here == pytest.approx(-np.log(2 * np.pi)) and typical == pytest.approx(here - 1)
    z = np.random.default_rng(0).normal(size=(4000, 3)) * 0.1
    each = [latent_code.prior_density(one, 0.1) for one in z]
    assert np.mean([here for here, _ in each]) == pytest.approx(each[0][1], abs=0.05)
    assert each[0][0] == pytest.approx(torch.distributions.Normal(0, 0.1).log_prob(torch.tensor(z[0])).sum().item())


def test_cells_and_places_agree():
    xs, ys = np.linspace(-3, 3, 7), np.linspace(0, 1, 7)
    assert [server_view.nearest_cell(server_view.cell_place(i, xs, ys), xs, ys) for i in range(49)] == list(range(49))
    assert server_view.cell_place(0, xs, ys) == (-3, 1)  # top left


# -- the page


def test_empty_store_says_where_to_train(empty_store):
    app = without_error(opened())
    assert "trained model" in app.info[0].value


@pytest.mark.parametrize("family", ["ae", "denoising", "vae", "beta_vae"])
def test_every_family_has_its_sliders(store, family):
    app = open_dead(without_error(served(store[family])))
    space = latent_code.open_latent_space(store[family])
    assert len(code(without_error(app))) == 3
    np.testing.assert_allclose(code(app), latent_code.clip(space.codes[FIRST_DIGIT], space), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("live", [True, False])
def test_start_buttons_and_seed(store, live):
    app = opened(store["ae"], live)
    space = latent_code.open_latent_space(store["ae"])
    zero = app.button(key="start_zero").click().run().session_state["z"]
    assert zero == latent_code.format_code(latent_code.clip(np.zeros(3), space))
    first = app.button(key="start_prior").click().run().session_state["z"]
    second = app.button(key="start_prior").click().run().session_state["z"]
    assert first != second and app.number_input(key="draw").value == 2
    assert app.number_input(key="draw").set_value(1).run().session_state["z"] == first
    assert app.button(key="start_fitted").click().run().session_state["z"] not in (first, second)
    assert app.button(key="start_digit").click().run().session_state["z"] == ""
    if not live:
        assert "no prior" in " ".join(c.value for c in without_error(app).caption)


def test_a_slider_sets_its_number_alone(store):
    app = open_dead(served(store["vae"]))
    before = code(app)
    app.slider(key="z_1").set_value(1.5).run()
    assert code(without_error(app)) == pytest.approx([before[0], 1.5, before[2]], rel=1e-3)


def test_a_new_digit_and_a_new_model_take_the_code_with_them(store):
    app = opened(store["vae"])
    app.button(key="start_zero").click().run()
    assert app.session_state["z"] == "0,0,0"
    app.number_input(key="digit").set_value(17).run()
    assert app.session_state["z"] == ""
    app.button(key="start_zero").click().run()
    app.selectbox(key="model").set_value(store["ae"]).run()
    assert without_error(app).session_state["z"] == ""


def test_code_as_text_and_its_refusal(store):
    app = open_dead(served(store["vae"]))
    app.text_input(key="z").set_value("0.5,-1,2").run()
    assert code(app) == [0.5, -1, 2]
    app.text_input(key="z").set_value("0.5,99,2").run()
    assert max(code(app)) < 99
    app.text_input(key="z").set_value("seven").run()
    assert any("not a code of 3 numbers" in c.value for c in without_error(app).caption)


def test_the_code_outlives_the_page(store):
    app = open_dead(served(store["vae"]))
    app.slider(key="z_0").set_value(1.0).run()
    kept = app.session_state["z"]
    app.switch_page("pages/lab/home.py").run()
    app.switch_page(PAGE).run()
    assert without_error(app).session_state["z"] == kept


def test_pair_of_dimensions_and_grid(store):
    app = served(store["vae"])
    x, y = app.selectbox(key="dim_x"), app.selectbox(key="dim_y")
    assert [x.value, y.value] == latent_code.open_latent_space(store["vae"]).order[:2].tolist()
    app.segmented_control(key="spacing").set_value("prior").run()
    without_error(app)
    app.selectbox(key="dim_x").set_value(y.value).run()
    assert without_error(app).selectbox(key="dim_y").value != app.selectbox(key="dim_x").value


def test_a_place_of_the_plane_becomes_the_code(store):
    import streamlit as st

    space = latent_code.open_latent_space(store["vae"])
    z = np.array([0.0, 1.0, 2.0], np.float32)
    xs, ys = server_view.grid_lines(space, (0, 2), 5, by_prior=False)
    assert (
        server_view.grid_sheet(space, z, (0, 2), xs, ys)[:4] == b"\x89PNG" == server_view.strips(space, z, [0, 1])[:4]
    )
    st.session_state[latent_code.CODE] = "0,1,2"
    latent_code.place((0, 2), (1.5, -1.5), space)
    assert st.session_state[latent_code.CODE] == "1.5,1,-1.5"


# -- live


def test_the_browser_gets_the_sliders(store):
    app = without_error(opened(store["vae"]))
    space = latent_code.open_latent_space(store["vae"])
    spec, arrays = sent_to_module(app, "latent_code")
    assert sorted(arrays["order"]) == [0, 1, 2] and spec["alive"] == len(space.alive)
    assert arrays["order"][: spec["alive"]].tolist() == space.alive
    np.testing.assert_allclose(arrays["z"], latent_code.clip(space.codes[FIRST_DIGIT], space), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(arrays["home"], latent_code.clip(space.codes[FIRST_DIGIT], space), rtol=1e-6)
    np.testing.assert_allclose([arrays["soft_low"], arrays["soft_high"]], [[-2] * 3, [2] * 3])
    assert [m["run"] for m in spec["models"]] == [store["vae"]]
    assert not [s for s in app.slider if s.key and s.key.startswith("z_")]
    app.button(key="start_zero").click().run()
    assert not sent_to_module(without_error(app), "latent_code")[1]["z"].any()


def test_without_a_prior_the_usual_range_is_that_of_the_codes(store):
    spec, arrays = sent_to_module(opened(store["ae"]), "latent_code")
    codes = latent_code.open_latent_space(store["ae"]).codes
    np.testing.assert_allclose(arrays["soft_high"], codes.mean(0) + 2 * codes.std(0), rtol=1e-4)
    assert spec["gauge"]["prior"] is None


def test_the_gauge_holds_nine_of_ten_draws_of_the_prior(store):
    low, high = live_view.gauge(latent_code.open_latent_space(store["vae"]))["prior"]
    norms = np.linalg.norm(np.random.default_rng(0).standard_normal((50_000, 3)), axis=1)
    assert ((norms >= low) & (norms <= high)).mean() == pytest.approx(0.9, abs=0.01)


def test_another_prior_is_the_measure_of_everything(store):
    """s0 = 0.1: range, comfortable range, draws, grid lines and the gauge are a tenth of those of N(0, I)."""
    narrow = latent_code.open_latent_space(train_or_load(tiny_config("vae", prior_std=0.1), "cpu").name)
    unit = latent_code.open_latent_space(store["vae"])
    assert (narrow.prior, unit.prior) == (0.1, 1.0)
    assert narrow.far == pytest.approx(0.1 * unit.far) and live_view.comfort(narrow)[1] == pytest.approx(
        np.full(3, 0.2)
    )
    lines = [server_view.grid_lines(space, (0, 1), 7, by_prior=True)[0] for space in (narrow, unit)]
    assert lines[0] == pytest.approx(0.1 * lines[1])
    gauges = [live_view.gauge(space) for space in (narrow, unit)]
    assert gauges[0]["prior"] == pytest.approx([0.1 * norm for norm in gauges[1]["prior"]])
    assert (gauges[0]["std"], gauges[1]["std"]) == (0.1, 1.0)
    app = opened(narrow.name).button(key="start_prior").click().run()
    drawn = latent_code.parse_code(without_error(app).session_state["z"], 3)
    assert drawn == pytest.approx(0.1 * sampling.prior(1, 3, 1)[0], abs=1e-3)
    assert "N(0, 0.1² I)" in latent_code.norm_note(drawn, narrow)


def test_models_beside(store):
    app = opened(store["vae"])
    app.multiselect(key="beside").set_value([store["ae"], store["beta_vae"]]).run()
    names = [store["vae"], store["ae"], store["beta_vae"]]
    for module in ("latent_code", "latent_plane"):
        assert [m["run"] for m in sent_to_module(without_error(app), module)[0]["models"]] == names
    app.selectbox(key="model").set_value(store["ae"]).run()  # it cannot stand beside itself
    assert app.multiselect(key="beside").value == [store["beta_vae"]]
    assert [m["run"] for m in sent_to_module(without_error(app), "latent_code")[0]["models"]] == [
        store["ae"],
        store["beta_vae"],
    ]
    app = opened(store["vae"], live=False, beside=[store["ae"]])
    assert [c.value for c in without_error(app).caption if c.value.startswith("AE, 3 numbers")]


def test_the_plane_follows_its_choices(store):
    app = without_error(opened(store["vae"]))
    space = latent_code.open_latent_space(store["vae"])
    spec, arrays = sent_to_module(app, "latent_plane")
    assert spec["dims"] == space.order[:2].tolist() and spec["behind"] == "codes"
    np.testing.assert_allclose(arrays["codes"], space.codes, atol=5e-3)
    assert arrays["image"].shape == (784,) and arrays["xs"][0] == -3
    app.segmented_control(key="behind").set_value("pictures").run()
    app.segmented_control(key="spacing").set_value("prior").run()
    spec, arrays = sent_to_module(without_error(app), "latent_plane")
    assert spec["behind"] == "pictures" and arrays["xs"][0] == pytest.approx(-1.645, abs=1e-3)
    app.selectbox(key="dim_x").set_value(app.selectbox(key="dim_y").value).run()
    dims = sent_to_module(without_error(app), "latent_plane")[0]["dims"]
    assert dims[0] != dims[1], "two different dimensions"


def test_a_plane_through_three_digits(store):
    app = opened(store["vae"], plane="digits")
    space = latent_code.open_latent_space(store["vae"])
    spec, arrays = sent_to_module(without_error(app), "latent_plane")
    numbers = [app.number_input(key=f"corner_{letter}").value for letter in "abc"]
    assert len(set(spec["three"])) == 3 and [space.labels[i] for i in numbers] == [0, 1, 7]
    np.testing.assert_allclose(arrays["three"], space.codes[numbers], rtol=1e-4, atol=1e-5)
    assert arrays["three_images"].shape == (3, 28, 28)
    app.number_input(key="corner_b").set_value(5).run()
    moved, arrays = sent_to_module(without_error(app), "latent_plane")
    assert [a == b for a, b in zip(moved["three"], spec["three"], strict=True)] == [True, False, True]
    np.testing.assert_allclose(arrays["three"][1], space.codes[5], rtol=1e-4, atol=1e-5)


def test_a_plane_through_a_digit_of_ones_own(store):
    own = np.zeros((1, 28, 28), np.float32)
    own[0, 4:24, 13:15] = 1
    app = opened(store["vae"], plane="digits", corner_c_own=own)
    arrays = sent_to_module(without_error(app), "latent_plane")[1]
    assert (arrays["three_images"][2] == 255 * own[0]).all()
    code = cached.run(store["vae"]).encode(own[None])[0]
    np.testing.assert_allclose(arrays["three"][2], code, rtol=1e-4, atol=1e-5)


def test_a_chosen_digit_reaches_sliders_and_plane(store):
    app = opened(store["vae"])
    app.number_input(key="digit").set_value(17).run()
    space = latent_code.open_latent_space(store["vae"])
    np.testing.assert_allclose(
        sent_to_module(without_error(app), "latent_code")[1]["home"],
        latent_code.clip(space.codes[17], space),
        rtol=1e-6,
    )
    from aevae.ui.shared import cached

    picture = cached.shown_digits()[0][17]
    np.testing.assert_array_equal(sent_to_module(app, "latent_plane")[1]["image"], np.rint(picture.ravel() * 255))


def test_a_message_sets_the_code_and_is_acknowledged(store):
    import streamlit as st

    space = latent_code.open_latent_space(store["vae"])
    live_view.receive({"z": [0.5, -1, 2.0], "n": 3}, space, "latent_code")
    live_view.receive({"z": [0.5, -99, 2.0], "n": 4}, space, "latent_plane")
    assert st.session_state["z"].split(",")[0] == "0.5" and float(st.session_state["z"].split(",")[1]) > -99
    assert st.session_state[live_view.LAST_MESSAGES] == {"latent_code": 3, "latent_plane": 4}


@pytest.mark.parametrize(
    "z",
    [
        None,
        "0,0,0",
        [],
        [0, 0],
        [0, 0, 0, 0],
        [0, 0, float("nan")],
        [0, float("inf"), 0],
        [0, 0, "1"],
        [0, 0, None],
        [0, 0, True],
        [0, 0, [1]],
        [0, 0, 1e300],
        [0, 0, 10**400],
        {"0": 1},
        [0] * 100_000,
    ],
)
def test_hostile_messages_change_nothing(store, z):
    import streamlit as st

    space = latent_code.open_latent_space(store["vae"])
    st.session_state["z"] = "0.5,1,2"
    for n in (None, -1, 2.5, "7", True, 2**60, [1]):
        live_view.receive({"z": z, "n": n}, space, "latent_code")
        assert st.session_state["z"] == "0.5,1,2" and st.session_state.get(live_view.LAST_MESSAGES, {}).get(
            "latent_code"
        ) in (
            None,
            3,
        )


@pytest.mark.parametrize("model", ["vae", "ae"])
def test_one_number_has_no_plane(store, model):
    import conftest

    from aevae.runs import train_or_load

    run = train_or_load(conftest.tiny_config(model, latent_dim=1), "cpu")
    app = without_error(opened(run.name))
    assert any("no plane" in c.value for c in app.caption)
    spec, arrays = sent_to_module(app, "latent_code")
    assert len(arrays["z"]) == 1 and spec["images"], "the sliders show the image"


def test_a_code_that_is_ignored_leaves_the_address(store):
    assert opened(store["vae"], z="1,2,0.5").query_params["z"] == "1,2,0.5"
    assert "z" not in without_error(opened(store["vae"], z="1,2")).query_params


def test_a_broken_address_is_the_default(store):
    app = opened(store["vae"], z="1,2,nan,4")
    np.testing.assert_array_equal(
        sent_to_module(without_error(app), "latent_code")[1]["z"], sent_to_module(app, "latent_code")[1]["home"]
    )
