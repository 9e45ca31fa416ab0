"""The platforms in docs/deploy.md are those that `scripts/check_platforms.py` checks."""

import importlib.util
import subprocess

import pytest

from aevae import paths

FILE = paths.ROOT / "scripts" / "check_platforms.py"
spec = importlib.util.spec_from_file_location("check_platforms", FILE)
check_platforms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_platforms)

NONE = "error: No solution found when resolving dependencies\n  cause: torch>=2.6 has no wheels"


@pytest.fixture
def answers(monkeypatch):
    """Target -> stderr of a uv that fails; all others succeed."""
    found = {p.target: NONE for p in check_platforms.PLATFORMS if not p.supported}

    def run(command, **more):
        assert "--no-python-downloads" in command and command[command.index("--only-binary") + 1] == ":all:"
        said = found.get(command[command.index("--python-platform") + 1], "")
        return subprocess.CompletedProcess(command, 2 if said else 0, "", said)

    monkeypatch.setattr(check_platforms.subprocess, "run", run)
    return found


def test_the_table_has_every_platform():
    text = (paths.ROOT / "docs" / "deploy.md").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    table = {row[1].strip(): row[2].strip() for row in rows if len(row) > 2}
    for platform in check_platforms.PLATFORMS:
        assert table[platform.title].startswith("yes" if platform.supported else "no: "), platform.title
        assert all(package in table[platform.title].lower() for package in platform.built)


def test_ci_asks_for_the_platforms():
    assert "scripts/check_platforms.py" in (paths.ROOT / ".ci" / "run").read_text("utf-8")


def test_what_is_promised_holds(answers):
    assert check_platforms.main() == 0


def test_a_promise_that_does_not_hold_fails_with_the_reason(answers, capsys):
    answers["aarch64-apple-darwin"] = NONE
    assert check_platforms.main() == 1
    out, err = capsys.readouterr()
    assert "FAILED  macOS 13 or newer, Apple Silicon, Python 3.11: no" in out and "has no wheels" in err


def test_a_platform_that_could_be_supported_is_reported(answers, capsys):
    answers.pop("x86_64-apple-darwin")
    assert check_platforms.main() == 1 and "FAILED  macOS, Intel" in capsys.readouterr().out


def test_no_network_is_no_verdict(answers, capsys):
    answers["x86_64-apple-darwin"] = "error: Request failed after 3 retries"
    assert check_platforms.main() == 2 and "could not be checked: error: Request failed" in capsys.readouterr().err
