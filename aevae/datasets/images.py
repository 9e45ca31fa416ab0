"""images:<path>: a folder or zip of a user's own pictures as a data set, and the zips that are uploaded."""

import contextlib
import hashlib
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Hashable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from aevae.datasets.archives import files_of, walk, zip_files
from aevae.datasets.base import Dataset, DataUnavailable, Split
from aevae.datasets.pictures import decode, shrink
from aevae.paths import data_dir

PREFIX = "images:"
TEST_SHARE = 0.2
MAX_STORED_BYTES = 5_000_000_000  # of all uploaded zips together
MAX_CLASSES = 1000
ONE_CLASS = "pictures"


def read(name: str) -> Dataset:
    """The data set `images:<path>`. Raises ValueError, DataUnavailable where nothing is at the path.

    Classes are the sub-folders (below a folder that holds everything); without sub-folders there is one class.
    The split needs no random numbers: within a class pictures are ordered by sha256 over name and bytes, the first 20 %
    (rounded, one at least in all) are test. Each split is ordered by that hash read backwards, which mixes the classes.
    Adding a picture leaves the others nearly as they were.
    """
    path = path_of(name)
    names, keys, images = [], [], []
    for file, content in files_of(path):
        images.append(shrink(decode(content, file)))
        names.append(file)
        keys.append(_file_key(file, content))
    _check_count(len(names), path)
    classes, labels = _classes(names)
    is_test = _test_mask(labels, np.argsort(keys))
    order = np.argsort([key[::-1] for key in keys])
    everything, is_test = Split(np.stack(images)[order][:, None], labels[order]), is_test[order]
    return Dataset(name, title(path), everything.take(~is_test), everything.take(is_test), classes)


def path_of(name: str) -> Path:
    """The place that `images:<path>` names. Raises ValueError where there is no folder or file."""
    text = name.removeprefix(PREFIX)
    try:
        path = Path(text).expanduser().resolve()
        kind = path.stat().st_mode
    except (OSError, RuntimeError, ValueError):  # not there, not allowed, unknown ~user, a NUL in the name
        raise DataUnavailable(f"there is no folder or zip {text!r} for {PREFIX}<folder or zip>") from None
    if not text or not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        raise ValueError(f"{PREFIX}<path> needs a folder or a zip of pictures, got {text!r}")
    return path


def in_data_folder(name: str) -> bool:
    """Do these pictures lie below `data_dir()`, where uploads go? Links are followed; what is missing lies nowhere."""
    try:
        return path_of(name).is_relative_to(data_dir().resolve())
    except ValueError:
        return False


def absolute(name: str) -> str:
    """`images:<path>` with a path that means the same in every process; links stay links."""
    return PREFIX + os.path.abspath(path_of(name) if "~" in name else name.removeprefix(PREFIX))


def digest(name: str) -> str:
    """12 hex digits of sha256 over the sorted names and bytes: the same for a folder and for its zip."""
    path = path_of(name)
    return _digest(path, stamp(name))


@lru_cache(maxsize=32)
def _digest(path: Path, _stamp: Hashable) -> str:
    return _digest_of(files_of(path))


def _digest_of(files: Iterator[tuple[str, bytes]]) -> str:
    """Names sort the same on every system: as text, with "/" between folders."""
    total = hashlib.sha256()
    for key in [key for _, key in sorted((name, _file_key(name, content)) for name, content in files)]:
        total.update(bytes.fromhex(key))
    return total.hexdigest()[:12]


def stamp(name: str) -> Hashable:
    """Changes when a file below the path does (by size or time of change); reads no file."""
    path = path_of(name)
    entries = [("", path)] if path.is_file() else list(walk(path))
    found = [(relative, place.lstat()) for relative, place in entries]
    lines = "\n".join(f"{relative!r} {status.st_size} {status.st_mtime_ns}" for relative, status in found)
    return str(path), hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _file_key(name: str, content: bytes) -> str:
    """sha256 over the name, its length first, and the bytes: no two different files run together."""
    name_bytes = name.encode("utf-8", "surrogateescape")
    return hashlib.sha256(len(name_bytes).to_bytes(4) + name_bytes + content).hexdigest()


def _check_count(count: int, path: Path | str) -> None:
    if count < 2:
        raise ValueError(f"{path} must hold at least 2 pictures, got {count}")


