"""Reads untrusted folders and zips of images and runs.

A path outside the folder or a zip bomb rejects the whole source. A single unreadable file, link, pipe or sub-folder
raises Unreadable, and the caller decides. Links are not followed. Contents of a zip are never written to disk.
"""

import io
import math
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from aevae.datasets.code_pages import guess_page

MAX_FILE_BYTES = 64_000_000  # size of one image; a photograph of 200 megapixels has 50 MB
MAX_RATIO = 200  # largest compression ratio of a zip member of at least RATIO_FROM bytes
RATIO_FROM = 1_000_000  # small plain drawings may be compressed better
DIRECTORY_ENTRY_BYTES = 400  # limit per member of a zip's directory, which zipfile reads into memory
LITTER_FOLDERS = ("__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir")
LITTER_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")  # skipped, like dot files

Source = Path | bytes | BinaryIO | Mapping[str, bytes]  # folder or zip; zip; zip; uploaded files by name


@dataclass(frozen=True)
class Limits:
    """Largest number of files, bytes per file and total bytes of one source."""

    files: int
    file_bytes: int
    total_bytes: float


UPLOAD = Limits(20_000, MAX_FILE_BYTES, 500_000_000)  # uploads to a server
OWN = Limits(1_000_000, 1_000_000_000, math.inf)  # paths given by the owner of the machine


class Unreadable(ValueError):
    """A single file cannot be read. The message is one sentence. Other files of the source are not affected."""


