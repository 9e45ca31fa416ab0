"""The frame of the app and what all pages share, without a browser."""

import ast
import gettext
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import open_page
from PIL import Image
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.run_config import fingerprint
from aevae.store.checkpoints import list_runs
from aevae.ui import i18n
from aevae.ui.digit import canvas, picker
from aevae.ui.frame import layout, menu
from aevae.ui.shared import address as urls
from aevae.ui.shared import cached, image_sheets, run_picker

ROOT = paths.ROOT


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty store of its own."""
    for variable, name in (("AEVAE_RUNS", "runs"), ("AEVAE_PRETRAINED", "shipped")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    return tmp_path


def put_run(folder: Path, family="vae", seed=0, name="mnist", leave_out=False, **model) -> str:
    """A finished run as the store lists it, with weights that no test here opens."""
    from safetensors.numpy import save

    config = {
        "schema": 1,
        "data": {"name": name, "limit": 0, "leave_out_5k": leave_out, "digest": ""},
        "model": {"family": family, "latent_dim": 20, **model},
        "train": {"epochs": 3},
        "seed": seed,
    }
    run = folder / f"{family}-{name}-{fingerprint(config)}"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(config), "utf-8")
    (run / "model.safetensors").write_bytes(save({"w": np.zeros(1, np.float32)}))
    (run / "state.json").write_text(json.dumps({"finished": True, "epoch": 3, "epochs": 3, "created": seed}), "utf-8")
    (run / "metrics.json").write_text(json.dumps({name: {"sse": 9.5}}), "utf-8")
    (run / "history.jsonl").write_text("".join(json.dumps({"epoch": e, "test": {}}) + "\n" for e in range(4)), "utf-8")
    Image.fromarray(np.zeros((84, 224), np.uint8)).save(run / "preview.png")
    return run.name


def app() -> AppTest:
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)


def texts(at: AppTest) -> str:
    return " ".join(e.value for e in [*at.markdown, *at.info, *at.caption, *at.title, *at.warning])


# -- the frame -------------------------------------------------------------------------------------------------------


def test_the_first_page_works_with_an_empty_store(shelf):
    at = app().run()
    assert not at.exception
    assert at.title[0].value == "aevae"
    assert "Train one" in texts(at)
    assert all(page.question in texts(at) for page in menu.all_pages()[1:])


def test_the_first_page_lists_the_finished_models(shelf):
    put_run(shelf / "shipped")
    put_run(shelf / "runs", "beta_vae", beta=4.0)
    put_run(shelf / "runs", "ae")
    (shelf / "runs" / "broken-mnist-000000000000").mkdir()
    at = app().run()
    assert not at.exception
    (table,) = [m.value for m in at.markdown if m.value.startswith("| model")]
    shown = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]
    assert shown[0] == "VAE · d=20 · mnist · shipped"
    assert set(shown[1:]) == {"AE · d=20 · mnist", "β-VAE · d=20 · β=4 · mnist"}


def test_a_preview_that_is_no_picture_breaks_nothing(shelf):
    name = put_run(shelf / "shipped")
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


# -- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "key", "asked", "shown"),
    [
        ("explore/sliders", "model", ["@ae"], ["AE · d=3 · mnist-5k"]),
        ("explore/interpolate", "models", ["@vae", "@ae"], ["VAE · d=3 · mnist-5k", "AE · d=3 · mnist-5k"]),
        ("explore/embeddings", "space_1", ["@vae"], ["VAE · d=3 · mnist-5k"]),
        ("explore/embeddings", "map_1", ["umap"], ["UMAP"]),
        ("explore/denoise", "noise", ["salt_and_pepper"], ["salt and pepper"]),
        ("lab/train", "train_family", ["beta_vae"], ["β-VAE"]),
    ],
)
def test_an_address_has_own_names_and_titles_are_understood(store, path, key, asked, shown):
    """Titles change with the language, labels with the other runs of the store: a link would show something else."""
    asked = [store[name[1:]] if name[0] == "@" else name for name in asked]
    for way in (asked, shown):
        at = open_page(f"pages/{path}.py", **{key: way})
        assert not at.exception and address(at, key) == asked
        assert at.session_state[key] in (asked, asked[0])


def test_no_picker_that_shows_titles_is_bound_by_streamlit():
    """It would write the titles into the address: `address.pick` writes the options' own names."""
    wrong = []
    for file in [*(ROOT / "aevae" / "ui").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]:
        for call in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(call, ast.Call) and {"bind", "format_func"} <= {word.arg for word in call.keywords}:
                wrong.append(f"{file.relative_to(ROOT)}:{call.lineno}")
    assert wrong == []


