"""Users' images: zips from other systems, folders, photographs, unusual pixels and names."""

import builtins
import contextlib
import dataclasses
import functools
import hashlib
import io
import os
import random
import stat
import struct
import sys
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aevae import datasets
from aevae.cli import main
from aevae.config import DataConfig
from aevae.datasets import archives, folders, handwriting, images, load, pictures, read_picture, resolve
from aevae.exchange import run_archive
from aevae.runs import export_weights
from aevae.store import checkpoints

FUZZ = {"derandomize": True, "deadline": None, "database": None}
LITTER = {
    "__MACOSX/._a": b"x", "__MACOSX/a/._b.png": b"x", ".DS_Store": b"x", "a/.DS_Store": b"x", "desktop.ini": b"x",
    "a/Desktop.ini": b"x", "a/Thumbs.db": b"x", "Icon\r": b"", "$RECYCLE.BIN/x.png": b"x", ".Trashes/y.png": b"x",
    "System Volume Information/WPSettings.dat": b"x",
}  # fmt: skip


def image(values, kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    picture = values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values))
    picture.save(out, kind, **options)
    return out.getvalue()


@functools.cache
def photo(k: int) -> bytes:
    """A small bright picture, each k another."""
    return image(np.random.default_rng(k).integers(0, 256, (28, 28), dtype=np.uint8))


def pack(members: dict, method=zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def raw_names(members: dict[bytes, bytes]) -> bytes:
    """A zip whose names are these bytes, without the flag that says UTF-8, as systems of old write them."""
    stand_ins = {f"{k:02}".encode() + b"x" * (len(name) - 2): name for k, name in enumerate(members)}
    data = pack({stand_in.decode(): members[name] for stand_in, name in stand_ins.items()}, zipfile.ZIP_STORED)
    for stand_in, name in stand_ins.items():
        for head in (b"PK\3\4", b"PK\1\2"):
            skip = {b"PK\3\4": 30, b"PK\1\2": 46}[head]
            at = -1
            while (at := data.find(head, at + 1)) >= 0:
                if data[at + skip : at + skip + len(name)] == stand_in:
                    data = data[: at + skip] + name + data[at + skip + len(name) :]
    return data


def zip64(data: bytes) -> bytes:
    """The same zip with a 64-bit end record, as `zip -fz` and cloud drives write it."""
    end = data.rindex(b"PK\5\6")
    count, size, offset = struct.unpack_from("<HII", data, end + 10)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    short = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:end] + record + locator + short


def backslashes(members: dict) -> bytes:
    return pack({name.replace("/", "\\"): content for name, content in members.items()})


def lay(folder: Path, members: dict) -> Path:
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def bring(tmp_path: Path, members: dict | bytes, **options) -> datasets.Dataset:
    """The data set of this zip or of these files in a folder."""
    place = tmp_path / f"{random.getrandbits(64):x}"
    if isinstance(members, bytes):
        (place := place.with_suffix(".zip")).write_bytes(members)
    else:
        lay(place, members)
    return load(resolve(DataConfig(f"images:{place}", **options)))


def said(data) -> str:
    return "\n".join(data.notes)


# -- zips that another system packed -----------------------------------------------------------------------------------


@pytest.fixture
def run(store, monkeypatch, tmp_path) -> tuple[str, dict[str, bytes]]:
    """(name, files) of a run, and a store that is empty."""
    info = checkpoints.find_run(store["vae"])
    with zipfile.ZipFile(io.BytesIO(run_archive.pack(info))) as archive:
        files = {m.filename.split("/")[1]: archive.read(m) for m in archive.infolist()}
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "elsewhere"))
    return info.name, files


def below(folder: str, files: dict) -> dict:
    return {f"{folder}/{name}": content for name, content in files.items()}


REPACKED = {
    "by a Mac": lambda name, files: pack(below(name, files) | below(f"__MACOSX/{name}", {"._config.json": b"x"})),
    "with litter": lambda name, files: pack(below(name, files) | LITTER | below(name, LITTER)),
    "flat": lambda name, files: pack(files),
    "flat with dots": lambda name, files: pack(below(".", files)),
    "downloaded twice": lambda name, files: pack(below(f"{name} (1)", files)),
    "a copy": lambda name, files: pack(below(f"{name} - Copy", files)),
    "nested once": lambda name, files: pack(below(f"{name}/{name}", files)),
    "in other folders": lambda name, files: pack(below(f"Downloads/my runs/{name}", files)),
    "by PowerShell": lambda name, files: backslashes({f"{name}/": b""} | below(name, files)),
    "zip64": lambda name, files: zip64(pack(below(name, files))),
    "zip in a zip": lambda name, files: pack({"export.zip": pack(below(name, files))} | LITTER),
}


