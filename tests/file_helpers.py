"""Helpers for tests of data sets and uploads: image files, folders and zips of them."""

import functools
import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets import load, resolve
from aevae.paths import data_dir
from aevae.run_config import fingerprint


def image_bytes(values, kind: str = "PNG", **options) -> bytes:
    """The file of an image or of an array of its values."""
    out = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values))
    image.save(out, kind, **options)
    return out.getvalue()


def plain_image(value=0, size=(28, 28), mode="L", **options) -> bytes:
    """The file of this image, or of an image of one colour."""
    image = value if isinstance(value, Image.Image) else Image.new(mode, size, value)
    return image_bytes(image, options.pop("format", "PNG"), **options)


@functools.cache
def random_image(k: int) -> bytes:
    """The file of a small bright image, each k another."""
    return image_bytes(np.random.default_rng(k).integers(0, 256, (28, 28), dtype=np.uint8))


def write_files(folder: Path, members: dict[str, bytes]) -> Path:
    """The folder, with these files in it."""
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zip_bytes(members: dict, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def load_images(tmp_path: Path, members: dict | bytes, **options) -> datasets.Dataset:
    """The data set of this zip or of these files in a folder."""
    place = tmp_path / f"{random.getrandbits(64):x}"
    if isinstance(members, bytes):
        (place := place.with_suffix(".zip")).write_bytes(members)
    else:
        write_files(place, members)
    return load(resolve(DataConfig(f"images:{place}", **options)))


def notes_of(data: datasets.Dataset) -> str:
    return "\n".join(data.notes)


def image_set(split: datasets.Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def one_line(error) -> str:
    """The message of this exception (`pytest.raises`), which must be one line of moderate length."""
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and 10 < len(text.replace(str(data_dir()), "DATA")) < 700
    return text


def write_run(folder: Path, family="vae", seed=0, name="mnist", leave_out=False, **model) -> str:
    """A finished run as the store lists it, with weights that no test here opens."""
    from safetensors.numpy import save

    config = {
        "schema": 1,
        "data": {"name": name, "limit": 0, "leave_out_5k": leave_out, "digest": ""},
        "model": {"family": family, "latent_dim": 20, **model},
        "train": {"epochs": 3},
        "seed": seed,
    }
    run = folder / f"{family}-{name}-{fingerprint(config)}"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(config), "utf-8")
    (run / "model.safetensors").write_bytes(save({"w": np.zeros(1, np.float32)}))
    (run / "state.json").write_text(json.dumps({"finished": True, "epoch": 3, "epochs": 3, "created": seed}), "utf-8")
    (run / "metrics.json").write_text(json.dumps({name: {"sse": 9.5}}), "utf-8")
    (run / "history.jsonl").write_text("".join(json.dumps({"epoch": e, "test": {}}) + "\n" for e in range(4)), "utf-8")
    Image.fromarray(np.zeros((84, 224), np.uint8)).save(run / "preview.png")
    return run.name
