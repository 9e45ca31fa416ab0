"""Values that live modules send are stored in session and address, and stay in their range."""

import pytest
from streamlit.testing.v1 import AppTest


def script():
    import streamlit as st

    from aevae.ui.shared import url_values

    ranges = {"k": (8, 1, 64), "x": (0.0, -1.0, 1.0)}
    st.session_state["found"] = url_values.numbers(ranges) | {"cells": url_values.text("cells", str.isdigit)}
    st.session_state["take"] = url_values.number_handler({"k": "k", "by": "x"}, ranges)


def opened(**query: str) -> AppTest:
    app = AppTest.from_function(script)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def address(app: AppTest) -> dict[str, str]:
    return {key: value if isinstance(value, str) else value[0] for key, value in app.query_params.items()}


def test_a_default_stands_in_no_address():
    app = opened()
    assert app.session_state["found"] == {"k": 8, "x": 0.0, "cells": ""} and address(app) == {}


def test_the_address_is_believed_where_it_fits():
    app = opened(k="16", x="-0.5", cells="12")
    assert app.session_state["found"] == {"k": 16, "x": -0.5, "cells": "12"}
    assert address(app) == {"k": "16", "x": "-0.5", "cells": "12"}


@pytest.mark.parametrize("bad", ["0", "65", "x", "", "8.5", "nan", "1e400", "-inf"])
def test_and_else_the_default_is(bad):
    app = opened(k=bad, x=bad if bad != "0" else "2", cells="no")
    assert app.session_state["found"] == {"k": 8, "x": 0.0, "cells": ""} and address(app) == {}


def test_the_session_goes_before_the_address():
    app = opened(k="16", cells="3")
    app.session_state["k"], app.session_state["cells"] = 9, "77"
    app.run()
    assert address(app) == {"k": "9", "cells": "77"}


def test_what_a_browser_sends_is_taken_whole_or_not_at_all():
    app = opened()
    take = app.session_state["take"]
    for bad in ({}, {"k": 3}, {"k": 3, "by": 2}, {"k": 3.5, "by": 0}, {"k": True, "by": 0}, {"k": "3", "by": 0},
                {"k": 3, "by": float("nan")}, {"k": 3, "by": None}, {"k": [3], "by": 0}):  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            state = {}
            patch.setattr("streamlit.session_state", state)
            take(bad)
            assert state == {}, bad
            take({"k": 3, "by": 1, "more": 5})
            assert state == {"k": 3, "x": 1}


def a_field():
    import streamlit as st

    from aevae.ui.shared import url_values

    st.session_state["found"] = url_values.field(st.number_input, "x", 0.0, 4.0, 1.5, key="x")


@pytest.mark.parametrize(
    ("query", "found", "shown"),
    [({}, 1.5, {}), ({"x": "3.25"}, 3.25, {"x": "3.25"}), ({"x": "9"}, 1.5, {}), ({"x": "1.5"}, 1.5, {})],
)
def test_a_field_takes_its_value_from_the_address_and_writes_it_there(query, found, shown):
    app = AppTest.from_function(a_field)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert app.session_state["found"] == found and address(app) == shown
    app.number_input(key="x").set_value(0.5).run()
    assert app.session_state["found"] == 0.5 and address(app) == {"x": "0.5"}
    app.number_input(key="x").set_value(1.5).run()
    assert address(app) == {}, "a default stands in no address"


def two_pickers():
    import streamlit as st

    from aevae.ui.shared import address

    address.begin(st.session_state.get("page", "a"))
    options = st.session_state.get("options", ["x", "y", "z"])
    gone = []
    reader = address.LinkReader(on_gone=gone.append)
    several = address.pick(st.multiselect, "Several", options, key="several", default=["x"], reader=reader)
    one = address.pick(st.pills, "One", ["p", "q"], key="one", default="p")
    address.end()
    st.session_state["found"] = (several, one, gone)


def pickers(**query) -> AppTest:
    app = AppTest.from_function(two_pickers)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def test_several_choices_and_none_stand_in_the_address():
    app = pickers()
    assert app.session_state["found"] == (["x"], "p", []) and address(app) == {}
    app.multiselect(key="several").set_value(["y", "z"]).run()
    assert app.query_params["several"] == ["y", "z"]
    app.multiselect(key="several").set_value([]).run()
    assert app.session_state["found"][0] == [] and address(app) == {"several": "none"}
    assert pickers(several="none").session_state["found"][0] == []


def test_choices_that_are_gone_leave_the_others_and_are_reported():
    app = pickers(several=["y", "z"])
    app.session_state["options"] = ["x", "y"]
    app.run()
    assert app.session_state["found"] == (["y"], "p", ["z"]) and address(app) == {"several": "y"}
    app.session_state["options"] = ["x"]
    app.run()
    assert app.session_state["found"] == (["x"], "p", ["y"]), "without any the default"


def test_each_arrival_reads_the_address_and_what_the_session_wrote_is_no_news():
    app = pickers(one="q")
    app.query_params["one"] = "p"
    app.run()
    assert app.session_state["found"][1] == "q" and address(app) == {"one": "q"}, "no arrival"
    app.session_state["page"] = "b"
    app.query_params["several"] = "y"
    app.run()
    assert app.session_state["found"][:2] == (["y"], "q"), "an arrival"
    app.button_group(key="one").set_value("p").run()
    assert "one" not in address(app)
    app.session_state["page"], app.query_params["one"] = "c", "q"
    app.run()
    assert app.session_state["found"][1] == "q", "the session has not written this since it chose the default"
