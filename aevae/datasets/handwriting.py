"""One handwritten digit, drawn, scanned or photographed, in the form of MNIST."""

import math
from typing import BinaryIO

import numpy as np

from aevae.datasets.archives import MAX_FILE_BYTES, check_size, quote
from aevae.datasets.pictures import SIDE, border, decode

BOX = 20  # MNIST: the ink's box fits in 20 x 20 ...
CENTRE = 14  # ... and its centre of mass lies in pixel (14, 14), counted from 0
MAX_SIDE = 280  # longest side a photograph is worked at; BOARD of digit/draw.js
FAINT = 24  # ink that takes away less of the light than this, of 255, is no ink
NOISE = 6  # and so is ink that is nearer to the paper than this many deviations of the paper's noise
DARK = 50  # of 255; paper is brighter
MAX_INK_SHARE = 0.45  # share of an image; more is no stroke
MAX_PARTS = 8  # squares or ends of lines; more than any digit has
CELL = 2e-4  # of an image: a square of paper is larger
SPECK = 0.04  # parts of the ink smaller than this share of the largest are dirt


def read_digit(source: bytes | BinaryIO, name: str = "the image") -> np.ndarray:
    """A drawing, scan or photograph of one digit as uint8 (1, 28, 28), white on black, in the form of MNIST.

    Dark ink on light paper or the other way round, in uneven light. An image of 28 x 28 is taken to be in that form
    already. The lines of squared or ruled paper go where they are fainter than the strokes. Raises ValueError with one
    sentence, also where no ink is to be seen, or lines as dark as it.
    """
    content = source if isinstance(source, bytes) else source.read(MAX_FILE_BYTES + 1)
    check_size(name, len(content))
    grey = decode(content, name)
    if grey.shape == (SIDE, SIDE):
        return (255 - grey if np.median(border(grey)) > 127 else grey)[None]
    digit = mnist_like(ink_of(grey, name))
    if digit is None:
        raise ValueError(f"there is no visible digit in {quote(name)}; use strong strokes on plain paper")
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


def ink_of(grey: np.ndarray, name: str = "the image") -> np.ndarray:
    """Ink uint8 (h, w), 0 = paper, of a grey image uint8 (H, W) of a digit; at most 280 pixels a side.

    Strokes are few and stand out: of the image and its negative the one where they do so more is taken. Ink begins at
    half of Otsu's threshold. Specks go, and so does what touches the rim (the edge of the sheet), if something else is
    there. Where lines remain, ink begins at Otsu's threshold between them and the strokes. Raises ValueError if they
    remain even so.
    """
    from scipy import ndimage

    image = _reduced(grey).astype(np.float64)
    image = ndimage.gaussian_filter(image, max(image.shape) / 250, mode="nearest")
    strokes = max((_Strokes(_depth(p)) for p in (image, 255 - image)), key=lambda s: s.clear)
    if not strokes.clear:
        return np.zeros(image.shape, np.uint8)
    shape, threshold = _without_dirt(strokes.shape), strokes.threshold
    if _has_lines(shape):
        threshold = _otsu(strokes.depth[shape])
        shape = _without_dirt(strokes.depth > threshold)
        if _has_lines(shape):
            raise ValueError(f"the lines of the paper are as dark as the strokes in {quote(name)}; use plain paper")
    near = ndimage.binary_dilation(shape, iterations=3)  # the soft rims of the strokes
    low, high = 0.5 * threshold, np.median(strokes.depth[shape])
    return np.rint(255 * ((strokes.depth - low) / (high - low)).clip(0, 1) * near).astype(np.uint8)


class _Strokes:
    """What is deep in `depth` (h, w): its shape bool (h, w), Otsu's threshold, and how clearly it stands out, >= 0."""

    def __init__(self, depth: np.ndarray):
        self.depth = depth
        self.threshold = _otsu(depth)
        self.shape = depth > self.threshold
        self.clear = self._clear() if 0 < self.shape.mean() < MAX_INK_SHARE else 0.0

    def _clear(self) -> float:
        """Contrast over noise and area; 0 where it may be noise (halves of a Gaussian lie about 3 spreads apart)."""
        paper = self.depth[~self.shape]
        spread = 1.5 * np.median(np.abs(paper - np.median(paper)))  # a standard deviation, if it is Gaussian
        contrast = np.median(self.depth[self.shape]) - np.median(paper)
        return contrast / (spread + 1) / self.shape.mean() if contrast > max(FAINT, NOISE * spread) else 0.0


def _depth(image: np.ndarray) -> np.ndarray:
    """How much darker than the paper (h, w) is, of 255.

    Light falls on paper slowly: a smooth surface through the paper is divided out, then what a closing with a large
    window leaves, in which strokes are narrow valleys.
    """
    from scipy import ndimage

    paper = _paper(image)
    if np.median(paper) < DARK:
        return np.zeros_like(image)
    flat = image / paper.clip(DARK)
    closed = ndimage.grey_closing(flat, size=int(0.4 * max(image.shape)) | 1, mode="nearest")
    return 255 * (1 - flat / closed.clip(0.5))


def _paper(image: np.ndarray) -> np.ndarray:
    """Brightness (h, w) of the paper: the quadratic surface that fits what is not far darker than itself."""
    y, x = (np.linspace(-1, 1, size) for size in image.shape)
    y, x = np.meshgrid(y, x, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    values = image.ravel()
    surface = np.full_like(values, np.median(values))
    for _ in range(8):
        away = values - surface
        paper = away > -2 * max(1.0, np.median(np.abs(away)))
        surface = terms @ np.linalg.lstsq(terms[paper], values[paper], rcond=None)[0]
    return surface.reshape(image.shape)


def _reduced(grey: np.ndarray) -> np.ndarray:
    from PIL import Image

    scale = MAX_SIDE / max(grey.shape)
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


def _has_lines(strokes: np.ndarray) -> bool:
    """Whether these are the lines of paper: many squares, or many lines that reach the rim. A digit has two at most."""
    from scipy import ndimage

    cells = np.bincount(ndimage.label(~strokes)[0].ravel())[1:]
    rim = np.concatenate([strokes[0], strokes[:, -1], strokes[-1, ::-1], strokes[::-1, 0]])
    ends = np.count_nonzero(rim & ~np.roll(rim, 1))
    return ends >= MAX_PARTS or np.count_nonzero(cells >= CELL * strokes.size) > MAX_PARTS


def _without_dirt(strokes: np.ndarray) -> np.ndarray:
    """The strokes without specks, and without what touches the rim if there are strokes that do not."""
    from scipy import ndimage

    parts, count = ndimage.label(strokes, np.ones((3, 3)))
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    at_rim = np.isin(np.arange(1, count + 1), border(parts))
    free = np.where(at_rim, 0, area)
    if free.max() >= 4 * SPECK * area.max():
        area = free
    return np.isin(parts, 1 + np.flatnonzero(area >= SPECK * area.max()))
