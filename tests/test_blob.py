"""Blobs of arrays and JSON: round trip, and errors for broken blobs."""

import json
import re
import struct

import numpy as np
import pytest

from aevae import paths
from aevae.browser.blob import DTYPES, class_numbers, pack, unpack


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 3), (1, 0, 5), (3, 1, 7)])
def test_round_trip(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    header, arrays = unpack(pack({"é": [1, None]}, {"a": array, "b": np.ones(3, np.uint8)}))
    assert header["é"] == [1, None]
    assert arrays["a"].dtype == dtype and arrays["a"].shape == shape
    assert np.array_equal(arrays["a"], array) and np.array_equal(arrays["b"], [1, 1, 1])


def test_values_that_are_hard_to_keep():
    values = np.array([np.inf, -np.inf, -0.0, 2**-24, 65504], np.float16)
    _, arrays = unpack(pack({}, {"a": values, "b": np.array([np.nan, 1e-45], np.float32)}))
    assert arrays["a"].tobytes() == values.tobytes() and np.isnan(arrays["b"][0]) and arrays["b"][1] > 0


def test_order_in_memory_does_not_matter():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    for view in (array.T, array[::2], array[:, ::-1], array.astype(">f4")):
        assert np.array_equal(unpack(pack({}, {"a": view}))[1]["a"], view)


def test_every_array_begins_on_a_multiple_of_four():
    blob = pack({"x": "é"}, {"a": np.ones(1, np.uint8), "b": np.ones(1, np.float16), "c": np.ones(1, np.float32)})
    (length,) = struct.unpack_from("<I", blob)
    assert length % 4 == 0 and len(blob) % 4 == 0
    assert all(entry["at"] % 4 == 0 for entry in unpack(blob)[0]["arrays"].values())


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", "complex64", "object", "<U3"])
def test_a_dtype_without_a_browser_array_is_refused(dtype):
    with pytest.raises(ValueError, match="a must be one of float32"):
        pack({}, {"a": np.zeros(2, dtype)})


def test_a_header_holds_json_only():
    with pytest.raises(ValueError):
        pack({"x": float("nan")})
    with pytest.raises(TypeError):
        pack({"x": np.zeros(1)})


def made(header, data=b"\0" * 16) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + data


def entry(**changes) -> dict:
    return {"arrays": {"a": {"dtype": "float32", "shape": [4], "at": 0} | changes}}


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0\0",
        struct.pack("<I", 2**32 - 1) + b"{}",
        made(b"{"),
        made(b"\xff\xfe"),
        made([]),
        made("text"),
        made({}),
        made({"arrays": []}),
        made({"arrays": {"a": 1}}),
        made({"arrays": {"a": {"dtype": "float32"}}}),
        made(entry(more=1)),
        made(entry(dtype="object")),
        made(entry(dtype="<U9")),
        made(entry(dtype=["float32"])),
        made(entry(shape=[5])),
        made(entry(shape=[-1])),
        made(entry(shape=[2**62, 2**62])),
        made(entry(shape=[1.5])),
        made(entry(shape=4)),
        made(entry(at=-4)),
        made(entry(at=4)),
        made(entry(at="0")),
        made(b"[" * 100_000),
    ],
)
def test_a_broken_blob_is_a_value_error(blob):
    with pytest.raises(ValueError, match="the blob is broken"):
        unpack(blob)


def test_every_cut_is_noticed():
    blob = pack({"x": 1}, {"a": np.arange(4, dtype=np.float32)})
    for length in range(len(blob)):
        with pytest.raises(ValueError):
            unpack(blob[:length])


@pytest.mark.parametrize(
    ("most", "kind"), [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65_535, "uint16"), (65_536, "int32")]
)
def test_classes_travel_whole_however_many_there_are(most, kind):
    labels = np.array([0, most // 2, most])
    _, arrays = unpack(pack({}, {"labels": class_numbers(labels)}))
    assert arrays["labels"].dtype == kind and np.array_equal(arrays["labels"], labels)


def test_what_is_no_class_does_not_wrap_into_one():
    foreign = np.array([-1.0, np.inf, 1e30], np.float32)
    assert class_numbers(foreign).tolist() == [0, 2**31 - 1, 2**31 - 1] and class_numbers(np.zeros(0)).shape == (0,)


def test_no_module_squeezes_classes_into_bytes():
    """256 classes and more would wrap: `class_numbers` is the one place that chooses the type."""
    narrow = re.compile(r"(labels?|classes)\b[^#\n]*(astype\((np\.)?\W?u?int(8|16)|% 256|& 255)")
    found = [
        f"{path}:{number}"
        for folder in ("aevae", "pages", "scripts")
        for path in (paths.ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if narrow.search(line)
    ]
    assert not found