@pytest.mark.parametrize("how", REPACKED)
def test_a_run_that_was_packed_again_comes_in(run, how, tmp_path, capsys):
    name, files = run
    file = tmp_path / "run.zip"
    file.write_bytes(REPACKED[how](name, files))
    assert main(["import", str(file)]) == 0, capsys.readouterr().err
    assert checkpoints.finished_run(name)
    checkpoints.delete_run(checkpoints.find_run(name))
    assert run_archive.unpack(file.read_bytes()) == name


def test_a_run_comes_in_as_a_folder(run, tmp_path, capsys):
    """As `export --format folder` wrote it, below another folder, with litter, and file by file from a browser."""
    name, files = run
    for folder in (lay(tmp_path / name, files), lay(tmp_path / "deep", below(f"a/{name} 2", files) | LITTER)):
        assert main(["import", str(folder)]) == 0, capsys.readouterr().err
        export_weights(checkpoints.find_run(name), tmp_path / "exported", half=True)
        checkpoints.delete_run(checkpoints.find_run(name))
        assert main(["import", str(tmp_path / "exported" / name)]) == 0, capsys.readouterr().err
        checkpoints.delete_run(checkpoints.find_run(name))
    assert run_archive.unpack(below(name, files)) == name


@pytest.mark.parametrize("limit", [{"files": 3}, {"total_bytes": 20_000}, {"file_bytes": 20_000}])
def test_limits_of_uploads_do_not_bind_the_command_line(run, tmp_path, monkeypatch, capsys, limit):
    name, files = run
    monkeypatch.setattr(run_archive, "LIMITS", dataclasses.replace(run_archive.LIMITS, **limit))
    zipped = pack(below(name, files))
    (tmp_path / "run.zip").write_bytes(zipped)
    for upload in (zipped, below(name, files)):
        with pytest.raises(ValueError, match=r"more than|too many files"):
            run_archive.unpack(upload)
    for place in (tmp_path / "run.zip", lay(tmp_path / name, files)):
        assert main(["import", str(place)]) == 0, capsys.readouterr().err
        checkpoints.delete_run(checkpoints.find_run(name))