def test_only_one_place_writes_addresses_and_one_makes_fragments():
    """What is written elsewhere is not read after Back; a fragment made elsewhere fails where its run is gone."""
    rules = {r"st\.query_params\[.*\] =|query_params\.(pop|update|clear|from_dict)": {"address.py"},
             r"st\.fragment": {"redraw.py"}}  # fmt: skip
    files = [*(ROOT / "aevae" / "ui").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
    for rule, places in rules.items():
        assert {file.name for file in files if re.search(rule, file.read_text("utf-8"))} == places, rule


# -- a link and time --------------------------------------------------------------------------------------------------


def address(at: AppTest, key: str = "model") -> list[str]:
    found = at.query_params.get(key, [])
    return [found] if isinstance(found, str) else list(found)


def test_a_link_means_the_same_run_when_another_one_has_its_label(shelf):
    first = put_run(shelf / "runs", "vae", 1)
    at = AppTest.from_function(choose_one).run()
    link = address(at)
    assert link == [first], "also where it is the default, which changes with the store"
    second = put_run(shelf / "runs", "vae", 2)
    cached.runs.clear()
    for name in (first, second):
        at = AppTest.from_function(choose_one)
        at.query_params["model"] = name
        assert at.run().text[0].value == name and address(at) == [name]
    label = run_picker.run_label(next(run for run in list_runs() if run.name == first))
    at = AppTest.from_function(choose_one)
    at.query_params["model"] = label
    assert "several models have this name" in at.run().info[0].value
    at = AppTest.from_function(choose_one)
    at.query_params["model"] = f"{label} · {second[-12:-6]}"
    assert at.run().text[0].value == second and not at.info


def test_a_link_to_a_run_that_is_not_here_says_so(shelf):
    put_run(shelf / "runs", "vae", 1)
    at = AppTest.from_function(choose_one)
    at.query_params["model"] = "vae-mnist-ffffffffffff"
    assert "there is no such model here" in at.run().info[0].value


def test_a_run_that_is_deleted_is_said_to_be(shelf):
    first, second = put_run(shelf / "runs", "vae", 1), put_run(shelf / "runs", "ae", 2)
    at = AppTest.from_function(choose_one).run()
    shutil.rmtree(shelf / "runs" / first)
    cached.runs.clear()
    at.run()
    assert at.text[0].value == second and "does not exist any more" in at.info[0].value and address(at) == [second]


GERMAN = {"salt and pepper": "Salz und Pfeffer", "masking": "maskierend", "shipped": "mitgeliefert"}


@pytest.mark.parametrize("language", ["en", "de"])
def test_links_hold_across_languages(shelf, monkeypatch, language):
    """Own names always; an English title also where pages speak another language."""
    if language == "de":
        catalogue = type(
            "Catalogue", (gettext.NullTranslations,), {"gettext": lambda _self, text: GERMAN.get(text, text)}
        )()
        monkeypatch.setattr(i18n, "catalogue", lambda _language: catalogue)
    name = put_run(shelf / "shipped", "vae")
    for asked in (name, "VAE · d=20 · mnist · shipped"):
        at = AppTest.from_function(choose_one)
        at.query_params["model"] = asked
        assert at.run().text[0].value == name and address(at) == [name] and not at.info
    titles = [text if language == "en" else GERMAN[text] for text in ("salt and pepper", "masking")]
    show = dict(zip(("salt_and_pepper", "masking"), titles, strict=True)).get
    for asked in ("salt_and_pepper", "salt and pepper"):
        assert urls.match_option(asked, ["salt_and_pepper", "masking"], show) == "salt_and_pepper"


# -- choosing a model ------------------------------------------------------------------------------------------------


def choose_one():
    import streamlit as st

    from aevae.ui.shared.run_picker import pick_model

    st.text(pick_model())


def choose_several():
    import streamlit as st

    from aevae.ui.shared.run_picker import pick_models

    st.text(",".join(pick_models()))


def test_no_run_is_a_sentence_and_a_link(shelf):
    at = AppTest.from_function(choose_one).run()
    assert "no trained model" in at.info[0].value
    assert not at.text


def test_a_link_names_the_model_by_label_name_or_fingerprint(shelf):
    first, second = put_run(shelf / "shipped", "vae"), put_run(shelf / "shipped", "ae")
    for asked in (second, second.rpartition("-")[2], "AE · d=20 · mnist · shipped"):
        at = AppTest.from_function(choose_one)
        at.query_params["model"] = asked
        assert at.run().text[0].value == second
    for wrong in ("zzz", "", "../../etc", "vae-mnist-ffffffffffff"):
        at = AppTest.from_function(choose_one)
        at.query_params["model"] = wrong
        at.run()
        assert not at.exception
        assert at.text[0].value == first  # the VAE comes first


def test_a_fingerprint_that_reads_as_a_number_too_large_is_one(monkeypatch):
    """5164e5552645 is a run, and 5164 times 10 to the power of five million."""
    monkeypatch.setattr(cached, "runs", lambda: [SimpleNamespace(fingerprint="5164e5552645")])
    for asked in ("5164e5552645", "5164e5552"):
        assert not layout._impossible(asked)
    assert layout._impossible("1e999") and layout._impossible("") and not layout._impossible("12")


def test_several_models_begin_with_one_of_each_family(shelf):
    names = [put_run(shelf / "shipped", f) for f in ("ae", "vae", "denoising")] + [put_run(shelf / "runs", "ae", 1)]
    at = AppTest.from_function(choose_several).run()
    assert set(at.text[0].value.split(",")) == set(names[:3])
    at.multiselect(key="models").set_value([]).run()
    assert "at least one" in at.info[0].value


def test_labels_are_unique(shelf):
    names = [put_run(shelf / "runs", "vae", seed) for seed in (1, 2)]
    labels = run_picker.run_labels(list_runs())
    assert len(set(labels.values())) == 2
    assert all(name[-12:-6] in labels[name] for name in names)


def test_a_page_says_when_a_model_has_seen_the_digits(shelf):
    put_run(shelf / "runs", seed=1)
    put_run(shelf / "runs", seed=2, leave_out=True)
    put_run(shelf / "runs", seed=3, name="mnist-5k")
    put_run(shelf / "runs", seed=4, name="kmnist")
    notes = [run_picker.seen_note(run) for run in sorted(list_runs(), key=lambda r: r.config["seed"])]
    assert "has seen the digits" in notes[0]
    assert notes[1] is None
    assert notes[2] is None
    assert "kmnist" in notes[3]


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
        assert at.run().text[0].value.endswith(" 0")
    at.session_state["digit_own"] = np.ones((1, 28, 28), np.float32)
    assert at.run().text[0].value.endswith("None None")
    at.button(key="digit_back").click().run()
    assert at.text[0].value.endswith(" 0")


def test_a_handful_is_of_the_class_asked_for_and_keeps_the_chosen_one():
    labels = np.arange(1000) % 10
    some = picker.handful(labels, 3, seed=1, chosen=13)
    assert len(set(some)) == len(some) == 40
    assert 13 in some
    assert {int(labels[i]) for i in some} == {3}
    other = next(i for i in range(3, 1000, 10) if i not in some)
    assert picker.handful(labels, 3, seed=1, chosen=other)[0] == other
    assert {int(labels[i]) for i in picker.handful(labels, 3, seed=1, chosen=4)} == {3}, "a 4 is not among the 3s"
    assert picker.handful(labels, -1, seed=1, chosen=0) == picker.handful(labels, -1, seed=1, chosen=0)
    assert picker.handful(labels, -1, seed=1, chosen=0) != picker.handful(labels, -1, seed=2, chosen=0)


def test_choosing_a_class_chooses_its_first_digit(monkeypatch):
    grids = []
    monkeypatch.setattr(
        picker.canvas, "pick_cell", lambda _key, sheet, **shown: grids.append(shown | {"names": sheet.names})
    )
    at = AppTest.from_function(choose_digit).run()
    at.pills(key="digit_class").set_value(4).run()
    label, number = at.text[0].value.split()[-2:]
    assert label == "4" and grids[-1]["selected"] == 0 and grids[-1]["names"][0] == f"4, number {number}"
    at.pills(key="digit_class").set_value(-1).run()
    at.pills(key="digit_class").set_value(4).run()
    assert at.text[0].value.endswith(f" 4 {number}"), "a digit of the class stays"
    other = int(grids[-1]["names"][5].split()[-1])
    at.number_input(key="digit").set_value(other).run()
    assert grids[-1]["selected"] == 5
    at.number_input(key="digit").set_value(0).run()
    assert at.text[0].value.split()[-2] != "4" and grids[-1]["selected"] == -1, "what is not shown is not framed"


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
    with pytest.raises(ValueError, match="pictures must be"):
        image_sheets.grid(np.zeros((28, 28)))


def test_a_gif_has_its_frames():
    frames = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((1, 1, 28, 28))
    film = Image.open(io.BytesIO(image_sheets.gif(frames, fps=10, scale=2)))
    assert (film.n_frames, film.size) == (5, (56, 56))


def test_texts_are_english_without_a_catalogue(tmp_path, monkeypatch):
    assert i18n._("Train a model") == "Train a model"
    assert i18n.language() == "en"
