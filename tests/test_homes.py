"""Users without a writable home folder: commands, and the caches of libraries."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aevae import paths

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="homes and user ids of POSIX")

# The user id is unknown to the system: what asks for the home folder or the user's name fails.
NOBODY = """
import os, pwd
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = unknown
"""
CACHED = """
import aevae, numba
from aevae.store.bundles import rounded
print(numba.njit(cache=True)(rounded)._cache.cache_path)
"""


def python(code: str, **variables: str | None) -> str:
    """What a fresh Python without a home prints; variables that are None are not set."""
    unset = ("HOME", "USER", "LOGNAME", "USERNAME", "LNAME", "XDG_CACHE_HOME", *paths.LIBRARY_CACHES)
    env = {key: value for key, value in os.environ.items() if key not in unset} | variables
    env = {key: value for key, value in env.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", NOBODY + code],
        cwd=paths.ROOT,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert not done.returncode, done.stderr
    return done.stdout


def command(args: list[str]) -> str:
    return f"from aevae.cli import main\nassert main({args!r}) == 0\n"


@pytest.mark.slow
@pytest.mark.parametrize("places", ["set", "default"])
def test_every_kind_of_command_works_without_a_home(places, tmp_path):
    """All places set: nobody asks for a home. None set: what would lie there lies in a private temporary folder."""
    own = {name: str(tmp_path / name) for name in ("AEVAE_DATA", "AEVAE_CACHE")}
    where = {"AEVAE_RUNS": str(tmp_path / "runs"), "TMPDIR": str(tmp_path)}
    where |= own if places == "set" else dict.fromkeys(own)
    tiny = "train --family vae --epochs 1 --latent-dim 2 --set hidden=8 --set limit=100".split()
    python("".join(map(command, (["runs"], ["datasets"], tiny))), **where)
    scratch = [folder.name for folder in tmp_path.glob("aevae-*")]
    assert scratch == ([] if places == "set" else [f"aevae-{os.getuid()}"])


def test_a_place_with_a_tilde_and_no_home_gets_a_sentence():
    code = "from aevae.cli import main\nraise SystemExit(main(['runs']) != 2)"
    python(code, AEVAE_RUNS="~/runs", AEVAE_CACHE=tempfile.gettempdir())


def test_a_home_that_cannot_be_written_to_is_not_used(tmp_path, monkeypatch):
    for name in ("AEVAE_DATA", "AEVAE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "home").mkdir()
    (tmp_path / "temporary").mkdir()
    assert paths.data_dir() == tmp_path / "home" / ".cache" / "aevae" / "data"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert paths.data_dir() == tmp_path / "temporary" / f"aevae-{os.getuid()}" / "data"
    (tmp_path / "home" / ".cache" / "aevae").mkdir(parents=True)
    assert paths.data_dir() == tmp_path / "home" / ".cache" / "aevae" / "data", "filled by somebody, to be read"


@pytest.mark.parametrize("kind", ["link", "file", "open"])
def test_a_temporary_folder_that_others_laid_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / f"aevae-{os.getuid()}"
    if kind == "link":
        path.symlink_to(tmp_path)
    elif kind == "file":
        path.write_text("", "utf-8")
    else:
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(PermissionError, match="other users can write there"):
        paths.scratch_dir()


# -- caches of libraries ---------------------------------------------------------------------------------------------


def test_libraries_cache_below_the_cache(tmp_path):
    assert python(CACHED, AEVAE_CACHE=str(tmp_path)).startswith(str(tmp_path / "libraries" / "numba"))
    assert python(CACHED, AEVAE_CACHE=str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "own")).startswith(
        str(tmp_path / "own")
    )


@pytest.mark.parametrize("home", [None, "/proc/none"])
def test_they_cache_in_a_private_folder_where_neither_home_nor_cache_can_be_written_to(home, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    found = python(CACHED, HOME=home, AEVAE_CACHE=str(tmp_path / "file" / "cache"), TMPDIR=str(tmp_path))
    assert found.startswith(str(tmp_path / f"aevae-{os.getuid()}" / "libraries" / "numba"))


def test_the_package_imports_no_library_before_the_caches_are_set():
    code = "import sys, aevae\nprint({'numba', 'matplotlib', 'triton', 'torch', 'numpy'} & set(sys.modules))"
    assert python(code) == "set()\n"


def test_one_module_asks_for_the_home():
    question = re.compile(r"Path\.home|expanduser|getpass|XDG_|_CACHE_DIR\"|MPLCONFIGDIR|TORCH_HOME")
    files = [*(paths.ROOT / "aevae").rglob("*.py"), *(paths.ROOT / "pages").rglob("*.py"), paths.ROOT / "app.py"]
    asks = {Path(file).relative_to(paths.ROOT).as_posix() for file in files if question.search(file.read_text("utf-8"))}
    assert asks <= {"aevae/paths.py", "aevae/datasets/images.py", "aevae/ui/train/data_set.py"}, "and what people type"
