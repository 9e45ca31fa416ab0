"""Files on other systems: shipped runs stay as they are, read-only stores, file times, encodings, files in use."""

import ast
import io
import json
import os
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import open_page, tiny_config

from aevae import cli, paths, runs
from aevae.embeddings import export
from aevae.exchange import run_archive
from aevae.exchange.packing import zip_of
from aevae.queue import queuefile
from aevae.store import checkpoints, files

EVAL = ["--metrics", "jacobian_norm", "--n", "20", "--device", "cpu", "--json"]


# -- shipped runs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(store, tmp_path, monkeypatch):
    """A shipped run, and what its folder holds."""
    (tmp_path / "pretrained").mkdir()
    folder = tmp_path / "pretrained" / store["vae"]
    (paths.runs_dir() / store["vae"]).rename(folder)
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield folder
    assert not list(folder.glob("*.lock"))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def by_link_to_the_run(folder: Path) -> str:
    link = folder.parent.parent / "elsewhere" / folder.name
    link.parent.mkdir()
    link.symlink_to(folder)
    return str(link)


def by_link_to_the_shelf(folder: Path) -> str:
    link = folder.parent.parent / "linked"
    link.symlink_to(folder.parent)
    return str(link / folder.name)


def by_link_in_the_store(folder: Path) -> str:
    (paths.runs_dir() / folder.name).symlink_to(folder)
    return str(paths.runs_dir() / folder.name)


LINKS = pytest.mark.skipif(sys.platform == "win32", reason="there, links need a permission")
WAYS = [
    lambda folder: folder.name,
    str,
    lambda folder: f"pretrained/{folder.name}",
    lambda folder: f"./runs/../pretrained/{folder.name}/",
    pytest.param(by_link_to_the_run, marks=LINKS),
    pytest.param(by_link_to_the_shelf, marks=LINKS),
    pytest.param(by_link_in_the_store, marks=LINKS),
]


@pytest.mark.parametrize("way", WAYS, ids=["name", "path", "relative", "dots", "link", "linked shelf", "in the store"])
def test_a_shipped_run_stays_as_it_is_however_it_is_named(shelf, way, capsys):
    before, reference = contents(shelf), way(shelf)
    assert checkpoints.find_run(reference).shipped
    assert cli.main(["eval", reference, *EVAL]) == 0
    assert contents(shelf) == before
    assert list((paths.cache_dir() / "metrics").glob("*.json")), "its numbers are kept elsewhere"
    assert cli.main(["delete", reference]) == 2 and shelf.exists()
    assert "is shipped with the program and cannot be deleted" in capsys.readouterr().err


def test_the_shelf_of_this_checkout_is_one_wherever_the_other_is(store):
    run = next((paths.ROOT / "checkpoints" / "pretrained").glob("vae-*"))
    assert paths.pretrained_dir() != run.parent and checkpoints.find_run(str(run)).shipped


def test_an_own_run_is_none(store, tmp_path):
    assert not checkpoints.find_run(store["vae"]).shipped
    assert not checkpoints.find_run(str(paths.runs_dir() / store["vae"])).shipped


def test_a_path_is_read_as_the_system_reads_it(shelf, monkeypatch):
    """On Windows both signs part folders, and people type the other one."""
    monkeypatch.setattr(os, "sep", "\\")
    assert checkpoints.find_run(f"pretrained/{shelf.name}").name == shelf.name
    monkeypatch.chdir(shelf)
    assert checkpoints.find_run(".").name == shelf.name
    for wrong in ("", "nothing/here", "a\0b", "x" * 5000):
        with pytest.raises(ValueError, match="no run"):
            checkpoints.find_run(wrong)


# -- stores that cannot be written -----------------------------------------------------------------------------------


@pytest.fixture
def read_only(shelf, monkeypatch):
    """A store where nothing can be written, by anybody: /proc is no place for files, not even for root."""
    if sys.platform == "win32":
        pytest.skip("there, /proc/none can be written")
    monkeypatch.setenv("AEVAE_RUNS", "/proc/none")
    return shelf


def test_numbers_that_cannot_be_kept_are_printed_and_that_is_said(read_only, monkeypatch, capsys):
    monkeypatch.setenv("AEVAE_CACHE", "/proc/none")
    assert cli.main(["eval", read_only.name, *EVAL]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["metrics"]["jacobian_norm"] > 0
    assert err.count("these numbers cannot be saved") == 1 and "/proc/none" in err


def test_numbers_of_a_shipped_run_are_kept_in_the_cache_beside_a_read_only_store(read_only, capsys):
    assert cli.main(["eval", read_only.name, *EVAL]) == 0
    assert "cannot be saved" not in capsys.readouterr().err
    assert list((paths.cache_dir() / "metrics").glob("*.json"))


def test_numbers_of_a_run_in_training_are_printed_too(store, monkeypatch, capsys):
    from filelock import Timeout

    def held(name):
        raise Timeout(name)

    monkeypatch.setattr(checkpoints, "named_lock", held)
    assert cli.main(["eval", store["vae"], *EVAL]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["metrics"] and "is being trained" in err


def test_train_says_it_before_the_press(read_only):
    assert "cannot be written" in queuefile.store_problem()
    app = open_page("pages/lab/train.py")
    assert not app.exception and any("cannot be written" in warning.value for warning in app.warning)
    app.button(key="train_start").click().run()
    assert not app.exception and any("cannot be written" in error.value for error in app.error), "and after it"


def test_train_says_nothing_where_it_can(empty_store):
    assert queuefile.store_problem() == "" and not empty_store.exists(), "a look leaves no trace"
    assert not any("cannot be written" in warning.value for warning in open_page("pages/lab/train.py").warning)


# -- times -----------------------------------------------------------------------------------------------------------

YEARS = {"1970": 0, "2120": 4_733_510_400}


@pytest.mark.parametrize("year", YEARS)
def test_a_run_of_any_date_travels(store, year, tmp_path, monkeypatch):
    info = checkpoints.find_run(store["vae"])
    today = run_archive.pack(info)
    for file in info.path.iterdir():
        os.utime(file, (YEARS[year], YEARS[year]))
    packed = run_archive.pack(checkpoints.find_run(store["vae"]))
    assert packed == today, "the same run is the same bytes"
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "other"))
    assert run_archive.unpack(packed) == info.name


