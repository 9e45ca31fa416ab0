"""Results files: their contents, the tables made from them, and the pages that show these tables."""

import json
import re
import sys

import pytest

from aevae.paths import ROOT
from benchmarks import results

COLUMNS = {"recipe": "", "epoch (s)": ".2f", "images / s": ",", "note": ""}
ROWS = [("classic", 14.6, 12_345, "x|y"), ("fast", 2.3, None, "")]

FULL = {"command": "python -m benchmarks.epoch", "date": "", "commit": "", "machine": results.machine()}


@pytest.fixture
def saved(tmp_path, capsys):
    result = results.save("epoch", COLUMNS, ROWS, tmp_path)
    return tmp_path, result, capsys.readouterr().out


def test_a_results_file_says_where_it_comes_from(saved):
    folder, result, _ = saved
    assert tuple(result) == results.KEYS and results.load("epoch", folder) == result
    assert set(result["machine"]) == {"cpu", "cores", "gpu", "os", "python", "torch"}
    assert result["machine"]["cpu"] and result["machine"]["python"].startswith(f"3.{sys.version_info.minor}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
    assert re.fullmatch(r"[0-9a-f]{10}\+?|unknown", result["commit"])


def test_the_table_is_made_from_the_same_rows(saved):
    folder, result, printed = saved
    lines = printed.splitlines()
    assert lines[:4] == [
        "| recipe | epoch (s) | images / s | note |",
        "|---|---|---|---|",
        "| classic | 14.60 | 12,345 | x∣y |",
        "| fast | 2.30 | – |  |",
    ]
    assert lines[-1] == results.origin(result) and result["commit"] in lines[-1]
    page = "a\n<!-- results: epoch -->\nold\n<!-- end -->\nb\n"
    filled = results.fill(page, folder)
    assert filled == f"a\n<!-- results: epoch -->\n{printed}<!-- end -->\nb\n" == results.fill(filled, folder)
    both = results.fill("<!-- results: epoch epoch -->\n<!-- end -->", folder)
    assert both.count("| classic ") == 2 and both.count("| recipe ") == 1


@pytest.mark.parametrize(
    ("value", "error", "form", "said"),
    [
        (104.4123, 0.0231, ".2f", "104.41 ± 0.02"),
        (104.4123, 0.0161, ".2f", "104.412 ± 0.016"),
        (104.4123, 0.6, ".2f", "104.4 ± 0.6"),
        (104.4123, 13.0, ".2f", "104 ± 13"),
        (0.012345, 0.0004, ".2%", "1.23% ± 0.04%"),
        (3.4879, None, ".2f", "3.49"),
        (3.4879, 0.0, ".2f", "3.49"),
    ],
)
def test_as_many_digits_as_the_error_allows(value, error, form, said):
    assert results.with_error(value, error, form) == said
    assert (
        results.table([{**FULL, "columns": {"a": form}, "rows": [[[value, error]]]}]).splitlines()[2] == f"| {said} |"
    )


def test_a_marker_without_a_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        results.fill("<!-- results: nothing -->\n<!-- end -->", tmp_path)


def test_tables_of_two_kinds_are_not_joined(saved):
    folder, *_ = saved
    results.save("other", {"a": ""}, [["b"]], folder)
    with pytest.raises(ValueError, match="same columns"):
        results.fill("<!-- results: epoch other -->\n<!-- end -->", folder)


def test_the_command_is_what_one_types(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/epoch.py", "--threads", "2", "two words"])
    assert results.command().endswith("--threads 2 'two words'")


@pytest.mark.parametrize("page", results.documents(), ids=lambda page: page.name)
def test_the_pages_show_what_the_results_files_hold(page):
    text = page.read_text("utf-8")
    assert results.fill(text) == text, "python -m benchmarks.results writes the tables anew"


@pytest.mark.parametrize("path", sorted(results.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_kept_results(path):
    result = json.loads(path.read_text("utf-8"))
    assert tuple(result) == results.KEYS and result["rows"]
    assert all(len(row) == len(result["columns"]) for row in result["rows"])
    assert not result["commit"].endswith("+"), "measured on a commit that others can check out"
    assert (ROOT / (result["command"].split()[2].replace(".", "/") + ".py")).exists()


@pytest.mark.parametrize("name", ["range_few", "range_today", "range_long", "range_sharp", "goals", "goals_long"])
def test_the_range_was_measured_with_todays_rate(name):
    from benchmarks import recipe

    settings = {setting.name: setting for setting in recipe.settings()}
    rows = [row for row in results.load(name)["rows"] if row[1] == "fast" and row[0] in settings]
    assert rows and all(rate == recipe.recipe("fast", settings[setting]).lr for setting, _, rate, *_ in rows)


def test_the_worst_row_has_the_worst_of_each_column():
    from benchmarks import recipe

    cells = lambda rise, psnr: [rise, 0.0, psnr, None, None, None, 1, ""]  # noqa: E731
    lines = [["a", "classic", 1, (9, None), *cells(0.0, 17.0)], ["a", "fast", 1, (9, None), *cells(0.5, 18.0)]]
    lines += [["b", "classic", 1, (9, None), *cells(0.0, 19.0)], ["b", "fast", 1, (9, None), *cells(0.1, 18.5)]]
    *same, classic, fast = recipe.with_worst(iter(lines))
    assert same == lines and classic[4:7] == [0.0, 0.0, 0.0]
    assert fast[:4] == ["worst of 2 settings (PSNR: smallest lead over classic)", "fast", None, None]
    assert fast[4:] == [0.5, 0.0, -0.5, None, None, None, None, ""]


def test_the_main_models_were_measured_with_three_training_seeds():
    from scripts import make_pretrained

    seeds = sorted(row[2] for row in results.load("shipped")["rows"])
    assert seeds[-len(make_pretrained.MAIN) :] == [3] * len(make_pretrained.MAIN)
