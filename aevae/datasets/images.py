"""images:<path>: a folder or zip of a user's own pictures, and single uploaded pictures.

All of it is hostile until checked: every limit below ends in one ValueError sentence that names the file. Nothing of a
zip is ever written to disk; pictures are decoded from memory, by the five decoders of FORMATS only.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Hashable, Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from aevae.datasets.base import Dataset, DataUnavailable, Split
from aevae.paths import data_dir

PREFIX = "images:"
SIDE = 28
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
TEST_SHARE = 0.2
MAX_FILES = 20_000
MAX_FILE_BYTES = 20_000_000
MAX_TOTAL_BYTES = 500_000_000
MAX_STORED_BYTES = 5_000_000_000  # of all uploaded zips together
MAX_PIXELS = 40_000_000  # of one picture; 160 MB while it is decoded
MAX_CLASSES = 1000
MAX_RATIO = 200  # uncompressed : compressed of one member of a zip ...
RATIO_FROM = 1_000_000  # ... from this size on: small plain drawings do compress that well
MAX_DIRECTORY_BYTES = 8_000_000  # of a zip's list of members: read whole into memory when the zip is opened
ONE_CLASS = "pictures"
LITTER = ("thumbs.db", "desktop.ini")  # what systems leave in folders, besides dot files and __MACOSX


def read(name: str) -> Dataset:
    """The data set `images:<path>`. Raises ValueError, DataUnavailable where nothing is at the path.

    Classes are the sub-folders (below a folder that holds everything); without sub-folders there is one class.
    The split needs no random numbers: within a class pictures are ordered by sha256 over name and bytes, the first 20 %
    (rounded, one at least in all) are test. Each split is ordered by that hash read backwards, which mixes the classes.
    Adding a picture leaves the others nearly as they were.
    """
    path = path_of(name)
    names, keys, images = [], [], []
    for file, content in _files(path):
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
    return _digest_of(_files(path))


def _digest_of(files: Iterator[tuple[str, bytes]]) -> str:
    """Names sort the same on every system: as text, with "/" between folders."""
    total = hashlib.sha256()
    for key in [key for _, key in sorted((name, _file_key(name, content)) for name, content in files)]:
        total.update(bytes.fromhex(key))
    return total.hexdigest()[:12]


def stamp(name: str) -> Hashable:
    """Changes when a file below the path does (by size or time of change); reads no file."""
    path = path_of(name)
    entries = [("", path)] if path.is_file() else list(_walk(path))
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


# --- files of a folder or zip, as (name relative to it, bytes) ---


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    return _folder_files(path) if path.is_dir() else _zip_files(path, path.name)


def quote(name: str) -> str:
    """A name from outside in a sentence: no line breaks, not endless."""
    return repr(name if len(name) <= 80 else f"{name[:60]}...{name[-15:]}")


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1].lower() in LITTER


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below `folder` that is not litter, in the order of names. Follows no link."""
    seen = 0

    def refuse(error: OSError):
        raise ValueError(f"{error.filename} cannot be read ({error.strerror})")

    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        seen += len(folders) + len(files)
        if seen > MAX_FILES:
            raise ValueError(f"{folder} holds more than {MAX_FILES} files")
        for name in sorted(folders):
            if os.path.islink(os.path.join(here, name)):
                raise ValueError(f"{quote(name)} in {folder} is a link; own pictures must be plain files")
        for name in sorted(files):
            place = Path(here, name)
            relative = place.relative_to(folder).as_posix()
            if not _is_litter(relative):
                yield relative, place


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    total = 0
    for name, place in _walk(folder):
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{quote(name)} in {folder} is a link or a device; own pictures must be plain files")
        _check_size(name, status.st_size)
        try:
            with open(place, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ValueError(f"{quote(name)} in {folder} cannot be read ({error.strerror})") from None
        _check_size(name, len(content))
        total += len(content)
        _check_total(folder, total)
        yield name, content


def _check_size(name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{quote(name)} has more than {MAX_FILE_BYTES // 10**6} MB")


def _check_total(where: Path | str, total: int) -> None:
    if total > MAX_TOTAL_BYTES:
        raise ValueError(f"{where} has more than {MAX_TOTAL_BYTES // 10**6} MB of pictures")


def _zip_files(source: Path | BinaryIO, label: str) -> Iterator[tuple[str, bytes]]:
    """The members of a zip, each checked before it is read. `label` names the zip in sentences."""
    try:
        _check_directory(source, label)
        with zipfile.ZipFile(source) as archive:
            for info in _checked_members(archive, label):
                with archive.open(info) as member:
                    content = member.read(MAX_FILE_BYTES + 1)
                _check_size(info.filename, len(content))
                yield info.filename, content
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        UnicodeError,
        struct.error,
    ) as error:
        raise ValueError(f"{label} is not a whole zip file ({error})") from None


def _check_directory(source: Path | BinaryIO, label: str) -> None:
    """Refuse a zip whose list of members is huge before it is opened, as opening reads the whole list into objects.

    The end record stands in the last 22 bytes, or before a comment of at most 65,535; a 64-bit one stands before it.
    """
    if not isinstance(source, Path):
        return _check_end(source, label)
    with open(source, "rb") as file:
        _check_end(file, label)


def _check_end(file: BinaryIO, label: str) -> None:
    if file.seek(0, os.SEEK_END) > MAX_TOTAL_BYTES:
        raise ValueError(f"{label} has more than {MAX_TOTAL_BYTES // 10**6} MB")
    if (directory := directory_bytes(file)) is None:
        raise ValueError(f"{label} is not a zip file")
    if directory > MAX_DIRECTORY_BYTES:
        raise ValueError(f"{label} lists too many files; at most {MAX_FILES} pictures are taken")


def directory_bytes(file: BinaryIO) -> float | None:
    """Size of a zip's list of members, inf of a 64-bit one; None: it is no zip."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65_535 - 22 - 20))
    tail = file.read()
    plain = len(tail) - 22
    at = plain if tail[plain : plain + 4] == b"PK\5\6" and tail[-2:] == b"\0\0" else tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        return None
    return math.inf if tail[max(0, at - 20) : at].startswith(b"PK\6\7") else struct.unpack_from("<I", tail, at + 12)[0]


def _checked_members(archive: zipfile.ZipFile, label: str) -> list[zipfile.ZipInfo]:
    """The members that are pictures by their record. Raises ValueError at the first that must not be read."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise ValueError(f"{label} holds more than {MAX_FILES} files")
    members = {}
    for info in infos:
        _check_member(info, label)
        if info.filename.endswith("/") or _is_litter(info.filename):
            continue
        if info.filename in members:
            raise ValueError(f"{label} holds {quote(info.filename)} twice")
        members[info.filename] = info
    _check_total(label, sum(info.file_size for info in members.values()))
    return [members[name] for name in sorted(members)]


def _check_member(info: zipfile.ZipInfo, label: str) -> None:
    name = info.orig_filename  # before zipfile cuts it at a NUL
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.startswith("/") or "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        raise ValueError(f"{label} holds {quote(name)}, a name that leads out of its folder")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ValueError(f"{label} holds {quote(name)}, a link or a device; own pictures must be plain files")
    if info.flag_bits & 0x1:
        raise ValueError(f"{quote(name)} in {label} is locked with a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{quote(name)} in {label} is packed in an unusual way; only plain zip files are taken")
    _check_size(name, info.file_size)
    if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
        raise ValueError(f"{quote(name)} in {label} unpacks to more than {MAX_RATIO} times its size")


def check_zip(source: Path | str | BinaryIO, label: str = "") -> int:
    """Read a zip of pictures wholly, decoding each, and keep nothing. Returns how many; raises ValueError."""
    if isinstance(source, str):
        source = Path(source)
    label = label or (source.name if isinstance(source, Path) else "the zip")
    count = 0
    names = []
    for name, content in _zip_files(source, label):
        shrink(decode(content, name))
        names.append(name)
        count += 1
    _check_count(count, label)
    _classes(names)
    return count


# --- one picture ---


def decode(content: bytes, name: str) -> np.ndarray:
    """The grey picture uint8 (H, W) that `content` holds. Raises ValueError naming the file.

    The first frame, turned as its EXIF says; behind what is transparent comes white for dark drawings, black for light.
    """
    from PIL import Image

    if content[:4] == b"PK\3\4":
        raise ValueError(f"{quote(name)} is a zip inside; only pictures are taken")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            return _grey(image) if pixels <= MAX_PIXELS else _refuse_pixels(name, pixels)
    except _TooManyPixels:
        raise
    except Image.DecompressionBombError:
        _refuse_pixels(name)
    except Exception as error:  # a decoder fed with garbage may raise anything at all
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})"
        raise ValueError(f"{quote(name)} is not a picture that can be read{reason}; {', '.join(FORMATS)} are") from None


