"""Types of command-line arguments. Each argument is checked before any work begins.

A type is a function from the text of an argument to its value. It raises UsageError with one sentence that says which
values are allowed and which one was given.
"""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from aevae.config import brief
from aevae.queue.jobs import TASKS_LANE

MAX_SEED = MAX_COUNT = 2**31 - 1
MAX_PROCESS_ID = 2**32 - 1  # the largest process id of any system
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,4})?")


class UsageError(argparse.ArgumentTypeError, ValueError):
    """A wrong request. The message is one sentence for the user."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(re.sub(r"^argument (\S+): (?=must )", r"\1 ", message))


def check_argument(flag: str, kind: Callable[[str], str], text: str) -> str:
    """The value of an argument whose type depends on another argument. Raises UsageError with the flag's name."""
    try:
        return kind(text)
    except UsageError as error:
        raise UsageError(f"{flag}{' ' if str(error).startswith('must ') else ': '}{error}") from None


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """The argument type for integers in low..high."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise UsageError(f"must be a whole number in {low}..{high}, got {brief(text) or repr(text)}")
        return value

    return parse


def non_empty(text: str) -> str:
    """The text, which must not be empty: an empty one would silently select the default."""
    if not text.strip():
        raise UsageError(f"must be a name, got {text!r}")
    return text


def name_list(text: str) -> list[str]:
    """The names of a comma-separated list, at least one."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise UsageError(f"must be names with commas between them, got {brief(repr(text))}")
    return found


def device_name(text: str) -> str:
    """The name of a device. Only its form is checked; whether the device exists is seen when it is used."""
    if not DEVICE.fullmatch(text):
        raise UsageError(f"must be one of auto, cpu, cuda, cuda:<number>, mps, got {brief(repr(text))}")
    return text


def lane_name(text: str) -> str:
    """The name of a lane of the queue: a device, or the tasks."""
    return text if text == TASKS_LANE else device_name(text)


# -- files -----------------------------------------------------------------------------------------------------------


def readable_file(text: str) -> str:
    """The path of a file that can be read."""
    path = _path(text)
    try:
        if path.is_dir():
            raise UsageError(f"must be a file, {brief(text)} is a folder")
        if path.is_file():  # opening a pipe would wait for its writer
            path.open("rb").close()
        elif not path.exists():
            raise UsageError(f"there is no file {brief(text)}")
    except OSError as error:
        raise UsageError(f"{brief(text)} cannot be read ({error.strerror})") from None
    return text


def readable_path(text: str) -> str:
    """The path of a folder, or of a file that can be read."""
    try:
        return text if _path(text).is_dir() else readable_file(text)
    except OSError as error:
        raise UsageError(f"{brief(text)} cannot be read ({error.strerror})") from None


def writable_file(text: str) -> str:
    """The path of a file that can be written: a new file in an existing folder, or a file that will be replaced."""
    path = _path(text)
    try:
        if text.endswith((os.sep, "/")) or path.is_dir():
            raise UsageError(f"must be a file, {brief(text)} is a folder")
        parent = path.resolve().parent
        if not path.exists():
            _must_be_writable(parent, text)
        elif not os.access(parent if path.is_file() else path, os.W_OK):  # replacing a file writes to its folder
            raise UsageError(f"{brief(text)} cannot be written")
    except OSError as error:
        raise UsageError(f"{brief(text)} cannot be written ({error.strerror})") from None
    return text


def writable_folder(text: str) -> str:
    """The path of a folder that can be written to, or created."""
    path = _path(text).absolute()
    try:
        there = next(place for place in (path, *path.parents) if place.exists())
        _must_be_writable(there, text)
    except OSError as error:
        raise UsageError(f"{brief(text)} cannot be written ({error.strerror})") from None
    return text


def write(path: str | Path, content: bytes) -> None:
    """Write `content` to a `writable_file`: a file is replaced atomically, behind links; devices are written to."""
    from aevae.store import files

    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        files.write_atomic(path.resolve(), content)


def _path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise UsageError(f"must be the name of a file or folder, got {text!r}")
    return Path(text)


def _must_be_writable(place: Path, text: str) -> None:
    if not place.exists():
        raise UsageError(f"there is no folder {brief(place)} for {brief(text)}")
    if not place.is_dir():
        raise UsageError(f"{brief(place)} is a file, so nothing can be written to {brief(text)}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"nothing can be written to {brief(place)}")
