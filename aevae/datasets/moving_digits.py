"""moving-digits: sequences of 20 frames in which one digit moves left or right by a pixel per frame, cyclically.

As in Gregor et al. 2019 (arXiv:1806.03107, section 5.1). Each digit of mnist-5k gives one sequence; the split is kept.
Pixels are binarized (above half), so every frame is exactly the rolled first one. Works offline and deterministically:
start and direction of a digit are taken from the sha256 of its bytes, which is uniform and independent of versions.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from aevae.datasets import mnist_5k
from aevae.datasets.base import Dataset, Source, Split

NAME = "moving-digits"
TITLE = "Moving digits"
LENGTH = 20  # frames
WIDTH = 28
INK = 127  # grey above it is ink


class Motion(NamedTuple):
    """Start and direction of N digits."""

    start: np.ndarray  # (N,) int64 in 0..27: pixels it is rolled to the right in frame 0
    direction: np.ndarray  # (N,) int64: -1 left, +1 right


def read_dataset() -> Dataset:
    """The Dataset of 4,000 + 1,000 sequences. Raises DataUnavailable if mnist-5k is not available."""
    digits = mnist_5k.read_dataset()
    return Dataset(NAME, TITLE, _moved(digits.train), _moved(digits.test), digits.classes)


def motion(digits: np.ndarray) -> Motion:
    """Start and direction of the sequences made from digits uint8 (N, 1, 28, 28), the images of mnist-5k."""
    numbers = [int.from_bytes(hashlib.sha256(NAME.encode() + d.tobytes()).digest(), "big") for d in digits]
    start = np.array([n % WIDTH for n in numbers], np.int64)
    return Motion(start, np.array([n // WIDTH % 2 * 2 - 1 for n in numbers], np.int64))


def sequences(digits: np.ndarray, moves: Motion) -> np.ndarray:
    """uint8 (N, 20, 1, 28, 28), 0 or 255, of digits uint8 (N, 1, 28, 28): frame t is rolled by start + direction t."""
    binary = (digits > INK).astype(np.uint8) * 255
    times = np.arange(LENGTH)
    roll = moves.start[:, None] + moves.direction[:, None] * times  # (N, T)
    source = (np.arange(WIDTH) - roll[..., None]) % WIDTH  # (N, T, 28): source column
    return np.take_along_axis(binary[:, None], source[:, :, None, None, :], axis=-1)


def directions(images: np.ndarray) -> np.ndarray:
    """Direction (N,) of sequences (N, T, 1, 28, 28), measured from the images: -1 left, +1 right, 0 neither."""
    first, second = images[:, 0], images[:, 1]
    right, left = ((np.roll(first, way, axis=-1) == second).all((1, 2, 3)) for way in (1, -1))
    return right.astype(np.int64) - left


def _moved(digits: Split) -> Split:
    return Split(sequences(digits.images, motion(digits.images)), digits.labels)


SOURCE = Source(
    input="sequence",
    name=NAME,
    title=TITLE,
    source="generated from mnist-5k: one binary digit per sequence, 20 frames, one pixel per step, left or right, "
    "around the edge",
    licence=mnist_5k.SOURCE.licence,
    size="generated in memory, 4,000 + 1,000 sequences of 20 frames",
    available=mnist_5k.SOURCE.available,
    stamp=mnist_5k.SOURCE.stamp,
    read=read_dataset,
    fetch=mnist_5k.SOURCE.fetch,
    classes=mnist_5k.CLASSES,
)
