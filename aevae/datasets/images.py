"""`images:<path>`: a folder or zip of a user's own images as a data set; storage of uploaded zips."""

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import re
import stat
import tempfile
import unicodedata
import zipfile
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aevae.datasets import folders
from aevae.datasets.archives import OWN, UPLOAD, File, Limits, Source, Unreadable, open_source, quote, walk
from aevae.datasets.base import Dataset, DataUnavailable, Split
from aevae.datasets.pictures import is_dim, read_grey, shrink
from aevae.paths import data_dir

PREFIX = "images:"
TEST_SHARE = 0.2
MAX_STORED_BYTES = 5_000_000_000  # total size of all uploaded zips
MAX_NAMED = 20  # files that are left out and named in the notes


def read_dataset(name: str) -> Dataset:
    """The Dataset `images:<path>`. Raises ValueError (DataUnavailable if nothing is at the path).

    Classes are the sub-folders (of the innermost folder that contains all files); without sub-folders there is one
    class. Folders `train` and `test` or similar (`folders.PARTS`), above or below the classes, define the split; `val`
    belongs to training if there is a `test`, and is the test set otherwise. Without such folders the split is
    deterministic: within a class images are sorted by sha256 over name and bytes, and the first 20 % (rounded, at least
    one in total) are test images. Each split is sorted by the reversed hash, which mixes the classes. An additional
    image hardly changes the split of the others.

    Unreadable files are left out. Images without a pixel above a quarter of their file format's range (12 bits in 16,
    masks of 0 and 1) are stretched, all of one format by the same factor. `notes` describes what was left out,
    stretched or guessed. Everything that changes images, classes or split is part of the digest.
    """
    path = path_of(name)
    return dataclasses.replace(_read(path, stamp(name)), name=name)


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: Hashable) -> Dataset:
    return _gather(path, title(path), path.name if path.is_file() else str(path))


@dataclass
class _Image:
    """A decoded image, uint8 (28, 28). white, top, was_negative, is_long: see `pictures.Grey`."""

    file: File
    key: str
    image: np.ndarray
    white: float
    top: float
    was_negative: bool
    is_long: bool


def _gather(source: Source, title: str, label: str, limits: Limits = OWN) -> Dataset:
    """The Dataset of one source. label: its name in messages."""
    with open_source(source, label, limits) as incoming:
        found, faults = _decoded(incoming.files)
        stretched = _stretch(found)
    notes = [*incoming.notes, *_said_left_out(faults, len(found)), *_said_of_range(found, stretched)]
    changes = [f"left out {name}" for name in faults] + [f"stretched {w:g} {top:g}" for w, top in stretched.items()]
    if len(found) < 2:
        why = [f"; {next(iter(faults.values()))}"] if faults else []
        more = [f", and {len(faults) - 1:,} more"] if len(faults) > 1 else []
        raise ValueError("".join([f"{label} must contain at least 2 images, got {len(found)}", *why, *more]))
    split = folders.given_split([item.file.name for item in found])
    notes += split.notes
    changes += ["split"] if split.parts else []
    if "" in split.parts:
        found, split = [p for p, part in zip(found, split.parts, strict=True) if part], split.without_loose()
    classes, labels = folders.classes(split.names)
    keys = [item.key for item in found]
    parts = np.array(split.parts or ["train"] * len(found))
    if not split.parts:
        parts[_test_mask(labels, np.argsort(keys))] = "test"
    order = np.argsort([key[::-1] for key in keys])
    everything, parts = Split(np.stack([p.image for p in found])[order][:, None], labels[order]), parts[order]
    train, test = (everything.take(parts == part) for part in ("train", "test"))
    return Dataset(PREFIX + label, title, train, test, classes, tuple(notes), _digest_of(found, changes))


def _decoded(files: list[File]) -> tuple[list[_Image], dict[str, str]]:
    """(images, {name: sentence} of files that cannot be read)."""
    found, faults = [], {}
    for file in files:
        try:
            content = file.read()
            grey = read_grey(content, file.name)
        except Unreadable as fault:
            faults[file.name] = str(fault)
        else:
            key = _file_key(file.name, content)
            image = shrink(grey.to_bytes())
            found.append(_Image(file, key, image, grey.white, grey.top, grey.was_negative, grey.is_long))
    return found, faults


