"""The frame of the app, and the pickers, planes, images and texts that pages share, without a browser."""

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from file_helpers import write_run
from PIL import Image
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.ui import i18n
from aevae.ui.digit import canvas, picker
from aevae.ui.frame import menu
from aevae.ui.shared import image_sheets

ROOT = paths.ROOT


def app() -> AppTest:
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)


def texts(at: AppTest) -> str:
    return " ".join(e.value for e in [*at.markdown, *at.info, *at.caption, *at.title, *at.warning])


# -- the frame -------------------------------------------------------------------------------------------------------


def test_the_first_page_works_with_an_empty_store(shelf):
    at = app().run()
    assert not at.exception
    assert at.title[0].value == "aevae"
    assert "train one: a small model" in texts(at)
    assert all(page.question in texts(at) for page in menu.all_pages()[1:])


def test_the_first_page_lists_the_finished_models(shelf):
    write_run(shelf / "shipped")
    write_run(shelf / "runs", "beta_vae", beta=4.0)
    write_run(shelf / "runs", "ae")
    (shelf / "runs" / "broken-mnist-000000000000").mkdir()
    at = app().run()
    assert not at.exception
    assert "All 3 models" in [link.proto.label for link in at.get("page_link")]


def test_a_preview_that_is_no_image_breaks_nothing(shelf):
    name = write_run(shelf / "shipped")
    (shelf / "shipped" / name / "preview.png").write_bytes(b"not a png")
    assert not app().run().exception


