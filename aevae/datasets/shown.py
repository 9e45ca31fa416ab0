"""Which test set a page shows for a run, and how it relates to the training images of the run.

Only this module knows that some data sets are of one kind (MNIST and its subset mnist-5k).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from aevae.config import DataConfig
from aevae.datasets import images, mnist_5k

EMBEDDED = mnist_5k.NAME  # installed with the package
FULL = "mnist"  # EMBEDDED is a subset of it
DIGITS = (FULL, EMBEDDED)  # handwritten digits in the format of MNIST
SEEN, UNSEEN, FOREIGN = "seen", "unseen", "foreign"  # see `relation`


def shown_for(data: DataConfig) -> DataConfig:
    """The data set whose test images pages show for a run trained on `data`."""
    return DataConfig(EMBEDDED, binarise=data.binarise) if data.name == FULL else data


def larger(name: str) -> str:
    """Name of the data set of the same kind with more test images, or ""."""
    return FULL if name == EMBEDDED else ""


def is_own(name: str) -> bool:
    """Whether this is the name of a user's own folder or zip of images."""
    return name.startswith(images.PREFIX)


def title_of(name: str) -> str:
    """A data set's name in a sentence; for own images `own images (holiday.zip)`, even if the file is gone."""
    return f"own images ({images.title(Path(name.removeprefix(images.PREFIX)))})" if is_own(name) else name


def same_kind(trained: DataConfig, name: str) -> bool:
    """Whether the test images of data set `name` are of the kind of `trained`. Own images may have moved."""
    if not is_own(name):
        return trained.name == name or {trained.name, name} <= set(DIGITS)
    try:
        return images.digest(name) == trained.digest if trained.digest else trained.name == name
    except (ValueError, OSError):  # the images are gone
        return trained.name == name


def relation(trained: DataConfig, name: str) -> str:
    """SEEN: the test images of `name` are training images of `trained`; UNSEEN: only of the same kind; else FOREIGN."""
    if (trained.name, name) == (FULL, EMBEDDED) and not trained.leave_out_5k:
        return SEEN
    return UNSEEN if same_kind(trained, name) else FOREIGN


def shown_numbers(metrics: Mapping[str, dict], data: DataConfig) -> dict:
    """Metrics of a run on the shown test images; if missing, those of the first data set in `metrics`."""
    return metrics.get(shown_for(data).name) or next(iter(metrics.values()), {})


def data_of(raw) -> DataConfig:
    """The DataConfig of a run's config as JSON data, without unknown keys."""
    raw = raw.get("data") if isinstance(raw, dict) else None
    raw = raw if isinstance(raw, dict) else {}
    known = {f.name: raw[f.name] for f in dataclasses.fields(DataConfig) if f.name in raw}
    try:
        return DataConfig(**known)
    except ValueError:
        return DataConfig(str(raw.get("name", "")))
