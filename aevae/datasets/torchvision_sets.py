"""mnist, fashion-mnist, kmnist: the full 60,000 + 10,000 images, in torchvision's folder layout under `data_dir()`.

Manually placed files are also found under other common names (`PART`, `_folders`). Downloads go into torchvision's
folder.

This module parses idx files, plain or gzipped, without torch; torchvision only supplies addresses and checksums of
downloads. Format: two zero bytes, type 0x08 (unsigned byte), number of dimensions, each size as big-endian 32 bits,
then the bytes.
"""

import gzip
import hashlib
import http.client
import math
import os
import re
import struct
import tempfile
import urllib.request
import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from aevae.datasets.base import Dataset, DataUnavailable, Progress, Source, Split
from aevae.paths import data_dir

COUNTS = {"train": 60_000, "t10k": 10_000}
MAX_DOWNLOAD_BYTES = 100_000_000  # limit per file; the largest has 26 MB
TIMEOUT_SECONDS = 30  # longest time without received bytes


class DamagedFile(ValueError):
    """An idx file is damaged or has another shape."""


@dataclass(frozen=True)
class Known:
    """One of torchvision's data sets of this format."""

    name: str
    title: str
    folder: str  # also the name of torchvision's class
    also: tuple[str, ...]  # other names of the folder, lower case, only letters and digits
    first: dict[str, bytes]  # part -> its first ten labels, if known, which distinguish the data sets
    source: str
    licence: str
    megabytes: int
    classes: tuple[str, ...]

    @property
    def raw(self) -> Path:
        return data_dir() / self.folder / "raw"


