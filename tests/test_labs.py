"""Every lab has the one shape, opens on what is shipped, and can be linked; and a new one is one file."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import streamlit as st
from conftest import open_page
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.store import bundles
from aevae.ui.frame import menu
from aevae.ui.live import component

LABS = [page for page in menu.all_pages() if page.section in menu.SECTIONS.values()]
STATEFUL = {
    "button", "checkbox", "multiselect", "number_input", "pills", "radio", "segmented_control", "select_slider",
    "selectbox", "slider", "text_input", "toggle",
}  # fmt: skip
AT_ONCE = {"button"}  # has nothing to restore


@pytest.mark.slow
@pytest.mark.parametrize("page", LABS, ids=lambda page: page.url_path)
def test_a_lab_opens_on_what_is_shipped(shipped_runs, page):
    app = open_page(page.path)
    assert not app.exception and not app.error and not app.warning
    said = [element.value for element in app.markdown]
    assert [title.value for title in app.title] == [page.title]
    assert f"*{page.question}*" in said and page.question.endswith("?")
    (seen,) = (expander for expander in app.expander if expander.label == "What did you see?")
    notice = seen.markdown[0].value
    assert notice.count("\n") >= 1 and notice.startswith("- ")
    first = said.index("**Three things to try**") + 1
    tries = said[first : first + 3]
    assert [text[:3] for text in tries] == ["1. ", "2. ", "3. "] and not said[first + 3].startswith("4. ")
    assert sum("**Break it:**" in text for text in tries) == 1
    formula = [element.value for element in app.latex] + [
        part for text in said for part in re.findall(r"\$(.+?)\$", text)
    ]
    assert re.search(r"[=\\]", " ".join(formula)), "the formula"


def test_the_files_of_a_lab_share_one_name():
    """In pages/ with a number before it; further modules of the browser are called <lab>_<what>."""
    names = {Path(page.path).stem[3:] for page in LABS}
    folder = component.ROOMS / "labs"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "template"} == names
    for path in (folder / "web").iterdir():
        assert f"{path.stem}_".startswith(tuple(f"{name}_" for name in names)), path.name


@pytest.mark.parametrize("name", ["beta", "collapse", "likelihoods", "classifier"])
def test_a_lab_without_its_models_says_so(shipped_runs, monkeypatch, tmp_path, name):
    monkeypatch.setattr(bundles, "folder", lambda: tmp_path)
    st.cache_resource.clear()  # models that another test has opened
    app = open_page(next(page.path for page in LABS if page.url_path == name))
    (said,) = app.error
    assert "missing or damaged" in said.value and not app.exception


def calls(page: menu.PageInfo) -> list[ast.Call]:
    """Every call that the page's file makes, and the file that it leans on."""
    file = paths.ROOT / page.path
    beside = paths.ROOT / "aevae" / "ui" / "labs" / f"{file.stem[3:]}.py"
    trees = [ast.parse(path.read_text("utf-8")) for path in (file, beside) if path.exists()]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("page", LABS, ids=lambda page: page.url_path)
def test_the_address_restores_a_lab(page):
    """Every widget of the page has a key and is bound to the URL."""
    for call in calls(page):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in STATEFUL:
            given = {word.arg: word.value for word in call.keywords}
            assert "key" in given, f"line {call.lineno}"
            if name not in AT_ONCE:
                bound = given.get("bind")
                assert isinstance(bound, ast.Constant) and bound.value == "query-params", f"line {call.lineno}"


@pytest.mark.parametrize("page", LABS, ids=lambda page: page.url_path)
def test_a_lab_that_takes_a_digit_takes_ones_own(page):
    for call in calls(page):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "pick_digit":
            assert not {word.arg for word in call.keywords} & {"upload", "ways"}, f"line {call.lineno}"


def test_a_new_lab_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "pages" / "beyond").mkdir(parents=True)
    (tmp_path / "pages" / "beyond" / "07_two_words.py").write_text('"""Two words: Why?\n\nicon: waves\n"""\n', "utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert menu.found() == (
        menu.PageInfo(
            "pages/beyond/07_two_words.py", "Beyond", "Two words", ":material/waves:", "two-words", "Why?"
        ),
    )  # fmt: skip
    (tmp_path / "pages" / "beyond" / "08_untitled.py").write_text("x = 1\n", "utf-8")
    with pytest.raises(ValueError, match=r'08_untitled.py must begin with "Title: question"'):
        menu.found()


def test_the_lab_of_the_recipe_works(shipped_runs):
    recipe = (paths.ROOT / "docs" / "adding.md").read_text("utf-8").split("## Adding a lab")[1].split("\n## ")[0]
    lines = [line[4:] for line in recipe.splitlines() if line.startswith("    ") or not line]
    app = AppTest.from_string("\n".join(lines).strip(), default_timeout=120).run()
    assert not app.exception and app.title[0].value == "Holes" and app.get("image") and app.get("latex")


def test_nothing_parses_scripts_while_others_do():
    """Python before 3.11.8 fails where two threads build syntax trees at once, as thirty first visitors made it do."""
    config = tomllib.loads((paths.ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["runner"]["magicEnabled"] is False
    assert not [
        file for file in (paths.ROOT / "aevae" / "ui").rglob("*.py") if "import ast\n" in file.read_text("utf-8")
    ]