def _stretch(found: list[_Image]) -> dict[float, float]:
    """Brighten images that would be nearly black, all with the same `white` by one factor. Returns {white: top}."""
    if any(item.is_long and item.white == math.inf for item in found):
        for item in found:
            item.white = math.inf if item.is_long else item.white
    tops = {item.white: 0.0 for item in found}
    for item in found:
        tops[item.white] = max(tops[item.white], item.top)
    dim = {white: top for white, top in tops.items() if is_dim(top, white)}
    for item in found:
        if item.white in dim:  # decode again, because the factor depends on all images
            grey = read_grey(item.file.read(), item.file.name)
            item.image = shrink(grey.to_bytes(dim[item.white]))
    return dim


def _said_left_out(faults: dict[str, str], taken: int) -> list[str]:
    if not faults:
        return []
    more = [f"and {len(faults) - MAX_NAMED:,} more"] if len(faults) > MAX_NAMED else []
    named = "; ".join([*list(faults.values())[:MAX_NAMED], *more])
    return [f"left out {len(faults):,} of {taken + len(faults):,} files: {named}"]


def _said_of_range(found: list[_Image], stretched: dict[float, float]) -> list[str]:
    notes = []
    for white, top in stretched.items():
        count = sum(item.white == white for item in found)
        of = "" if white == math.inf else f" of {white:g}"
        notes.append(
            f"no pixel of {count:,} images is above {top:g}{of}, so they are made brighter: {top:g} becomes white"
        )
    dark = [p.file.name for p in found if p.white not in stretched and 0 < p.top < p.white / 16]
    if dark:
        notes.append(
            f"{len(dark):,} images are nearly black because others are much brighter, such as {quote(dark[0])}"
        )
    if negative := [p.file.name for p in found if p.was_negative]:
        notes.append(f"{len(negative):,} images have negative pixels, which become black, such as {quote(negative[0])}")
    if len(found) > 1 and all(np.array_equal(p.image, found[0].image) for p in found[1:]):
        kind = "equal" if found[0].image.any() else "black"
        notes.append(f"all {len(found):,} images are {kind}, so a model has nothing to learn")
    return notes


def path_of(name: str) -> Path:
    """The path of a data set `images:<path>`. Raises ValueError if there is no folder or file."""
    text = name.removeprefix(PREFIX)
    try:
        path = Path(text).expanduser().resolve()
        kind = path.stat().st_mode
    except (OSError, RuntimeError, ValueError):  # missing, not permitted, unknown ~user, NUL in the name
        raise DataUnavailable(f"there is no folder or zip {text!r} for {PREFIX}<folder or zip>") from None
    if not text or not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        raise ValueError(f"{PREFIX}<path> needs a folder or a zip of images, got {text!r}")
    return path


def in_data_folder(name: str) -> bool:
    """Whether these images are in `data_dir()`, like uploads. Links are followed; False for missing paths."""
    try:
        return path_of(name).is_relative_to(data_dir().resolve())
    except ValueError:
        return False


def absolute(name: str) -> str:
    """`images:<path>` with an absolute path; links are not resolved."""
    return PREFIX + os.path.abspath(path_of(name) if "~" in name else name.removeprefix(PREFIX))


def digest(name: str) -> str:
    """12 hex digits of sha256 over the sorted names and bytes of the images and the changes made when reading.

    Equal for a folder and a zip of its contents, on every system. Names are relative to the top: a zip with an
    additional folder around everything is a different data set.
    """
    return read_dataset(name).digest


def _digest_of(found: list[_Image], changes: list[str]) -> str:
    """See `digest`. Names are sorted as text with "/" between folders, so the order is the same on every system."""
    total = hashlib.sha256()
    for _, key in sorted((item.file.name, item.key) for item in found):
        total.update(bytes.fromhex(key))
    for change in sorted(changes):
        total.update(b"\0" + change.encode("utf-8", "surrogateescape"))
    return total.hexdigest()[:12]


