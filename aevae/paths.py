"""Folders on this machine. Environment variables override the defaults."""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = (PACKAGE / "_app").is_dir()  # only in a wheel, which contains app.py, pages and checkpoints there
ROOT = PACKAGE / "_app" if INSTALLED else PACKAGE.parent  # the folder of app.py, pages and checkpoints
LIBRARY_CACHES = {  # environment variable that a library reads, mostly at import -> folder below `cache_dir`
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "TORCH_HOME": "torch",
}


def _place(variable: str, default: Callable[[], Path]) -> Path:
    """The folder that an environment variable names, else `default()`. Raises ValueError for ~ without a home."""
    text = os.environ.get(variable)
    if not text:
        return default()
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{variable} is {text}, but this user has no home folder; give a full path") from error


def _user_dir(variable: str, below_home: str) -> Path:
    """The folder `aevae` in the folder of an XDG variable, by default in `~/<below_home>`.

    `scratch_dir()` if the user has no home folder or cannot write there.
    """
    try:
        path = _place(variable, lambda: Path.home() / below_home) / "aevae"
    except RuntimeError:  # no HOME, and a user id unknown to the system
        return scratch_dir()
    nearest = next(filter(os.path.exists, (path, *path.parents)))  # unlike Path.exists, never raises PermissionError
    return path if nearest == path or os.access(nearest, os.W_OK | os.X_OK) else scratch_dir()


def scratch_dir() -> Path:
    """A private folder in the system's temporary folder, the same in all processes of a user.

    Raises PermissionError if another user owns it or can write to it, because caches there contain code.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"  # on Windows the temporary folder is the user's own
    path = Path(tempfile.gettempdir()) / f"aevae-{user}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022
    if user != "user" and not private:
        raise PermissionError(errno.EACCES, "other users can write there; set AEVAE_DATA and AEVAE_CACHE", str(path))
    return path


def _user_cache() -> Path:
    return _user_dir("XDG_CACHE_HOME", ".cache")


def _default_runs() -> Path:
    return _user_dir("XDG_DATA_HOME", ".local/share") / "runs" if INSTALLED else ROOT / "checkpoints" / "runs"


def runs_dir() -> Path:
    """Folder of own runs (`AEVAE_RUNS`): by default in the checkout; for a wheel in `~/.local/share/aevae`."""
    return _place("AEVAE_RUNS", _default_runs)


def pretrained_dir() -> Path:
    """Folder of shipped, read-only runs (`AEVAE_PRETRAINED`)."""
    return _place("AEVAE_PRETRAINED", lambda: ROOT / "checkpoints" / "pretrained")


def import_path() -> dict[str, str]:
    """Environment variables with which a child process imports this package from any working directory.

    Empty for an installed package: site-packages in PYTHONPATH would come before the standard library.
    """
    if INSTALLED:
        return {}
    others = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *([others] if others else [])])}


def data_dir() -> Path:
    """Folder of downloaded data sets (`AEVAE_DATA`), in torchvision's layout."""
    return _place("AEVAE_DATA", lambda: _user_cache() / "data")


def cache_dir() -> Path:
    """Folder of results that can be computed again (`AEVAE_CACHE`)."""
    return _place("AEVAE_CACHE", lambda: _user_cache() / "cache")


def set_library_caches() -> None:
    """Set the LIBRARY_CACHES variables to folders below `cache_dir`, or below `scratch_dir` if that is not writable.

    Variables that are set already do not change. Call it before the libraries are imported.
    """
    missing = {variable: name for variable, name in LIBRARY_CACHES.items() if not os.environ.get(variable)}
    for parent in (cache_dir, scratch_dir) if missing else ():
        with contextlib.suppress(OSError, ValueError):
            folder = parent() / "libraries"
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):  # mode bits do not suffice: read-only disks, root
                pass
            os.environ.update({variable: str(folder / name) for variable, name in missing.items()})
            return
