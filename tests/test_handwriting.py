"""Handwriting in the format of MNIST: enlarged digits, drawings and photographs on paper."""

import base64
import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from file_helpers import image_bytes
from PIL import Image
from scipy import ndimage

from aevae import paths
from aevae.config import DataConfig
from aevae.datasets import archives, load
from aevae.datasets.handwriting import ink_of, mnist_like, read_digit

VAE = paths.ROOT / "checkpoints" / "pretrained" / "vae-mnist-7797c7142785"


def enlarged(digit: np.ndarray, rng: np.random.Generator, scale: int = 10) -> np.ndarray:
    """The digit, every pixel scale x scale, somewhere on a larger sheet."""
    sheet = np.zeros((scale * 28 + 100, scale * 28 + 140), np.uint8)
    y, x = rng.integers(0, 100), rng.integers(0, 140)
    sheet[y : y + scale * 28, x : x + scale * 28] = np.kron(digit, np.ones((scale, scale), np.uint8))
    return sheet


# -- the form of MNIST -----------------------------------------------------------------------------------------------


def test_an_enlarged_shifted_digit_comes_back(test_digits):
    rng = np.random.default_rng(0)
    apart = [np.abs(mnist_like(enlarged(d, rng)).astype(int) - d).max() for d in test_digits]
    assert max(apart) <= 1  # its strongest pixel becomes 255; MNIST's are 254 or 255