@pytest.mark.parametrize("year", YEARS)
def test_a_clock_of_any_date_packs(monkeypatch, year):
    monkeypatch.setattr(time, "time", lambda: float(YEARS[year]))
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(YEARS[year]))
    data = export.projector_zip(np.zeros((4, 2)), np.zeros(4, int), np.zeros((4, 1, 28, 28), np.uint8))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
    assert zip_of({"a": b"1"}) == zip_of({"a": "1"})


# -- files in use ----------------------------------------------------------------------------------------------------


def mapped() -> set[str]:
    """Files of runs that this process has in memory."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux tells")
    return {line.rpartition("/")[2] for line in maps.read_text("utf-8").splitlines() if ".safetensors" in line}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "vq_vae", "auto_decoder"])
def test_no_file_of_a_run_stays_in_memory(empty_store, monkeypatch, family):
    """Windows refuses to replace or delete a file that somebody has mapped."""
    config, asked = tiny_config(family, epochs=2), iter(range(1000))
    assert not runs.train_or_load(config, "cpu", should_stop=lambda: next(asked) >= 5).finished
    before, seen = mapped(), []
    asked = iter(range(1000))
    assert not runs.train_or_load(config, "cpu", should_stop=lambda: seen.append(mapped()) or next(asked) >= 1).finished
    assert len(seen) == 2 and all(files <= before for files in seen)
    assert runs.train_or_load(config, "cpu").finished
    run = runs.load_run(config.name)
    assert run.film and run.history and mapped() <= before


def test_a_file_is_replaced_once_its_reader_is_done(tmp_path, monkeypatch):
    real, refusals = os.replace, iter([32, 5, 32])

    def busy(source, target):
        if code := next(refusals, 0):
            error = PermissionError(13, "used by another process", str(target))
            error.winerror = code
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", busy)
    files.write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"

    def forbidden(source, target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(os, "replace", forbidden)
    with pytest.raises(PermissionError):
        files.write_atomic(tmp_path / "file", b"newer")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


# -- encodings -------------------------------------------------------------------------------------------------------

SOURCES = ("app.py", "aevae", "pages", "scripts", "benchmarks", "tests")


def guesses_its_encoding(call: ast.Call) -> bool:
    """Does this call read or write text in whatever encoding the system happens to have?"""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name in ("run", "Popen", "check_output", "call"):
        return bool({"text", "universal_newlines"} & given.keys())
    method = name == "open" and isinstance(call.func, ast.Attribute)
    if (name == "open" and not method) or name == "fdopen" or (method and _mode(call.args[:1])):
        mode = given.get("mode") or (call.args[:1] if method else call.args[1:2] or [None])[0]
        return mode is None or (isinstance(mode, ast.Constant) and "b" not in str(mode.value))
    return False


def _mode(arguments: list) -> bool:
    return (
        bool(arguments) and isinstance(arguments[0], ast.Constant) and str(arguments[0].value) in ("r", "w", "a", "x")
    )


def test_the_encoding_of_text_is_never_guessed():
    files = [file for place in SOURCES for file in sorted((paths.ROOT / place).rglob("*.py")) or [paths.ROOT / place]]
    assert len(files) > 100
    found = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and guesses_its_encoding(node):
                found.append(f"{file.relative_to(paths.ROOT)}:{node.lineno}")
    assert not found


@pytest.mark.parametrize(
    ("code", "guesses"),
    [("p.read_text()", True), ("p.read_text('utf-8')", False), ("p.write_text(x)", True), ("open(p)", True),
     ("open(p, 'a')", True), ("open(p, 'rb')", False), ("os.fdopen(h, 'w')", True), ("p.open('w')", True),
     ("Image.open(file)", False), ("open(p, 'w', encoding='utf-8')", False), ("subprocess.run(c, text=True)", True),
     ("p.write_text(x, 'utf-8')", False), ("archive.open(member)", False)],
)  # fmt: skip
def test_what_a_guess_is(code, guesses):
    assert guesses_its_encoding(ast.parse(code, mode="eval").body) is guesses


def test_a_terminal_without_a_sign_shows_its_number(monkeypatch, capsys):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    monkeypatch.setattr(cli.store, "list_datasets", lambda args: {"datasets": [{"name": "\u6570\u5b57"}]})
    assert cli.main(["datasets"]) == 0
    assert raw.getvalue().split() == [b"name", b"\\u6570\\u5b57"]
