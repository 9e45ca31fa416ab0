"""Files of the run store: locks, atomic writes, and reads that check what they read. Imports no torch."""

import contextlib
import hashlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from aevae import paths

RETRY_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # delays between tries while a reader has the file open
FILE_IN_USE_ERRORS = (5, 32)  # Windows: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION
MAX_JSON = 20_000_000  # bytes; a larger config or history was not written by this program
VALUE_NAME = re.compile(r"[\w .@-]{1,60}")  # of a loss term or a metric


class DamagedRun(ValueError):
    """A run folder cannot be read. The message says why."""


def named_lock(name: str) -> FileLock:
    """The lock of this name in the run store; a run's name: of the process that trains or deletes it.

    The system releases it when its process ends.
    """
    locks = paths.runs_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


def write_atomic(path: Path, data: bytes) -> None:
    """Write to a temporary file, flush it to disk, and rename it. On failure (full disk) the old file is unchanged.

    An OSError names `path`, not the temporary file.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        _replace(temporary, path)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = str(path)
            del error.filename2
        raise


def _replace(temporary: str, path: Path) -> None:
    """Rename, with retries: Windows refuses while a reader has the old file open, which takes milliseconds."""
    for wait in RETRY_SECONDS:
        try:
            return os.replace(temporary, path)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in FILE_IN_USE_ERRORS:
                raise
            time.sleep(wait)
    os.replace(temporary, path)


def write_json(path: Path, value) -> None:
    """Write a JSON file atomically. Raises ValueError for NaN and infinities."""
    write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_history(path: Path, records: Iterable[dict]) -> None:
    """Write JSON lines atomically, one record each."""
    write_atomic(path, "".join(json.dumps(r, allow_nan=False) + "\n" for r in records).encode())


def checksum(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for NaN, infinities and numbers that overflow to infinity."""

    def finite(number: str) -> float:
        if not math.isfinite(value := float(number)):
            raise ValueError(f"{number} is not finite")
        return value

    return json.loads(text, parse_float=finite, parse_constant=finite)


def read_json(path: Path) -> dict:
    """The JSON object of a file. Raises DamagedRun with the reason."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise DamagedRun(f"{path.name} is too large")
        value = _parsed(path.read_bytes())
    except FileNotFoundError:
        raise DamagedRun(f"{path.name} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DamagedRun):
            raise
        raise DamagedRun(f"{path.name} cannot be read") from error
    if not isinstance(value, dict):
        raise DamagedRun(f"{path.name} is not a JSON object")
    return value


def check_names(file: str, *numbers) -> None:
    """Raises DamagedRun if a key of one of the dicts `numbers` does not match VALUE_NAME."""
    for names in numbers:
        if isinstance(names, dict) and not all(VALUE_NAME.fullmatch(name) for name in names):
            raise DamagedRun(f"{file} has a number with a name that is none")


def check_safetensors(path: Path) -> None:
    """Raises DamagedRun if the file is incomplete; only the lengths in its header are checked."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size - 8, MAX_JSON):
                raise DamagedRun(f"{path.name} is truncated or not a safetensors file")
            header = json.loads(file.read(length))
        end = max((int(t["data_offsets"][1]) for k, t in header.items() if k != "__metadata__"), default=0)
    except FileNotFoundError:
        raise DamagedRun(f"{path.name} is missing") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, DamagedRun):
            raise
        raise DamagedRun(f"{path.name} is not a safetensors file") from error
    if size != 8 + length + end:
        raise DamagedRun(f"{path.name} is truncated: {size} bytes of {8 + length + end}")


def check_types(file: str, found: dict, types: dict) -> None:
    """Raises DamagedRun if a value in `found` has a type other than that in `types`; missing values are allowed."""
    for key, kind in types.items():
        nested = isinstance(kind, dict)
        if key in found and not isinstance(found[key], dict if nested else kind):
            raise DamagedRun(f"{file} has a wrong {key!r}")
        if nested:
            check_types(file, found.get(key, {}), kind)


def stamp(file: os.DirEntry | Path) -> tuple[str, int, int, int, int] | None:
    """Name, size, inode and times, which change with the file; None if it does not exist."""
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return file.name, stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns
