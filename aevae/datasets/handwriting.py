"""Converts a drawing, scan or photograph of one handwritten digit to the format of MNIST."""

import math
from typing import BinaryIO

import numpy as np

from aevae.datasets.archives import MAX_FILE_BYTES, check_size, quote
from aevae.datasets.pictures import SIDE, border, decode

MAX_INK_PIXELS = 20  # per side; in MNIST the bounding box of the ink is at most 20 x 20
CENTRE_PIXEL = 14  # in MNIST the centre of mass lies in pixel (14, 14), counted from 0
MAX_SIDE = 280  # pixels; larger photographs are reduced; equals BOARD of digit/draw.js
MIN_CONTRAST = 24  # of 255; ink is darker than the paper by at least this
MIN_CONTRAST_SIGMAS = 6  # the same in standard deviations of the paper's noise
MIN_PAPER_GREY = 50  # of 255; paper is brighter
MAX_INK_SHARE = 0.45  # share of the image; strokes cover less
MAX_PARTS = 8  # squares or ends of lines; a digit has fewer
MIN_SQUARE_SHARE = 2e-4  # share of the image; a square of squared paper is larger
MIN_THICK_SHARE = 0.5  # share of the ink on paper with lines that belongs to strokes; the rest is rests of lines
MIN_STROKE_SHARE = 0.04  # of the largest component; smaller ones are dirt


def read_digit(source: bytes | BinaryIO, name: str = "the image") -> np.ndarray:
    """A drawing, scan or photograph of one digit as uint8 (1, 28, 28), white on black, in the form of MNIST.

    source: an image file with dark ink on light paper or vice versa; light may be uneven. An image of 28 x 28 pixels is
    returned unchanged. Lines of squared or ruled paper are removed if they are fainter than the strokes. Raises
    ValueError with one sentence, also if there is no ink or if lines are as dark as the ink.
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
    """The ink uint8 (H, W), 0 = paper, in the format of MNIST: uint8 (28, 28); None without ink.

    Equal to `mnistLike` in handwriting.js. The bounding box of the ink is resized to fit 20 x 20 by area averaging with
    its aspect ratio, its strongest pixel becomes 255, and it is shifted by whole pixels until its centre of mass lies
    in pixel (14, 14) (LeCun et al., yann.lecun.com/exdb/mnist). MNIST's own digits, enlarged ten times and shifted, are
    restored exactly up to the rescaling (1 of 255).
    """
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return None
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    height, width = (max(1, _nearest(MAX_INK_PIXELS * side / max(box.shape))) for side in box.shape)
    small = _shares(box.shape[0], height) @ box @ _shares(box.shape[1], width).T
    down, across = small.sum(1) @ np.arange(height) / small.sum(), small.sum(0) @ np.arange(width) / small.sum()
    top = min(max(_nearest(CENTRE_PIXEL - down), 0), SIDE - height)
    left = min(max(_nearest(CENTRE_PIXEL - across), 0), SIDE - width)
    out = np.zeros((SIDE, SIDE), np.uint8)
    out[top : top + height, left : left + width] = np.floor(small * (255 / small.max()) + 0.5 + 1e-6)
    return out


def _nearest(value: float) -> int:
    """value rounded half up, with a tolerance so that Python and JavaScript agree."""
    return math.floor(value + 0.5 + 1e-6)


def _shares(size: int, parts: int) -> np.ndarray:
    """Area-averaging weights (parts, size) from `size` pixels to `parts` equal intervals; each row sums to 1."""
    ends = np.arange(parts + 1) * (size / parts)
    places = np.arange(size)
    covered = np.minimum(ends[1:, None], places + 1) - np.maximum(ends[:-1, None], places)
    return covered.clip(0) * (parts / size)


def ink_of(grey: np.ndarray, name: str = "the image") -> np.ndarray:
    """Ink uint8 (h, w), 0 = paper, of a grey image uint8 (H, W) of a digit; at most 280 pixels a side.

    Polarity: of the image and its negative, the one with clearer strokes is used. The ink threshold is half of Otsu's.
    Specks are removed, and components that touch the border (the edge of the sheet) if others exist. If lines remain,
    the threshold is Otsu's between lines and strokes. On paper with lines, parts thinner than 3 pixels are remains of
    lines and are removed. Raises ValueError if lines remain even so, or if most of the ink is that thin.
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
    if _has_lines(_without_specks(strokes.shape)):
        thick = ndimage.binary_opening(shape, np.ones((3, 3)))
        if thick.sum() < MIN_THICK_SHARE * shape.sum() or _has_lines(thick):
            raise ValueError(f"the lines of the paper are as dark as the strokes in {quote(name)}; use plain paper")
        shape = _without_dirt(thick)
    near = ndimage.binary_dilation(shape, iterations=3)  # the soft rims of the strokes
    low, high = 0.5 * threshold, np.median(strokes.depth[shape])
    return np.rint(255 * ((strokes.depth - low) / (high - low)).clip(0, 1) * near).astype(np.uint8)


