"""The files of a folder or zip that a user brings, as (name relative to it, bytes).

All of it is hostile until checked: every limit below ends in one ValueError sentence that names the file. Nothing of a
zip is ever written to disk.
"""

import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_FILES = 20_000
MAX_FILE_BYTES = 20_000_000
MAX_TOTAL_BYTES = 500_000_000
MAX_RATIO = 200  # uncompressed : compressed of one member of a zip ...
RATIO_FROM = 1_000_000  # ... from this size on: small plain drawings do compress that well
MAX_DIRECTORY_BYTES = 8_000_000  # of a zip's list of members: read whole into memory when the zip is opened
LITTER = ("thumbs.db", "desktop.ini")  # what systems leave in folders, besides dot files and __MACOSX


def files_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """The pictures of a folder or zip, checked, in the order of their names. Raises ValueError."""
    return _folder_files(path) if path.is_dir() else zip_files(path, path.name)


def quote(name: str) -> str:
    """A name from outside in a sentence: no line breaks, not endless."""
    return repr(name if len(name) <= 80 else f"{name[:60]}...{name[-15:]}")


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1].lower() in LITTER


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
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
    for name, place in walk(folder):
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{quote(name)} in {folder} is a link or a device; own pictures must be plain files")
        check_size(name, status.st_size)
        try:
            with open(place, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ValueError(f"{quote(name)} in {folder} cannot be read ({error.strerror})") from None
        check_size(name, len(content))
        total += len(content)
        _check_total(folder, total)
        yield name, content


def check_size(name: str, size: int) -> None:
    """Raises ValueError where one file is larger than MAX_FILE_BYTES."""
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{quote(name)} has more than {MAX_FILE_BYTES // 10**6} MB")


def _check_total(where: Path | str, total: int) -> None:
    if total > MAX_TOTAL_BYTES:
        raise ValueError(f"{where} has more than {MAX_TOTAL_BYTES // 10**6} MB of pictures")


def zip_files(source: Path | BinaryIO, label: str) -> Iterator[tuple[str, bytes]]:
    """The members of a zip, each checked before it is read. `label` names the zip in sentences."""
    try:
        _check_directory(source, label)
        with zipfile.ZipFile(source) as archive:
            for info in _checked_members(archive, label):
                with archive.open(info) as member:
                    content = member.read(MAX_FILE_BYTES + 1)
                check_size(info.filename, len(content))
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
    check_size(name, info.file_size)
    if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * info.compress_size:
        raise ValueError(f"{quote(name)} in {label} unpacks to more than {MAX_RATIO} times its size")