def test_every_page_is_announced_once_and_none_lies_directly_in_pages():
    assert not list((ROOT / "pages").glob("*.py"))  # Streamlit's old discovery would run them without app.py
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*/*.py")}
    assert files == {page.path for page in (*menu.all_pages(), menu.SERVER)}
    assert len({page.url_path for page in menu.all_pages()}) == len(menu.all_pages())


@pytest.mark.slow
def test_the_server_knows_the_menu_before_the_first_session():
    """Else the first cold deep link is greeted with "Page not found" (see `menu.announce`)."""
    code = (
        "import app\nfrom streamlit.runtime.pages_manager import PagesManager\n"
        "from streamlit.web.server.app_discovery import discover_asgi_app\nfrom pathlib import Path\n"
        "print(PagesManager.uses_pages_directory, discover_asgi_app(Path('app.py')).import_string)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "False app:app", done.stderr[-2000:]


@pytest.mark.slow
def test_the_first_page_needs_no_torch(shelf):
    code = (
        "from streamlit.testing.v1 import AppTest\nimport sys\nfrom aevae.ui.frame import layout\n"
        "layout.WARM_UP_AFTER_SECONDS = 600\n"
        "at = AppTest.from_file('app.py', default_timeout=60).run()\n"
        "assert not at.exception, at.exception\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "False", done.stderr[-2000:]


# -- choosing a digit ------------------------------------------------------------------------------------------------


def choose_digit():
    import streamlit as st

    from aevae.ui.digit.picker import pick_digit

    image, label, index = pick_digit()
    st.text(f"{image.shape} {image.dtype} {label} {index}")


def test_the_digit_is_in_the_link():
    from aevae.ui.shared.cached import shown_digits

    images, labels = shown_digits()
    assert images.shape == (1000, 1, 28, 28)
    assert (images.min(), images.max()) == (0, 1)
    at = AppTest.from_function(choose_digit)
    at.query_params["digit"] = "123"
    assert at.run().text[0].value == f"(1, 28, 28) float32 {labels[123]} 123"
    for wrong in ("-1", "1000", "x"):
        at = AppTest.from_function(choose_digit)
        at.query_params["digit"] = wrong
        assert at.run().text[0].value.endswith(" 3 10")
    at.session_state["digit_own"] = np.ones((1, 28, 28), np.float32)
    assert at.run().text[0].value.endswith("None None")
    at.button(key="digit_back").click().run()
    assert at.text[0].value.endswith(" 3 10")


def test_a_handful_is_of_the_requested_class_and_keeps_the_chosen_one():
    labels = np.arange(1000) % 10
    some = picker.handful(labels, 3, turn=1, chosen=-1)
    assert len(set(some)) == len(some) == 10 and {int(labels[i]) for i in some} == {3}
    assert picker.handful(labels, 3, turn=1, chosen=some[4]) == some
    assert not set(some) & set(picker.handful(labels, 3, turn=2, chosen=-1)), "others at each turn"
    other = next(i for i in range(3, 1000, 10) if i not in some)
    assert picker.handful(labels, 3, turn=1, chosen=other) == [other, *some[1:]]
    assert picker.handful(labels, 3, turn=1, chosen=4) == some, "a 4 is not among the 3s"
    assert picker.handful(labels, 3, turn=10, chosen=-1) == picker.handful(labels, 3, turn=0, chosen=-1), (
        "all were shown"
    )


def test_all_classes_are_a_handful_of_one_each():
    labels = np.repeat(np.arange(10), 100)
    for turn in (0, 1, 99):
        assert labels[picker.handful(labels, -1, turn, chosen=-1)].tolist() == list(range(10))
    first = [7, 150, 299]
    assert picker.handful(labels, -1, 0, chosen=-1, first=first)[:3] == first
    assert picker.handful(labels, -1, 0, chosen=250, first=first)[:3] == [7, 150, 250], "in the place of its class"


@pytest.mark.parametrize(("classes", "images"), [(1, 1), (1, 25), (2, 3), (3, 200), (47, 300)])
def test_a_handful_of_any_data_set(classes, images):
    labels = np.arange(images) % classes
    for wanted in (-1, 0, int(labels.max())):
        for turn in range(4):
            some = picker.handful(labels, wanted, turn, chosen=images - 1)
            fits = images if wanted < 0 else int((labels == wanted).sum())
            assert len(set(some)) == len(some) == min(10, fits)
            if wanted in (-1, labels[images - 1]):
                assert images - 1 in some


@pytest.fixture
def rows(monkeypatch) -> list[dict]:
    """What the row of the picker shows, run by run."""
    shown: list[dict] = []
    monkeypatch.setattr(
        picker.canvas, "pick_cell", lambda _key, sheet, **more: shown.append(more | {"names": sheet.names})
    )
    return shown


def test_choosing_a_class_chooses_its_first_digit(rows):
    at = AppTest.from_function(choose_digit).run()
    assert at.text[0].value.split()[-2:] == ["3", "10"] and rows[-1]["selected"] == 3, "a clean 3 among all classes"
    at.pills(key="digit_class").set_value(4).run()
    label, number = at.text[0].value.split()[-2:]
    assert (label, int(number)) == ("4", picker.GOOD_DIGITS[4])
    assert rows[-1]["selected"] == 0 and rows[-1]["names"][0] == f"4, number {number}"
    at.pills(key="digit_class").set_value(-1).run()
    at.pills(key="digit_class").set_value(4).run()
    assert at.text[0].value.endswith(f" 4 {number}"), "a digit of the class stays"
    other = int(rows[-1]["names"][5].split()[-1])
    at.number_input(key="digit").set_value(other).run()
    assert rows[-1]["selected"] == 5
    at.button(key="digit_shuffle").click().run()
    assert rows[-1]["selected"] == 0 and rows[-1]["names"][0] == f"4, number {other}", "the chosen one stays in sight"


def test_the_class_follows_a_number(rows):
    at = AppTest.from_function(choose_digit).run()
    at.pills(key="digit_class").set_value(4).run()
    at.number_input(key="digit").set_value(picker.GOOD_DIGITS[7]).run()
    assert at.pills(key="digit_class").value == 7 and rows[-1]["selected"] == 0


def test_a_class_replaces_an_own_image(rows):
    at = AppTest.from_function(choose_digit).run()
    at.pills(key="digit_class").set_value(4).run()
    at.session_state["digit_own"] = np.ones((1, 28, 28), np.float32)
    assert at.run().text[0].value.endswith("None None") and rows[-1]["selected"] == -1
    at.pills(key="digit_class").set_value(5).run()
    assert at.text[0].value.endswith(f" 5 {picker.GOOD_DIGITS[5]}")


def test_no_field_calls_a_number_a_digit(rows):
    at = AppTest.from_function(choose_digit).run()
    assert at.number_input(key="digit").label == "Picture no."


# -- the plane -------------------------------------------------------------------------------------------------------


def point_at():
    import streamlit as st

    from aevae.ui.digit.canvas import Plane, Sheet, pick_cell, show_plane
    from aevae.ui.shared.image_sheets import raw_sheet

    st.text(str(show_plane("map", Plane("map", (-3, 3, -3, 3)))))
    sheet = Sheet(raw_sheet(st.session_state["pictures"], 4), 2, 4, count=6)
    st.text(str(pick_cell("cells", sheet, default=1, label="digits")))


def test_a_choice_outlives_the_page():
    at = AppTest.from_function(point_at)
    at.session_state["pictures"] = np.zeros((6, 28, 28), np.uint8)
    at.run()
    assert [t.value for t in at.text] == ["None", "1"]
    at.session_state["map_xy"] = (1.0, -2.0)
    at.session_state["cells_xy"] = (1.5, 0.5)
    at.run()
    assert [t.value for t in at.text] == ["(1.0, -2.0)", "5"]
    at.session_state["cells_xy"] = (3.5, 0.5)  # an empty place of the last row
    assert at.run().text[1].value == "None"


@pytest.mark.parametrize("sent", [{}, {"x": 1}, {"x": "a", "y": 0}, {"x": float("nan"), "y": 0}, {"x": 9, "y": 0}])
def test_what_the_browser_sends_is_checked(sent):
    assert canvas._inside(sent, (-3, 3, 3, -3)) is None
    assert canvas._inside({"x": 1, "y": 2}, (-3, 3, 3, -3)) == (1.0, 2.0)


def test_a_cloud_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"points must be \(N, 2\)"):
        canvas.show_plane("bad", canvas.Plane("x", (0, 1, 0, 1), points=np.zeros((3, 3))))


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_javascript_agrees():
    done = subprocess.run(
        ["node", "--test", str(ROOT / "tests" / "test_canvas.mjs")], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


# -- pictures and texts ----------------------------------------------------------------------------------------------


def test_a_sheet_keeps_every_pixel():
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    picture = np.array(Image.open(io.BytesIO(image_sheets.sheet(images, columns=3, scale=2, gap=4))))
    assert picture.shape == (2 * 56 + 4, 3 * 56 + 2 * 4, 4)
    np.testing.assert_array_equal(picture[60::2, 60:116:2, 0], images[4])
    assert picture[57, 0, 3] == 0  # the gap is transparent
    raw = np.array(Image.open(io.BytesIO(image_sheets.raw_sheet(images[:, None] / 255.0, 3))))
    np.testing.assert_array_equal(raw[28:, 28:56], images[4])
    assert not raw[28:, 56:].any()
    rows = np.zeros((2, 3, 28, 28))
    assert image_sheets.grid(rows).shape == (2, 3, 28, 28)
    with pytest.raises(ValueError, match="images must be"):
        image_sheets.grid(np.zeros((28, 28)))


def test_a_gif_has_its_frames():
    frames = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((1, 1, 28, 28))
    film = Image.open(io.BytesIO(image_sheets.gif(frames, fps=10, scale=2)))
    assert (film.n_frames, film.size) == (5, (56, 56))


def test_texts_are_english_without_a_catalogue(tmp_path, monkeypatch):
    assert i18n._("Train a model") == "Train a model"
    assert i18n.language() == "en"
