"""Export of maps as CSV and as files for TensorFlow's Embedding Projector."""

import io
import json
from collections.abc import Sequence

import numpy as np

from aevae.exchange.packing import zip_of
from aevae.tiles import tile

MAX_SPRITE_SIDE = 8192  # pixels of a side of a sprite that browsers can show


def csv(maps: Sequence[np.ndarray], labels: np.ndarray, names: Sequence[str] = ()) -> str:
    """CSV with a row per point: index, class, and x and y in each map.

    maps: each (N, 2); labels (N,): numbers or names of classes; names: of the maps, for the columns `x_<name>`, by
    default numbered from 1. Raises ValueError.
    """
    labels = np.asarray(labels)
    names = list(names) or [str(i + 1) for i in range(len(maps))]
    if len(names) != len(maps) or len(set(names)) != len(names):
        raise ValueError(f"{len(maps)} maps need as many different names, got {', '.join(names)}")
    if any(np.shape(xy) != (len(labels), 2) for xy in maps):
        raise ValueError(f"each map needs {len(labels)} points, got shapes {', '.join(str(np.shape(m)) for m in maps)}")
    head = ["index", "label", *(f"{axis}_{_cell(name)}" for name in names for axis in "xy")]
    columns = np.concatenate([np.asarray(xy) for xy in maps], axis=1) if maps else np.zeros((len(labels), 0))
    lines = [",".join(head)]
    lines += [
        ",".join([str(i), _quoted(label), *map(_number, row)])
        for i, (label, row) in enumerate(zip(labels, columns, strict=True))
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """The text as a single cell of a table, without separators and line breaks."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in text)


def _quoted(label) -> str:
    """A class as a CSV cell."""
    text = str(label)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def _number(value) -> str:
    return np.format_float_positional(value, unique=True, trim="0")


def vectors_tsv(codes: np.ndarray) -> str:
    """TSV of codes (N, D): one point per line, without header."""
    return "".join("\t".join(map(_number, row)) + "\n" for row in np.asarray(codes, np.float32))


def metadata_tsv(labels: np.ndarray, more: dict[str, np.ndarray] | None = None) -> str:
    """TSV of index, label and the columns `more` (N,), with the header that the projector requires."""
    columns = {"index": np.arange(len(labels)), "label": np.asarray(labels), **(more or {})}
    lines = ["\t".join(map(_cell, columns))]
    lines += ["\t".join(" ".join(str(v).split()) for v in row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def sprite(images: np.ndarray) -> tuple[bytes, tuple[int, int]]:
    """(PNG of all images in a square grid, (width, height) of one image in pixels).

    images: uint8 (N, 1, H, W), or float in [0, 1]. They are reduced if the sprite would exceed MAX_SPRITE_SIDE.
    """
    from PIL import Image

    images = np.asarray(images)[:, 0]
    if images.dtype != np.uint8:
        images = (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)
    n, height, width = images.shape
    side = max(1, int(np.ceil(np.sqrt(n))))
    shrink = -(-side * max(height, width) // MAX_SPRITE_SIDE)  # rounded up
    if shrink > 1:
        images = images[:, : height // shrink * shrink, : width // shrink * shrink]
        n, height, width = n, height // shrink, width // shrink
        images = images.reshape(n, height, shrink, width, shrink).mean((2, 4)).astype(np.uint8)
    square = np.pad(images, ((0, side * side - n), (0, 0), (0, 0)))
    out = io.BytesIO()
    Image.fromarray(tile(square, side)).save(out, "PNG")
    return out.getvalue(), (width, height)


def projector_zip(codes: np.ndarray, labels: np.ndarray, images: np.ndarray, name: str = "codes") -> bytes:
    """A zip with vectors.tsv, metadata.tsv, sprite.png, and projector_config.json, which refers to them."""
    if not len(codes) == len(labels) == len(images):
        raise ValueError(f"as many codes, labels and images are needed, got {len(codes)}, {len(labels)}, {len(images)}")
    png, size = sprite(images)
    config = {
        "embeddings": [
            {
                "tensorName": name,
                "tensorShape": list(np.shape(codes)),
                "tensorPath": "vectors.tsv",
                "metadataPath": "metadata.tsv",
                "sprite": {"imagePath": "sprite.png", "singleImageDim": list(size)},
            }
        ]
    }
    files = {"vectors.tsv": vectors_tsv(codes), "metadata.tsv": metadata_tsv(labels), "sprite.png": png}
    return zip_of(files | {"projector_config.json": json.dumps(config, indent=2)})
