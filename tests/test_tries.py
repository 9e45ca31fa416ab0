"""Things to try: the list on a page, and the button that brings the page into the state of a sentence."""

import numpy as np
import pytest
from conftest import open_page
from streamlit.testing.v1 import AppTest

from aevae.ui.frame import menu
from aevae.ui.frame.tries import Try
from aevae.ui.live import component


def a_page():
    import streamlit as st

    from aevae.ui.digit import picker
    from aevae.ui.frame.tries import Try, show
    from aevae.ui.shared import url_values

    _image, label, number = picker.pick_digit()
    level = st.slider("Level", 0.0, 1.0, 0.1, key="level", bind="query-params")
    moved = url_values.numbers({"turn": (0.5, 0.0, 1.0)})["turn"]
    st.text(f"{label} {number} {level} {moved}")
    show(["Look.", Try("Take a 7.", {"digit": 380, "level": 0.4}), Try("Turn.", {"turn": 0.75}, breaks=True)], "Try")


def test_a_list_of_things_to_try():
    at = AppTest.from_function(a_page).run()
    said = [text.value for text in at.markdown]
    assert said[-4:] == ["**Try**", "1. Look.", "2. Take a 7.", "3. **Break it:** Turn."]
    assert [button.label for button in at.button if button.key.startswith("try_")] == ["Set it up"] * 2


def test_a_button_sets_fields_and_values_of_modules_and_the_address():
    at = AppTest.from_function(a_page).run()
    at.button(key="try_2").click().run()
    assert at.text[0].value == "7 380 0.4 0.5"
    assert [at.query_params[name] for name in ("digit", "level")] == [["380"], ["0.4"]]
    at.button(key="try_3").click().run()
    assert at.text[0].value == "7 380 0.4 0.75"
    at.slider(key="level").set_value(0.9).run()
    at.button(key="try_2").click().run()
    assert at.text[0].value == "7 380 0.4 0.75", "again"


def test_a_digit_replaces_an_own_image():
    at = AppTest.from_function(a_page).run()
    at.session_state["digit_own"] = np.ones((1, 28, 28), np.float32)
    at.run()
    at.button(key="try_3").click().run()
    assert at.text[0].value.startswith("None None"), "a state without a digit leaves it"
    at.button(key="try_2").click().run()
    assert at.text[0].value.startswith("7 380") and "digit_own" not in at.query_params


def test_modules_begin_again():
    at = AppTest.from_function(a_page).run()
    assert component._TURN not in at.session_state
    at.button(key="try_2").click().run()
    assert at.session_state[component._TURN] == 1


@pytest.mark.slow
@pytest.mark.parametrize("page", menu.all_pages(), ids=lambda page: page.url_path)
def test_a_page_takes_the_state_of_each_try(shipped_runs, page, monkeypatch):
    """A field that does not know a value would raise or put its own default."""
    app = open_page(page.path)
    asked: list[Try] = []
    from aevae.ui.frame import tries

    whole = tries.set_up
    monkeypatch.setattr(tries, "set_up", lambda state: (asked.append(state), whole(state)))
    app.run()
    for key in [button.key for button in app.button if button.key and button.key.startswith("try_")]:
        app.button(key=key).click().run()
        assert not app.exception and not app.error, key
        for name, value in asked[-1].items():
            assert name in app.session_state and app.session_state[name] == value, f"{key}: {name}"
