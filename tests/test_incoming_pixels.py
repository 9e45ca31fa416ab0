"""Users' photographs, and images whose pixels do not fill their range."""

import functools

import numpy as np
import pytest
from file_helpers import image_bytes, load_images, notes_of, random_image, zip_bytes
from PIL import Image
from test_incoming import HEIC

from aevae.datasets import handwriting, pictures, read_picture

# -- photographs -----------------------------------------------------------------------------------------------------


@functools.cache
def snapshot(width: int, height: int, **options) -> bytes:
    """A JPEG of a dark 7 on grey paper, as large as asked."""
    small = np.full((30, 40), 190, np.uint8)
    small[6:9, 12:26] = small[9:24, 22:25] = 30
    return image_bytes(Image.fromarray(small).resize((width, height), 0), "JPEG", **options)


@pytest.mark.slow
def test_photographs_of_phones_are_taken(tmp_path):
    """12, 48 and 200 megapixels; noise makes the file large."""
    for width, height in ((4000, 3000), (8064, 6048), (16_320, 12_240)):
        digit = handwriting.read_digit(snapshot(width, height))
        assert digit.shape == (1, 28, 28) and digit.max() == 255
    noise = image_bytes(np.random.default_rng(0).integers(0, 256, (3000, 4000), dtype=np.uint8), "JPEG", quality=85)
    assert len(noise) > 7_000_000 and read_picture(noise).shape == (1, 28, 28)
    data = load_images(tmp_path, {"a/1.jpg": snapshot(8064, 6048), "b/2.jpg": noise})
    assert len(data.train) + len(data.test) == 2 and not data.notes


def test_what_is_not_decoded_row_by_row_has_the_lower_limit(monkeypatch):
    assert pictures.MAX_PIXELS >= 50_400_000, "HEIC of 50 megapixels"
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1_000_000)
    assert read_picture(snapshot(2000, 1500)).shape == read_picture(snapshot(800, 600, progressive=True)).shape
    with pytest.raises(ValueError, match="at most 1 million pixels, got 3"):
        read_picture(snapshot(2000, 1500, progressive=True))


def test_a_photograph_in_heic_is_read_or_says_what_to_do(monkeypatch):
    monkeypatch.setattr(pictures, "formats", lambda: ("PNG", "JPEG"))
    for brand in (b"heic", b"mif1", b"heix"):
        with pytest.raises(ValueError, match=r"'a\.HEIC' is a HEIC photo: .*pip install pillow-heif") as error:
            read_picture(HEIC.replace(b"heic", brand, 1), name="a.HEIC")
        assert "JPEG" in str(error.value)
    with pytest.raises(ValueError, match="AVIF"):
        read_picture(HEIC.replace(b"heic", b"avif", 1))
    monkeypatch.undo()
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    assert read_picture(image_bytes(Image.new("RGB", (90, 60), "white"), "HEIF"), invert=False).max() > 250


def test_every_format_that_is_known_is_allowed_and_read():
    """One list: what an uploader lets through is read, or told about."""
    for kind in pictures.formats():
        if kind == "HEIF":
            continue
        assert read_picture(image_bytes(np.full((40, 30), 200, np.uint8), kind), invert=False).max() > 190
        assert set(pictures.EXTENSIONS[kind]) <= set(pictures.UPLOADED)
    assert {"heic", "gif", "tiff", "avif"} <= set(pictures.UPLOADED)


def corner(mode="L", **options) -> Image.Image:
    """White paper with a dark block in its upper left corner."""
    grey = np.full((60, 90), 255, np.uint8)
    grey[5:20, 5:25] = 0
    return Image.fromarray(grey).convert(mode)


def test_a_photograph_is_turned_as_its_exif_says():
    upright = read_picture(image_bytes(corner(), "JPEG", quality=95))
    turns = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
    for orientation, turn in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = read_picture(image_bytes(corner().transpose(turn), "JPEG", quality=95, exif=exif))
        assert np.abs(turned.astype(int) - upright).max() < 40, orientation


