"""Hostile input, made up by rule (hypothesis, the same each time) and by hand: it ends in one sentence, or in nothing.

No markup of an address, a name or a config reaches a page. Files: test_hostile_files; folders: test_hostile_folders.
"""

import dataclasses
import json
import random
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import open_page, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from aevae import datasets, paths
from aevae.config import DataConfig
from aevae.models import FAMILIES, family_class
from aevae.queue import jobs
from aevae.reporting import comparison, report
from aevae.run_config import RunConfig, fingerprint
from aevae.runs import train_or_load
from aevae.store import checkpoints
from aevae.ui.compare import views
from aevae.ui.interpolate import steps_view
from aevae.ui.shared import cached, markdown, run_picker

pytestmark = pytest.mark.usefixtures("no_worker", "no_passcode")

FUZZ = {"derandomize": True, "deadline": None, "database": None}
MARK = "![pwn](http://evil.example/x.png)<img src=x onerror=alert(1)>[go](javascript:alert(1))"
MARKUP = re.compile(r"(?<!\\)\]\((?:http://evil|javascript)|(?<!\\)<(?:img|script)")  # signs that do not stand as text
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=12) | st.just(MARK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def one_sentence(problem: ValueError) -> None:
    assert str(problem) and "\n" not in str(problem) and len(str(problem)) < 1000


# -- pages -----------------------------------------------------------------------------------------------------------


QUIET = ("id", "key", "element_hash", "url", "form_id")  # of an element: fields that nobody sees
LITERAL = ("code", "json", "arrow_data_frame", "bidi_component", "text", "selectbox", "multiselect", "text_input")


def texts(proto, only=()) -> list[str]:
    """Every text in a message."""
    found = []
    for field, value in proto.ListFields():
        if field.name in QUIET or (only and field.name not in only):
            continue
        for each in value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]:
            if isinstance(each, str):
                found.append(each)
            elif hasattr(each, "ListFields"):
                found += texts(each)
    return found


def markup(app: AppTest) -> list[str]:
    """What of a page would be read as markup though it came from outside."""
    found = []
    for node in app._tree:
        if getattr(node, "proto", None) is not None and node.type != "html":  # that is ours, see below
            found += texts(node.proto, ("label", "help") if node.type in LITERAL else ())
    return [text for text in found if MARKUP.search(text)]


def opened(path: str, link: dict[str, str]) -> AppTest:
    cached.runs.clear()
    app = open_page(path, **link)
    assert not app.exception, app.exception[0].stack_trace
    assert markup(app) == []
    return app


def test_the_check_sees_markup():
    calls = ("markdown(t)", "error(t)", "button(t)", "pills('x', [t])", "code(t)", "text(t)", "selectbox('y', [t])")
    code = "\n".join(["import streamlit as st", *(f"st.{call}" for call in calls)])
    app = AppTest.from_string(f"t = {MARK!r}\n{code}").run()
    assert len(markup(app)) == 4
    assert markup(AppTest.from_string(f"t = {markdown.escape(MARK)!r}\n{code}").run()) == []


WORDS = sorted(
    {
        word
        for file in (*(paths.ROOT / "aevae" / "ui").glob("*.py"), *(paths.ROOT / "pages").rglob("*.py"))
        for word in re.findall(r'"([a-z][a-z0-9_]{2,30})"', file.read_text(encoding="utf-8"))
    }
    | {f"train_{f.name}" for family in FAMILIES for f in dataclasses.fields(family_class(family).Config)}
    | {f"train_list_{f.name}" for family in FAMILIES for f in dataclasses.fields(family_class(family).Config)}
)
VALUES = (
    MARK, "nan", "-1", "1e999", "9" * 400, "\0", "../../etc/passwd", "", "💥" * 50, "[]", "1,2,,x",
    "images:/etc/passwd", "0", "true", "0.5", "a" * 5000, "%00%2e%2e", "{}", "0123456789ab", "０",
)  # fmt: skip


