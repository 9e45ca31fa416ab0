"""Arrays that people bring to `encode` and `decode`: .npy or .npz, grey levels as shares or as bytes."""

import lzma
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from aevae.config import brief

UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError, zipfile.BadZipFile,
              zlib.error, lzma.LZMAError, NotImplementedError)  # fmt: skip
USUAL = {"encode": ("images", "x"), "decode": ("z", "codes")}  # names of arrays, for which command


def read(path: str, verb: str, shape: tuple[int, ...], name: str | None = None) -> np.ndarray:
    """The array of numbers that `verb` takes: the one of an .npy; of an .npz the one called `name`.

    Without a name: the only array of the file, else the only one of (N, *shape), else of those the one that has the
    usual name. Raises ValueError, with the names and shapes that are there.
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
    """Name -> array; the one of an .npy has the name "". Pickled objects are not opened."""
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
    """An array of an .npz; None for a pickled object, which hides no other array, and for a file of another kind."""
    try:
        array = opened[key]
    except ValueError:
        return None
    return array if isinstance(array, np.ndarray) else None


def as_images(array: np.ndarray, say: Callable[[str], None]) -> np.ndarray:
    """Images in 0..1: shares and black and white as they are, whole numbers of 0..255 divided by 255, which is said.

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
