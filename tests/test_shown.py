"""Which test set pages show for a run, and the names of its classes."""

import ast
import io
import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from conftest import open_page, tiny_config
from PIL import Image

from aevae import cli, datasets, embeddings, paths
from aevae.config import DataConfig
from aevae.datasets import shown
from aevae.store import checkpoints
from aevae.ui.embeddings import details
from aevae.ui.film import film_view
from aevae.ui.shared import cached, markdown, opening, run_picker

pytestmark = pytest.mark.usefixtures("no_worker")

ANIMALS = ("Ant", "Bee, small", "=Cat")


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """(store, folder of images with three classes, run name): an AE that learnt from a person's own folder."""
    from aevae.runs import train_or_load

    root = tmp_path_factory.mktemp("animals")
    rng = np.random.default_rng(0)
    for name in ANIMALS:
        (root / "zoo" / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(root / "zoo" / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_RUNS", str(root / "runs"))
        patch.setenv("AEVAE_PRETRAINED", str(root / "none"))
        config = tiny_config("ae", limit=0)
        config = type(config)(datasets.resolve(DataConfig(f"images:{root / 'zoo'}")), config.model, config.train)
        yield root / "runs", root / "zoo", train_or_load(config, "cpu").name


@pytest.fixture
def own_run(animals, monkeypatch, tmp_path):
    import streamlit as st

    shutil.copytree(animals[0], tmp_path / "runs", ignore=shutil.ignore_patterns(".locks", "queue*"))
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("AEVAE_PRETRAINED", str(tmp_path / "none"))
    st.cache_data.clear()
    st.cache_resource.clear()
    cached.runs.clear()
    yield animals[2], f"images:{animals[1]}"
    st.cache_data.clear()
    st.cache_resource.clear()
    cached.runs.clear()


def test_the_rule_is_written_once():
    """No other code compares names of data sets: they stand in `aevae.datasets` and in the defaults of configs."""
    found = []
    for folder in ("aevae", "pages"):
        for file in sorted((paths.ROOT / folder).rglob("*.py")):
            where = file.relative_to(paths.ROOT).as_posix()
            if where.startswith("aevae/datasets/") or where == "aevae/config.py":
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and node.value in ("mnist-5k", "mnist", "-5k"):
                    found.append(f"{where}:{node.lineno}")
    assert not found


@pytest.mark.parametrize("name", datasets.SOURCES)
def test_classes_are_known_without_the_files(name):
    assert datasets.classes_of(DataConfig(name))
    if datasets.is_available(DataConfig(name)):
        assert datasets.classes_of(DataConfig(name)) == datasets.load(DataConfig(name)).classes


@pytest.mark.parametrize(
    ("trained", "name", "relation"),
    [
        (DataConfig("mnist"), "mnist-5k", shown.SEEN),
        (DataConfig("mnist", leave_out_5k=True), "mnist-5k", shown.UNSEEN),
        (DataConfig("mnist-5k"), "mnist-5k", shown.UNSEEN),
        (DataConfig("mnist-5k"), "mnist", shown.UNSEEN),
        (DataConfig("kmnist"), "mnist-5k", shown.FOREIGN),
        (DataConfig("images:/here"), "images:/here", shown.UNSEEN),
        (DataConfig("images:/here"), "images:/there", shown.FOREIGN),
        (DataConfig("images:/here"), "mnist-5k", shown.FOREIGN),
    ],
)
def test_relation(trained, name, relation):
    assert datasets.relation(trained, name) == relation


def test_the_same_own_images_elsewhere_are_of_one_kind(animals, tmp_path):
    shutil.make_archive(str(tmp_path / "zoo"), "zip", animals[1])
    trained = datasets.resolve(DataConfig(f"images:{animals[1]}"))
    assert datasets.relation(trained, f"images:{tmp_path / 'zoo.zip'}") == shown.UNSEEN


def test_images_that_changed_since_the_training_are_of_another_kind(animals, tmp_path):
    data = checkpoints.find_run(animals[2]).config["data"]
    trained = DataConfig(data["name"], digest="0" * 12)
    assert shown.relation(trained, data["name"]) == shown.FOREIGN


def test_a_folder_that_changes_while_it_is_shown_is_read_anew(tmp_path, monkeypatch):
    """Pictures, labels, names of the classes and codes are of one reading."""

    def add(name: str, level: int) -> None:
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(np.full((28, 28), level + i, np.uint8)).save(tmp_path / name / f"{i}.png")

    def seen() -> dict[str, int]:
        """Class -> its level."""
        monkeypatch.setattr(cached, "LISTING_SECONDS", 0.0)
        x, labels = cached.shown_digits(name)
        return {
            cached.class_names(name)[y]: round(255 * float(p.max())) // 50 * 50 for p, y in zip(x, labels, strict=True)
        }

    name = f"images:{tmp_path}"
    add("b", 100), add("c", 200)
    assert seen() == {"b": 100, "c": 200}
    add("a", 50)
    assert seen() == {"a": 50, "b": 100, "c": 200}


@pytest.mark.parametrize("raw", [{}, {"data": None}, {"data": {"name": 7}}, {"data": {"name": "mnist", "more": 1}}, []])
def test_a_foreign_config_has_a_data_set_all_the_same(raw):
    assert isinstance(datasets.data_of(raw), DataConfig)


def test_a_run_of_own_images_shows_its_own(own_run):
    name, data = own_run
    info = checkpoints.find_run(name)
    assert opening.common_set([info]) == opening.common_set([cached.run(name)]) == data
    assert run_picker.seen_note(info, data) is None
    assert "own images (zoo)" in run_picker.seen_note(info, datasets.EMBEDDED)
    assert tuple(film_view._spec(info, film_view.read(info), False, ("red", 0))["classes"]) == cached.class_names(data)


@pytest.mark.parametrize("page", ["sliders", "denoise", "interpolate", "embeddings"])
def test_no_page_calls_own_images_of_another_kind(own_run, mounted, page):
    name, data = own_run
    at = open_page(f"pages/explore/{page}.py", model=name, models=[name], space_1=name, space_2=name)
    assert not at.exception
    said = " ".join(str(e.value) for e in (*at.caption, *at.markdown)) + json.dumps(
        [spec for spec, _ in mounted.values()]
    )
    assert "of another kind" not in said
    if page == "embeddings":
        (spec, _arrays) = mounted["atlas_view"]
        assert spec["classes"] == list(cached.class_names(data)) and spec["points"].startswith(data)
    else:
        pills = next(p for p in at.get("button_group") if p.key.endswith("_class"))
        assert list(pills.options)[1:] == list(cached.class_names(data))


def test_the_plane_and_the_picker_name_the_classes(own_run, mounted):
    name, data = own_run
    at = open_page("pages/explore/sliders.py", model=name)
    assert not at.exception
    assert mounted["latent_plane_live"][0]["classes"] == list(cached.class_names(data))
    names = mounted["digit_grid"][0]["names"]
    assert names and all(any(text.startswith(c) for c in cached.class_names(data)) for text in names)


def test_exports_name_the_classes(own_run, tmp_path, capsys):
    name, data = own_run
    names = details.class_names(data, 24)
    assert set(names) == set(cached.class_names(data))
    look = type("Look", (), {"map": type("Map", (), {"xy": np.zeros((24, 2), np.float32)})})
    import csv

    rows = list(csv.DictReader(io.StringIO(details.csv([look], names))))
    assert [row["label"].removeprefix("'") for row in rows] == names.tolist()
    assert not any(row["label"].startswith("=") for row in rows)
    parts = embeddings.export.projector_zip(np.zeros((24, 2)), names, np.zeros((24, 1, 28, 28), np.uint8))
    text = zipfile.ZipFile(io.BytesIO(parts)).read("metadata.tsv").decode()
    assert [line.split("\t")[1] for line in text.splitlines()[1:]] == names.tolist()
    out = tmp_path / "codes.npz"
    assert cli.main(["embed", name, "--method", "pca", "--out", str(out)]) == 0
    kept = np.load(out)
    assert tuple(kept["classes"]) == cached.class_names(data)
    assert set(kept["classes"][kept["labels"]]) == set(names)


def test_a_name_from_outside_stays_one_line_of_the_projector():
    text = embeddings.export.metadata_tsv(np.array(["a\tb", "c\nd"]))
    assert [len(line.split("\t")) for line in text.splitlines()] == [2, 2, 2]


def test_titles():
    assert datasets.title_of("kmnist") == "kmnist"
    assert datasets.title_of("images:/gone/holiday.zip") == "own images (holiday.zip)"
    assert not re.search(r"[<\[*]", markdown.strip(datasets.title_of("images:/gone/<b>*[x]")))
