"""Users' images as a data set: folders, zips and uploads, what identifies them, and hostile ones."""

import dataclasses
import io
import struct
import zipfile

import numpy as np
import pytest
from file_helpers import image_set, one_line, plain_image, write_files

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets import archives, check_zip, images, load, resolve


def make_zip(path, members: dict, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def shapes(prefix="") -> dict:
    """Ten dark and five light pictures, each of its own grey."""
    dark = {f"{prefix}dark/{k}.png": plain_image(k) for k in range(10)}
    return dark | {f"{prefix}light/{k}.png": plain_image(200 + k) for k in range(5)}


def test_folder_and_its_zip_are_the_same_images(tmp_path):
    litter = {"dark/.DS_Store": b"x", "Thumbs.db": b"x"}
    folder = write_files(tmp_path / "shapes", shapes() | litter)
    packed = make_zip(tmp_path / "shapes.zip", shapes() | {"__MACOSX/dark/._1.png": b"x", "dark/": b""})
    one, two = load(DataConfig(f"images:{folder}")), load(DataConfig(f"images:{packed}"))
    assert one.classes == two.classes == ("dark", "light") and one.title == "shapes"
    assert np.bincount(one.train.labels).tolist() == [8, 4] and np.bincount(one.test.labels).tolist() == [2, 1]
    for split in (one.train, one.test):
        assert ((split.images >= 200).all(axis=(1, 2, 3)) == (split.labels == 1)).all()
    assert np.array_equal(one.train.images, two.train.images) and np.array_equal(one.test.labels, two.test.labels)
    assert resolve(DataConfig(f"images:{folder}")).digest == resolve(DataConfig(f"images:{packed}")).digest
    assert not image_set(one.train) & image_set(one.test)


def test_classes_below_one_outer_folder_and_without_folders(tmp_path):
    wrapped = make_zip(tmp_path / "wrapped.zip", shapes("all/of/them/"))
    assert load(DataConfig(f"images:{wrapped}")).classes == ("dark", "light")
    flat = make_zip(tmp_path / "flat.zip", {"a.png": plain_image(1), "b.png": plain_image(2)})
    data = load(DataConfig(f"images:{flat}"))
    assert data.classes == ("pictures",) and (len(data.train), len(data.test)) == (1, 1)
    mixed = make_zip(tmp_path / "mixed.zip", shapes() | {"loose.png": plain_image(1)})
    assert load(DataConfig(f"images:{mixed}")).classes == ("dark", "light", "pictures")


def test_digest_follows_content_and_load_refuses_what_changed(tmp_path):
    folder = write_files(tmp_path / "own", shapes())
    config = DataConfig(f"images:{folder}")
    known = resolve(config)
    assert len(known.digest) == 12 and resolve(known) == known and len(load(known).train) == 12
    (folder / "dark" / "0.png").rename(folder / "dark" / "zero.png")
    renamed = resolve(config)
    (folder / "dark" / "zero.png").write_bytes(plain_image(77))
    changed = resolve(config)
    assert len({known.digest, renamed.digest, changed.digest}) == 3
    with pytest.raises(ValueError, match="have changed") as error:
        load(known)
    one_line(error)
    assert 77 in np.concatenate([load(changed).train.images, load(changed).test.images])


def test_own_images_take_a_limit(tmp_path):
    folder = write_files(tmp_path / "own", shapes())
    assert len(load(DataConfig(f"images:{folder}", limit=3)).train) == 3


def hostile_zips(folder):
    """name -> (zip, words its sentence must hold)."""
    good = {"a.png": plain_image(1), "b.png": plain_image(2)}
    locked = zipfile.ZipInfo("locked.png")
    cases = {
        "up": ({"../../x.png": plain_image(0)}, "leads out"),
        "inner_up": ({"a/../../x.png": plain_image(0)}, "leads out"),
        "absolute": ({"/etc/x.png": plain_image(0)}, "leads out"),
        "drive": ({"C:/x.png": plain_image(0)}, "leads out"),
        "backslash": ({"..\\x.png": plain_image(0)}, "leads out"),
        "share": ({"\\\\server\\x.png": plain_image(0)}, "leads out"),
    }
    for name, (members, words) in cases.items():
        yield make_zip(folder / f"{name}.zip", good | members), words
    yield make_zip(folder / "one.zip", {"a.png": plain_image(1)}), "at least 2 images, got 1"
    yield make_zip(folder / "none.zip", {}), "at least 2 images, got 0"
    yield make_zip(folder / "lzma.zip", good, zipfile.ZIP_LZMA), "unusual way"
    nested = make_zip(folder / "inner", {"most.zip": make_zip(folder / "most", good).read_bytes()}).read_bytes()
    yield make_zip(folder / "matryoshka.zip", {"inner.zip": nested}), "'most.zip' is a zip inside"
    whole = make_zip(folder / "whole", good | {locked: plain_image(3)}).read_bytes()
    stored = make_zip(folder / "stored", good, zipfile.ZIP_STORED).read_bytes()
    for name, content, words in (
        ("half.zip", whole[: len(whole) // 2], "is not a zip file"),
        ("empty.zip", b"", "is not a zip file"),
        ("text.zip", b"hello" * 50, "is not a zip file"),
        ("damaged.zip", stored.replace(b"IDAT", b"IDAX"), "in the zip is damaged"),
        ("flag.zip", whole.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"), "password"),
        ("records.zip", whole[:-10] + struct.pack("<I", 2**32 - 1) + whole[-6:], "has too many files"),
    ):
        (folder / name).write_bytes(content)
        yield folder / name, words


def test_hostile_zips_end_in_one_sentence(tmp_path, own_data):
    for path, words in hostile_zips(tmp_path):
        for attempt in (
            lambda path=path: check_zip(path),
            lambda path=path: load(DataConfig(f"images:{path}")),
            lambda path=path: datasets.store_upload(path.read_bytes(), path.name),
        ):
            with pytest.raises(ValueError) as error:
                attempt()
            assert words in one_line(error), path.name
    assert not own_data.exists()  # nothing was stored


def test_limits_bind_uploads_and_not_the_owner(tmp_path, own_data, monkeypatch):
    many, folder = make_zip(tmp_path / "many.zip", shapes()), write_files(tmp_path / "many", shapes())
    for field, most, words in (("files", 9, "more than 9 files"), ("total_bytes", 1_000, "MB")):
        monkeypatch.setattr(images, "UPLOAD", dataclasses.replace(archives.UPLOAD, **{field: most}))
        for upload in (many.read_bytes(), shapes()):
            with pytest.raises(ValueError, match=words) as error:
                datasets.store_upload(upload, "many")
            one_line(error)
        for place in (many, folder):
            assert len(load(DataConfig(f"images:{place}", limit=5)).train) == 5
    assert archives.OWN.files > 20_000 and archives.OWN.total_bytes > 10**12


def test_a_name_that_comes_twice_is_refused(tmp_path):
    twins = tmp_path / "twins.zip"
    with zipfile.ZipFile(twins, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.png", plain_image(1))
        archive.writestr("a.png", plain_image(2))
    with pytest.raises(ValueError, match="twice"):
        check_zip(twins)


def test_zip_with_random_damage_never_raises_anything_else(tmp_path):
    whole = make_zip(tmp_path / "a.zip", shapes()).read_bytes()
    rng = np.random.RandomState(0)
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.randint(0, len(whole), size=rng.randint(1, 6)):
            content[at] = rng.randint(256)
        try:
            check_zip(io.BytesIO(bytes(content)))
        except ValueError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "path", ["", "/etc", "/", "/proc", "/dev", "/dev/zero", "/nowhere", "~nobody-here/x", "a\0b", "x" * 9999]
)
def test_names_a_student_may_try(path):
    for function in (load, resolve):
        with pytest.raises(ValueError) as error:
            function(DataConfig(f"images:{path[:500]}"))
        one_line(error)


def test_upload_is_stored_under_its_digest_and_listed(tmp_path, own_data):
    content = make_zip(tmp_path / "a.zip", shapes()).read_bytes()
    name = datasets.store_upload(content, "../../<b>My shapes</b>.zip")
    config = resolve(DataConfig(name))
    assert name == f"images:{own_data / 'images' / config.digest}.zip"
    assert datasets.store_upload(content, "again.zip") == name
    assert sorted(p.name for p in own_data.rglob("*") if p.is_file()) == [
        f"{config.digest}.json",
        f"{config.digest}.zip",
    ]
    data = load(config)
    assert (len(data.train), len(data.test), data.title) == (12, 3, "b.zip")
    first, *_rest, row = datasets.catalogue()
    assert list(row) == list(first), "every row has the same facts"
    assert row["name"] == name and row["title"] == "b.zip" and row["available"]
    assert images._shown("../../<b>My shapes</b>.zip") == "b.zip" and images._shown("\n<>") == "images.zip"


def test_check_zip_counts_images(tmp_path):
    path = make_zip(tmp_path / "a.zip", shapes())
    assert check_zip(path) == check_zip(str(path)) == check_zip(io.BytesIO(path.read_bytes())) == 15