def link(seed: int, **fixed: str) -> dict[str, str]:
    """A value for every parameter that any page may have, and for many that none has."""
    return {word: random.Random(f"{seed} {word}").choice(VALUES) for word in WORDS} | fixed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "fixed"),
    [
        ("pages/lab/home.py", {}),
        ("pages/lab/train.py", {}),
        ("pages/lab/train.py", {"job": "vae-mnist-0123456789ab"}),
        ("pages/lab/models.py", {}),
        ("pages/lab/models.py", {"view": "One run"}),
        ("pages/explore/denoise.py", {}),
        ("pages/explore/sliders.py", {}),
        ("pages/explore/interpolate.py", {}),
        ("pages/explore/embeddings.py", {}),
        ("pages/explore/compare.py", {}),
    ],
    ids=lambda value: value.rpartition("/")[2] if isinstance(value, str) else "-".join(value),
)
def test_an_address_with_anything_in_it_opens(store, path, fixed):
    opened(path, link(len(path) + len(fixed), **fixed))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["beyond/01_codebook", "beyond/03_no_encoder", "beyond/05_flow", "variational/01_elbo"]
)
def test_an_address_of_a_lab_with_anything_in_it_opens(tmp_path, monkeypatch, name):
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    opened(f"pages/{name}.py", link(len(name)))


# -- names -----------------------------------------------------------------------------------------------------------


def run_folder(config: dict, **files) -> str:
    """An unfinished run folder in the store that says this of itself."""
    name = f"vae-mnist-{fingerprint(config)}"
    folder = paths.runs_dir() / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in ({"config": config} | files).items():
        (folder / f"{file}.json").write_text(json.dumps(value), "utf-8")
    return name


def test_what_a_run_says_of_itself_is_text(store):
    plain = tiny_config("vae").to_dict()
    parts = [("model", "family"), ("model", "network"), ("model", "noise"), ("data", "name")]
    names = [run_folder(plain | {part: plain[part] | {key: MARK}}, state={"epoch": 1}) for part, key in parts]
    runs = paths.runs_dir()
    (runs / store["ae"] / "metrics.json").write_text(json.dumps({"mnist-5k": {MARK: 1.0}}), "utf-8")
    (runs / store["denoising"] / "metrics.json").write_text(json.dumps({MARK: {"sse": 1.0}}), "utf-8")
    with open(runs / store["vae"] / "history.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"epoch": 2, "step": 8, "train": {MARK: 1.0}, "test": {MARK: 1.0}}) + "\n")
    for hostile in (MARK.replace("/", "|"), f"{MARK.replace('/', '|')}-x-{fingerprint(plain)}"):
        (runs / hostile).mkdir()
        (runs / hostile / "config.json").write_text(json.dumps(plain), "utf-8")
    listed = {run.name: run.status for run in checkpoints.list_runs()}
    assert [listed[name] for name in names] == ["unfinished"] * 4
    assert [listed[store[family]] for family in ("ae", "denoising", "vae")] == ["damaged", "finished", "damaged"]
    assert [status for name, status in listed.items() if "pwn" in name] == ["damaged"] * 2
    opened("pages/lab/home.py", {})
    for run in ("", store["denoising"], names[0], names[3]):
        opened("pages/lab/models.py", {"run": run} if run else {})


def test_classes_named_by_a_stranger_are_text(empty_store, tmp_path):
    folder = tmp_path / MARK.replace("/", "|")
    for i in range(8):
        place = folder / (MARK.replace("/", "|") if i % 2 else "plain")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((28, 28), 30 * i, np.uint8)).save(place / f"{i}.png")
    data = datasets.resolve(DataConfig(f"images:{folder}"))
    assert all("<" not in name and "[" not in name for name in datasets.load(data).classes)
    run = train_or_load(dataclasses.replace(tiny_config("ae"), data=data), "cpu").name
    for path in ("pages/explore/denoise.py", "pages/lab/models.py"):
        opened(path, {"models": run, "run": run})


def test_a_sentence_about_a_file_is_text(empty_store, tmp_path):
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'failed', error = ?, trace = ?", (f"{MARK} is no picture", MARK))
    app = opened("pages/lab/train.py", {"job": job.run, "train_path": str(tmp_path / MARK.replace("/", "|"))})
    assert any("pwn" in error.value for error in app.error), "it is said, as it was written"