class _TooManyPixels(ValueError):
    pass


def _refuse_pixels(name: str, pixels: int | None = None):
    got = f", got {pixels / 1e6:.0f}" if pixels else ""
    raise _TooManyPixels(f"{quote(name)} must have at most {MAX_PIXELS // 10**6} million pixels{got}") from None


def _grey(image) -> np.ndarray:
    from PIL import Image, ImageOps

    image.draft("L", (4 * SIDE, 4 * SIDE))  # lets the JPEG decoder skip what shrinking would throw away
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would cut at 255
        return (np.asarray(image).astype(np.int64).clip(0, 65_535) // 257).astype(np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    grey, alpha = image.convert("RGBA").convert("LA").split()
    weight = np.asarray(alpha, dtype=np.int64)
    dark = (np.asarray(grey) * weight).sum() < 128 * weight.sum()
    behind = Image.new("L", image.size, 255 if dark else 0)
    return np.asarray(Image.composite(grey, behind, alpha))


def shrink(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W) -> (28, 28): aspect kept, centred, padded with the median of its border."""
    from PIL import Image

    height, width = grey.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    canvas = np.full((SIDE, SIDE), int(np.median(_border(grey))), dtype=np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def _border(grey: np.ndarray) -> np.ndarray:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def read_picture(source: bytes | BinaryIO, invert: bool | None = None, name: str = "the picture") -> np.ndarray:
    """One uploaded picture as uint8 (1, 28, 28). Raises ValueError with one sentence.

    Digits of the data sets are white on black. invert: True turns black and white, False leaves them, None turns a
    picture whose border is bright (median above 127): ink on paper.
    """
    content = source if isinstance(source, bytes) else source.read(MAX_FILE_BYTES + 1)
    _check_size(name, len(content))
    grey = decode(content, name)
    if invert is None:
        invert = bool(np.median(_border(grey)) > 127)
    return shrink(255 - grey if invert else grey)[None]


# --- one handwritten digit, in the form of MNIST ---

BOX = 20  # MNIST: the ink's box fits in 20 x 20 ...
CENTRE = 14  # ... and its centre of mass lies in pixel (14, 14), counted from 0
WORKED = 280  # longest side a photograph is worked at; BOARD of ui/web/draw.js
FAINT = 24  # ink that takes away less of the light than this, of 255, is no ink
NOISE = 6  # and so is ink that is nearer to the paper than this many deviations of the paper's noise
DARK = 50  # of 255; paper is brighter
MOST_INK = 0.45  # share of a picture; more is no stroke
SPECK = 0.04  # parts of the ink smaller than this share of the largest are dirt


def read_digit(source: bytes | BinaryIO, name: str = "the picture") -> np.ndarray:
    """A drawing, scan or photograph of one digit as uint8 (1, 28, 28), white on black, in the form of MNIST.

    Dark ink on light paper or the other way round, in uneven light. A picture of 28 x 28 is taken to be in that form
    already. Raises ValueError with one sentence, also where no ink is to be seen.
    """
    content = source if isinstance(source, bytes) else source.read(MAX_FILE_BYTES + 1)
    _check_size(name, len(content))
    grey = decode(content, name)
    if grey.shape == (SIDE, SIDE):
        return (255 - grey if np.median(_border(grey)) > 127 else grey)[None]
    digit = mnist_like(ink_of(grey))
    if digit is None:
        raise ValueError(f"no digit is to be seen in {quote(name)}: strong strokes on plain paper do best")
    return digit[None]


def mnist_like(ink: np.ndarray) -> np.ndarray | None:
    """Ink uint8 (H, W), 0 = paper -> uint8 (28, 28) as MNIST has it, None without ink. Twin of draw.js's `mnistLike`.

    The ink's box is averaged by area into 20 x 20 with its aspect kept, its strongest pixel becomes 255, and it is
    moved by whole pixels until its centre of mass lies in pixel (14, 14) (LeCun et al., yann.lecun.com/exdb/mnist).
    MNIST's own digits, enlarged ten times and shifted, come back bit for bit but for that scaling (by 1 of 255).
    """
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return None
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    height, width = (max(1, _nearest(BOX * side / max(box.shape))) for side in box.shape)
    small = _shares(box.shape[0], height) @ box @ _shares(box.shape[1], width).T
    down, across = small.sum(1) @ np.arange(height) / small.sum(), small.sum(0) @ np.arange(width) / small.sum()
    top = min(max(_nearest(CENTRE - down), 0), SIDE - height)
    left = min(max(_nearest(CENTRE - across), 0), SIDE - width)
    out = np.zeros((SIDE, SIDE), np.uint8)
    out[top : top + height, left : left + width] = np.floor(small * (255 / small.max()) + 0.5 + 1e-6)
    return out


def _nearest(value: float) -> int:
    """Round half up, the same way in both languages however the last bit fell."""
    return math.floor(value + 0.5 + 1e-6)


def _shares(size: int, parts: int) -> np.ndarray:
    """(parts, size), rows sum to 1: how much of each of `size` places each of `parts` equal intervals covers."""
    ends = np.arange(parts + 1) * (size / parts)
    places = np.arange(size)
    covered = np.minimum(ends[1:, None], places + 1) - np.maximum(ends[:-1, None], places)
    return covered.clip(0) * (parts / size)


def ink_of(grey: np.ndarray) -> np.ndarray:
    """Ink uint8 (h, w), 0 = paper, of a grey picture uint8 (H, W) of a digit; at most 280 pixels a side.

    Strokes are few and stand out: of the picture and its negative the one where they do so more is taken. Ink begins at
    half of Otsu's threshold. Specks go, and so does what touches the rim (the edge of the sheet), if something else is
    there.
    """
    from scipy import ndimage

    picture = _reduced(grey).astype(np.float64)
    picture = ndimage.gaussian_filter(picture, max(picture.shape) / 250, mode="nearest")
    strokes = max((_Strokes(_depth(p)) for p in (picture, 255 - picture)), key=lambda s: s.clear)
    if not strokes.clear:
        return np.zeros(picture.shape, np.uint8)
    shape = _without_dirt(strokes.shape)
    near = ndimage.binary_dilation(shape, iterations=3)  # the soft rims of the strokes
    low, high = 0.5 * strokes.threshold, np.median(strokes.depth[shape])
    return np.rint(255 * ((strokes.depth - low) / (high - low)).clip(0, 1) * near).astype(np.uint8)


class _Strokes:
    """What is deep in `depth` (h, w): its shape bool (h, w), Otsu's threshold, and how clearly it stands out, >= 0."""

    def __init__(self, depth: np.ndarray):
        self.depth = depth
        self.threshold = _otsu(depth)
        self.shape = depth > self.threshold
        self.clear = self._clear() if 0 < self.shape.mean() < MOST_INK else 0.0

    def _clear(self) -> float:
        """Contrast over noise and area; 0 where it may be noise (halves of a Gaussian lie about 3 spreads apart)."""
        paper = self.depth[~self.shape]
        spread = 1.5 * np.median(np.abs(paper - np.median(paper)))  # a standard deviation, if it is Gaussian
        contrast = np.median(self.depth[self.shape]) - np.median(paper)
        return contrast / (spread + 1) / self.shape.mean() if contrast > max(FAINT, NOISE * spread) else 0.0


def _depth(picture: np.ndarray) -> np.ndarray:
    """How much darker than the paper (h, w) is, of 255.

    Light falls on paper slowly: a smooth surface through the paper is divided out, then what a closing with a large
    window leaves, in which strokes are narrow valleys.
    """
    from scipy import ndimage

    paper = _paper(picture)
    if np.median(paper) < DARK:
        return np.zeros_like(picture)
    flat = picture / paper.clip(DARK)
    closed = ndimage.grey_closing(flat, size=int(0.4 * max(picture.shape)) | 1, mode="nearest")
    return 255 * (1 - flat / closed.clip(0.5))


def _paper(picture: np.ndarray) -> np.ndarray:
    """Brightness (h, w) of the paper: the quadratic surface that fits what is not far darker than itself."""
    y, x = (np.linspace(-1, 1, size) for size in picture.shape)
    y, x = np.meshgrid(y, x, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    values = picture.ravel()
    surface = np.full_like(values, np.median(values))
    for _ in range(8):
        away = values - surface
        paper = away > -2 * max(1.0, np.median(np.abs(away)))
        surface = terms @ np.linalg.lstsq(terms[paper], values[paper], rcond=None)[0]
    return surface.reshape(picture.shape)


def _reduced(grey: np.ndarray) -> np.ndarray:
    from PIL import Image

    scale = WORKED / max(grey.shape)
    if scale >= 1:
        return grey
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _otsu(values: np.ndarray) -> float:
    """The threshold that parts values 0..255 into the two classes with the most variance between them (Otsu 1979)."""
    count, edges = np.histogram(values, 256, (0, 256))
    middle = (edges[:-1] + edges[1:]) / 2
    below, above = count.cumsum(), count.sum() - count.cumsum()
    sums = (count * middle).cumsum()
    means = sums / np.maximum(below, 1), (sums[-1] - sums) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2.0
    return float(edges[between.argmax() + 1])


def _without_dirt(strokes: np.ndarray) -> np.ndarray:
    """The strokes without specks, and without what touches the rim if there are strokes that do not."""
    from scipy import ndimage

    parts, count = ndimage.label(strokes, np.ones((3, 3)))
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    at_rim = np.isin(np.arange(1, count + 1), _border(parts))
    free = np.where(at_rim, 0, area)
    if free.max() >= 4 * SPECK * area.max():
        area = free
    return np.isin(parts, 1 + np.flatnonzero(area >= SPECK * area.max()))


# --- uploaded zips ---


def store_upload(data: bytes, name: str) -> str:
    """Keep an uploaded zip of pictures, after checking it wholly; returns its data set name `images:<path>`.

    It lies at `data_dir()/images/<digest>.zip`, beside a small JSON with the name it came under: what a user calls a
    file never becomes a path. The same pictures again are the same data set. Raises ValueError with one sentence.
    """
    label = _shown(name)
    check_zip(io.BytesIO(data), label)
    key = _digest_of(_zip_files(io.BytesIO(data), label))
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
