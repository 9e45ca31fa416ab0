"""The notebooks run from top to bottom: their code cells, executed in one namespace."""

import json
import subprocess
import sys

import pytest

from aevae import paths

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))


def cells(notebook, kind):
    found = json.loads(notebook.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def test_there_are_four():
    assert len(NOTEBOOKS) == 4


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The shipped runs, and an empty store."""
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    monkeypatch.chdir(paths.ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook, shipped):
    namespace = {"__name__": "__main__"}
    for number, cell in enumerate(cells(notebook, "code")):
        exec(compile("".join(cell["source"]), f"{notebook.name}, code cell {number}", "exec"), namespace)


@pytest.mark.slow
def test_the_code_of_the_readme_runs(shipped):
    """In a process of its own, where nothing has been imported."""
    block = (paths.ROOT / "README.md").read_text("utf-8").split("In a notebook")[1].split("\n## ")[0]
    code = "\n".join(line[4:] for line in block.splitlines() if line.startswith("    "))
    assert "import aevae" in code
    code += "\nassert images.shape == (1000, 1, 28, 28) and labels.shape == (1000,) and codes.shape == (1000, 2)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_begins_with_a_title_has_something_to_try_and_stores_no_output(notebook):
    texts = ["".join(cell["source"]) for cell in cells(notebook, "markdown")]
    assert texts[0].startswith("# ") and texts[-1].startswith("**Try this.**")
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(notebook, "code"))
