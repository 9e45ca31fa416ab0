"""Lines from the centre outwards at any angle: a data set for which the true interpolation of two images is known.

Berthelot et al. 2019 (ACAI), arXiv:1807.07543, section 3.1, at 28 x 28 pixels: a good interpolation between two codes
rotates the line at constant speed and shows only lines.
"""

import numpy as np

from aevae.datasets.base import Dataset, Source, Split

NAME = "lines"
TITLE = "Lines"
LENGTH = 13.0  # pixels
WIDTH = 1.0  # pixels from the middle of the line to its edge
CENTRE = 13.5
NUM_TRAIN, NUM_TEST = 10_000, 2_000
SECTORS = 8
CLASSES = tuple(f"{360 * i // SECTORS}°" for i in range(SECTORS))


def angles(count: int) -> np.ndarray:
    """`count` angles in 0..2 pi, evenly distributed in a quasi-random order (multiples of the golden angle)."""
    return (np.arange(count) + 0.5) * np.pi * (3 - 5**0.5) % (2 * np.pi)


def render_lines(angle: np.ndarray) -> np.ndarray:
    """Images float64 (M, 1, 28, 28) in 0..1 of lines at these angles (M,), in radians anticlockwise from the right.

    Brightness decreases linearly with the distance to the line, so the image changes smoothly with the angle.
    """
    angle = np.asarray(angle, np.float64).reshape(-1, 1, 1)
    x, y = np.arange(28.0)[None, None, :] - CENTRE, CENTRE - np.arange(28.0)[None, :, None]
    along = np.clip(x * np.cos(angle) + y * np.sin(angle), 0, LENGTH)  # position of the nearest point on the line
    away = np.hypot(x - along * np.cos(angle), y - along * np.sin(angle))
    return np.clip(1 + WIDTH / 2 - away, 0, 1)[:, None]


def read_dataset() -> Dataset:
    """The Dataset of 10,000 + 2,000 images; the classes are the eight sectors of the angle."""
    every = angles(NUM_TRAIN + NUM_TEST)
    train, test = (_split(part) for part in (every[:NUM_TRAIN], every[NUM_TRAIN:]))
    return Dataset(NAME, TITLE, train, test, CLASSES)


def _split(angle: np.ndarray) -> Split:
    sector = np.floor(angle / (2 * np.pi) * SECTORS).astype(np.int64) % SECTORS
    return Split(np.round(255 * render_lines(angle)).astype(np.uint8), sector)


SOURCE = Source(
    name=NAME,
    title=TITLE,
    source="generated: lines from the centre outwards, after Berthelot et al. 2019",
    licence="public domain",
    size="generated in memory, 10,000 + 2,000 images",
    available=lambda: True,
    stamp=lambda: 0,
    read=read_dataset,
    fetch=lambda on_progress: None,
    classes=CLASSES,
)
