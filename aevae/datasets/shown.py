"""Which test set a page shows for a run, and how that set relates to the images that the run was trained on.

This is the only place that knows that some data sets are of one kind (MNIST and its part that comes with the lab).
How the classes of a data set are called says `aevae.datasets.classes_of`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from aevae.config import DataConfig
from aevae.datasets import images, mnist_5k

EMBEDDED = mnist_5k.NAME  # comes with the installation
FULL = "mnist"  # the data set that EMBEDDED is a part of
DIGITS = (FULL, EMBEDDED)  # handwritten digits in the form of MNIST
SEEN, UNSEEN, FOREIGN = "seen", "unseen", "foreign"  # test images against the training images of a run


def shown_for(data: DataConfig) -> DataConfig:
    """The data set whose test images stand for those of `data` on a page."""
    return DataConfig(EMBEDDED, binarise=data.binarise) if data.name == FULL else data


def larger(name: str) -> str:
    """The data set of the same kind with more test images, or ""."""
    return FULL if name == EMBEDDED else ""


def is_own(name: str) -> bool:
    """Is this a person's own folder or zip of images?"""
    return name.startswith(images.PREFIX)


def title_of(name: str) -> str:
    """A data set as a sentence calls it: its name, or `own pictures (holiday.zip)`, be they still there or not."""
    return f"own images ({images.title(Path(name.removeprefix(images.PREFIX)))})" if is_own(name) else name


def same_kind(trained: DataConfig, name: str) -> bool:
    """Are the test images of data set `name` of the kind that `trained` has? The same own images may lie elsewhere."""
    if not is_own(name):
        return trained.name == name or {trained.name, name} <= set(DIGITS)
    try:
        return images.digest(name) == trained.digest if trained.digest else trained.name == name
    except (ValueError, OSError):  # they are gone
        return trained.name == name


def relation(trained: DataConfig, name: str) -> str:
    """SEEN: the test images of data set `name` are training images of `trained`; UNSEEN; FOREIGN: of another kind."""
    if (trained.name, name) == (FULL, EMBEDDED) and not trained.leave_out_5k:
        return SEEN
    return UNSEEN if same_kind(trained, name) else FOREIGN


def shown_numbers(metrics: Mapping[str, dict], data: DataConfig) -> dict:
    """Of the numbers of a run (by data set) those on the shown test images; else the first there are."""
    return metrics.get(shown_for(data).name) or next(iter(metrics.values()), {})


def data_of(raw) -> DataConfig:
    """The DataConfig in the plain config of a run. What is foreign in it is left out."""
    raw = raw.get("data") if isinstance(raw, dict) else None
    raw = raw if isinstance(raw, dict) else {}
    known = {f.name: raw[f.name] for f in dataclasses.fields(DataConfig) if f.name in raw}
    try:
        return DataConfig(**known)
    except ValueError:
        return DataConfig(str(raw.get("name", "")))