@dataclass(frozen=True)
class File:
    """A file of a source. name: with "/" between folders and in NFC on every system. read() raises Unreadable."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Incoming:
    """The files of one source, sorted by name, and sentences about guesses that were made."""

    files: list[File]
    notes: list[str] = field(default_factory=list)


@contextmanager
def open_source(source: Source, label: str = "", limits: Limits = OWN) -> Generator[Incoming]:
    """Context manager: the checked files of a folder or zip, without files that operating systems add (litter).

    A zip that contains only a zip is replaced by the inner one. If a zip does not declare the encoding of its names,
    the encoding is guessed (`code_pages`) and noted.
    label: name of the source in messages. Raises ValueError.
    """
    label = label or (source.name if isinstance(source, Path) else "the zip")
    with ExitStack() as stack:
        if isinstance(source, Mapping):
            found = _uploaded_files(source, label, limits)
        elif isinstance(source, Path) and source.is_dir():
            found = _folder_files(source, limits)
        else:
            found = _zip_files(stack, io.BytesIO(source) if isinstance(source, bytes) else source, label, limits)
        if len(found.files) == 1 and found.files[0].name.lower().endswith(".zip"):
            found = _zip_files(stack, io.BytesIO(found.files[0].read()), label, limits)
        yield found


def quote(name: str) -> str:
    """An untrusted name for a message: without line breaks, shortened."""
    return repr(name if len(name) <= 80 else f"{name[:60]}...{name[-15:]}")


def check_size(name: str, size: int, most: int = MAX_FILE_BYTES) -> None:
    """Raise Unreadable if a file is larger than `most` bytes."""
    if size > most:
        raise Unreadable(f"{quote(name)} has more than {most // 10**6} MB")


def shared_folders(names: list[str]) -> int:
    """Number of leading folders that all of these names have in common."""
    parents = [name.split("/")[:-1] for name in names]
    low, high = min(parents), max(parents)  # all names between share the common prefix of these two
    return next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


def _is_litter(name: str) -> bool:
    *folders, last = name.lower().split("/")
    hidden = any(part[:1] == "." and not re.fullmatch(r"\.\d+", part) for part in folders)  # .5 may be a class
    return hidden or last[:1] == "." or last in LITTER_FILES or any(part in LITTER_FOLDERS for part in (*folders, last))


def _clean(name: str, label: str) -> str:
    """A name with "/" between its folders. Raises ValueError if it leads out of its folder."""
    name = name.replace("\\", "/")
    parts = name.split("/")
    if name.startswith("/") or "\0" in name or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise ValueError(f"{label} contains {quote(name)}, a path that leads out of its folder")
    return "/".join(part for part in parts if part not in ("", "."))


def _by_name(files: Iterable[tuple[str, Any]], label: str) -> tuple[dict[str, Any], list[str]]:
    """({name in NFC: file}, notes) of pairs (name, file). Raises ValueError if two names are equal in NFC."""
    found: dict[str, Any] = {}
    spellings: dict[str, str] = {}  # folder in NFC -> its name as stored
    notes = []
    for stored, file in files:
        name, folder = unicodedata.normalize("NFC", stored), stored.rpartition("/")[0]
        if name in found:
            raise ValueError(f"{label} contains {quote(name)} twice; rename one of the two")
        found[name] = file
        seen = unicodedata.normalize("NFC", folder)
        if spellings.setdefault(seen, folder) != folder and not notes:
            notes.append(f"two folders are called {quote(seen)}, stored in two ways (NFC and NFD); they become one")
    return dict(sorted(found.items())), notes


def _refuse_count(label: str, limits: Limits) -> NoReturn:
    raise ValueError(f"{label} contains more than {limits.files:,} files")


def _check_total(label: Path | str, total: float, limits: Limits) -> None:
    if total > limits.total_bytes:
        raise ValueError(f"{label} has more than {limits.total_bytes / 10**6:.0f} MB")


# -- folders ---------------------------------------------------------------------------------------------------------


def walk(folder: Path, limits: Limits = OWN) -> Iterator[tuple[str, Path]]:
    """Yields (name relative to `folder`, path) of every file that is not litter.

    Also of links, which it does not follow, and of sub-folders that cannot be read. Raises ValueError if `folder`
    itself cannot be read, or contains a device: then it is a part of the system, such as / or /dev.
    """
    seen, unreadable = 0, []
    for here, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not _is_litter(f"{name}/"))
        seen += len(folders) + len(files)
        if seen > limits.files:
            _refuse_count(str(folder), limits)
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]
        for name in sorted([*files, *links]):
            place = Path(here, name)
            relative = place.relative_to(folder).as_posix()
            if _is_device(place):
                raise ValueError(f"{quote(relative)} in {folder} is a device: this is no folder of images")
            if not _is_litter(relative):
                yield relative, place
    for error in unreadable:
        if Path(error.filename) == folder:
            raise ValueError(f"{folder} cannot be read ({error.strerror})")
        yield Path(error.filename).relative_to(folder).as_posix(), Path(error.filename)


def _is_device(place: Path) -> bool:
    with suppress(OSError):
        mode = place.lstat().st_mode
        return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    return False


def _folder_files(folder: Path, limits: Limits) -> Incoming:
    total = 0
    places, notes = _by_name(walk(folder, limits), str(folder))
    for place in places.values():
        with suppress(OSError):  # the error comes again when the file is read
            size = place.lstat().st_size
            total += size if size <= limits.file_bytes else 0
        _check_total(folder, total, limits)
    return Incoming([File(name, partial(_read_file, place, name, limits)) for name, place in places.items()], notes)


def _refuse_kind(name: str) -> NoReturn:
    raise Unreadable(f"{quote(name)} is a link or a device; only plain files are read")


def _read_file(place: Path, name: str, limits: Limits) -> bytes:
    try:
        status = place.lstat()
        if stat.S_ISDIR(status.st_mode):
            os.listdir(place)  # raises the error of a sub-folder that cannot be read
        elif not stat.S_ISREG(status.st_mode):
            _refuse_kind(name)
        check_size(name, status.st_size, limits.file_bytes)
        if not status.st_size:  # not opened: in /proc such files may never end
            return b""
        with open(place, "rb") as file:
            content = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise Unreadable(f"{quote(name)} cannot be read ({error.strerror})") from None
    check_size(name, len(content), limits.file_bytes)
    return content


def _uploaded_files(contents: Mapping[str, bytes], label: str, limits: Limits) -> Incoming:
    """Files that a browser uploaded from a folder; name relative to that folder -> content."""
    if len(contents) > limits.files:
        _refuse_count(label, limits)
    _check_total(label, sum(map(len, contents.values())), limits)
    cleaned = ((_clean(raw, label), content) for raw, content in contents.items())
    named, notes = _by_name((pair for pair in cleaned if not _is_litter(pair[0])), label)

    def read(name: str) -> bytes:
        check_size(name, len(named[name]), limits.file_bytes)
        return named[name]

    return Incoming([File(name, partial(read, name)) for name in named], notes)


# -- zips ------------------------------------------------------------------------------------------------------------

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error)


def _zip_files(stack: ExitStack, source: Path | BinaryIO, label: str, limits: Limits) -> Incoming:
    try:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        _check_directory(file, label, limits)
    except OSError as error:
        raise ValueError(f"{source} cannot be read ({error.strerror})") from None
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
    except _DAMAGE as error:
        raise ValueError(f"{label} is not a complete zip file ({error})") from None
    infos = archive.infolist()
    if len(infos) > limits.files:
        _refuse_count(label, limits)
    names, page = _names(infos)
    cleaned = []
    for info, raw in zip(infos, names, strict=True):
        name = _clean(raw, label)
        if not raw.endswith(("/", "\\")) and not _is_litter(name):
            cleaned.append((name, info))
    members, notes = _by_name(cleaned, label)
    _check_total(label, sum(i.file_size for i in members.values() if i.file_size <= limits.file_bytes), limits)
    if page:
        notes.append(f"{label} does not name the encoding of its file names; they are read as {page}")
    return Incoming([File(n, partial(_read_member, archive, i, n, limits)) for n, i in members.items()], notes)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, limits: Limits) -> bytes:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse_kind(name)
    if info.flag_bits & 0x1:
        raise Unreadable(f"{quote(name)} is protected with a password; make a zip without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable(f"{quote(name)} is compressed in an unusual way; make a normal zip file")
    if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
        raise Unreadable(f"{quote(name)} unpacks to more than {MAX_RATIO} times its size")
    check_size(name, info.file_size, limits.file_bytes)
    try:
        with archive.open(info) as member:
            content = member.read(info.file_size + 1)
    except _DAMAGE as error:
        raise Unreadable(f"{quote(name)} in the zip is damaged ({error})".replace("\n", " ")) from None
    if len(content) != info.file_size:
        raise Unreadable(f"{quote(name)} in the zip does not have the length that the zip states")
    return content


def _check_directory(file: BinaryIO, label: str, limits: Limits) -> None:
    """Raise ValueError for a zip with a huge directory, before zipfile reads the directory into memory."""
    _check_total(label, file.seek(0, os.SEEK_END), limits)
    if (size := _directory_bytes(file)) is None:
        raise ValueError(f"{label} is not a zip file")
    if size > DIRECTORY_ENTRY_BYTES * limits.files:
        raise ValueError(f"{label} has too many files; at most {limits.files:,} are allowed")


def _directory_bytes(file: BinaryIO) -> int | None:
    """Size of a zip's directory; None if the file is not a zip.

    The end record occupies the last 22 bytes, or precedes a comment of at most 65,535 bytes. A zip64 has a longer end
    record before it, with a locator of 20 bytes between the two, like zipfile assumes.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65_535 - 22 - 20 - 56))
    tail = file.read()
    plain = len(tail) - 22
    at = plain if tail[plain : plain + 4] == b"PK\5\6" and tail[-2:] == b"\0\0" else tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        return None
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\6\7" and tail[at - 76 : at - 72] == b"PK\6\6":
        return struct.unpack_from("<Q", tail, at - 76 + 40)[0]
    return struct.unpack_from("<I", tail, at + 12)[0]


# -- names without a declared encoding -------------------------------------------------------------------------------


def _names(infos: list[zipfile.ZipInfo]) -> tuple[list[str], str]:
    """(names of the members, code page that was guessed for names without a declared encoding, or "")."""
    raw = [None if i.flag_bits & 0x800 else i.orig_filename.encode("cp437") for i in infos]  # as zipfile decoded it
    declared = [_declared_name(info, name) for info, name in zip(infos, raw, strict=True)]
    unknown = [name for name, known in zip(raw, declared, strict=True) if known is None and name is not None]
    foreign = [name for name in unknown if not name.isascii()]
    page = guess_page(foreign) if foreign else "utf-8"
    names = [(name or b"").decode(page) if known is None else known for name, known in zip(raw, declared, strict=True)]
    return names, "" if page == "utf-8" else page


def _declared_name(info: zipfile.ZipInfo, raw: bytes | None) -> str | None:
    """The name if the zip declares its encoding, by the UTF-8 flag or the extra field 0x7075; else None."""
    if raw is None:
        return info.orig_filename
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 0x7075 and len(body) > 5 and struct.unpack_from("<I", body, 1)[0] == zlib.crc32(raw):
            with suppress(UnicodeDecodeError):
                return body[5:].decode("utf-8")
    return None