@pytest.mark.parametrize("argument", ["", "nowhere", "nowhere.zip"])
def test_nothing_to_import_is_one_sentence(empty_store, tmp_path, capsys, argument):
    assert main(["import", argument and str(tmp_path / argument)]) == 2
    assert repr(argument)[1:-1] in capsys.readouterr().err
    assert main(["import", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err


def test_a_backslash_leads_nowhere(run):
    name, files = run
    up = ("..\\evil", "a\\..\\..\\evil", "a/../../evil")
    for evil in (*up, "\\evil", "\\\\server\\share\\evil", "C:\\evil", "/evil"):
        with pytest.raises(ValueError, match="leads out of its folder"):
            run_archive.unpack(pack(below(name, files) | {evil: b"x"}))


SOURCE = {f"{c}/{k}.png": photo(10 * i + k) for i, c in enumerate(("cat", "dog")) for k in range(3)}
PACKED = {
    "plain": pack, "by PowerShell": backslashes, "zip64": lambda m: zip64(pack(m)), "stored": lambda m: pack(m, 0),
    "with dots": lambda m: pack(below(".", m)), "zip in a zip": lambda m: pack({"inner.zip": pack(m)}),
    "with folders": lambda m: pack({"cat/": b"", "dog/": b""} | m),
}  # fmt: skip


@settings(max_examples=40, **FUZZ)
@given(st.sampled_from(list(PACKED)), st.lists(st.sampled_from(list(LITTER)), unique=True))
def test_however_it_is_packed_it_is_the_same_data_set(tmp_path_factory, how, litter):
    found = bring(tmp_path_factory.mktemp("set"), PACKED[how](SOURCE | {name: LITTER[name] for name in litter}))
    assert found.digest == "d8a3eade3064" and found.classes == ("cat", "dog") and not found.notes


# Digests that the program had before it took all this: runs keep their names
OLD = {
    "d8a3eade3064": SOURCE,
    "78ba260f5398": {"a.png": photo(1), "b.jpg": image(np.arange(784, dtype=np.uint8).reshape(28, 28), "JPEG")},
    "376f50d35fa3": {f"all/of them/{name}": content for name, content in SOURCE.items()},
    "329f62a2f67b": {f"日本/{k}.png": photo(k) for k in range(3)} | {f"Ωß/{k}.png": photo(9 + k) for k in range(3)},
    "4bb7a00409e1": {f"{c}/{k}.png": photo(ord(c[0]) + k) for c in ("train", "bus") for k in range(2)},
    "1a0cd790dfb6": {"a.png": image((np.eye(30) * 60_000).astype(np.uint16)), "b.gif": image(np.eye(9) > 0, "GIF")},
}  # fmt: skip


@pytest.mark.parametrize("digest", OLD)
def test_sets_that_were_taken_before_keep_their_identity(tmp_path, digest):
    assert bring(tmp_path, OLD[digest]).digest == bring(tmp_path, pack(OLD[digest])).digest == digest


# -- folders that are a split ------------------------------------------------------------------------------------------


def tree(**parts: dict[str, int]) -> dict:
    """part="0:3 1:2": in the folder `part` three pictures of class 0 and two of class 1."""
    return {
        f"{part.replace('__', ' ')}/{c}/{k}.png": photo(zlib.crc32(f"{part}{c}{k}".encode()))
        for part, classes in parts.items()
        for c, count in classes.items()
        for k in range(count)
    }


SPLITS = {
    "train and test": (tree(train={"0": 5, "1": 4}, test={"0": 2, "1": 1}), 9, 3),
    "with capitals": (tree(Train={"0": 5, "1": 4}, TEST={"0": 2, "1": 1}), 9, 3),
    "train and val": (tree(train={"0": 5, "1": 4}, val={"0": 2, "1": 1}), 9, 3),
    "training and testing": (tree(training={"0": 5, "1": 4}, testing={"0": 2, "1": 1}), 9, 3),
    "three ways": (tree(train={"0": 5, "1": 4}, val={"0": 1, "1": 1}, test={"0": 2, "1": 1}), 11, 3),
    "validation": (tree(Training__Set={"0": 5, "1": 4}, validation_set={"0": 2, "1": 1}), 9, 3),
    "Chinese": (tree(训练集={"0": 5, "1": 4}, 测试集={"0": 2, "1": 1}), 9, 3),
    "numbered": (tree(train1={"0": 5}, train2={"1": 4}, test1={"0": 2, "1": 1}), 9, 3),
    "prefixed": (tree(mnist_train={"0": 5, "1": 4}, mnist_test={"0": 2, "1": 1}), 9, 3),
}


@pytest.mark.parametrize("kind", SPLITS)
@pytest.mark.parametrize("outer", ["", "my data/"])
def test_a_split_is_kept_and_said(tmp_path, kind, outer):
    members, train, test = SPLITS[kind]
    for place in (members, pack(members)):
        data = bring(tmp_path, {outer + k: v for k, v in members.items()} if outer and place is members else place)
        assert data.classes == ("0", "1") and (len(data.train), len(data.test)) == (train, test)
        assert np.bincount(data.test.labels).tolist() == [2, 1]
        expected = {n: read_picture(v, invert=False) for n, v in members.items()}
        tested = [part for part in {n.split("/")[0] for n in members} if folders._part(part) == "test"] or [
            part for part in {n.split("/")[0] for n in members} if folders._part(part) == "val"
        ]
        wanted = {v.tobytes() for n, v in expected.items() if n.split("/")[0] in tested}
        assert {x.tobytes() for x in data.test.images} == wanted
        assert "taken as a split" in said(data) and f"{test} of" in said(data)


def test_a_split_below_the_classes_and_one_without_classes(tmp_path):
    below_classes = {f"{c}/{p}/{k}.png": photo(k + 50 * (c == "dog") + 9 * (p == "test")) for c in ("cat", "dog")
                     for p, n in (("train", 4), ("test", 2)) for k in range(n)}  # fmt: skip
    data = bring(tmp_path, below_classes)
    assert data.classes == ("cat", "dog") and (len(data.train), len(data.test)) == (8, 4)
    plain = {f"train/{k}.png": photo(k) for k in range(5)} | {f"test/{k}.png": photo(50 + k) for k in range(2)}
    data = bring(tmp_path, plain)
    assert data.classes == ("pictures",) and (len(data.train), len(data.test)) == (5, 2)
    loose = bring(tmp_path, SPLITS["train and test"][0] | {"overview.png": photo(77)})
    assert loose.classes == ("0", "1") and len(loose.train) + len(loose.test) == 12
    assert "1 images beside these folders are left out" in said(loose)


def test_a_train_is_a_class_where_it_is_one(tmp_path):
    vehicles = {f"{c}/{k}.png": photo(ord(c[0]) + k) for c in ("train", "bus", "car") for k in range(3)}
    data = bring(tmp_path, vehicles)
    assert data.classes == ("bus", "car", "train") and not data.notes
    data = bring(tmp_path, tree(train1={"0": 3}, train2={"0": 2}))
    assert data.classes == ("train1", "train2") and "'train1' and 'train2' are taken as classes" in said(data)
    data = bring(tmp_path, vehicles | {f"test/{k}.png": photo(200 + k) for k in range(3)})
    assert data.classes == ("bus", "car", "test", "train") and "taken as classes" in said(data)


def test_what_was_done_in_reading_is_part_of_the_identity(tmp_path):
    """Read in another way (as by an older program), the same bytes are another data set."""
    for members in (SPLITS["train and test"][0], GOOD | {"notes.txt": b"x"}, dim("mask")):
        found = bring(tmp_path, members)
        with archives.opened(lay(tmp_path / found.digest, members)) as incoming:
            keys = [images._file_key(f.name, f.read()) for f in incoming.files if f.name != "notes.txt"]
        plainly = hashlib.sha256(b"".join(map(bytes.fromhex, keys))).hexdigest()[:12]
        assert found.digest != plainly and found.notes
    assert bring(tmp_path, members).digest == found.digest


# -- one bad file ------------------------------------------------------------------------------------------------------

GOOD = {f"{c}/{k}.png": photo(30 * i + k) for i, c in enumerate("ab") for k in range(4)}
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
BAD = {
    "readme": ("README.txt", b"Pictures of cats", "README.txt"),
    "table": ("labels.csv", b"name,label\n1.png,cat\n", "labels.csv"),
    "empty": ("a/empty.jpg", b"", "empty.jpg"),
    "cut short": ("a/cut.png", photo(1)[:200], "cut.png"),
    "cut short jpg": ("b/cut.jpg", image(np.zeros((99, 99), np.uint8), "JPEG")[:400], "cut.jpg"),
    "no picture": ("a/fake.png", b"hello", "fake.png"),
    "phone": ("a/IMG_1.HEIC", HEIC, "pillow-heif"),
    "zip": ("b/more.zip", pack({"x.png": photo(1)}), "is a zip inside"),
    "long name": ("x" * 200 + ".txt", b"hello", "xxx...xxx"),
    "film": ("a/film.mp4", b"\0\0\0\x18ftypmp42" + bytes(50), "film.mp4"),
    "huge": ("a/huge.png", image(Image.new("1", (9000, 9000))), "at most 64 million pixels"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_one_bad_file_is_left_out_and_said(tmp_path, monkeypatch, what):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    name, content, words = BAD[what]
    if what == "phone" and "HEIF" in pictures.formats():
        words = "IMG_1.HEIC"
    good = bring(tmp_path, GOOD)
    for members in (GOOD | {name: content}, pack(GOOD | {name: content})):
        data = bring(tmp_path, members)
        assert words in said(data) and "left out 1 of 9 files" in said(data)
        assert "\n" not in data.notes[0] and data.classes == ("a", "b")
        assert np.array_equal(data.train.images, good.train.images)
        assert data.digest != good.digest
    stored = datasets.store_upload(pack(GOOD | {name: content}), "x.zip")
    assert load(DataConfig(stored)).digest == data.digest


@contextlib.contextmanager
def closed(*places: Path):
    """These folders and files cannot be entered, also not by root."""

    def refuse(real):
        def call(path, *more, **options):
            if Path(path) in places:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *more, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("scandir", "listdir", "lstat", "open"):
            patch.setattr(os, name, refuse(getattr(os, name)))
        patch.setattr(Path, "lstat", lambda path, real=Path.lstat: refuse(real)(path))
        patch.setattr(builtins, "open", refuse(open))
        yield


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
ODD = {  # what lies in a folder of one's own: how it is made -> words
    "link to a picture": (lambda own, at: (own / "a" / "x.png").symlink_to(at / "a" / "0.png"), "'a/x.png' is a link"),
    "link to a secret": (lambda own, at: (own / "x.png").symlink_to("/etc/passwd"), "'x.png' is a link"),
    "link to nowhere": (lambda own, at: (own / "a" / "x.png").symlink_to("nowhere"), "'a/x.png' is a link"),
    "link to itself": (lambda own, at: (own / "x").symlink_to(own / "x"), "'x' is a link"),
    "link to a folder": (lambda own, at: (own / "c").symlink_to(at / "a"), "'c' is a link"),
    "link to a parent": (lambda own, at: (own / "a" / "c").symlink_to(own), "'a/c' is a link"),
    "pipe": (lambda own, at: os.mkfifo(own / "a" / "x.png"), "'a/x.png' is a link or a device"),
    "folder": (lambda own, at: lay(own / "c", {"x.png": b""}), "'c' cannot be read (Permission denied)"),
    "folder in a folder": (lambda own, at: (own / "a" / "c").mkdir(), "'a/c' cannot be read (Permission"),
    "file": (lambda own, at: lay(own / "a", {"x.png": photo(99)}), "'a/x.png' cannot be read (Permission denied)"),
}  # fmt: skip


@POSIX
@pytest.mark.parametrize("what", ODD)
def test_one_odd_entry_of_ones_own_folder_is_left_out_and_said(tmp_path, what):
    make, words = ODD[what]
    good, place = lay(tmp_path / "good", GOOD), lay(tmp_path / "own", GOOD)
    make(place, good)
    shut = [place / "c", place / "a" / "c"] if "folder" in what and "link" not in what else []
    with closed(*shut, *([place / "a" / "x.png"] if what == "file" else [])):
        data = load(resolve(DataConfig(f"images:{place}")))
    assert words in said(data) and "left out 1 of 9 files" in said(data)
    assert data.classes == ("a", "b") and len(data.train) + len(data.test) == 8
    assert data.digest != load(resolve(DataConfig(f"images:{good}"))).digest
    with pytest.raises(ValueError, match=r"own cannot be read \(Permission denied\)"), closed(place):
        load(resolve(DataConfig(f"images:{place}")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_a_link_or_a_device_in_a_zip_is_left_out_and_said(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    member = zipfile.ZipInfo("a/x.png")
    member.external_attr = (kind | 0o777) << 16
    zipped = pack(GOOD | {member: photo(99)})
    data = bring(tmp_path, zipped)
    assert "left out 1 of 9 files: 'a/x.png' is a link or a device" in said(data) and data.classes == ("a", "b")
    assert load(DataConfig(datasets.store_upload(zipped, "x.zip"))).digest == data.digest


def test_a_locked_or_damaged_or_oddly_packed_member_is_left_out(tmp_path):
    data = pack(GOOD, 0)
    damaged = bytearray(data)
    damaged[data.index(photo(0)) + 60] ^= 1
    assert "'a/0.png' in the zip is damaged" in said(bring(tmp_path, bytes(damaged)))
    locked = bytearray(data)
    locked[data.index(b"PK\1\2") + 8] |= 1
    assert "'a/0.png' is protected with a password" in said(bring(tmp_path, bytes(locked)))


def test_all_that_is_left_out_is_counted(tmp_path):
    many = bring(tmp_path, GOOD | {f"{k}.txt": b"x" for k in range(50)})
    assert "left out 50 of 58 files" in said(many) and "and 30 more" in said(many)
    with pytest.raises(ValueError, match=r"at least 2 images, got 1; '0\.txt' is not .*, and 2 more"):
        bring(tmp_path, {"a.png": photo(1)} | {f"{k}.txt": b"x" for k in range(3)})


def test_the_command_line_says_what_was_left_out(empty_store, tmp_path, capsys):
    place = lay(tmp_path / "own", GOOD | {"notes.txt": b"x"})
    train = ["train", "--family", "ae", "--dataset", f"images:{place}", "--epochs", "1", "--set", "hidden=8", "--json"]
    assert main(train) == 0
    assert "left out 1 of 9 files: 'notes.txt' is not an image" in capsys.readouterr().err


# -- photographs -------------------------------------------------------------------------------------------------------


@functools.cache
def snapshot(width: int, height: int, **options) -> bytes:
    """A JPEG of a dark 7 on grey paper, as large as asked."""
    small = np.full((30, 40), 190, np.uint8)
    small[6:9, 12:26] = small[9:24, 22:25] = 30
    return image(Image.fromarray(small).resize((width, height), 0), "JPEG", **options)


@pytest.mark.slow
def test_photographs_of_phones_are_taken(tmp_path):
    """12, 48 and 200 megapixels; noise makes the file large."""
    for width, height in ((4000, 3000), (8064, 6048), (16_320, 12_240)):
        digit = handwriting.read_digit(snapshot(width, height))
        assert digit.shape == (1, 28, 28) and digit.max() == 255
    noise = image(np.random.default_rng(0).integers(0, 256, (3000, 4000), dtype=np.uint8), "JPEG", quality=85)
    assert len(noise) > 7_000_000 and read_picture(noise).shape == (1, 28, 28)
    data = bring(tmp_path, {"a/1.jpg": snapshot(8064, 6048), "b/2.jpg": noise})
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
    assert read_picture(image(Image.new("RGB", (90, 60), "white"), "HEIF"), invert=False).max() > 250


def test_every_format_that_is_known_is_allowed_and_read():
    """One list: what an uploader lets through is read, or told about."""
    for kind in pictures.formats():
        if kind == "HEIF":
            continue
        assert read_picture(image(np.full((40, 30), 200, np.uint8), kind), invert=False).max() > 190
        assert set(pictures.EXTENSIONS[kind]) <= set(pictures.UPLOADED)
    assert {"heic", "gif", "tiff", "avif"} <= set(pictures.UPLOADED)


def corner(mode="L", **options) -> Image.Image:
    """White paper with a dark block in its upper left corner."""
    grey = np.full((60, 90), 255, np.uint8)
    grey[5:20, 5:25] = 0
    return Image.fromarray(grey).convert(mode)


def test_a_photograph_is_turned_as_its_exif_says():
    upright = read_picture(image(corner(), "JPEG", quality=95))
    turns = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
    for orientation, turn in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = read_picture(image(corner().transpose(turn), "JPEG", quality=95, exif=exif))
        assert np.abs(turned.astype(int) - upright).max() < 40, orientation


def test_colours_palettes_transparency_and_films():
    plain = read_picture(image(corner()))
    for pair in ("CMYK JPEG", "CMYK TIFF", "P PNG", "P GIF", "RGBA PNG", "RGB WEBP"):
        mode, kind = pair.split()
        assert np.abs(read_picture(image(corner(mode), kind)).astype(int) - plain).max() < 40, (mode, kind)
    frames = [corner(), Image.new("L", (90, 60), 0)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        film = image(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(read_picture(film).astype(int) - plain).max() < 40, f"{kind}: the first frame"
    clear = Image.new("RGBA", (90, 60), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (5, 5, 25, 20))
    assert np.abs(read_picture(image(clear)).astype(int) - plain).max() < 40


# -- pixels that do not fill their range -------------------------------------------------------------------------------


def dim(kind: str) -> dict:
    rng = np.random.default_rng(4)
    top, dtype = {"12 bits": (4095, np.uint16), "10 bits": (1023, np.uint16), "14 bits": (16383, np.uint16)}.get(
        kind, {"mask": (1, np.uint8), "map": (9, np.uint8)}.get(kind, (0, np.uint8))
    )
    values = [rng.integers(0, top + 1, (40, 40)).astype(dtype) for _ in range(6)]
    values[0][0, 0] = top
    return {f"{k}.png": image(v) for k, v in enumerate(values)}


@pytest.mark.parametrize("kind", ["12 bits", "10 bits", "14 bits", "mask", "map"])
def test_pixels_that_would_be_black_are_stretched_and_said(tmp_path, kind):
    members = dim(kind)
    data = bring(tmp_path, members)
    everything = np.concatenate([data.train.images, data.test.images])
    assert everything.max() > 200 and 90 < everything.mean() < 160
    assert "made brighter" in said(data) and "becomes white" in said(data)
    again = bring(tmp_path, pack(members))
    assert again.digest == data.digest and np.array_equal(again.train.images, data.train.images)
    assert read_picture(members["0.png"], invert=False).max() > 200


def test_all_pictures_of_a_set_are_stretched_by_one_factor(tmp_path):
    faint, strong = np.full((28, 28), 1000, np.uint16), np.full((28, 28), 4000, np.uint16)
    data = bring(tmp_path, {"a/1.png": image(faint), "a/2.png": image(strong), "b/1.png": photo(3)})
    means = sorted(x.mean() for x in np.concatenate([data.train.images, data.test.images]))
    assert round(means[0]) == 64 and 255 in means
    assert "2 images is above 4000 of 65535" in said(data)


def test_bright_pictures_stay_as_they_are(tmp_path):
    values = {"a.png": np.full((28, 28), 70, np.uint8), "b.png": np.full((28, 28), 3, np.uint8)}
    data = bring(tmp_path, {name: image(v) for name, v in values.items()})
    assert sorted(int(x.max()) for x in np.concatenate([data.train.images, data.test.images])) == [3, 70]
    assert "1 images are nearly black because others are much brighter, such as 'b.png'" in said(data)
    assert "stretched" not in said(data)
    black = bring(tmp_path, {name: image(v * 0) for name, v in values.items()} | {"c/1.png": photo(1)})
    assert not black.notes


def test_numbers_with_a_point_are_stretched(tmp_path):
    ramp = np.linspace(0, 0.8, 784, dtype=np.float32).reshape(28, 28)
    data = bring(tmp_path, {f"{k}.tif": image(ramp / k, "TIFF") for k in (1, 2)})
    assert np.concatenate([data.train.images, data.test.images]).max() == 255 and "0.8 becomes white" in said(data)


@pytest.mark.parametrize("tops", [(300, 70_000), (70_000, 140_000), (65_535, 65_536)])
def test_numbers_of_32_bits_have_one_white(tmp_path, tops):
    ramp = np.linspace(0, 1, 784).reshape(28, 28)
    data = bring(tmp_path, {f"{top}.tif": image(np.rint(ramp * top).astype(np.int32), "TIFF") for top in tops})
    brightest = sorted(int(x.max()) for x in np.concatenate([data.train.images, data.test.images]))
    assert brightest == [round(255 * top / max(tops)) for top in tops]
    assert len(data.notes) == 1 and f"{max(tops):g} becomes white" in said(data)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_negative_pixels_are_said(tmp_path, dtype):
    ramp = np.linspace(-50, 200, 784).reshape(28, 28)
    data = bring(tmp_path, {f"{k}.tif": image((ramp / k).astype(dtype), "TIFF") for k in (1, 2)})
    assert "2 images have negative pixels, which become black, such as '1.tif'" in said(data)


@pytest.mark.parametrize(("value", "kind"), [(0, "black"), (99, "equal")])
def test_a_set_without_differences_is_said(tmp_path, value, kind):
    plain = image(np.full((28, 28), value, np.uint8))
    data = bring(tmp_path, {f"{k}.png": plain for k in range(3)})
    assert data.notes == (f"all 3 images are {kind}, so a model has nothing to learn",)


def test_a_digit_of_twelve_bits_is_seen():
    paper = np.full((300, 300), 4000, np.uint16)
    paper[60:240, 140:160] = 300
    assert handwriting.read_digit(image(paper)).max() == 255


# -- names -------------------------------------------------------------------------------------------------------------

WRITTEN = {
    "utf-8": (("中文", "数字"), ""),
    "gbk": (("中文", "数字"), "gbk"),
    "cp932": (("犬", "猫"), "cp932"),
    "cp1251": (("собаки", "кошки"), "cp1251"),
    "cp866": (("собаки", "Кошки"), "cp866"),
    "cp437": (("café", "Grün"), "cp437"),
    "cp949": (("강아지", "고양이", "새"), "cp949"),
    "cp950": (("狗", "貓", "鳥"), "cp950"),
    "cp1253": (("γάτα", "σκύλος"), "cp1253"),
    "cp737": (("γάτα", "σκύλος"), "cp737"),
    "cp1255": (("חתול", "כלב"), "cp1255"),
    "cp862": (("חתול", "כלב"), "cp862"),
}
LETTERS = {  # classes of one letter, and the code page of Windows' own zips where they are used
    ("КОТЫ", "СОБАКИ"): "cp1251", ("图片", "中国"): "gbk", ("狮子", "熊猫"): "gbk", ("兔子", "狮子"): "gbk",
    ("兔子", "熊猫", "狮子"): "gbk",
    ("Ä", "Ö", "Ü", "ß"): "cp437", ("à", "ç", "è", "é"): "cp437", ("А", "Б", "В"): "cp866", ("КОТЫ", "РЫБЫ"): "cp866",
}  # fmt: skip


@pytest.mark.parametrize(
    ("page", "more"),
    [*((page, "") for page in WRITTEN), *(("cp932", name) for name in ("ひらがな", "カタカナ", "表ソ能"))],
)
def test_names_that_do_not_say_how_they_are_written(tmp_path, page, more):
    classes, guessed = WRITTEN[page]
    classes = tuple(sorted((*classes, more) if more else classes))
    members = {f"{c}/{k}.png": photo(20 * i + k) for i, c in enumerate(classes) for k in range(3)}
    data = bring(tmp_path, raw_names({name.encode(page): content for name, content in members.items()}))
    assert data.classes == classes
    assert (f"read as {guessed}" in said(data)) if guessed else not data.notes
    assert data.digest == bring(tmp_path, members).digest == bring(tmp_path, pack(members)).digest


@pytest.mark.parametrize("classes", LETTERS, ids="".join)
def test_letters_as_classes(tmp_path, classes):
    members = {f"{c}/{k}.png": photo(20 * i + k) for i, c in enumerate(classes) for k in range(3)}
    zipped = raw_names({name.encode(LETTERS[classes]): content for name, content in members.items()})
    assert bring(tmp_path, zipped).classes == tuple(sorted(classes))


def test_words_of_western_europe_in_the_code_page_of_windows(tmp_path):
    members = {f"{c}/{k}.png": photo(k + len(c)) for c in ("Möwe", "été", "niño") for k in range(3)}
    data = bring(tmp_path, raw_names({name.encode("cp1252"): content for name, content in members.items()}))
    assert data.classes == ("Möwe", "niño", "été")


def test_one_file_that_unpacks_to_far_more_is_left_out(tmp_path):
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(4):
            archive.writestr(f"a/{k}.png", photo(k))
        archive.writestr("a/mask.bmp", image(np.zeros((1800, 1800), np.uint8), "BMP"))
        archive.writestr("log.txt", b"a line\n" * 600_000)
    data = bring(tmp_path, zipped.getvalue())
    assert len(data.train) + len(data.test) == 4 and "left out 2 of 6 files" in said(data)


def test_a_name_that_is_told_beside_is_taken(tmp_path):
    raw, name = b"\xc4\xe3\xba\xc3/1.png", "你好/1.png"
    data = raw_names({raw: photo(1), b"x/2.png": photo(2)})
    field = struct.pack("<HHBI", 0x7075, 5 + len(name.encode()), 1, zlib.crc32(raw)) + name.encode()
    at = data.index(b"PK\1\2")
    data = bytearray(data[: at + 46 + len(raw)] + field + data[at + 46 + len(raw) :])
    data[at + 30 : at + 32] = struct.pack("<H", len(field))
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<I", struct.unpack_from("<I", data, end + 12)[0] + len(field))
    found = bring(tmp_path, bytes(data))
    assert found.classes == ("x", "你好") and not found.notes


SIGNS = ("क", "कि", "की", "デ", "テ", "é", "<5", ">5", "50%", "50", "$x$", "x", "🐱", "🐶", "👩\u200d🔬")
FOLDERS = (*SIGNS, "a" * 70 + "1", "a" * 70 + "2", "long" * 20 + "1" + "long" * 20, "long" * 20 + "2" + "long" * 20)


def test_marks_symbols_and_long_names_stay_apart(tmp_path):
    members = {f"{c}/{k}.png": photo(20 * i + k) for i, c in enumerate(FOLDERS) for k in range(2)}
    titles = bring(tmp_path, members).classes
    assert len(set(titles)) == len(FOLDERS) and {"क", "कि", "की", "デ", "テ", "🐱", "👩\u200d🔬", "50%"} <= set(titles)
    assert {"＜5", "＞5"} <= set(titles), "seen, and no markup"
    assert all(len(title) <= 66 for title in titles)


def test_macos_and_linux_write_the_same_names(tmp_path):
    members = {f"{c}/{k}.png": photo(20 * i + k) for i, c in enumerate(("é", "デ", "한")) for k in range(2)}
    nfd = {unicodedata.normalize("NFD", name): content for name, content in members.items()}
    assert set(nfd) != set(members)
    one, *others = (bring(tmp_path, m) for m in (members, nfd, pack(members), pack(nfd)))
    finder = bring(tmp_path, raw_names({name.encode(): content for name, content in nfd.items()}))
    for other in (*others, finder):
        assert other.digest == one.digest and other.classes == one.classes == ("é", "デ", "한")


def test_folders_with_equal_names_become_one_and_it_is_said(tmp_path):
    one, other = "é", unicodedata.normalize("NFD", "é")
    twins = {f"{one}/1.png": photo(1), f"{other}/2.png": photo(2), "b/1.png": photo(3)}
    for members in (twins, pack(twins)):
        data = bring(tmp_path, members)
        assert data.classes == ("b", "é") and "two folders are called 'é'" in said(data)
    with archives.opened(twins, "folder") as incoming:
        assert len(incoming.files) == 3 and incoming.notes
    equal = twins | {f"{other}/1.png": photo(4)}
    for source in (equal, pack(equal), lay(tmp_path / "twins", equal)):
        with pytest.raises(ValueError, match="' twice"), archives.opened(source, "it"):
            pass


def test_a_number_that_begins_with_its_point_is_a_class(tmp_path):
    members = {f"{c}/{k}.png": photo(20 * i + k) for i, c in enumerate((".5", "1", ".git")) for k in range(2)}
    assert bring(tmp_path, members).classes == bring(tmp_path, pack(members)).classes == (".5", "1")


FOLDER = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=90)


@settings(max_examples=100, **FUZZ)
@given(st.sets(FOLDER, min_size=2, max_size=9))
def test_titles_are_unique_short_and_no_markup(names):
    titles, labels = folders.classes([f"{name}/1.png" for name in names] + ["1.png"])
    assert len(set(titles)) == len(titles) == len(set(labels.tolist()))
    for title in titles:
        assert 0 < len(title) <= 66 and not set(title) & set("<>$*`[]\\&#@~^|\n\r\0\u202e")


# -- many files --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_than_twenty_thousand_files_of_ones_own(tmp_path, monkeypatch):
    small = photo(5)
    grey = pictures.read_grey(small, "")
    monkeypatch.setattr(images, "read_grey", lambda content, name: grey)  # the same one, decoded once
    members = {f"{k % 2}/{k}.png": small for k in range(20_001)}
    (tmp_path / "many.zip").write_bytes(pack(members, 0))
    data = load(resolve(DataConfig(f"images:{tmp_path / 'many.zip'}", limit=500)))
    assert len(data.train) == 500
    with pytest.raises(ValueError, match=r"at most 20,000 are allowed|more than 20,000 files"):
        datasets.check_zip(tmp_path / "many.zip")


# -- one reader --------------------------------------------------------------------------------------------------------


def test_one_reader_opens_what_comes_in():
    """Nobody else opens a zip to read it, or walks a folder that a person brings."""
    for file in Path(datasets.__file__).parents[1].rglob("*.py"):
        if file.name != "archives.py":
            text = file.read_text(encoding="utf-8")
            for line in text.splitlines():
                if "ZipFile(" in line:
                    assert '"w"' in line, file
                assert "os.walk(" not in line, file