KNOWN = {
    known.name: known
    for known in (
        Known(
            "mnist",
            "MNIST",
            "MNIST",
            ("mnist",),
            {"train": bytes((5, 0, 4, 1, 9, 2, 1, 3, 1, 4)), "t10k": bytes((7, 2, 1, 0, 4, 1, 4, 9, 5, 9))},
            "torchvision; LeCun, Cortes, Burges: handwritten digits",
            "CC BY-SA 3.0",
            12,
            tuple("0123456789"),
        ),
        Known(
            "fashion-mnist",
            "Fashion-MNIST",
            "FashionMNIST",
            ("fashionmnist", "fashion"),
            {"train": bytes((9, 0, 0, 3, 0, 2, 7, 2, 5, 5)), "t10k": bytes((9, 2, 1, 1, 6, 1, 4, 6, 5, 7))},
            "torchvision; Xiao, Rasul, Vollgraf 2017 (arXiv:1708.07747): images of clothes",
            "MIT",
            31,
            ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        Known(
            "kmnist",
            "Kuzushiji-MNIST",
            "KMNIST",
            ("kmnist", "kuzushijimnist", "kuzushiji"),
            {},
            "torchvision; Clanuwat et al. 2018 (arXiv:1812.01718): cursive Japanese characters",
            "CC BY-SA 4.0",
            21,
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        ),
    )
}
PARTS = tuple(f"{part}-{kind}" for part in COUNTS for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
PART = re.compile(r"(train|t10k|test)[-._ ](images|labels)[-._ ](?:idx[13][-._ ])?ubyte(\.gz)?", re.IGNORECASE)
SHARED = ("raw", "data", "datasets", "files")  # folder names that do not identify a data set


Files = dict[str, list[Path]]  # part -> candidate files


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The unsigned bytes of an idx file, gzipped if its name ends in .gz. Raises DamagedFile unless it has `shape`."""
    header = 4 + 4 * len(shape)
    size = math.prod(shape)
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            content = file.read(header + size + 1)  # one byte more, to detect files that are too long
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedFile(f"{path} cannot be read ({error})") from None
    if len(content) < header or content[:4] != bytes([0, 0, 8, len(shape)]):
        raise DamagedFile(f"{path} is not an idx file of {len(shape)}-dimensional bytes")
    found = struct.unpack(f">{len(shape)}I", content[4:header])
    if found != shape:
        raise DamagedFile(f"{path} must hold {_times(shape)} bytes, got {_times(found)}")
    if len(content) != header + size:
        much = "is cut short" if len(content) < header + size else "is too long"
        raise DamagedFile(f"{path} {much}: it must hold {size} bytes after its header")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def read_dataset(name: str) -> Dataset:
    """The Dataset from files on disk. Raises DamagedFile, or DataUnavailable if a file is missing."""
    known = KNOWN[name]
    damage = None
    for files in _whole_sets(known):
        try:
            return _read_files(known, files)
        except DamagedFile as error:
            damage = damage or error
    raise damage or DataUnavailable(f"{known.title} is not on this computer yet{_there(known)}; {_advice(known)}")


def _read_files(known: Known, files: Files) -> Dataset:
    splits = []
    for part, count in COUNTS.items():
        images = _read_part(files[f"{part}-images-idx3-ubyte"], (count, 28, 28))
        labels = _read_part(paths := files[f"{part}-labels-idx1-ubyte"], (count,))
        if labels.max() > 9:
            raise DamagedFile(f"{paths[0].name} in {paths[0].parent} has the class {labels.max()}, must be 0..9")
        splits.append(Split(images[:, None], labels.astype(np.int64)))
    train, test = splits
    return Dataset(known.name, known.title, train, test, known.classes)


def _read_part(paths: list[Path], shape: tuple[int, ...]) -> np.ndarray:
    """Contents of the first undamaged one of these files (plain or gzipped). Raises DamagedFile."""
    damage = None
    for path in paths:
        try:
            return read_idx(path, shape)
        except DamagedFile as error:
            damage = damage or error
    raise damage or DamagedFile("no file is there")


# -- what is there ---------------------------------------------------------------------------------------------------


def _folders(known: Known) -> dict[Path, bool]:
    """Possible folder (torchvision's, the data folder itself, `raw`, ...) -> whether its name says the data set."""
    root = data_dir()
    named, shared = [known.raw, known.raw.parent], [root]
    for folder in _subfolders(root):
        plain = re.sub(r"[^a-z0-9]", "", folder.name.lower())
        if plain in known.also:
            named += [folder, *_subfolders(folder)]
        elif plain in SHARED:
            shared.append(folder)
    return dict.fromkeys(shared, False) | dict.fromkeys(named, True)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _files(folder: Path) -> Files:
    """Part -> its files in a folder, the standard name first; also in a sub-folder named like the file (Kaggle)."""
    found: dict[str, list[Path]] = {}
    try:
        paths = sorted(folder.iterdir(), key=lambda path: (path.name not in PARTS, path.suffix == ".gz", path.name))
    except OSError:
        return {}
    for path in paths:
        match = PART.fullmatch(path.name)
        if not match:
            continue
        split, kind = match[1].lower().replace("test", "t10k"), match[2].lower()
        part = f"{split}-{kind}-{'idx3' if kind == 'images' else 'idx1'}-ubyte"
        inner = path / path.name
        found.setdefault(part, []).extend(file for file in (path, inner) if file.is_file())
    return {part: files for part, files in found.items() if files}


def _present(known: Known) -> dict[Path, Files]:
    """Folder -> files of this data set in it, torchvision's folder first.

    A folder whose name does not identify a data set is left out if its labels are those of another one.
    """
    found = {folder: (named, _files(folder)) for folder, named in reversed(_folders(known).items())}
    found = {folder: files for folder, (named, files) in found.items() if files and (named or _may_be(known, files))}
    return dict(sorted(found.items(), key=lambda item: item[0] != known.raw))


def _may_be(known: Known, files: Files) -> bool:
    """Whether the first labels of these files differ from those of all other data sets; file names are the same."""
    for split in COUNTS:
        for path in files.get(f"{split}-labels-idx1-ubyte", ())[:1]:
            first = _first_labels(path, path.stat().st_mtime_ns)
            if any(first == other.first.get(split) for other in KNOWN.values() if other.name != known.name):
                return False
    return True


@lru_cache(maxsize=64)
def _first_labels(path: Path, _stamp: int) -> bytes:
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            return file.read(18)[8:]
    except (OSError, EOFError, zlib.error):
        return b""


def _whole_sets(known: Known) -> list[Files]:
    """Files of each folder that has all four parts, which may be damaged."""
    return [files for files in _present(known).values() if len(files) == len(PARTS)]


def _there(known: Known) -> str:
    """End of a sentence: which files of the data set exist and which are missing, or where they were searched."""
    found = _present(known)
    if not found:
        places = f"{known.raw} or {data_dir()}" if data_dir().is_dir() else f"{known.raw}"
        return f" (no file of it is in {places})"
    folder, files = max(found.items(), key=lambda item: len(item[1]))
    names = ", ".join(paths[0].name for paths in files.values())
    missing = ", ".join(part for part in PARTS if part not in files)
    return f" ({folder} has {names}" + (f"; missing is {missing})" if missing else ")")


def available(name: str) -> bool:
    """Whether all four files exist; they may be damaged."""
    return bool(_whole_sets(KNOWN[name]))


def stamp(name: str) -> Hashable:
    """A value that changes when a file of the data set changes or moves."""
    paths = [path for files in _whole_sets(KNOWN[name]) for part in PARTS for path in files[part]]
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)


# -- download --------------------------------------------------------------------------------------------------------


def fetch(name: str, on_progress: Progress | None = None) -> None:
    """Download the data set unless all its files are there."""
    if not available(name):
        download(name, on_progress)


def download(name: str, on_progress: Progress | None = None) -> None:
    """Download missing or damaged files and verify torchvision's checksums. Raises DataUnavailable.

    One process downloads at a time; others wait and then find the files. Files are renamed when they are complete.
    """
    from filelock import FileLock

    known = KNOWN[name]
    try:
        known.raw.mkdir(parents=True, exist_ok=True)
        with FileLock(known.raw / ".download.lock"):
            _download_parts(known, on_progress)
    except OSError as error:
        raise DataUnavailable(f"{known.title} could not be stored in {known.raw} ({error}); {_advice(known)}") from None


def _download_parts(known: Known, on_progress: Progress | None) -> None:
    needed = [part for part in PARTS if not _is_whole(known, part)]
    if not needed:
        return
    from torchvision import datasets

    official = getattr(datasets, known.folder)
    checksums = dict(official.resources)
    total = known.megabytes * 1e6
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(min(done / total, 1.0), f"Downloading {known.title}: {done / 1e6:.1f} of {known.megabytes} MB")

    for part in needed:
        file = f"{part}.gz"
        _download_file(
            known, [mirror + file for mirror in official.mirrors], checksums[file], known.raw / file, on_bytes
        )
        (known.raw / part).unlink(missing_ok=True)  # a damaged plain file would be read first
    if on_progress:
        on_progress(1.0, f"{known.title} is here")


def _is_whole(known: Known, part: str) -> bool:
    count = COUNTS[part.split("-")[0]]
    try:
        _read_part(_files(known.raw).get(part, []), (count, 28, 28) if "images" in part else (count,))
    except ValueError:
        return False
    return True


def _download_file(known: Known, addresses: list[str], md5: str, path: Path, on_bytes) -> None:
    """Download a file from the first mirror with the right checksum. Raises DataUnavailable with the last reason."""
    reason = "no address is known"
    for address in addresses:
        handle, partial_name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                found = _copy(address, out, on_bytes)
            if found == md5:
                os.replace(partial_name, path)
                os.chmod(path, 0o644)  # mkstemp creates a private file; other users of a shared folder must read it
                return
            reason = f"{address} has the wrong checksum"
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            reason = f"{address}: {getattr(error, 'reason', error)}"
        finally:
            Path(partial_name).unlink(missing_ok=True)
    raise DataUnavailable(f"{known.title} could not be downloaded ({reason}){_there(known)}; {_advice(known)}")


def _copy(address: str, out, on_bytes) -> str:
    """Copy `address` into the open file `out`; returns the MD5 of the content."""
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    request = urllib.request.Request(address, headers={"User-Agent": "aevae"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        while chunk := answer.read(1 << 18):
            size += len(chunk)
            if size > MAX_DOWNLOAD_BYTES:
                raise OSError(f"more than {MAX_DOWNLOAD_BYTES // 10**6} MB")
            out.write(chunk)
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def _advice(known: Known) -> str:
    return (
        f"check the network and try again, or copy the four .gz files into {known.raw}; "
        "the data set mnist-5k works without a network"
    )


SOURCES = tuple(
    Source(
        name=known.name,
        title=known.title,
        source=known.source,
        licence=known.licence,
        size=f"{known.megabytes} MB, 60,000 + 10,000 images",
        available=partial(available, known.name),
        stamp=partial(stamp, known.name),
        read=partial(read_dataset, known.name),
        fetch=partial(fetch, known.name),
        classes=known.classes,
    )
    for known in KNOWN.values()
)
