"""Start: the figure gets its planes without torch, a drawing goes to all pages, and each page has a card."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import open_page
from page_helpers import sent_to_module

from aevae import paths
from aevae.ui.digit import picker
from aevae.ui.frame import menu
from aevae.ui.start import cards, toy

PAGE = "pages/lab/home.py"
MAX_PICTURE_BYTES = 300_000
WITHOUT_TORCH = """
import sys
from streamlit.testing.v1 import AppTest
from aevae.ui.frame import layout
layout.WARM_UP_AFTER_SECONDS = 1e6
app = AppTest.from_file(sys.argv[1], default_timeout=60).run()
assert not app.exception and not app.error, (app.exception, app.error)
assert "torch" not in sys.modules
"""


def test_the_figure_opens_on_the_vae_with_the_codes_of_all_three_models(page):
    assert not page.exception and not page.error and not page.warning
    spec, arrays = sent_to_module(page, "toy")
    assert [model["name"] for model in spec["models"]] == ["AE", "VAE", "β-VAE, β = 8"] and spec["chosen"] == 1
    assert all(arrays[f"places{i}"].shape == (1000, 2) for i in range(3)) and len(arrays["labels"]) == 1000
    assert [model["hasPrior"] for model in spec["models"]] == [False, True, True]


def test_the_address_chooses_the_model(shipped_runs):
    assert sent_to_module(open_page(PAGE, toy="0"), "toy")[0]["chosen"] == 0


def test_start_needs_no_torch(shipped_runs):
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(paths.ROOT / "app.py")], check=True)


def test_a_drawing_becomes_the_own_image_of_all_pages_and_of_the_maps(monkeypatch):
    state: dict = {}
    monkeypatch.setattr(picker.st, "session_state", state)
    pixels = [0] * 783 + [255]
    strokes = [{"erase": False, "width": 22, "points": [0, 0, 50]}]
    toy._receive({"pixels": pixels, "strokes": strokes})
    for key in ("digit", "guest"):
        assert np.array_equal(state[f"{key}_own"].reshape(-1), np.array(pixels) / 255)
    assert state["digit_drawing"]["strokes"] == strokes and "guest_drawing" not in state
    toy._receive({"chosen": 2})
    assert state["toy"] == 2
    toy._receive({"pixels": [], "strokes": []})
    assert "digit_own" not in state and "guest_own" not in state


def test_every_page_has_one_picture_and_all_are_small():
    files = {file.stem: file for file in cards.PICTURES.iterdir()}
    assert set(files) == {page.url_path for page in menu.all_pages()[1:]}
    assert sum(file.stat().st_size for file in files.values()) < MAX_PICTURE_BYTES


def test_every_page_has_one_card_and_there_are_three_ways(page):
    links = [element.proto.page for element in page.get("page_link")]
    pages = [entry.url_path for entry in menu.all_pages()[1:]]
    for address in pages:
        assert links.count(address) >= 1, address
    ways = links[links.index("sliders", 3) :][:3]
    assert ways == list(cards.WAYS)


@pytest.mark.usefixtures("no_worker")
def test_a_store_without_models_says_what_to_do(empty_store):
    app = open_page(PAGE)
    assert not app.exception and "Open the page Train" in app.info[0].value
