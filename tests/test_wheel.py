"""The installed wheel, outside of the checkout: its contents, `aevae app`, and the folder of own runs."""

import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
from conftest import until
from servers import free_port, is_healthy

from aevae import paths

pytestmark = pytest.mark.slow
TINY = "train --family vae --epochs 1 --latent-dim 2 --set hidden=8 --set limit=100 --json".split()
FIRST_PAGES = """
from streamlit.testing.v1 import AppTest
from aevae import paths
for page in ("", "pages/explore/sliders.py", "pages/autoencoders/01_bottleneck.py"):
    at = AppTest.from_file(str(paths.ROOT / "app.py"), default_timeout=120).run()
    if page:
        at.switch_page(page).run()
    assert not at.exception and not at.error, (page, at.exception, at.error)
    print(at.title[0].value)
"""
QUEUED = """
import time
from aevae import paths
from aevae.run_config import build_config
from aevae.queue import jobs
from aevae.store import checkpoints
job = jobs.submit(build_config("ae", {"hidden": "8", "limit": "100", "epochs": "1"}))
jobs.ensure_worker()
end = time.monotonic() + 120
while jobs.get(job.id).state in ("queued", "running") and time.monotonic() < end:
    time.sleep(0.1)
print(jobs.get(job.id).state)
jobs.end_workers(5)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, built with what is installed here: the network is not asked."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(paths.ROOT)], check=True)
    return next(folder.glob("aevae-*.whl"))


class Installed:
    """The wheel in a folder of its own, and a user who has only a home folder."""

    def __init__(self, wheel: Path, root: Path):
        self.site, self.home, self.elsewhere = root / "site", root / "home", root / "elsewhere"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
        subprocess.run([*pip, str(self.site), str(wheel)], check=True)
        self.home.mkdir()
        self.elsewhere.mkdir()
        own = ("AEVAE_RUNS", "AEVAE_PRETRAINED", "AEVAE_DATA", "AEVAE_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME")
        self.env = {key: value for key, value in os.environ.items() if key not in own}
        self.env |= {"HOME": str(self.home), "PYTHONPATH": str(self.site), "AEVAE_NICE": "0"}
        self.command = [sys.executable, str(self.site / "bin" / "aevae")]
        self.before = self.files()

    def files(self) -> dict[str, int]:
        """Every file of the installed package and when it was written."""
        return {str(file): file.stat().st_mtime_ns for file in self.site.rglob("*") if file.is_file()}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.elsewhere, env=self.env, capture_output=True, encoding="utf-8", timeout=300
        )
        assert not done.returncode, done.stderr
        return done.stdout

    def runs(self) -> dict[str, dict]:
        """Name -> row of `aevae runs --json`."""
        rows = json.loads(self.run(*self.command, "runs", "--json"))["runs"]
        return {row["run"]: row for row in rows}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("far"))


def needed() -> set[str]:
    """Every file that must travel, as it is called in the wheel."""
    parts = {"aevae": "aevae", "pages": "aevae/_app/pages", ".streamlit": "aevae/_app/.streamlit"}
    shipped = [f.name for f in (paths.ROOT / "checkpoints").iterdir() if f.is_dir() and f.name != "runs"]
    parts |= {f"checkpoints/{name}": f"aevae/_app/checkpoints/{name}" for name in shipped}
    found = {"aevae/_app/app.py"}
    for part, inside in parts.items():
        folder = paths.ROOT / part
        files = (f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
        found |= {f"{inside}/{file.relative_to(folder).as_posix()}" for file in files}
    return found - {"aevae/_app/.streamlit/secrets.toml"}


def test_every_file_travels(wheel):
    there = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("aevae/")}
    assert there == needed()
    assert len(there) > 400 and wheel.stat().st_size < 40e6


def test_its_dependencies_are_those_of_the_requirements(wheel):
    """The metadata repeat the two files, line by line."""
    from importlib.metadata import Distribution

    from packaging.requirements import Requirement

    class Metadata(Distribution):
        def read_text(self, filename):
            archive = zipfile.ZipFile(wheel)
            return archive.read(next(n for n in archive.namelist() if n.endswith(f"/{filename}"))).decode()

        def locate_file(self, path):
            raise NotImplementedError

    def lines(file):
        text = (line.partition("#")[0].strip() for line in (paths.ROOT / file).read_text("utf-8").splitlines())
        return {(r.name.lower(), r.specifier) for line in text if line[:1].isalpha() for r in [Requirement(line)]}

    stated = [Requirement(text) for text in Metadata().requires]
    extras = {name: {(r.name, r.specifier) for r in stated if r.marker and r.marker.evaluate({"extra": name})}
              for name in ("dev", "onnx")}  # fmt: skip
    assert {(r.name, r.specifier) for r in stated if not r.marker} == lines("requirements.txt")
    assert extras["dev"] == lines("requirements-dev.txt")
    assert {name for name, _ in extras["onnx"]} == {"onnxscript", "onnxruntime"}


def test_it_lists_the_shipped_runs(installed):
    shipped = {folder.name for folder in (paths.ROOT / "checkpoints" / "pretrained").iterdir()}
    assert {name for name, row in installed.runs().items() if row["shipped"]} == shipped
    assert installed.run(sys.executable, "-m", "aevae", "show", "39c245ff9088").strip()


def test_the_app_answers(installed):
    port = free_port()
    command = [*installed.command, "app", "--server.port", str(port)]
    process = subprocess.Popen(
        command, cwd=installed.elsewhere, env=installed.env, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        until(lambda: process.poll() is not None or is_healthy(f"http://127.0.0.1:{port}"), 90)
        assert process.poll() is None, "the server ended"
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).status == 200, "app.py is the app"
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[0]
    assert "localhost" in said and process.returncode == 0, "its own configuration: it listens on localhost"


def test_its_pages_open(installed):
    titles = installed.run(sys.executable, "-c", FIRST_PAGES).split("\n")
    assert titles[:3] == ["aevae", "Latent sliders", "Bottleneck"]


def test_own_runs_go_to_the_users_folder_and_nothing_is_written_into_the_package(installed):
    trained = json.loads(installed.run(*installed.command, *TINY))["run"]
    folder = installed.home / ".local" / "share" / "aevae" / "runs"
    assert (folder / trained / "model.safetensors").is_file()
    assert not installed.runs()[trained]["shipped"]
    installed.env["AEVAE_RUNS"] = "runs"  # of the working directory, for the worker as well
    assert installed.run(sys.executable, "-c", QUEUED).strip() == "done"
    assert len(list((installed.elsewhere / "runs").glob("ae-*/model.safetensors"))) == 1
    assert installed.files() == installed.before


def test_a_wrong_flag_of_streamlit_ends_with_2(installed):
    command = [*installed.command, "app", "--no-such-flag"]
    done = subprocess.run(command, cwd=installed.elsewhere, env=installed.env, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and "no-such-flag" in done.stderr
