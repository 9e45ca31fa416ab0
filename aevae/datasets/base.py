"""Types and limits that all data sets share. Arrays are numpy; imports no torch."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

Progress = Callable[[float, str], None]  # called with (fraction in 0..1, description of the step)


class DataUnavailable(ValueError):
    """A known data set is not available on this machine. The message says what to do."""


@dataclass(frozen=True)
class Split:
    """Images and their labels. Arrays are read-only, because all sessions share them.

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
    """A data set in memory: training and test images.

    notes: sentences about what was guessed, changed or left out when it was read. digest: hash of own images, else "".
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
    """A named data set: its row of the catalogue, and functions that read it.

    read() returns the Dataset or raises DataUnavailable; the result can be cached while stamp() is unchanged.
    fetch(on_progress) downloads missing files of read().
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
    classes: tuple[str, ...] = ()  # by label, equal to those of `read`
    input: str = "image"  # or "sequence"

    def facts(self) -> dict:
        """The row of the catalogue. Loads no images."""
        facts = {key: getattr(self, key) for key in ("name", "title", "source", "licence", "size", "input")}
        return facts | {"available": self.available()}
