"""Binary images with known factors: every combination of shape, scale, rotation and position, generated here.

Similar to dSprites (Matthey et al. 2017), reduced to 28 x 28 pixels. Rotations stay below a right angle, so that no two
combinations look alike. With known factors the disentanglement of codes can be measured (MIG, DCI, ...).
"""

from functools import lru_cache

import numpy as np

from aevae.datasets.base import Dataset, Source, Split

NAME = "sprites"
TITLE = "Sprites"
SHAPES = ("square", "ellipse", "heart")
SIZES = {"shape": 3, "scale": 5, "rotation": 6, "x": 10, "y": 10}  # number of values of each factor
RADII = np.linspace(5.5, 8.75, SIZES["scale"])  # pixels from the centre to the farthest point
CENTRE = 9  # centre of the first position, in pixels; positions are one pixel apart
NUM_TEST = 1500  # test images among the 9,000
FINE = 8  # sample points per pixel, in each direction


def every() -> np.ndarray:
    """All combinations (9000, 5) int64 of the factors, in the order of `SIZES`."""
    return np.stack(np.unravel_index(np.arange(np.prod(list(SIZES.values()))), tuple(SIZES.values())), 1)


def render_sprites(factors: np.ndarray) -> np.ndarray:
    """Images uint8 (M, 1, 28, 28) of factors (M, 5): a pixel is 255 if the shape covers at least half of it, else 0."""
    form, inverse = np.unique(np.asarray(factors)[:, :3], axis=0, return_inverse=True)
    middle = np.stack([_render(*each) for each in form])[inverse.reshape(-1)]  # (M, 28, 28)
    column, row = np.asarray(factors)[:, 3:].T
    side = np.arange(28)
    rows, columns = ((side - shift[:, None]) % 28 for shift in (row, column))  # rolling wraps only black pixels
    return middle[np.arange(len(middle))[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]


def _render(shape: int, scale: int, rotation: int) -> np.ndarray:
    """One image uint8 (28, 28) at the first position."""
    fine = ((np.arange(28 * FINE) + 0.5) / FINE - 0.5 - CENTRE) / RADII[scale]  # pixel centres have integer coordinates
    u, v, angle = fine[None, :], fine[:, None], np.pi / 2 * rotation / SIZES["rotation"]
    inside = _inside(shape, u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle))
    return np.uint8(255) * (inside.reshape(28, FINE, 28, FINE).mean((1, 3)) >= 0.5)


def _inside(shape: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether (u, v) is inside the shape. All shapes lie in the unit circle and fill most of it."""
    match SHAPES[shape]:
        case "square":
            return np.maximum(np.abs(u), np.abs(v)) <= np.sqrt(0.5)
        case "ellipse":
            return u**2 + (v / 0.55) ** 2 <= 1
        case _:
            u, v = 1.25 * u, 0.1 - 1.25 * v
            return (u**2 + v**2 - 1) ** 3 <= u**2 * v**3


def factors(part: str) -> np.ndarray:
    """The factors (N, 5) int64 of the images of the part "train" or "test", in their order."""
    order = np.random.RandomState(0).permutation(len(every()))  # RandomState is the same in every numpy version
    return every()[order[:NUM_TEST] if part == "test" else order[NUM_TEST:]]


@lru_cache(maxsize=1)
def atlas() -> np.ndarray:
    """All images, uint8 (9000, 1, 28, 28), in the order of `every`; read-only."""
    images = render_sprites(every())
    images.setflags(write=False)
    return images


def number(combinations: np.ndarray) -> np.ndarray:
    """Indices (M,) int64 in `atlas` of combinations (M, 5)."""
    return np.ravel_multi_index(tuple(np.asarray(combinations).T), tuple(SIZES.values()))


def read_dataset() -> Dataset:
    """The Dataset of 7,500 + 1,500 images; the classes are the shapes."""
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
    read=read_dataset,
    fetch=lambda on_progress: None,
    classes=SHAPES,
)
