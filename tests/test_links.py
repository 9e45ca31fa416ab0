"""Links and the choice of models: an address has names that hold when the store or the language changes."""

import ast
import gettext
import re
import shutil
from types import SimpleNamespace

import pytest
from conftest import open_page
from file_helpers import write_run
from streamlit.testing.v1 import AppTest

from aevae.paths import ROOT
from aevae.run_config import fingerprint
from aevae.store import titles
from aevae.store.checkpoints import list_runs
from aevae.ui import i18n
from aevae.ui.frame import layout
from aevae.ui.shared import address as urls
from aevae.ui.shared import cached, markdown, run_picker

# -- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "key", "asked", "shown"),
    [
        ("explore/sliders", "model", ["@ae"], ["AE, 3 numbers"]),
        ("explore/interpolate", "models", ["@vae", "@ae"], ["VAE, 3 numbers", "AE · d=3 · mnist-5k"]),
        ("explore/embeddings", "space_1", ["@vae"], ["VAE, 3 numbers"]),
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


# -- a link and time -------------------------------------------------------------------------------------------------


def address(at: AppTest, key: str = "model") -> list[str]:
    found = at.query_params.get(key, [])
    return [found] if isinstance(found, str) else list(found)


def test_a_link_means_the_same_run_when_another_one_has_its_label(shelf):
    first = write_run(shelf / "runs", "vae", 1)
    at = AppTest.from_function(choose_one).run()
    link = address(at)
    assert link == [first], "also where it is the default, which changes with the store"
    second = write_run(shelf / "runs", "vae", 2)
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
    write_run(shelf / "runs", "vae", 1)
    at = AppTest.from_function(choose_one)
    at.query_params["model"] = "vae-mnist-ffffffffffff"
    assert "there is no such model here" in at.run().info[0].value


def test_a_run_that_is_deleted_is_said_to_be(shelf):
    first, second = write_run(shelf / "runs", "vae", 1), write_run(shelf / "runs", "ae", 2)
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
    name = write_run(shelf / "shipped", "vae")
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
    first, second = write_run(shelf / "shipped", "vae"), write_run(shelf / "shipped", "ae")
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
    names = [write_run(shelf / "shipped", f) for f in ("ae", "vae", "denoising")] + [write_run(shelf / "runs", "ae", 1)]
    at = AppTest.from_function(choose_several).run()
    assert set(at.text[0].value.split(",")) == set(names[:3])
    at.multiselect(key="models").set_value([]).run()
    assert "at least one" in at.info[0].value


def test_equal_labels_are_told_apart_by_what_differs(shelf):
    names = [write_run(shelf / "runs", "vae", seed) for seed in (1, 2)]
    other, alone = write_run(shelf / "runs", "vae", 1, "kmnist"), write_run(shelf / "runs", "ae", 1)
    assert run_picker.run_labels(list_runs()) == {
        names[0]: "VAE, 20 numbers · mnist · seed 1", names[1]: "VAE, 20 numbers · mnist · seed 2",
        other: "VAE, 20 numbers · kmnist", alone: "AE, 20 numbers",
    }  # fmt: skip
    copy = shelf / "shipped" / alone
    shutil.copytree(shelf / "runs" / alone, copy)
    (copy / "state.json").write_text('{"finished": false}', "utf-8")  # so that both are listed
    labels = [run_picker.run_labels([one, two]) for one in list_runs() for two in list_runs() if one.path == copy]
    assert all(len(set(found.values())) == len(found) for found in labels)


def test_a_title_is_the_label_and_changes_no_fingerprint(shelf):
    name, other = write_run(shelf / "runs", "vae", 1), write_run(shelf / "runs", "vae", 2)
    run = next(run for run in list_runs() if run.name == name)
    assert titles.write(run, "  Blurry   twos ") == "Blurry twos"
    named = next(run for run in list_runs() if run.name == name)
    assert run_picker.run_labels(list_runs()) == {name: "Blurry twos", other: "VAE, 20 numbers"}
    assert named.status == "finished" and named.config == run.config and fingerprint(named.config) == name[-12:]
    assert run_picker.about(named).startswith("VAE, 20 numbers · ") and "VAE" not in run_picker.about(run)
    at = AppTest.from_function(choose_one)
    at.query_params["model"] = "Blurry twos"
    assert at.run().text[0].value == name
    titles.write(named, "")
    assert not (named.path / titles.FILE).exists() and not list_runs()[0].title


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(" ", "empty"), ("x" * 41, "at most 40 characters, this one has 41"), ("<b>", "letters, digits"),
     ("a\u202eb", "letters, digits"), ("...", "at least one letter")],
)  # fmt: skip
def test_a_wrong_title_is_one_sentence(shelf, text, sentence):
    write_run(shelf / "runs")
    (run,) = list_runs()
    with pytest.raises(ValueError, match=sentence):
        titles.write(run, text)
    (run.path / titles.FILE).write_text(text, "utf-8")
    assert list_runs()[0].title == "", "nor is it read"


@pytest.mark.parametrize("text", ["Ana's 2nd try", "小明 (β = 4)", "ÄÖ-1/2"])
def test_titles_of_all_scripts_read_as_they_were_written(text):
    assert markdown.strip(titles.checked(text)) == text


def test_a_page_says_when_a_model_has_seen_the_digits(shelf):
    write_run(shelf / "runs", seed=1)
    write_run(shelf / "runs", seed=2, leave_out=True)
    write_run(shelf / "runs", seed=3, name="mnist-5k")
    write_run(shelf / "runs", seed=4, name="kmnist")
    notes = [run_picker.seen_note(run) for run in sorted(list_runs(), key=lambda r: r.config["seed"])]
    assert "has seen the digits" in notes[0]
    assert notes[1] is None
    assert notes[2] is None
    assert "kmnist" in notes[3]
