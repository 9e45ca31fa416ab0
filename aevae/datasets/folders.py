"""Derives classes and a split into training and test images from the names of folders."""

import itertools
import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from aevae.datasets.archives import quote, shared_folders

MAX_CLASSES = 1000
MAX_TITLE = 60
ONE_CLASS = "pictures"  # class of images outside of folders; its name decides the order of classes of stored runs
_MARKUP = '#$&*/:<>@[\\]^`{|}~"'
_UNSEEN = ("Cc", "Cf", "Cs", "Co")  # Unicode categories: control, format, surrogate, private use
_JOINERS = {chr(k) for k in (0x200C, 0x200D, *range(0xE0020, 0xE0080))}  # in scripts, emoji and flags

PARTS = {
    "train": "train(?:ing)?|训练集?",
    "test": "test(?:ing)?|测试集?",
    "val": "val(?:id(?:ation)?)?|dev|eval(?:uation)?|验证集?",
}
_PART = re.compile(
    r"(?:.+[ _-])?(?:"
    + "|".join(f"(?P<{part}>{words})" for part, words in PARTS.items())
    + r")(?:[ _-]?(?:set|data|images|pictures|split))?(?:[ _-]?\d+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class GivenSplit:
    """A split by folders. names: without these folders. parts: "train", "test" or "" per file; empty: no split."""

    names: list[str]
    parts: list[str]
    notes: list[str]

    def without_loose(self) -> "GivenSplit":
        """The same split without loose files."""
        names = [name for name, part in zip(self.names, self.parts, strict=True) if part]
        return GivenSplit(names, [part for part in self.parts if part], self.notes)


def _part(folder: str) -> str:
    found = _PART.fullmatch(folder)
    return (found.lastgroup or "") if found else ""


def given_split(names: list[str]) -> GivenSplit:
    """The split given by folder names: at one level all folders are parts, with at least one for training and for test.

    Images beside these folders are loose: they belong to no part.
    """
    top, notes = shared_folders(names), []
    split = [name.split("/") for name in names]
    for level in (top, top + 1):
        folders = [parts[level] if len(parts) > level + 1 else "" for parts in split]
        found = {folder: _part(folder) for folder in dict.fromkeys(folders)}
        kinds = set(found.values())
        if len(found) > 1 and len(kinds) == 1 and kinds != {""}:
            named = " and ".join(map(quote, [*found][:2])) + (f" and {len(found) - 2} more" if len(found) > 2 else "")
            notes.append(f"{named} are taken as classes, since no folder beside them is another part of a split")
        if "train" not in kinds or not kinds & {"test", "val"}:
            continue
        named = {part: " and ".join(quote(f) for f in found if found[f] == part) for part in kinds}
        if others := [folder for folder, part in found.items() if not part and (folder or level > top)]:
            beside = f"folder {quote(others[0])} is" if others[0] else "images without such a folder are"
            both = " and ".join(named[part] for part in named if part)
            notes.append(f"{both} are taken as classes, not as a split, since the {beside} beside them")
            continue
        tested = "test" if "test" in kinds else "val"
        parts = ["test" if found[f] == tested else "train" if found[f] else "" for f in folders]
        trained = " and ".join(named[part] for part in ("train", "val") if part in kinds - {tested})
        loose = f"; {parts.count('')} images beside these folders are left out" if "" in parts else ""
        notes.append(
            f"the folders are taken as a split: {parts.count('train'):,} images of {trained} are the training set, "
            f"{parts.count('test'):,} of {named[tested]} are the test set{loose}"
        )
        return GivenSplit(["/".join(n[:level] + n[level + 1 :]) or n[-1] for n in split], parts, notes)
    return GivenSplit(names, [], notes)


def classes(names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """(titles of the classes in the order of their folders, labels (N,) int64 of the files)."""
    shared = shared_folders(names)  # a zip often contains one folder that contains the classes
    parents = [name.split("/")[:-1] for name in names]
    below = [parts[shared] if len(parts) > shared else ONE_CLASS for parts in parents]
    below = [name.encode("utf-8", "replace").decode() for name in below]
    found = tuple(sorted(set(below)))
    if len(found) > MAX_CLASSES:
        raise ValueError(f"at most {MAX_CLASSES} sub-folders can be classes, got {len(found)}")
    number = {name: k for k, name in enumerate(found)}
    return _titles(found), np.array([number[name] for name in below], dtype=np.int64)


def _titles(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Titles of folders, made unique."""
    titles: list[str] = []
    for title in map(_title, folders):
        same = (f"{title} ({k})" for k in itertools.count(2))
        titles.append(title if title not in titles else next(t for t in same if t not in titles))
    return tuple(titles)


def _title(folder: str) -> str:
    """A folder's name for display, at most 60 characters.

    Markup characters are replaced by their fullwidth forms: <5 becomes ＜5. Invisible characters are removed, except
    for joiners that some scripts and emoji need.
    """
    seen = (c for c in folder if unicodedata.category(c) not in _UNSEEN or c in _JOINERS)
    title = "".join(chr(ord(c) + 0xFEE0) if c in _MARKUP else c for c in seen)
    if len(title) > MAX_TITLE:
        whole = [k for k, c in enumerate(title) if unicodedata.category(c)[0] != "M" and c not in _JOINERS] or [0]
        end = max(k for k in whole if k <= MAX_TITLE - 20)
        start = min((k for k in whole if k >= len(title) - 17), default=len(title))
        title = f"{title[:end]}...{title[start:]}"
    return title.strip() or "?"
