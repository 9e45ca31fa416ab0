"""One picture that a user brings: decoded from memory, by the five decoders of FORMATS only, and brought to 28 x 28."""

import io
from typing import BinaryIO

import numpy as np

from aevae.datasets.archives import MAX_FILE_BYTES, check_size, quote

SIDE = 28
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_PIXELS = 40_000_000  # of one picture; 160 MB while it is decoded


def decode(content: bytes, name: str) -> np.ndarray:
    """The grey picture uint8 (H, W) that `content` holds. Raises ValueError naming the file.

    The first frame, turned as its EXIF says; behind what is transparent comes white for dark drawings, black for light.
    """
    from PIL import Image

    if content[:4] == b"PK\3\4":
        raise ValueError(f"{quote(name)} is a zip inside; only pictures are taken")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            return _grey(image) if pixels <= MAX_PIXELS else _refuse_pixels(name, pixels)
    except _TooManyPixels:
        raise
    except Image.DecompressionBombError:
        _refuse_pixels(name)
    except Exception as error:  # a decoder fed with garbage may raise anything at all
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})"
        raise ValueError(f"{quote(name)} is not a picture that can be read{reason}; {', '.join(FORMATS)} are") from None


class _TooManyPixels(ValueError):
    pass


def _refuse_pixels(name: str, pixels: int | None = None):
    got = f", got {pixels / 1e6:.0f}" if pixels else ""
    raise _TooManyPixels(f"{quote(name)} must have at most {MAX_PIXELS // 10**6} million pixels{got}") from None


def _grey(image) -> np.ndarray:
    from PIL import Image, ImageOps

    image.draft("L", (4 * SIDE, 4 * SIDE))  # lets the JPEG decoder skip what shrinking would throw away
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would cut at 255
        return (np.asarray(image).astype(np.int64).clip(0, 65_535) // 257).astype(np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    grey, alpha = image.convert("RGBA").convert("LA").split()
    weight = np.asarray(alpha, dtype=np.int64)
    dark = (np.asarray(grey) * weight).sum() < 128 * weight.sum()
    behind = Image.new("L", image.size, 255 if dark else 0)
    return np.asarray(Image.composite(grey, behind, alpha))


def shrink(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W) -> (28, 28): aspect kept, centred, padded with the median of its border."""
    from PIL import Image

    height, width = grey.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))
    canvas = np.full((SIDE, SIDE), int(np.median(border(grey))), dtype=np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def border(grey: np.ndarray) -> np.ndarray:
    """The outermost values of (H, W), the four corners twice."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def read_picture(source: bytes | BinaryIO, invert: bool | None = None, name: str = "the picture") -> np.ndarray:
    """One uploaded picture as uint8 (1, 28, 28). Raises ValueError with one sentence.

    Digits of the data sets are white on black. invert: True turns black and white, False leaves them, None turns a
    picture whose border is bright (median above 127): ink on paper.
    """
    content = source if isinstance(source, bytes) else source.read(MAX_FILE_BYTES + 1)
    check_size(name, len(content))
    grey = decode(content, name)
    if invert is None:
        invert = bool(np.median(border(grey)) > 127)
    return shrink(255 - grey if invert else grey)[None]
