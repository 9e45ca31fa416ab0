"""Data sets: from a DataConfig to uint8 images of 28x28 pixels. Imports no torch.

One file per kind: `mnist_5k` (contained in a dependency, works offline), `torchvision_sets` (downloaded),
`moving_digits` (sequences made from mnist-5k), `sprites` and `lines` (generated, with known factors), `images` (a
user's own images; `archives`, `folders`, `pictures` and `handwriting` read and convert them). docs/adding.md explains
how to add one. `shown` determines which test set a page shows for a run.
"""

import dataclasses
import threading
from functools import lru_cache

import numpy as np

from aevae.config import DataConfig
from aevae.datasets import images, lines, mnist_5k, moving_digits, sprites, torchvision_sets
from aevae.datasets.base import Dataset, DataUnavailable, Progress, Source, Split
from aevae.datasets.images import check_zip, store_upload
from aevae.datasets.pictures import read_picture
from aevae.datasets.shown import DIGITS, EMBEDDED, data_of, is_own, larger, relation, same_kind, shown_for, title_of

__all__ = [
    "DIGITS",
    "EMBEDDED",
    "SOURCES",
    "DataUnavailable",
    "Dataset",
    "Split",
    "catalogue",
    "check_zip",
    "classes_of",
    "data_of",
    "is_available",
    "is_own",
    "larger",
    "load",
    "read_picture",
    "relation",
    "resolve",
    "same_kind",
    "shown_for",
    "store_upload",
    "title_of",
]

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (mnist_5k.SOURCE, *torchvision_sets.SOURCES, moving_digits.SOURCE, sprites.SOURCE, lines.SOURCE)
}

_reading = threading.Lock()  # simultaneous requests read a file once


def catalogue() -> list[dict]:
    """One dict per data set: name, title, source, licence, size (text), available (bool). Loads no images.

    Named data sets come first, then uploaded zips of images.
    """
    return [source.facts() for source in SOURCES.values()] + images.uploads()


def resolve(config: DataConfig) -> DataConfig:
    """A config that identifies the images: own images get an absolute path and the digest of their content, if missing.

    Raises ValueError for an unknown name or images that cannot be read.
    """
    if config.digest or not is_own(config.name):
        _check(config)
        return config
    digest = images.digest(config.name)  # first, because it raises the error for a wrong path
    return dataclasses.replace(config, name=images.absolute(config.name), digest=digest)


def load(config: DataConfig, on_progress: Progress | None = None) -> Dataset:
    """The Dataset, cached in memory; its arrays are read-only.

    A missing or damaged data set is downloaded first; on_progress(fraction, text) reports it. Raises ValueError
    (DataUnavailable if the files cannot be downloaded) with one sentence.
    """
    _check(config)
    if is_own(config.name):
        return _in_black_and_white(_limited(_load_own(config), config.limit), config.binarise)
    source = SOURCES[config.name]
    source.fetch(on_progress)
    try:
        dataset = _read(source)
    except torchvision_sets.DamagedFile as error:
        _mend(source.name, error, on_progress)
        dataset = _read(source)
    if config.leave_out_5k:
        dataset = _without_5k(dataset)
    return _in_black_and_white(_limited(dataset, config.limit), config.binarise)


def is_available(config: DataConfig) -> bool:
    """Whether the files of a named data set are on this machine; True for own images, which are read when needed."""
    return is_own(config.name) or SOURCES[config.name].available()


def classes_of(data: DataConfig) -> tuple[str, ...]:
    """Names of the classes, by label; () for own images that are gone or have changed. Only own images are read."""
    if not is_own(data.name):
        return SOURCES[data.name].classes if data.name in SOURCES else ()
    try:
        return load(data).classes
    except (ValueError, OSError):
        return ()


def _check(config: DataConfig) -> None:
    if not is_own(config.name) and config.name not in SOURCES:
        names = ", ".join(SOURCES)
        raise ValueError(f"data set must be one of {names}, or {images.PREFIX}<folder or zip>, got {config.name!r}")
    if config.leave_out_5k and config.name != "mnist":
        raise ValueError(f"leave_out_5k is only for the data set mnist, got {config.name}")
    if config.digest and not is_own(config.name):
        raise ValueError(f"digest is only for own images ({images.PREFIX}<path>), got {config.name}")


def _mend(name: str, damage: ValueError, on_progress: Progress | None) -> None:
    try:
        torchvision_sets.download(name, on_progress)
    except DataUnavailable as error:
        raise DataUnavailable(f"{damage}, and {error}") from None


def _load_own(config: DataConfig) -> Dataset:
    found = images.read_dataset(config.name)
    if config.digest and config.digest != found.digest:
        raise ValueError(
            f"the images of {config.name} have changed: digest was {config.digest}, now it is {found.digest}"
        )
    return found


def _read(source: Source) -> Dataset:
    with _reading:
        return _keep(source.name, source.stamp())


@lru_cache(maxsize=3)  # MNIST takes 55 MB
def _keep(name: str, _stamp) -> Dataset:
    return SOURCES[name].read()


def _without_5k(dataset: Dataset) -> Dataset:
    """MNIST without the 1,000 test digits of mnist-5k in its training split; they are identified by their bytes."""
    with _reading:
        keep = _keep_mask(SOURCES[dataset.name].stamp())
    return dataclasses.replace(dataset, train=dataset.train.take(keep))


@lru_cache(maxsize=1)
def _keep_mask(stamp) -> np.ndarray:
    """bool (60000,): the training digits of MNIST that are not test digits of mnist-5k. Raises ValueError."""
    unseen = {image.tobytes() for image in SOURCES[EMBEDDED].read().test.images}
    mask = np.array([image.tobytes() not in unseen for image in _keep("mnist", stamp).train.images])
    if (~mask).sum() != len(unseen):
        raise ValueError(
            f"{(~mask).sum()} of the {len(unseen)} test digits of mnist-5k are in mnist: not the real files"
        )
    return mask


def _limited(dataset: Dataset, limit: int) -> Dataset:
    """The data set with only the first `limit` training images (0: all), as a view."""
    return dataclasses.replace(dataset, train=dataset.train.take(slice(limit))) if limit else dataset


def _in_black_and_white(dataset: Dataset, how: str) -> Dataset:
    """The data set with pixels 0 or 255. If stochastic, training images stay grey: the trainer binarizes each batch."""
    if how == "none":
        return dataset
    if how == "threshold":
        return dataclasses.replace(dataset, train=_white(dataset.train, 128), test=_white(dataset.test, 128))
    draws = np.random.default_rng(0).integers(1, 256, dataset.test.images.shape, np.uint8)  # P(draw <= v) = v / 255
    return dataclasses.replace(dataset, test=_white(dataset.test, draws))


def _white(split: Split, least: int | np.ndarray) -> Split:
    """The split with pixels 255 where grey >= `least`, else 0."""
    return Split((split.images >= least).view(np.uint8) * np.uint8(255), split.labels)