class _Strokes:
    """Strokes found in `depth` (h, w): shape bool (h, w), Otsu's threshold, and clearness >= 0."""

    def __init__(self, depth: np.ndarray):
        self.depth = depth
        self.threshold = _otsu(depth)
        self.shape = depth > self.threshold
        self.clear = self._clear() if 0 < self.shape.mean() < MAX_INK_SHARE else 0.0

    def _clear(self) -> float:
        """Contrast relative to noise and area; 0 if it may be noise (halves of a Gaussian: about 3 spreads)."""
        paper = self.depth[~self.shape]
        spread = 1.5 * np.median(np.abs(paper - np.median(paper)))  # standard deviation of Gaussian noise
        contrast = np.median(self.depth[self.shape]) - np.median(paper)
        needed = max(MIN_CONTRAST, MIN_CONTRAST_SIGMAS * spread)
        return contrast / (spread + 1) / self.shape.mean() if contrast > needed else 0.0


def _depth(image: np.ndarray) -> np.ndarray:
    """Darkness relative to the paper (h, w), 0..255.

    Illumination varies slowly: first a quadratic surface fitted to the paper is divided out, then the result of a
    morphological closing with a large window, which removes narrow strokes.
    """
    from scipy import ndimage

    paper = _paper(image)
    if np.median(paper) < MIN_PAPER_GREY:
        return np.zeros_like(image)
    flat = image / paper.clip(MIN_PAPER_GREY)
    closed = ndimage.grey_closing(flat, size=int(0.4 * max(image.shape)) | 1, mode="nearest")
    return 255 * (1 - flat / closed.clip(0.5))


def _paper(image: np.ndarray) -> np.ndarray:
    """Brightness (h, w) of the paper: a quadratic surface fitted to the pixels that are not far below it."""
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
    """The threshold of values in 0..255 that maximises the between-class variance (Otsu 1979)."""
    count, edges = np.histogram(values, 256, (0, 256))
    middle = (edges[:-1] + edges[1:]) / 2
    below, above = count.cumsum(), count.sum() - count.cumsum()
    sums = (count * middle).cumsum()
    means = sums / np.maximum(below, 1), (sums[-1] - sums) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2.0
    return float(edges[between.argmax() + 1])


def _has_lines(strokes: np.ndarray) -> bool:
    """Whether the strokes contain lines of paper: many enclosed squares, or many lines that reach the border."""
    from scipy import ndimage

    cells = np.bincount(ndimage.label(~strokes)[0].ravel())[1:]
    rim = np.concatenate([strokes[0], strokes[:, -1], strokes[-1, ::-1], strokes[::-1, 0]])
    ends = np.count_nonzero(rim & ~np.roll(rim, 1))
    return bool(ends >= MAX_PARTS or np.count_nonzero(cells >= MIN_SQUARE_SHARE * strokes.size) > MAX_PARTS)


def _without_specks(strokes: np.ndarray) -> np.ndarray:
    """The strokes without components smaller than a square of paper."""
    from scipy import ndimage

    parts, _count = ndimage.label(strokes, np.ones((3, 3)))
    return strokes & (np.bincount(parts.ravel())[parts] >= MIN_SQUARE_SHARE * strokes.size)


def _without_dirt(strokes: np.ndarray) -> np.ndarray:
    """The strokes without specks and, unless all do, without components that touch the border."""
    from scipy import ndimage

    parts, count = ndimage.label(strokes, np.ones((3, 3)))
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    at_rim = np.isin(np.arange(1, count + 1), border(parts))
    free = np.where(at_rim, 0, area)
    if free.max() >= 4 * MIN_STROKE_SHARE * area.max():
        area = free
    return np.isin(parts, 1 + np.flatnonzero(area >= MIN_STROKE_SHARE * area.max()))
