"""The notebooks run from top to bottom: their code cells, executed in one namespace, in a process of their own."""

import json
import os
import subprocess
import sys

import pytest

from aevae import paths

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 60  # allowed on a busy machine; alone each takes less than ten
RUN = """
import json, sys
namespace = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
"""


def cells(notebook, kind):
    found = json.loads(notebook.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def test_there_are_four():
    assert len(NOTEBOOKS) == 4


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook, tmp_path):
    env = os.environ | {"AEVAE_RUNS": str(tmp_path / "runs"), "AEVAE_CACHE": str(tmp_path / "cache")}
    env.pop("AEVAE_PRETRAINED", None)
    command = [sys.executable, "-c", RUN, str(notebook)]
    done = subprocess.run(command, cwd=paths.ROOT, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert not done.returncode, done.stderr


@pytest.mark.slow
def test_the_code_of_the_readme_runs(tmp_path):
    block = (paths.ROOT / "README.md").read_text("utf-8").split("In a notebook")[1].split("\n## ")[0]
    code = "\n".join(line[4:] for line in block.splitlines() if line.startswith("    "))
    assert "import aevae" in code
    code += "\nassert images.shape == (1000, 1, 28, 28) and labels.shape == (1000,) and codes.shape == (1000, 2)"
    env = os.environ | {"AEVAE_RUNS": str(tmp_path / "runs")}
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_begins_with_a_title_has_something_to_try_and_stores_no_output(notebook):
    texts = ["".join(cell["source"]) for cell in cells(notebook, "markdown")]
    assert texts[0].startswith("# ") and texts[-1].startswith("**Try this.**")
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(notebook, "code"))
