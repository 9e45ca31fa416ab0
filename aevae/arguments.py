"""Types of command-line arguments. Each is checked before any work begins: a wrong one costs no training.

A type takes the text of an argument and returns its value. It raises Wrong; the sentence says what fits and what came.
"""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

from aevae.config import brief
from aevae.queue.jobs import TASKS_LANE

MAX_SEED = MAX_COUNT = 2**31 - 1
MAX_PROCESS = 2**32 - 1  # the largest process id of any system
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,4})?")


class Wrong(argparse.ArgumentTypeError, ValueError):
    """A wrong request; the message is the sentence for the person."""


class Parser(argparse.ArgumentParser):
    """Raises Wrong instead of ending the program."""

    def error(self, message: str):
        raise Wrong(re.sub(r"^argument (\S+): (?=must )", r"\1 ", message))


def checked(flag: str, kind: Callable[[str], str], text: str) -> str:
    """The value of an argument whose type depends on another one. Raises Wrong, with its flag."""
    try:
        return kind(text)
    except Wrong as error:
        raise Wrong(f"{flag}{' ' if str(error).startswith('must ') else ': '}{error}") from None


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of a whole number in low..high."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise Wrong(f"must be a whole number in {low}..{high}, got {brief(text) or repr(text)}")
        return value

    return whole_number


def name(text: str) -> str:
    """Any text but an empty one, which would silently mean the default."""
    if not text.strip():
        raise Wrong(f"must be a name, got {text!r}")
    return text


def names(text: str) -> list[str]:
    """A list with commas, of one name at least."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise Wrong(f"must be names with commas between them, got {brief(repr(text))}")
    return found


def device(text: str) -> str:
    """Of what form a device is; whether it is there is seen when it is used."""
    if not DEVICE.fullmatch(text):
        raise Wrong(f"must be one of auto, cpu, cuda, cuda:<number>, mps, got {brief(repr(text))}")
    return text


def lane(text: str) -> str:
    """What a worker serves: a device, or the tasks."""
    return text if text == TASKS_LANE else device(text)


# -- files -----------------------------------------------------------------------------------------------------------


def source(text: str) -> str:
    """A file that can be read."""
    path = _path(text)
    try:
        if path.is_dir():
            raise Wrong(f"must be a file, {brief(text)} is a folder")
        if path.is_file():  # opening a pipe would wait for its writer
            path.open("rb").close()
        elif not path.exists():
            raise Wrong(f"there is no file {brief(text)}")
    except OSError as error:
        raise Wrong(f"{brief(text)} cannot be read ({error.strerror})") from None
    return text


def present(text: str) -> str:
    """A file or a folder that is there."""
    try:
        return text if _path(text).is_dir() else source(text)
    except OSError as error:
        raise Wrong(f"{brief(text)} cannot be read ({error.strerror})") from None


def target(text: str) -> str:
    """A file that can be written: a new one in a folder that is there, or one that will be replaced."""
    path = _path(text)
    try:
        if text.endswith((os.sep, "/")) or path.is_dir():
            raise Wrong(f"must be a file, {brief(text)} is a folder")
        parent = path.resolve().parent
        if not path.exists():
            _must_be_writable(parent, text)
        elif not os.access(parent if path.is_file() else path, os.W_OK):  # a file is replaced, a device written to
            raise Wrong(f"{brief(text)} cannot be written")
    except OSError as error:
        raise Wrong(f"{brief(text)} cannot be written ({error.strerror})") from None
    return text


def folder(text: str) -> str:
    """A folder that can be written to, or made."""
    path = _path(text).absolute()
    try:
        there = next(place for place in (path, *path.parents) if place.exists())
        _must_be_writable(there, text)
    except OSError as error:
        raise Wrong(f"{brief(text)} cannot be written ({error.strerror})") from None
    return text


def write(path: str | Path, content: bytes) -> None:
    """Write a `target`. A file is replaced at once and a link to it stays a link; a device or pipe is written to."""
    from aevae.store import checkpoints

    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        checkpoints.write_atomic(path.resolve(), content)


def _path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise Wrong(f"must be the name of a file or folder, got {text!r}")
    return Path(text)


def _must_be_writable(place: Path, text: str) -> None:
    if not place.exists():
        raise Wrong(f"there is no folder {brief(place)} for {brief(text)}")
    if not place.is_dir():
        raise Wrong(f"{brief(place)} is a file, so that nothing can be written to {brief(text)}")
    if not os.access(place, os.W_OK | os.X_OK):
        raise Wrong(f"nothing can be written to {brief(place)}")
