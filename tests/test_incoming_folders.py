"""Users' folders as classes: folders that are a split, and names in every script."""

import hashlib
import struct
import unicodedata
import zipfile
import zlib

import numpy as np
import pytest
from file_helpers import load_images, notes_of, random_image, write_files, zip_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from test_incoming import FUZZ, GOOD
from test_incoming_pixels import dim

from aevae.datasets import archives, folders, images, read_picture

# -- folders that are a split ----------------------------------------------------------------------------------------


def tree(**parts: dict[str, int]) -> dict:
    """part="0:3 1:2": in the folder `part` three pictures of class 0 and two of class 1."""
    return {
        f"{part.replace('__', ' ')}/{c}/{k}.png": random_image(zlib.crc32(f"{part}{c}{k}".encode()))
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
    for place in (members, zip_bytes(members)):
        data = load_images(
            tmp_path, {outer + k: v for k, v in members.items()} if outer and place is members else place
        )
        assert data.classes == ("0", "1") and (len(data.train), len(data.test)) == (train, test)
        assert np.bincount(data.test.labels).tolist() == [2, 1]
        expected = {n: read_picture(v, invert=False) for n, v in members.items()}
        tested = [part for part in {n.split("/")[0] for n in members} if folders._part(part) == "test"] or [
            part for part in {n.split("/")[0] for n in members} if folders._part(part) == "val"
        ]
        wanted = {v.tobytes() for n, v in expected.items() if n.split("/")[0] in tested}
        assert {x.tobytes() for x in data.test.images} == wanted
        assert "taken as a split" in notes_of(data) and f"{test} of" in notes_of(data)


def test_a_split_below_the_classes_and_one_without_classes(tmp_path):
    below_classes = {f"{c}/{p}/{k}.png": random_image(k + 50 * (c == "dog") + 9 * (p == "test")) for c in ("cat", "dog")
                     for p, n in (("train", 4), ("test", 2)) for k in range(n)}  # fmt: skip
    data = load_images(tmp_path, below_classes)
    assert data.classes == ("cat", "dog") and (len(data.train), len(data.test)) == (8, 4)
    plain = {f"train/{k}.png": random_image(k) for k in range(5)} | {
        f"test/{k}.png": random_image(50 + k) for k in range(2)
    }
    data = load_images(tmp_path, plain)
    assert data.classes == ("pictures",) and (len(data.train), len(data.test)) == (5, 2)
    loose = load_images(tmp_path, SPLITS["train and test"][0] | {"overview.png": random_image(77)})
    assert loose.classes == ("0", "1") and len(loose.train) + len(loose.test) == 12
    assert "1 images beside these folders are left out" in notes_of(loose)


def test_a_train_is_a_class_where_it_is_one(tmp_path):
    vehicles = {f"{c}/{k}.png": random_image(ord(c[0]) + k) for c in ("train", "bus", "car") for k in range(3)}
    data = load_images(tmp_path, vehicles)
    assert data.classes == ("bus", "car", "train") and not data.notes
    data = load_images(tmp_path, tree(train1={"0": 3}, train2={"0": 2}))
    assert data.classes == ("train1", "train2") and "'train1' and 'train2' are taken as classes" in notes_of(data)
    data = load_images(tmp_path, vehicles | {f"test/{k}.png": random_image(200 + k) for k in range(3)})
    assert data.classes == ("bus", "car", "test", "train") and "taken as classes" in notes_of(data)


def test_what_was_done_in_reading_is_part_of_the_identity(tmp_path):
    """Read in another way (as by an older program), the same bytes are another data set."""
    for members in (SPLITS["train and test"][0], GOOD | {"notes.txt": b"x"}, dim("mask")):
        found = load_images(tmp_path, members)
        with archives.open_source(write_files(tmp_path / found.digest, members)) as incoming:
            keys = [images._file_key(f.name, f.read()) for f in incoming.files if f.name != "notes.txt"]
        plainly = hashlib.sha256(b"".join(map(bytes.fromhex, keys))).hexdigest()[:12]
        assert found.digest != plainly and found.notes
    assert load_images(tmp_path, members).digest == found.digest


# -- names -----------------------------------------------------------------------------------------------------------


def raw_names(members: dict[bytes, bytes]) -> bytes:
    """A zip whose names are these bytes, without the flag that says UTF-8, as systems of old write them."""
    stand_ins = {f"{k:02}".encode() + b"x" * (len(name) - 2): name for k, name in enumerate(members)}
    data = zip_bytes({stand_in.decode(): members[name] for stand_in, name in stand_ins.items()}, zipfile.ZIP_STORED)
    for stand_in, name in stand_ins.items():
        for head in (b"PK\3\4", b"PK\1\2"):
            skip = {b"PK\3\4": 30, b"PK\1\2": 46}[head]
            at = -1
            while (at := data.find(head, at + 1)) >= 0:
                if data[at + skip : at + skip + len(name)] == stand_in:
                    data = data[: at + skip] + name + data[at + skip + len(name) :]
    return data


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
    members = {f"{c}/{k}.png": random_image(20 * i + k) for i, c in enumerate(classes) for k in range(3)}
    data = load_images(tmp_path, raw_names({name.encode(page): content for name, content in members.items()}))
    assert data.classes == classes
    assert (f"read as {guessed}" in notes_of(data)) if guessed else not data.notes
    assert data.digest == load_images(tmp_path, members).digest == load_images(tmp_path, zip_bytes(members)).digest


@pytest.mark.parametrize("classes", LETTERS, ids="".join)
def test_letters_as_classes(tmp_path, classes):
    members = {f"{c}/{k}.png": random_image(20 * i + k) for i, c in enumerate(classes) for k in range(3)}
    zipped = raw_names({name.encode(LETTERS[classes]): content for name, content in members.items()})
    assert load_images(tmp_path, zipped).classes == tuple(sorted(classes))


def test_words_of_western_europe_in_the_code_page_of_windows(tmp_path):
    members = {f"{c}/{k}.png": random_image(k + len(c)) for c in ("Möwe", "été", "niño") for k in range(3)}
    data = load_images(tmp_path, raw_names({name.encode("cp1252"): content for name, content in members.items()}))
    assert data.classes == ("Möwe", "niño", "été")


def test_a_name_in_the_unicode_field_is_used(tmp_path):
    raw, name = b"\xc4\xe3\xba\xc3/1.png", "你好/1.png"
    data = raw_names({raw: random_image(1), b"x/2.png": random_image(2)})
    field = struct.pack("<HHBI", 0x7075, 5 + len(name.encode()), 1, zlib.crc32(raw)) + name.encode()
    at = data.index(b"PK\1\2")
    data = bytearray(data[: at + 46 + len(raw)] + field + data[at + 46 + len(raw) :])
    data[at + 30 : at + 32] = struct.pack("<H", len(field))
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<I", struct.unpack_from("<I", data, end + 12)[0] + len(field))
    found = load_images(tmp_path, bytes(data))
    assert found.classes == ("x", "你好") and not found.notes


SIGNS = ("क", "कि", "की", "デ", "テ", "é", "<5", ">5", "50%", "50", "$x$", "x", "🐱", "🐶", "👩\u200d🔬")
FOLDERS = (*SIGNS, "a" * 70 + "1", "a" * 70 + "2", "long" * 20 + "1" + "long" * 20, "long" * 20 + "2" + "long" * 20)


def test_marks_symbols_and_long_names_stay_apart(tmp_path):
    members = {f"{c}/{k}.png": random_image(20 * i + k) for i, c in enumerate(FOLDERS) for k in range(2)}
    titles = load_images(tmp_path, members).classes
    assert len(set(titles)) == len(FOLDERS) and {"क", "कि", "की", "デ", "テ", "🐱", "👩\u200d🔬", "50%"} <= set(titles)
    assert {"＜5", "＞5"} <= set(titles), "seen, and no markup"
    assert all(len(title) <= 66 for title in titles)


def test_macos_and_linux_write_the_same_names(tmp_path):
    members = {f"{c}/{k}.png": random_image(20 * i + k) for i, c in enumerate(("é", "デ", "한")) for k in range(2)}
    nfd = {unicodedata.normalize("NFD", name): content for name, content in members.items()}
    assert set(nfd) != set(members)
    one, *others = (load_images(tmp_path, m) for m in (members, nfd, zip_bytes(members), zip_bytes(nfd)))
    finder = load_images(tmp_path, raw_names({name.encode(): content for name, content in nfd.items()}))
    for other in (*others, finder):
        assert other.digest == one.digest and other.classes == one.classes == ("é", "デ", "한")


def test_folders_with_equal_names_become_one_and_it_is_said(tmp_path):
    one, other = "é", unicodedata.normalize("NFD", "é")
    twins = {f"{one}/1.png": random_image(1), f"{other}/2.png": random_image(2), "b/1.png": random_image(3)}
    for members in (twins, zip_bytes(twins)):
        data = load_images(tmp_path, members)
        assert data.classes == ("b", "é") and "two folders are called 'é'" in notes_of(data)
    with archives.open_source(twins, "folder") as incoming:
        assert len(incoming.files) == 3 and incoming.notes
    equal = twins | {f"{other}/1.png": random_image(4)}
    for source in (equal, zip_bytes(equal), write_files(tmp_path / "twins", equal)):
        with pytest.raises(ValueError, match="' twice"), archives.open_source(source, "it"):
            pass


def test_a_number_that_begins_with_its_point_is_a_class(tmp_path):
    members = {f"{c}/{k}.png": random_image(20 * i + k) for i, c in enumerate((".5", "1", ".git")) for k in range(2)}
    assert load_images(tmp_path, members).classes == load_images(tmp_path, zip_bytes(members)).classes == (".5", "1")


FOLDER = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=90)


@settings(max_examples=100, **FUZZ)
@given(st.sets(FOLDER, min_size=2, max_size=9))
def test_titles_are_unique_short_and_no_markup(names):
    titles, labels = folders.classes([f"{name}/1.png" for name in names] + ["1.png"])
    assert len(set(titles)) == len(titles) == len(set(labels.tolist()))
    for title in titles:
        assert 0 < len(title) <= 66 and not set(title) & set("<>$*`[]\\&#@~^|\n\r\0\u202e")
