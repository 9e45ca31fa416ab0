"""What every data set is made of, and the limits all of them share. Arrays are numpy; no torch here."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

Progress = Callable[[float, str], None]  # (fraction in 0..1, what is being done)


class DataUnavailable(ValueError):
    """The data set is known but cannot be had on this machine now; the sentence says what to do."""


@dataclass(frozen=True)
class Split:
    """Images and their classes, both read-only since all sessions share them.

    images: uint8 (N, 1, 28, 28), or sequences of them (N, T, 1, 28, 28), C-contiguous, 0 black to 255 white.
    labels: int64 (N,), index into `Dataset.classes`.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.shape[-3:] != (1, 28, 28) or self.images.ndim not in (4, 5):
            raise ValueError(
                f"images must be uint8 (N, 1, 28, 28) or (N, T, 1, 28, 28), got {self.images.dtype} {self.images.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 {self.images.shape[:1]}, got {self.labels.dtype} {self.labels.shape}"
            )
        for name in ("images", "labels"):
            array = np.ascontiguousarray(getattr(self, name)).view()
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index) -> "Split":
        """The images at `index` (slice, mask or positions)."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """A data set whole in memory: the images a run learns from and the ones it is judged by.

    notes: sentences about what was guessed, changed or left out in reading. digest: of own images, their content.
    """

    name: str
    title: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class Source:
    """A named data set: what the catalogue says of it, and how it is read.

    read() returns the Dataset or raises DataUnavailable; what it returns may be kept as long as stamp() stays the same.
    fetch(on_progress) makes sure that read() will find its files.
    """

    name: str
    title: str
    source: str
    licence: str
    size: str
    available: Callable[[], bool]
    stamp: Callable[[], Hashable]
    read: Callable[[], Dataset]
    fetch: Callable[[Progress | None], None]
    classes: tuple[str, ...] = ()  # by label; as `read` gives them
    input: str = "image"  # or "sequence"

    def facts(self) -> dict:
        """The row of the catalogue; loads nothing."""
        facts = {key: getattr(self, key) for key in ("name", "title", "source", "licence", "size", "input")}
        return facts | {"available": self.available()}
