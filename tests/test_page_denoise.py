"""The Denoise page: each control changes what it says it changes."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from aevae import checkpoints, paths
from aevae.metrics.denoising import apply_again, spoil
from aevae.runs import load_run
from aevae.ui import denoising, loaders

PAGE = "pages/explore/denoise.py"


def page(**query: str) -> AppTest:
    at = AppTest.from_file(str(paths.ROOT / "app.py"), default_timeout=60).run()
    at.switch_page(PAGE)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


def cards(at: AppTest) -> list[str]:
    """What stands under the pictures: clean, noisy, then a model each."""
    return [m.value for m in at.markdown if "\n" in m.value and m.value.startswith("**")]


def pick(at: AppTest, kind: str, key: str):
    return next(widget for widget in getattr(at, kind) if widget.key == key)


def expected(run, kind="gaussian", level=0.5, seed=0, times=1, digit=1) -> str:
    clean = loaders.test_digits()[0][digit]
    walked = apply_again(run.reconstruct, spoil(clean[None], kind, level, seed), times)[times, 0]
    return denoising.errors_text(*denoising.errors(clean, walked))


def test_an_empty_store_says_what_to_do(empty_store):
    at = page()
    assert "no trained model" in at.info[0].value
    assert not cards(at)


def test_every_model_shows_its_errors(store):
    at = page()
    shown = cards(at)
    assert len(shown) == 2 + 3  # a denoising model, an AE, a VAE
    for family, text in zip(("denoising", "ae", "vae"), shown[2:], strict=True):
        assert text.endswith(expected(load_run(store[family])))
    assert shown[1].endswith(expected(Nothing))


class Nothing:
    """A model that changes nothing: the noisy input."""

    @staticmethod
    def reconstruct(images):
        return images


@pytest.mark.parametrize(
    ("kind", "key", "value", "changed"),
    [
        ("slider", "level", 0.2, {"level": 0.2}),
        ("number_input", "seed", 7, {"seed": 7}),
        ("button_group", "noise", "block", {"kind": "block"}),
        ("slider", "times", 4, {"times": 4}),
        ("number_input", "digit", 12, {"digit": 12}),
    ],
)
def test_a_control_changes_the_pictures(store, kind, key, value, changed):
    at = page()
    pick(at, kind, key).set_value(value).run()
    assert not at.exception
    assert cards(at)[2].endswith(expected(load_run(store["denoising"]), **changed))


def test_the_link_restores_the_view(store):
    at = page(level="0.2", seed="7", noise="block", times="4", digit="12")
    changed = {"level": 0.2, "seed": 7, "kind": "block", "times": 4, "digit": 12}
    assert cards(at)[2].endswith(expected(load_run(store["denoising"]), **changed))


def test_the_chosen_models_are_the_shown_ones(store):
    at = page()
    at.multiselect(key="models").set_value([store["beta_vae"]]).run()
    assert len(cards(at)) == 3
    assert cards(at)[2].endswith(expected(load_run(store["beta_vae"])))
    at.multiselect(key="models").set_value([]).run()
    assert "at least one" in at.info[0].value


def test_level_zero_is_an_exact_copy(store):
    assert cards(page(level="0"))[1].endswith("SSE 0.0  \nPSNR ∞ dB")


def test_a_damaged_model_is_named_and_the_others_work(store):
    weights = checkpoints.find_run(store["vae"]).path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")  # whole to look at, but not what was written
    at = page()
    assert len(cards(at)) == 2 + 2
    assert store["vae"] in at.warning[0].value


def test_the_curve_starts_at_the_plain_reconstruction(store):
    loaders.test_digits()
    run = load_run(store["ae"])
    clean = loaders.test_digits()[0][: denoising.DIGITS]
    curve = denoising.model_curve(run, "masking", 0)
    assert curve.shape == (len(denoising.LEVELS),)
    plain = np.square(clean.astype(np.float64) - run.reconstruct(clean)).sum() / len(clean)
    assert curve[0] == pytest.approx(plain, rel=1e-6)
    assert denoising.input_curve("masking", 0)[0] == 0


def test_first_choice_takes_the_same_code_size(store):
    runs = loaders.finished()
    families = {run.name: run.family for run in runs}
    assert [families[name] for name in denoising.first_choice(runs)] == ["denoising", "ae", "vae"]
    only = [run for run in runs if run.family == "beta_vae"]
    assert denoising.first_choice(only) == [only[0].name]


def test_what_another_page_proposed_is_no_choice_but_a_choice_travels(store):
    at = page()
    proposed = at.multiselect(key="models").value
    at.switch_page("pages/explore/interpolate.py").run()
    assert at.multiselect(key="models").value == [store["ae"], store["vae"]] != proposed
    at.switch_page(PAGE).run()
    assert at.multiselect(key="models").value == proposed
    at.multiselect(key="models").set_value([store["beta_vae"]]).run()
    at.switch_page("pages/explore/interpolate.py").run()
    assert at.multiselect(key="models").value == [store["beta_vae"]]
    assert not at.exception