def stamp(name: str) -> Hashable:
    """A value that changes with the size or modification time of a file below the path. Opens no file."""
    path = path_of(name)
    entries = [("", path)] if path.is_file() else list(walk(path))
    lines = "\n".join(f"{relative!r} {_stamp_of(place)}" for relative, place in entries)
    return str(path), hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _stamp_of(place: Path) -> str:
    try:
        status = place.lstat()
    except OSError as error:  # it cannot be read either, and is left out
        return str(error.strerror)
    return f"{status.st_size} {status.st_mtime_ns}"


def _file_key(name: str, content: bytes) -> str:
    """sha256 over the length of the name, the name and the content; the length makes it unambiguous."""
    name_bytes = name.encode("utf-8", "surrogateescape")
    return hashlib.sha256(len(name_bytes).to_bytes(4) + name_bytes + content).hexdigest()


def _test_mask(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """bool (N,): True for the first 20 % of every class in `order`; at least one image, of the largest class."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        mask[members[: round(TEST_SHARE * len(members))]] = True
    if not mask.any():
        mask[order[labels[order] == np.bincount(labels).argmax()][0]] = True
    return mask


# --- uploaded zips ---


def check_zip(source: Path | str | BinaryIO, label: str = "") -> int:
    """Number of images in a zip, which is read and decoded completely. Raises ValueError."""
    source = Path(source) if isinstance(source, str) else source
    label = label or (source.name if isinstance(source, Path) else "the zip")
    found = _gather(source, label, label, UPLOAD)
    return len(found.train) + len(found.test)


def store_upload(data: bytes | Mapping[str, bytes], name: str) -> str:
    """Check and store an uploaded zip or folder of images; returns the data set name `images:<path>`.

    data: the zip, or name -> content of a folder's files. It is stored as `data_dir()/images/<digest>.zip` with a JSON
    file that contains the uploaded name, because user-supplied names never become paths. Equal images give the same
    data set. Raises ValueError with one sentence.
    """
    label = _shown(name)
    key = _gather(data, label, label, UPLOAD).digest
    data = data if isinstance(data, bytes) else _packed(data)
    path = data_dir() / "images" / f"{key}.zip"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # the first upload determines the title
            _check_room(path.parent, len(data), label)
            _write(path.with_suffix(".json"), json.dumps({"title": label}).encode())
            _write(path, data)
    except OSError as error:
        raise ValueError(f"{label} could not be stored in {path.parent} ({error.strerror})") from None
    return f"{PREFIX}{path}"


def _packed(files: Mapping[str, bytes]) -> bytes:
    """An uncompressed zip of these files; images are compressed already."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def _check_room(folder: Path, more: int, label: str) -> None:
    if sum(file.stat().st_size for file in folder.glob("*.zip")) + more > MAX_STORED_BYTES:
        raise ValueError(
            f"{label} is not stored: uploaded images already take {MAX_STORED_BYTES // 10**9} GB; "
            f"ask the person who runs aevae here to delete some files in {folder}"
        )


def _shown(name: str) -> str:
    """An untrusted file name for display: its last part, only harmless characters, at most 60."""
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    quiet = "".join(c for c in last if re.match(r"[\w .()-]", c) or unicodedata.category(c)[0] == "M")
    return quiet[:60].strip() or "images.zip"


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def title(path: Path) -> str:
    """The name under which a zip was uploaded, or the last part of its path."""
    try:
        raw = json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) if path.suffix == ".zip" else {}
        return _shown(raw["title"])
    except (OSError, ValueError, KeyError, TypeError):
        return _shown(path.name)


def uploads() -> list[dict]:
    """Rows of the catalogue for uploaded zips, sorted by title."""
    rows = []
    for path in (data_dir() / "images").glob("*.zip"):
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            row = {"name": f"{PREFIX}{path}", "title": title(path), "source": "uploaded here", "licence": "its owner's"}
            rows.append(row | {"size": size, "input": "image", "available": True})
    return sorted(rows, key=lambda row: (row["title"], row["name"]))