def test_colours_palettes_transparency_and_films():
    plain = read_picture(image_bytes(corner()))
    for pair in ("CMYK JPEG", "CMYK TIFF", "P PNG", "P GIF", "RGBA PNG", "RGB WEBP"):
        mode, kind = pair.split()
        assert np.abs(read_picture(image_bytes(corner(mode), kind)).astype(int) - plain).max() < 40, (mode, kind)
    frames = [corner(), Image.new("L", (90, 60), 0)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        film = image_bytes(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(read_picture(film).astype(int) - plain).max() < 40, f"{kind}: the first frame"
    clear = Image.new("RGBA", (90, 60), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (5, 5, 25, 20))
    assert np.abs(read_picture(image_bytes(clear)).astype(int) - plain).max() < 40


# -- pixels that do not fill their range -----------------------------------------------------------------------------


def dim(kind: str) -> dict:
    rng = np.random.default_rng(4)
    top, dtype = {"12 bits": (4095, np.uint16), "10 bits": (1023, np.uint16), "14 bits": (16383, np.uint16)}.get(
        kind, {"mask": (1, np.uint8), "map": (9, np.uint8)}.get(kind, (0, np.uint8))
    )
    values = [rng.integers(0, top + 1, (40, 40)).astype(dtype) for _ in range(6)]
    values[0][0, 0] = top
    return {f"{k}.png": image_bytes(v) for k, v in enumerate(values)}


@pytest.mark.parametrize("kind", ["12 bits", "10 bits", "14 bits", "mask", "map"])
def test_pixels_that_would_be_black_are_stretched_and_said(tmp_path, kind):
    members = dim(kind)
    data = load_images(tmp_path, members)
    everything = np.concatenate([data.train.images, data.test.images])
    assert everything.max() > 200 and 90 < everything.mean() < 160
    assert "made brighter" in notes_of(data) and "becomes white" in notes_of(data)
    again = load_images(tmp_path, zip_bytes(members))
    assert again.digest == data.digest and np.array_equal(again.train.images, data.train.images)
    assert read_picture(members["0.png"], invert=False).max() > 200


def test_all_images_of_a_set_are_stretched_by_one_factor(tmp_path):
    faint, strong = np.full((28, 28), 1000, np.uint16), np.full((28, 28), 4000, np.uint16)
    data = load_images(
        tmp_path, {"a/1.png": image_bytes(faint), "a/2.png": image_bytes(strong), "b/1.png": random_image(3)}
    )
    means = sorted(x.mean() for x in np.concatenate([data.train.images, data.test.images]))
    assert round(means[0]) == 64 and 255 in means
    assert "2 images is above 4000 of 65535" in notes_of(data)


def test_bright_images_stay_as_they_are(tmp_path):
    values = {"a.png": np.full((28, 28), 70, np.uint8), "b.png": np.full((28, 28), 3, np.uint8)}
    data = load_images(tmp_path, {name: image_bytes(v) for name, v in values.items()})
    assert sorted(int(x.max()) for x in np.concatenate([data.train.images, data.test.images])) == [3, 70]
    assert "1 images are nearly black because others are much brighter, such as 'b.png'" in notes_of(data)
    assert "stretched" not in notes_of(data)
    black = load_images(
        tmp_path, {name: image_bytes(v * 0) for name, v in values.items()} | {"c/1.png": random_image(1)}
    )
    assert not black.notes


def test_numbers_with_a_point_are_stretched(tmp_path):
    ramp = np.linspace(0, 0.8, 784, dtype=np.float32).reshape(28, 28)
    data = load_images(tmp_path, {f"{k}.tif": image_bytes(ramp / k, "TIFF") for k in (1, 2)})
    assert np.concatenate([data.train.images, data.test.images]).max() == 255 and "0.8 becomes white" in notes_of(data)


@pytest.mark.parametrize("tops", [(300, 70_000), (70_000, 140_000), (65_535, 65_536)])
def test_numbers_of_32_bits_have_one_white(tmp_path, tops):
    ramp = np.linspace(0, 1, 784).reshape(28, 28)
    data = load_images(
        tmp_path, {f"{top}.tif": image_bytes(np.rint(ramp * top).astype(np.int32), "TIFF") for top in tops}
    )
    brightest = sorted(int(x.max()) for x in np.concatenate([data.train.images, data.test.images]))
    assert brightest == [round(255 * top / max(tops)) for top in tops]
    assert len(data.notes) == 1 and f"{max(tops):g} becomes white" in notes_of(data)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_negative_pixels_are_said(tmp_path, dtype):
    ramp = np.linspace(-50, 200, 784).reshape(28, 28)
    data = load_images(tmp_path, {f"{k}.tif": image_bytes((ramp / k).astype(dtype), "TIFF") for k in (1, 2)})
    assert "2 images have negative pixels, which become black, such as '1.tif'" in notes_of(data)


@pytest.mark.parametrize(("value", "kind"), [(0, "black"), (99, "equal")])
def test_a_set_without_differences_is_said(tmp_path, value, kind):
    plain = image_bytes(np.full((28, 28), value, np.uint8))
    data = load_images(tmp_path, {f"{k}.png": plain for k in range(3)})
    assert data.notes == (f"all 3 images are {kind}, so a model has nothing to learn",)


def test_a_digit_of_twelve_bits_is_seen():
    paper = np.full((300, 300), 4000, np.uint16)
    paper[60:240, 140:160] = 300
    assert handwriting.read_digit(image_bytes(paper)).max() == 255
