"""Can every platform that docs/deploy.md promises install the requirements? Asked of package metadata, with `uv`.

    python scripts/check_platforms.py

Nothing is installed, and no package is downloaded. Exit 0; 1 with the reason for a platform that fails, or for one that
docs/deploy.md calls unsupported and that could be supported; 2 if uv or the package index does not answer.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = "3.11", "3.14"  # the oldest that is supported, and the newest that all requirements have packages for
SECONDS = 60  # for one question; all of them usually take 10
NO_ANSWER = "No solution found"  # what uv says if a platform cannot be served; all else is a failure of the question


class Platform(NamedTuple):
    """A row of the table in docs/deploy.md."""

    title: str
    target: str  # as uv calls it
    supported: bool = True
    built: tuple[str, ...] = ()  # packages that have no wheel there and are compiled


PLATFORMS = (
    Platform("Linux, x86-64", "x86_64-unknown-linux-gnu"),
    Platform("Linux, ARM64", "aarch64-unknown-linux-gnu", built=("opentsne",)),
    Platform("macOS 13 or newer, Apple Silicon", "aarch64-apple-darwin"),
    Platform("Windows 10 or newer, x86-64", "x86_64-pc-windows-msvc"),
    Platform("macOS, Intel", "x86_64-apple-darwin", supported=False),
    Platform("Windows, ARM64", "aarch64-pc-windows-msvc", supported=False),
)


def problem(platform: Platform, python: str) -> str:
    """Why the requirements cannot be resolved there; "": they can. Raises OSError if that cannot be found out."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", str(ROOT / "requirements.txt")]
    command += ["--python", sys.executable, "--no-python-downloads"]  # another Python is imagined, not fetched
    command += ["--python-platform", platform.target, "--python-version", python, "--only-binary", ":all:"]
    for package in platform.built:
        command += ["--no-binary", package]
    env = os.environ | {"UV_HTTP_TIMEOUT": "15"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=env, timeout=SECONDS)
    if done.returncode and NO_ANSWER not in done.stderr:
        raise OSError(done.stderr.strip() or f"uv ended with {done.returncode}")
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    asked = [(platform, python) for platform in PLATFORMS for python in PYTHONS]
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda one: problem(*one), asked))
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"check_platforms: the platforms could not be checked: {error}", file=sys.stderr)
        return 2
    failed = 0
    for (platform, python), text in zip(asked, found, strict=True):
        wrong = bool(text) == platform.supported
        failed += wrong
        print(f"{'FAILED' if wrong else 'ok':<7} {platform.title}, Python {python}: {'no' if text else 'installs'}")
        if wrong:
            print(text or "docs/deploy.md says that it is not supported", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
