"""Shapes whose factors are known: every combination of shape, scale, rotation and place, drawn here, binary.

After dSprites (Matthey et al. 2017), small enough for 28 x 28 pixels: rotations stay below a right angle, so that no
two combinations look alike. What a code should have found is thereby known, and can be asked for (MIG, DCI, ...).
"""

from functools import lru_cache

import numpy as np

from aevae.datasets.base import Dataset, Source, Split

NAME = "sprites"
TITLE = "Sprites"
SHAPES = ("square", "ellipse", "heart")
SIZES = {"shape": 3, "scale": 5, "rotation": 6, "x": 10, "y": 10}  # how many values each factor has
RADII = np.linspace(5.5, 8.75, SIZES["scale"])  # pixels from the centre to the farthest point
CENTRE = 9  # pixel in the middle of the first place; the next is one pixel on
NUM_TEST = 1500  # of the 9,000 images
FINE = 8  # points a pixel is asked at, each way


def every() -> np.ndarray:
    """All combinations (9000, 5) int64 of the factors, in the order of `SIZES`."""
    return np.stack(np.unravel_index(np.arange(np.prod(list(SIZES.values()))), tuple(SIZES.values())), 1)


def draw(factors: np.ndarray) -> np.ndarray:
    """Images uint8 (M, 1, 28, 28), 0 or 255, of factors (M, 5): a pixel is lit where half of it is covered."""
    form, inverse = np.unique(np.asarray(factors)[:, :3], axis=0, return_inverse=True)
    middle = np.stack([_draw(*each) for each in form])[inverse.reshape(-1)]  # (M, 28, 28)
    column, row = np.asarray(factors)[:, 3:].T
    side = np.arange(28)
    rows, columns = ((side - shift[:, None]) % 28 for shift in (row, column))  # nothing wraps: black came round
    return middle[np.arange(len(middle))[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]


def _draw(shape: int, scale: int, rotation: int) -> np.ndarray:
    """One image uint8 (28, 28) at the first place."""
    fine = ((np.arange(28 * FINE) + 0.5) / FINE - 0.5 - CENTRE) / RADII[scale]  # a pixel's centre is a whole number
    u, v, angle = fine[None, :], fine[:, None], np.pi / 2 * rotation / SIZES["rotation"]
    inside = _inside(shape, u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle))
    return np.uint8(255) * (inside.reshape(28, FINE, 28, FINE).mean((1, 3)) >= 0.5)


def _inside(shape: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Does (u, v) lie in the shape? All fill most of the unit circle and no more."""
    match SHAPES[shape]:
        case "square":
            return np.maximum(abs(u), abs(v)) <= np.sqrt(0.5)
        case "ellipse":
            return u**2 + (v / 0.55) ** 2 <= 1
        case _:
            u, v = 1.25 * u, 0.1 - 1.25 * v
            return (u**2 + v**2 - 1) ** 3 <= u**2 * v**3


def factors(part: str) -> np.ndarray:
    """The factors (N, 5) int64 of the images of the part "train" or "test", in their order."""
    order = np.random.RandomState(0).permutation(len(every()))  # frozen: the same in every numpy
    return every()[order[:NUM_TEST] if part == "test" else order[NUM_TEST:]]


@lru_cache(maxsize=1)
def atlas() -> np.ndarray:
    """Every image, uint8 (9000, 1, 28, 28) in the order of `every`; read-only."""
    images = draw(every())
    images.setflags(write=False)
    return images


def number(combinations: np.ndarray) -> np.ndarray:
    """Where in `atlas` combinations (M, 5) are: (M,) int64."""
    return np.ravel_multi_index(tuple(np.asarray(combinations).T), tuple(SIZES.values()))


def read() -> Dataset:
    """7,500 + 1,500 images; the classes are the shapes."""
    train, test = (Split(atlas()[number(f)], f[:, 0].copy()) for f in (factors("train"), factors("test")))
    return Dataset(NAME, TITLE, train, test, SHAPES)


SOURCE = Source(
    name=NAME,
    title=TITLE,
    source="generated: square, ellipse, heart in 5 sizes, 6 rotations and 10 x 10 positions",
    licence="public domain",
    size="generated in memory, 7,500 + 1,500 images",
    available=lambda: True,
    stamp=lambda: 0,
    read=read,
    fetch=lambda on_progress: None,
    classes=SHAPES,
)
