"""Checks with `uv` that the requirements can be resolved on every platform that docs/deploy.md promises.

    python scripts/check_platforms.py

Only package metadata are read; nothing is installed. Exit code 0: all platforms are as documented. 1: a platform fails,
or one that docs/deploy.md calls unsupported could be supported. 2: uv or the package index does not respond.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = "3.11", "3.14"  # oldest and newest supported version
SECONDS = 60  # timeout of one call of uv; all of them usually take 10
NO_ANSWER = "No solution found"  # uv's message for an unsolvable platform; other messages are failures of uv


class Platform(NamedTuple):
    """A row of the table in docs/deploy.md."""

    title: str
    target: str  # name of the platform in uv
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
    """Why the requirements cannot be resolved there, or "". Raises OSError if uv fails."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", str(ROOT / "requirements.txt")]
    command += ["--python", sys.executable, "--no-python-downloads"]  # do not download another Python
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
