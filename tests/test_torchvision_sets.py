"""The large data sets: IDX files, downloads from a server of this test, and the places where files are found."""

import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest
from file_helpers import image_set, one_line

from aevae.config import DataConfig
from aevae.datasets import DataUnavailable, load, torchvision_sets
from aevae.paths import data_dir

OFFICIAL = torchvision_sets.available("mnist")
needs_mnist = pytest.mark.skipif(not OFFICIAL, reason="the full MNIST files are not in AEVAE_DATA")


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
        assert str(tmp_path / name) in one_line(error)


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
    assert "wrong checksum" in one_line(error) and "mnist-5k" in one_line(error)
    assert not list((own_data / "KMNIST" / "raw").glob("*ubyte*")) and not list(own_data.rglob("*.part"))


def test_no_network_says_what_to_do(own_data, monkeypatch, tiny_files):
    tv = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(tv.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataUnavailable) as error:
        load(DataConfig("kmnist"))
    assert "could not be downloaded" in one_line(error) and "mnist-5k works without a network" in one_line(error)
    for name, content in tiny_files.items():
        (own_data / "KMNIST" / "raw" / name).write_bytes(content[:-30])
    with pytest.raises(DataUnavailable, match=r"train-images.*could not be downloaded") as error:
        load(DataConfig("kmnist"))
    one_line(error)


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
    said = one_line(error)
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
    assert image_set(small.test) <= image_set(full.train) and not image_set(small.test) & image_set(left.train)
    assert image_set(small.train) <= image_set(left.train) and not image_set(small.test) & image_set(full.test)
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