def test_no_ink_and_thin_ink():
    assert mnist_like(np.zeros((50, 60), np.uint8)) is None
    dot = np.zeros((50, 60), np.uint8)
    dot[49, 0] = 3
    assert (mnist_like(dot)[5:25, 5:25] == 255).all()
    line = np.zeros((300, 300), np.uint8)
    line[10:290, 50] = 200
    shown = mnist_like(line)
    assert (shown > 0).sum() == 20 and shown[5:25, 14].min() == 255


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_browser_prepares_a_drawing_in_the_same_way(test_digits, tmp_path):
    rng = np.random.default_rng(1)
    inks = [enlarged(d, rng) for d in test_digits[:20]]
    inks += [ink_of(photograph(d, light, rng)) for d, light in zip(test_digits, LIGHTS, strict=False)]
    inks += [rng.integers(0, 256, rng.integers(1, 90, 2), dtype=np.uint8) for _ in range(20)]
    inks += [np.full((h, w), 9, np.uint8) for h, w in ((1, 1), (1, 50), (50, 1), (33, 20), (21, 21), (280, 280))]
    text = lambda a: base64.b64encode(a.tobytes()).decode()  # noqa: E731
    cases = [
        {"height": ink.shape[0], "width": ink.shape[1], "ink": text(ink), "pixels": text(mnist_like(ink))}
        for ink in inks
        if ink.any()
    ]
    assert len(cases) >= 50
    file = tmp_path / "ink.json"
    file.write_text(json.dumps(cases), "utf-8")
    done = subprocess.run(
        ["node", "--test", str(paths.ROOT / "tests" / "test_draw.mjs")],
        env=os.environ | {"AEVAE_INK": str(file)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-3000:]


# -- photographs -----------------------------------------------------------------------------------------------------


_Y, _X = np.mgrid[0:480, 0:640] / 640
LIGHTS = {
    "even": np.full(_Y.shape, 230.0),
    "from the left": 240 - 150 * _X,
    "dark corners": 235 - 130 * ((_X - 0.6) ** 2 + (_Y - 0.25) ** 2),
    "dim": 60 + 60 * _Y,
    "shadow of a hand": np.where(_X + 0.5 * _Y > 0.6, 225.0, 150.0),
}


def photograph(digit: np.ndarray, light: str, rng: np.random.Generator, pen=0.75, lines=1.0) -> np.ndarray:
    """Grey ink on paper in this light, out of focus, with noise; uint8 (480, 640).

    pen: the share of light that the ink takes; lines: the share that the printed lines leave.
    """
    ink = np.zeros(_Y.shape)
    side = 28 * int(rng.integers(7, 14))
    y, x = rng.integers(10, 470 - side), rng.integers(10, 630 - side)
    ink[y : y + side, x : x + side] = np.asarray(Image.fromarray(digit).resize((side, side), Image.BICUBIC)) / 255
    seen = ndimage.gaussian_filter(LIGHTS[light], 6) * lines * (1 - pen * ndimage.gaussian_filter(ink, 2.5))
    return (seen + rng.normal(0, 6, seen.shape)).clip(0, 255).astype(np.uint8)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two pictures, where they fit best: the box of a blurred digit may be a pixel smaller."""
    moved = [np.roll(a, (y, x), (-2, -1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return max(np.corrcoef(m.ravel(), b.ravel())[0, 1] for m in moved)


@pytest.mark.slow
@pytest.mark.parametrize("light", LIGHTS)
def test_a_photographed_digit_is_read(test_digits, light):
    rng = np.random.default_rng(2)
    found = []
    for digit in test_digits[:8]:
        out = io.BytesIO()
        Image.fromarray(photograph(digit, light, rng)).save(out, "JPEG", quality=80)
        found.append(likeness(read_digit(out.getvalue())[0], digit))
    assert np.median(found) > 0.9 and min(found) > 0.75


def test_dark_on_light_and_light_on_dark_are_the_same(test_digits):
    rng = np.random.default_rng(3)
    for digit in test_digits[:4]:
        sheet = enlarged(digit, rng)
        drawn, paper = read_digit(image_bytes(sheet)), read_digit(image_bytes(255 - sheet))
        assert likeness(drawn[0], digit) > 0.95 and likeness(paper[0], digit) > 0.95
        assert np.array_equal(read_digit(image_bytes(255 - digit)), digit[None])  # it has the form already


def test_the_edge_of_the_sheet_and_dirt_are_no_ink(test_digits):
    rng = np.random.default_rng(4)
    for digit in test_digits[:4]:
        photo = photograph(digit, "even", rng)
        photo[:, :12] = 40
        photo[-9:] = 50
        photo[3:7, 600:604] = 30
        assert likeness(read_digit(image_bytes(photo))[0], digit) > 0.75


def lined(kind: str, left: float, width: int = 6) -> np.ndarray:
    """How much light (480, 640) the printed lines of this paper leave, a little turned."""
    across, along = (640 * (_X * np.cos(a) + _Y * np.sin(a)) for a in (0.03, 0.03 + np.pi / 2))
    return np.where((along % 40 < width) | ((across % 40 < width) & (kind == "squared")), left, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["squared", "ruled"])
def test_lines_of_paper_go_or_are_said(test_digits, kind):
    for k, digit in enumerate(test_digits[:4]):
        photo = photograph(digit, "even", np.random.default_rng(k))
        faint, dark = (np.minimum(photo, 230 * lined(kind, left)).astype(np.uint8) for left in (0.6, 0.25))
        assert likeness(read_digit(image_bytes(faint))[0], digit) > 0.75
        with pytest.raises(ValueError, match="the lines of the paper are as dark as the strokes in 'the image'"):
            read_digit(image_bytes(dark))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["squared", "ruled"])
@pytest.mark.parametrize("pen", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("left", [0.85, 0.7, 0.55, 0.4, 0.25])
def test_a_digit_on_lined_paper_is_read_well_or_refused(test_digits, kind, pen, left):
    """From a thin pencil to a bold pen, on faint lines and dark ones. What is read is the digit, not the lines."""
    for width, k in ((1, 0), (3, 0), (4, 1), (6, 0)):
        lines = ndimage.gaussian_filter(lined(kind, left, width), 0.7)
        photo = photograph(test_digits[k], "even", np.random.default_rng(k), pen, lines)
        try:
            found = read_digit(image_bytes(photo))[0]
        except ValueError as problem:
            assert re.search("lines of the paper are as dark|no visible digit", str(problem))
            assert 1 - left > pen / 4, "a pen that is much darker than the lines is read"
        else:
            assert likeness(found, test_digits[k]) > 0.6, (width, k)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 90, 255])
def test_an_empty_image_is_said_to_be_empty(value):
    rng = np.random.default_rng(5)
    for grey in (np.full((300, 400), value), value + rng.normal(0, 5, (300, 400)), value * (0.7 + 0.3 * _X)):
        with pytest.raises(ValueError, match="there is no visible digit in 'the image'"):
            read_digit(image_bytes(np.asarray(grey).clip(0, 255).astype(np.uint8)))


def test_hostile_images_are_refused_as_ever():
    for content in (b"", b"hello", bytes(archives.MAX_FILE_BYTES + 1), image_bytes(np.zeros((5, 5), np.uint8))[:40]):
        with pytest.raises(ValueError, match=r"'?cat\.png"):
            read_digit(content, "cat.png")
    for shape in ((1, 1), (1, 3000), (2, 2)):
        with pytest.raises(ValueError, match="no visible digit"):
            read_digit(image_bytes(np.full(shape, 7, np.uint8)))


@pytest.mark.slow
def test_a_shipped_model_knows_photographed_digits(test_digits):
    """Codes of photographs lie among codes of their class, and the picture comes back."""
    from aevae.runs import load_run

    run = load_run(str(VAE))
    data = load(DataConfig())
    codes = run.encode(data.test.images.astype(np.float32) / 255)
    rng = np.random.default_rng(6)
    shown = np.stack(
        [read_digit(image_bytes(photograph(d, "from the left", rng))) for d in test_digits[:12]]
    ) / np.float32(255)
    nearest = np.linalg.norm(run.encode(shown)[:, None] - codes[None], axis=2).argsort(1)[:, :5]
    votes = np.array([np.bincount(v, minlength=10).argmax() for v in data.test.labels[nearest]])
    assert (votes == data.test.labels[:12]).mean() > 0.8
    assert np.square(run.reconstruct(shown) - shown).sum((1, 2, 3)).mean() < 25