def _classes(names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names, sorted, and the label (N,) int64 of every file."""
    parents = [PurePosixPath(name).parent.parts for name in names]
    shared = _shared_length(parents)  # a zip often holds one folder that holds the classes
    below = [parts[shared] if len(parts) > shared else ONE_CLASS for parts in parents]
    below = [name.encode("utf-8", "replace").decode() for name in below]
    classes = tuple(sorted(set(below)))
    if len(classes) > MAX_CLASSES:
        raise ValueError(f"at most {MAX_CLASSES} sub-folders can be classes, got {len(classes)}")
    number = {name: k for k, name in enumerate(classes)}
    return tuple(map(_class_title, classes)), np.array([number[name] for name in below], dtype=np.int64)


def _class_title(name: str) -> str:
    """A folder's name without the signs that a page would read as markup, at most 60 characters."""
    return re.sub(r"[^\w .,()=+-]", "", name)[:60].strip() or "?"


def _shared_length(parents: list[tuple[str, ...]]) -> int:
    """How many leading folders all have in common."""
    low, high = min(parents), max(parents)  # what these two share, all in between share
    return next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


def _test_mask(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """bool (N,): in `order`, the first 20 % of every class, or one picture of the largest class if that is none."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        mask[members[: round(TEST_SHARE * len(members))]] = True
    if not mask.any():
        mask[order[labels[order] == np.bincount(labels).argmax()][0]] = True
    return mask


# --- uploaded zips ---


def check_zip(source: Path | str | BinaryIO, label: str = "") -> int:
    """Read a zip of pictures wholly, decoding each, and keep nothing. Returns how many; raises ValueError."""
    if isinstance(source, str):
        source = Path(source)
    label = label or (source.name if isinstance(source, Path) else "the zip")
    count = 0
    names = []
    for name, content in zip_files(source, label):
        shrink(decode(content, name))
        names.append(name)
        count += 1
    _check_count(count, label)
    _classes(names)
    return count


def store_upload(data: bytes, name: str) -> str:
    """Keep an uploaded zip of pictures, after checking it wholly; returns its data set name `images:<path>`.

    It lies at `data_dir()/images/<digest>.zip`, beside a small JSON with the name it came under: what a user calls a
    file never becomes a path. The same pictures again are the same data set. Raises ValueError with one sentence.
    """
    label = _shown(name)
    check_zip(io.BytesIO(data), label)
    key = _digest_of(zip_files(io.BytesIO(data), label))
    path = data_dir() / "images" / f"{key}.zip"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # who comes first names it
            _check_room(path.parent, len(data), label)
            _write(path.with_suffix(".json"), json.dumps({"title": label}).encode())
            _write(path, data)
    except OSError as error:
        raise ValueError(f"{label} could not be stored in {path.parent} ({error.strerror})") from None
    return f"{PREFIX}{path}"


def _check_room(folder: Path, more: int, label: str) -> None:
    if sum(file.stat().st_size for file in folder.glob("*.zip")) + more > MAX_STORED_BYTES:
        raise ValueError(
            f"{label} is not stored: uploaded pictures take {MAX_STORED_BYTES // 10**9} GB already; "
            f"whoever runs this lab can delete some of {folder}"
        )


def _shown(name: str) -> str:
    """A name from outside, fit to be shown: its last part, letters, digits and quiet signs, at most 60."""
    return re.sub(r"[^\w .()-]", "", re.split(r"[/\\]", name)[-1])[:60].strip() or "pictures.zip"


def _write(path: Path, data: bytes) -> None:
    """Atomically: a reader sees the old file or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def title(path: Path) -> str:
    """The name a zip was uploaded under, else the last part of its path."""
    try:
        raw = json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) if path.suffix == ".zip" else {}
        return _shown(raw["title"])
    except (OSError, ValueError, KeyError, TypeError):
        return _shown(path.name)


def uploads() -> list[dict]:
    """Rows of the catalogue for the zips that `store_upload` keeps, in the order of their titles."""
    rows = []
    for path in (data_dir() / "images").glob("*.zip"):
        with contextlib.suppress(FileNotFoundError):  # taken away a moment ago
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            row = {"name": f"{PREFIX}{path}", "title": title(path), "source": "uploaded here", "licence": "its owner's"}
            rows.append(row | {"size": size, "available": True})
    return sorted(rows, key=lambda row: (row["title"], row["name"]))