class Tags(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found |= {(tag, name) for name, _ in attrs} | {(tag, "")}


@settings(max_examples=40, **FUZZ)
@given(st.text(max_size=30) | st.sampled_from([MARK, '"><script>', "' onerror=x '", "</style><b>"]))
def test_html_of_ours_has_no_tag_of_theirs(text):
    strip = comparison.Strip(0, 0.5, np.zeros((3, 1, 28, 28), np.float32))
    walk = SimpleNamespace(images=np.zeros((1, 1, 28, 28), np.float32), holes=np.zeros(1), nearest=np.zeros(1, int))
    for make in (
        lambda words: views.strips_html([words], [[strip]]),
        lambda words: steps_view.steps_html(walk, titles=[words]),
        lambda words: report._figure("", words),
    ):
        assert Tags(make(text)).found == Tags(make("plain")).found


def test_a_report_has_no_tag_of_theirs(store, monkeypatch):
    info = checkpoints.find_run(store["vae"])
    plain = Tags(report.report([info])).found
    config = info.config | {"data": info.config["data"] | {"name": "mnist-5k"}}
    spoilt = dataclasses.replace(info, config=config, metrics={"mnist-5k": info.metrics["mnist-5k"], MARK: {MARK: 1.0}})
    monkeypatch.setattr(comparison, "titles", lambda infos: {i.name: MARK for i in infos})
    assert Tags(report.report([spoilt])).found <= plain | {("p", "class")}


def test_nothing_writes_html_but_what_is_known():
    sources = [*(paths.ROOT / "aevae").rglob("*.py"), *(paths.ROOT / "pages").rglob("*.py"), paths.ROOT / "app.py"]
    written = {file.relative_to(paths.ROOT).as_posix(): file.read_text(encoding="utf-8") for file in sources}
    assert not [name for name, text in written.items() if "unsafe_allow_html" in text or "components.html" in text]
    assert not [name for name, text in written.items() if re.search(r"\b(pickle|dill|joblib)\b|torch\.load\b", text)]
    calls = {call for text in written.values() for call in re.findall(r"\bst\.html\((.+)\)", text)}
    hidden = 'f"<style>.st-key-{UNSEEN} {{ display: none; }}</style>"'
    assert calls == {
        'f"<style>{STYLE}</style>"',
        hidden,
        'PRESENT_BUTTON.format(html.escape(hint), html.escape(_("Present"))), width="content"',
        "strips_html(labels, walks)",
        "steps_html(steps, columns, titles, large)",
        "f\"{_STYLE}<div>{' &ensp; '.join(parts)}</div>\"",
        'f\'<style>{STYLE}</style><div class="pictures">{"".join(rows)}</div>\'',
    }
    scripts = "\n".join(file.read_text(encoding="utf-8") for file in (paths.ROOT / "aevae/ui").rglob("*.js"))
    assert not re.search(r"outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts)
    for value in re.findall(r"innerHTML\s*=\s*([^;]+);", scripts):
        assert re.fullmatch(r"(?:\s*'[^']*'|`[^`$]*(?:\$\{ICONS\[name\]\}[^`$]*)*`)", value.strip()), value


# -- configs ---------------------------------------------------------------------------------------------------------


PLACES = [(), ("seed",), ("schema",), *((part,) for part in ("data", "model", "train"))]
PLACES += [(part, key) for part in ("data", "model", "train") for key in tiny_config("beta_vae").to_dict()[part]]
PLACES += [("model", "unknown"), ("data", MARK)]


def put(raw: dict, place: tuple[str, ...], value):
    """The same with another value there."""
    if not place:
        return value
    return raw | {place[0]: put(raw.get(place[0], {}), place[1:], value)}


@settings(max_examples=300, **FUZZ)
@given(st.sampled_from(PLACES), JSON)
def test_a_config_is_one_or_a_sentence(place, value):
    raw = put(tiny_config("beta_vae").to_dict(), place, value)
    try:
        config = RunConfig.from_dict(raw)
    except ValueError as problem:
        return one_sentence(problem)
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    if not checkpoints.NAME.fullmatch(config.name):
        assert "name" in place
        with pytest.raises(ValueError, match="not the name of a run"):
            checkpoints.run_folder(config.name)


def test_a_run_folder_may_say_anything(store):
    @settings(max_examples=60, **FUZZ)
    @given(st.sampled_from(PLACES[3:]), JSON, JSON, JSON)
    def fuzz(place, value, said, numbers):
        raw = put(tiny_config("beta_vae").to_dict(), place, value)
        try:
            name = run_folder(raw, state=said, metrics=numbers)
        except ValueError:  # what Python itself cannot write is no file
            return
        info = {run.name: run for run in checkpoints.list_runs()}[name]
        assert info.status in ("unfinished", "damaged", "finished")
        assert info.family is not None and info.dataset is not None and info.traits and info.epochs + info.created >= 0
        assert not MARKUP.search(run_picker.run_label(info)) and "\n" not in info.reason
        assert isinstance(info.latent_dim, int)

    fuzz()
    opened("pages/lab/models.py", {})
