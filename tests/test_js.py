"""The browser's modules in Node, one file of JavaScript tests each."""

import os
import shutil
import subprocess

import pytest

from aevae.paths import ROOT

NODE = shutil.which("node")


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted((ROOT / "tests").glob("*.mjs")), ids=lambda file: file.stem)
def test_modules_of_the_browser(file, js_fixtures):
    if NODE is None:
        if os.environ.get("CI"):
            pytest.fail("node is not installed, and CI must test the browser's modules")
        pytest.skip("needs node (Debian: apt install nodejs)")
    done = subprocess.run(
        [NODE, str(file)],
        env=os.environ | {"AEVAE_FIXTURES": str(js_fixtures)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
