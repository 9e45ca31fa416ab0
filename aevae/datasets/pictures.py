"""Decodes an untrusted image from memory and resizes it to 28 x 28. Only formats in EXTENSIONS are decoded."""

import importlib.util
import io
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, NoReturn

import numpy as np

from aevae.datasets.archives import MAX_FILE_BYTES, Unreadable, check_size, quote

SIDE = 28
EXTENSIONS = {  # format -> file extensions; some formats need packages that may be missing (see `formats`)
    "PNG": ("png", "apng"),
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif", "hif"),
}
UPLOADED = [extension for extensions in EXTENSIONS.values() for extension in extensions]
MAX_PIXELS = 64_000_000  # largest image that is decoded as a whole, in 256 MB
MAX_JPEG_PIXELS = 250_000_000  # largest JPEG that is reduced while it is decoded
DIM = 4  # images whose largest value is below 1/DIM of their range are stretched


@lru_cache
def formats() -> tuple[str, ...]:
    """The formats that this machine reads: HEIF with the package pillow-heif, AVIF with a Pillow that has it."""
    from PIL import features

    with warnings.catch_warnings():  # an older Pillow does not know the name
        warnings.simplefilter("ignore")
        optional = {"AVIF": features.check("avif"), "HEIF": importlib.util.find_spec("pillow_heif") is not None}
    return tuple(f for f in EXTENSIONS if optional.get(f, True))


@dataclass(frozen=True)
class Grey:
    """A decoded image. values: (H, W), >= 0; white: the white value of its file format (255, 65535; inf: undefined).

    was_negative: some pixels of the file are below 0; they are 0 in `values`. is_long: its integers have 32 bits, so
    `white` is a guess: 65535 if no value is larger, as for 16 bits.
    """

    values: np.ndarray
    white: float
    was_negative: bool = False
    is_long: bool = False

    @property
    def top(self) -> float:
        return float(self.values.max())

    def to_bytes(self, white: float | None = None) -> np.ndarray:
        """uint8 (H, W), scaled so that `white` becomes 255; larger values are clipped."""
        if white is not None:
            return np.rint(self.values.clip(0, white) * (255 / white)).astype(np.uint8)
        if self.white == 255:
            return self.values
        return (self.values.clip(0, 65_535).astype(np.int64) // 257).astype(np.uint8)


def is_dim(top: float, white: float) -> bool:
    """Whether images with the largest value `top` look nearly black: 12 bits in 16, masks of 0 and 1, labels 0..9."""
    return 0 < top < white / DIM


def decode(content: bytes, name: str) -> np.ndarray:
    """The grey image uint8 (H, W) in `content`; stretched if it is dim (`is_dim`). Raises ValueError."""
    grey = read_grey(content, name)
    flat = grey.values.min() == grey.values.max()
    return grey.to_bytes(None if flat or not is_dim(grey.top, grey.white) else grey.top)


def read_grey(content: bytes, name: str) -> Grey:
    """The image in `content`. Raises Unreadable with the name of the file.

    The first frame, rotated according to EXIF. Transparent pixels become white for dark drawings, black for light ones.
    """
    from PIL import Image

    if content[:4] == b"PK\3\4":
        raise Unreadable(f"{quote(name)} is a zip inside the zip; only images are allowed")
    able = formats()
    if "HEIF" in able:
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS  # Pillow's default is below photographs of phones
    try:
        with Image.open(io.BytesIO(content), formats=able) as image:
            pixels, most = image.width * image.height, MAX_JPEG_PIXELS if _is_streamed(image, content) else MAX_PIXELS
            return _grey(image) if pixels <= most else _refuse_pixels(name, most, pixels)
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        _refuse_pixels(name, MAX_PIXELS)
    except Exception as error:  # decoders raise errors of any type for damaged data
        if hint := _hint(content):
            raise Unreadable(f"{quote(name)} {hint}") from None
        reason = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({error})".replace("\n", " ")
        raise Unreadable(f"{quote(name)} is not an image that can be read{reason}") from None


def _refuse_pixels(name: str, most: int, pixels: int | None = None) -> NoReturn:
    got = f", got {pixels / 1e6:.0f}" if pixels else ""
    raise Unreadable(f"{quote(name)} must have at most {most // 10**6} million pixels{got}") from None


def _is_streamed(image, content: bytes) -> bool:
    """Whether this is a JPEG with a single scan, which is decoded row by row; cameras write such files."""
    if image.format not in ("JPEG", "MPO") or image.info.get("progressive"):
        return False
    at = 2
    while content[at : at + 1] == b"\xff":
        if content[at + 1] == 0xDA:  # start of scan; compare its number of channels
            return content[at + 4] == image.layers
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return False


def _hint(content: bytes) -> str:
    """Advice for an image in a known format that this machine cannot read, else ""."""
    brand = content[8:12] if content[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1") and "HEIF" not in formats():
        return (
            "is a HEIC photo: install the package that reads HEIC (pip install pillow-heif), or save the photo as JPEG "
            "(iPhone: Settings, Camera, Formats, Most Compatible)"
        )
    if brand in (b"avif", b"avis") and "AVIF" not in formats():
        return "is an AVIF image: install Pillow 11.3 or newer, or save the image as PNG"
    return ""


def _grey(image) -> Grey:
    from PIL import Image, ImageOps

    image.draft("L", (4 * SIDE, 4 * SIDE))  # lets the JPEG decoder reduce the image while decoding
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        return Grey(values.clip(0), np.inf, bool(values.min() < 0))
    if image.mode.startswith("I"):  # 16 bits per pixel; Pillow's conversion would clip at 255
        values = np.asarray(image)
        white = 65_535 if values.max() <= 65_535 else np.inf
        return Grey(values.clip(0), white, bool(values.min() < 0), is_long=image.mode == "I")
    if not image.has_transparency_data:
        return Grey(np.asarray(image.convert("L")), 255)
    grey, alpha = image.convert("RGBA").convert("LA").split()
    weight = np.asarray(alpha, dtype=np.int64)
    dark = (np.asarray(grey) * weight).sum() < 128 * weight.sum()
    behind = Image.new("L", image.size, 255 if dark else 0)
    return Grey(np.asarray(Image.composite(grey, behind, alpha)), 255)


def shrink(grey: np.ndarray) -> np.ndarray:
    """The image uint8 (H, W), resized to (28, 28): aspect kept, centred, padded with the median of its border."""
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
    """The border values of (H, W) as a vector; corners occur twice."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def read_picture(source: bytes | BinaryIO, invert: bool | None = None, name: str = "the image") -> np.ndarray:
    """One uploaded image as uint8 (1, 28, 28). Raises ValueError with one sentence.

    invert: True exchanges black and white, False does not, None does if the border is bright (median above 127), like
    ink on paper. Digits of the data sets are white on black.
    """
    content = source if isinstance(source, bytes) else source.read(MAX_FILE_BYTES + 1)
    check_size(name, len(content))
    grey = decode(content, name)
    if invert is None:
        invert = bool(np.median(border(grey)) > 127)
    return shrink(255 - grey if invert else grey)[None]
