"""Helpers for tests of pages: open a page, click, find widgets, read its texts and what the browser receives."""

import functools
from pathlib import Path

import pytest
from conftest import open_page
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest, local_script_runner

from aevae.browser.blob import unpack
from aevae.ui.shared import cached

WIDGETS = ("number_input", "toggle", "button_group", "selectbox", "text_input", "button")


def without_exception(app: AppTest) -> AppTest:
    """The same page, which must not have raised."""
    assert not app.exception
    return app


def without_error(app: AppTest) -> AppTest:
    """The same page, which must neither have raised nor show an error message."""
    assert not app.exception and not app.error
    return app


def open_checked_page(path: str, /, **query: str | list[str]) -> AppTest:
    """`open_page` for a page that must not raise."""
    return without_exception(open_page(path, **query))


def open_cleared_page(path: str = "pages/lab/train.py", /, **link: str) -> AppTest:
    """`open_checked_page` after the cached list of runs is cleared."""
    cached.runs.clear()
    return open_checked_page(path, **link)


def message_text(app: AppTest) -> str:
    """Errors, warnings, notes, captions and texts of the page."""
    return texts(*(app.get(kind) for kind in ("error", "warning", "info", "caption", "markdown")))


def open_train_page(**link: str) -> AppTest:
    return open_checked_page("pages/lab/train.py", **link)


def click(app: AppTest, key: str) -> AppTest:
    """The page after a click on the button with this key."""
    app.button(key=key).click().run()
    return without_exception(app)


def rerun_fragment(app: AppTest, number: str) -> AppTest:
    """Run one fragment as the browser requests it: with the arguments that it kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "RerunData", functools.partial(RerunData, fragment_id=number))
        return app.run()


def widget(app: AppTest, kind: str, key: str):
    return next(widget for widget in getattr(app, kind) if widget.key == key)


def widget_keys(app: AppTest) -> set[str]:
    return {widget.key for kind in WIDGETS for widget in app.get(kind)}


def texts(*lists) -> str:
    """The texts of all elements in these lists, one a line."""
    return "\n".join(str(element.value) for elements in lists for element in elements)


def image_urls(app: AppTest) -> list[str]:
    return [image.url for element in app.get("image") for image in element.proto.imgs]


def module_of(header: dict) -> str:
    """`atlas` of `embeddings/atlas.js`: the module that a header is for."""
    return Path(header["module"]).stem


def sent_to_browser(app: AppTest) -> dict[str, tuple[dict, dict]]:
    """Name of each module of the browser on this page -> (header, arrays) that Python sends to its first place."""
    found = [unpack(element.proto.bytes) for element in app.get("bidi_component") if element.proto.bytes]
    return {module_of(header): (header, arrays) for header, arrays in reversed(found)}


def sent_to_module(app: AppTest, module: str) -> tuple[dict, dict]:
    """(spec, arrays) that Python sends to this module of the browser."""
    header, arrays = sent_to_browser(app)[module]
    return header["spec"], arrays
