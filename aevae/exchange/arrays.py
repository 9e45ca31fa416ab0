"""Reads .npy and .npz files for the commands `encode` and `decode`; grey levels are in 0..1 or 0..255."""

import lzma
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from aevae.config import brief

UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError, zipfile.BadZipFile,
              zlib.error, lzma.LZMAError, NotImplementedError)  # fmt: skip
USUAL = {"encode": ("images", "x"), "decode": ("z", "codes")}  # command -> usual names of its array


def read_array(path: str, verb: str, shape: tuple[int, ...], name: str | None = None) -> np.ndarray:
    """The input array of the command `verb`: the array of an .npy, or the array `name` of an .npz.

    Without a name: the only array in the file, else the only one of shape (N, *shape), else the one of these with a
    usual name. Raises ValueError with the names and shapes in the file.
    """
    found = _arrays(path)
    if "" in found:
        if name is not None:
            raise ValueError(f"{path} is an .npy file: it has one array without a name, so leave out --array")
        chosen = found[""]
    else:
        chosen = found[_choose(found, path, verb, shape, name)]
    if chosen.dtype.kind not in "fiub":
        raise ValueError(f"{path} must hold numbers, got {chosen.dtype}")
    return chosen


def _choose(found: dict[str, np.ndarray], path: str, verb: str, shape: tuple[int, ...], name: str | None) -> str:
    there = ", ".join(f"{brief(key)} {_times(array)}" for key, array in found.items())
    if name is not None:
        if name not in found:
            raise ValueError(f"{path} has no array {brief(repr(name))}; it has {there}")
        return name
    fitting = [key for key, array in found.items() if array.shape[1:] == shape and array.ndim == len(shape) + 1]
    if len(found) == 1 or len(fitting) == 1:
        return next(iter(fitting or found))
    usual = [key for key in USUAL[verb] if key in fitting]
    if len(usual) == 1:
        return usual[0]
    wanted = f"(N, {', '.join(map(str, shape))})"
    if not fitting:
        raise ValueError(f"{path} has no array {wanted}, which {verb} takes; it has {there}")
    raise ValueError(f"{path} has several arrays {wanted}, name one with --array NAME; it has {there}")


def _times(array: np.ndarray) -> str:
    return f"({', '.join(map(str, array.shape))})"


def _arrays(path: str) -> dict[str, np.ndarray]:
    """Name -> array; the array of an .npy has the name "". Pickled objects are never loaded."""
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            return {"": opened}
        with opened:
            found = {key: array for key in opened.files if (array := _member(opened, key)) is not None}
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except UNREADABLE as error:
        raise ValueError(f"{path} is not a .npy array of numbers, nor an .npz with such arrays") from error
    if not found:
        raise ValueError(f"{path} is a zip without any array of numbers")
    return found


def _member(opened, key: str) -> np.ndarray | None:
    """An array of an .npz; None for a pickled object or a file that is not an array, so that the others can be read."""
    try:
        array = opened[key]
    except ValueError:
        return None
    return array if isinstance(array, np.ndarray) else None


def as_images(array: np.ndarray, say: Callable[[str], None]) -> np.ndarray:
    """Images in 0..1. Values in 0..1 are unchanged; integers in 0..255 are divided by 255, which `say` reports.

    Raises ValueError for other numbers.
    """
    if array.dtype.kind == "b":
        return array.astype(np.float32)
    if not array.size:
        return array
    low, high = array.min(), array.max()
    if 0 <= low and high <= 1:
        return array
    if array.dtype.kind in "iu" and 0 <= low and high <= 255:
        say(f"whole numbers in {low}..{high} are read as grey levels 0..255")
        return array.astype(np.float32) / 255
    raise ValueError(f"images must be in 0..1, or whole numbers in 0..255, got {array.dtype} in {low:g}..{high:g}")
