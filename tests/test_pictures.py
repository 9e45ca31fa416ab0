"""Single images as users bring them: size, ink, transparency, modes, formats, and hostile ones."""

import io
import struct
import zlib

import numpy as np
import pytest
from file_helpers import one_line, plain_image
from PIL import Image

from aevae.config import DataConfig
from aevae.datasets import archives, load, read_picture


def test_28_by_28_comes_through_unchanged_and_others_keep_their_aspect():
    digit = load(DataConfig()).test.images[0]
    assert np.array_equal(read_picture(plain_image(Image.fromarray(digit[0]))), digit)
    wide = np.zeros((50, 100), dtype=np.uint8)
    wide[10:40, 20:80] = 255
    shrunk = read_picture(io.BytesIO(plain_image(Image.fromarray(wide))))
    assert shrunk.shape == (1, 28, 28) and shrunk.dtype == np.uint8
    lit = np.argwhere(shrunk[0] > 127)
    assert np.ptp(lit, axis=0).tolist() == [7, 15]
    assert np.array_equal(shrunk[0], shrunk[0, :, ::-1]) and (shrunk[0, :7] == 0).all()
    assert read_picture(plain_image(255, (3000, 1)), invert=False).shape == (1, 28, 28)


def test_ink_on_paper_is_inverted_once():
    digit = load(DataConfig()).test.images[0]
    paper = plain_image(Image.fromarray(255 - digit[0]))
    assert np.array_equal(read_picture(paper), digit) and np.array_equal(read_picture(paper, invert=True), digit)
    assert np.array_equal(read_picture(paper, invert=False), 255 - digit)


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_background_shows_the_drawing(ink):
    alpha = np.zeros((28, 28), dtype=np.uint8)
    alpha[8:20, 8:20] = 255
    drawing = np.dstack([np.full((28, 28, 3), ink, dtype=np.uint8), alpha])
    shown = read_picture(plain_image(Image.fromarray(drawing)))[0]
    assert (shown[8:20, 8:20] == 255).all() and shown[:8].max() == 0


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_grey(mode):
    white = (
        65_535 if mode == "I;16" else 1 if mode == "1" else {"RGB": (255,) * 3, "RGBA": (255,) * 4, "LA": (255, 255)}
    )
    white = white.get(mode, 255) if isinstance(white, dict) else white
    picture = Image.new("L", (28, 28), 255).convert("P") if mode == "P" else Image.new(mode, (28, 28), white)
    assert (read_picture(plain_image(picture), invert=False) == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "WEBP"])
def test_formats(kind):
    assert read_picture(plain_image(30, (400, 300), format=kind)).max() < 60


def huge_png(side: int) -> bytes:
    """A valid start of a picture of side x side pixels, in a few bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_hostile_single_images():
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    bad = [b"", b"hello", b"GIF89a", plain_image(0)[:50], eps, huge_png(8_100), huge_png(17_000), huge_png(60_000)]
    bad += [bytes(archives.MAX_FILE_BYTES + 1), b"PK\3\4" + bytes(40)]
    for content in bad:
        for source in (content, io.BytesIO(content)):
            with pytest.raises(ValueError, match="cat") as error:
                read_picture(source, name="cat.png")
            one_line(error)
