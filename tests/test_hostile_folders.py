"""Folders of the server that a student names: only the teacher may read those outside of the data folder."""

import dataclasses
import sys

import numpy as np
import pytest
from conftest import tiny_config
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_hostile import opened

from aevae import datasets
from aevae.config import DataConfig
from aevae.exchange import run_archive
from aevae.queue import jobs
from aevae.runs import train_or_load
from aevae.store import checkpoints
from aevae.ui.frame import access

pytestmark = pytest.mark.usefixtures("no_worker", "no_passcode")


@pytest.fixture
def places(empty_store, tmp_path, monkeypatch):
    """images:<path> by where it lies."""
    if sys.platform == "win32":
        pytest.skip("there, links need a permission")
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    found = {"elsewhere": tmp_path / "private", "below": tmp_path / "data" / "images" / "mine"}
    for folder in found.values():
        folder.mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((28, 28), 90 * i, np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "data" / "linked").symlink_to(found["elsewhere"])
    found |= {"linked": tmp_path / "data" / "linked", "dots": tmp_path / "data" / ".." / "private"}
    found |= {"nowhere": tmp_path / "nothing", "odd": "\0"}
    return {name: f"images:{path}" for name, path in found.items()}


def allowed(places: dict[str, str]) -> set[str]:
    return {name for name, place in places.items() if not access.may_read(place)}


def test_a_place_on_the_server_asks_for_the_passcode(places, monkeypatch):
    monkeypatch.setattr(access.st, "get_option", lambda name: "localhost")
    assert allowed(places) == set(places), "who sits at it reads it anyway"
    monkeypatch.setattr(access.st, "get_option", lambda name: "0.0.0.0")
    assert allowed(places) == {"below"}, "open to all, and no passcode is set"
    monkeypatch.setenv("AEVAE_PASSCODE", "four swans")
    assert allowed(places) == {"below"} and access.may_read("mnist") == ""
    monkeypatch.setattr(access, "is_teacher", lambda: True)
    assert allowed(places) == set(places)


def test_the_train_page_reads_no_other_place_for_a_student(places, monkeypatch):
    monkeypatch.setenv("AEVAE_PASSCODE", "four swans")
    link = {"train_data": "own pictures", "train_path": places["elsewhere"].partition(":")[2]}
    app = opened("pages/lab/train.py", link)
    assert any("Only the teacher" in error.value for error in app.error)
    assert "train_start" not in [b.key for b in app.button]
    app = opened("pages/lab/train.py", link | {"train_path": places["below"].partition(":")[2]})
    assert "train_start" in [b.key for b in app.button]


def test_a_button_pressed_by_hand_queues_no_other_place(places, monkeypatch):
    monkeypatch.setenv("AEVAE_PASSCODE", "four swans")
    code = "\n".join([
        "import dataclasses",
        "from conftest import tiny_config",
        "from aevae.config import DataConfig",
        "from aevae.ui.train.jobs import submit",
        f"data = DataConfig({places['elsewhere']!r}, digest='0' * 12)",
        "submit(dataclasses.replace(tiny_config('ae'), data=data), 'cpu')",
        "import streamlit as st",
        "st.text(st.session_state.train_problem)",
    ])  # fmt: skip
    assert "Only the teacher" in AppTest.from_string(code).run().text[0].value and not jobs.jobs()


def test_a_run_that_would_show_another_place_is_not_taken_in(places, tmp_path, monkeypatch):
    data = datasets.resolve(DataConfig(places["elsewhere"]))
    run = train_or_load(dataclasses.replace(tiny_config("ae"), data=data), "cpu").name
    whole = run_archive.pack(checkpoints.find_run(run))
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "another"))
    monkeypatch.setattr(access.st, "get_option", lambda name: "0.0.0.0")
    with pytest.raises(ValueError, match="Only the teacher"):
        run_archive.unpack(whole, access.may_read)
    assert not checkpoints.list_runs()
    monkeypatch.setattr(access.st, "get_option", lambda name: "localhost")
    assert run_archive.unpack(whole, access.may_read) == run
