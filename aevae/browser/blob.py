"""Arrays and JSON in one blob, for the browser.

Layout: uint32 length of the JSON (little endian), the JSON padded with spaces to a multiple of 4, then the arrays one
after another, each padded to a multiple of 4. The JSON names them: {"arrays": {name: {dtype, shape, at}}}, `at` counted
from the end of the JSON. Little endian; dtypes float32, float16, int32, uint16, uint8.
"""

import json
import math
import struct

import numpy as np

DTYPES = ("float32", "float16", "int32", "uint16", "uint8")


def pack(header: dict, arrays: dict[str, np.ndarray] | None = None) -> bytes:
    """`header` (JSON data) and arrays as one blob. Raises ValueError for a dtype that is not in DTYPES."""
    index, parts, at = {}, [], 0
    for name, array in (arrays or {}).items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{name} must be one of {', '.join(DTYPES)}, got {array.dtype.name}")
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        index[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "at": at}
        parts.append(data + bytes(-len(data) % 4))
        at += len(parts[-1])
    text = json.dumps({**header, "arrays": index}, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def class_numbers(labels: np.ndarray) -> np.ndarray:
    """Class labels (N,) in the smallest integer type of DTYPES that holds them all, clipped to int32."""
    numbers = np.clip(np.asarray(labels, np.float64), 0, np.iinfo(np.int32).max).astype(np.int64)
    largest = numbers.max(initial=0)
    return numbers.astype(next(kind for kind in (np.uint8, np.uint16, np.int32) if largest <= np.iinfo(kind).max))


def unpack(blob: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """(header with its "arrays" index, arrays) of a blob from `pack`. Raises ValueError for a broken blob."""
    try:
        (length,) = struct.unpack_from("<I", blob)
        header = json.loads(blob[4 : 4 + length])
        return header, {name: _array(blob, 4 + length, **entry) for name, entry in header["arrays"].items()}
    except (struct.error, LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"the blob is broken: {error}") from error


def _array(blob: bytes, start: int, dtype: str, shape: list[int], at: int) -> np.ndarray:
    if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in (*shape, at)):
        raise ValueError(f"no array has dtype {dtype}, shape {shape} and place {at}")
    return np.frombuffer(blob, np.dtype(dtype).newbyteorder("<"), math.prod(shape), start + at).reshape(shape)
