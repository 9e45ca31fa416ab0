"""Sequences of digits that walk: each frame is the first one rolled, the same in every process."""

import numpy as np
import pytest

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets import mnist_5k, moving_digits


@pytest.fixture(scope="module")
def data():
    return datasets.load(DataConfig("moving-digits"))


@pytest.mark.slow
def test_shape_and_memory(data):
    assert data.train.images.shape == (4000, 20, 1, 28, 28) and data.test.images.shape == (1000, 20, 1, 28, 28)
    assert data.train.images.nbytes < 63e6
    assert set(np.unique(data.test.images)) == {0, 255}
    assert not data.train.images.flags.writeable


def test_every_frame_is_the_first_one_rolled(data):
    way = moving_digits.directions(data.test.images)
    for images, step in zip(data.test.images, way, strict=True):
        assert abs(step) == 1
        assert all(np.array_equal(images[t], np.roll(images[0], step * t, axis=-1)) for t in range(20))


def test_motion_is_what_the_images_show(data):
    digits = mnist_5k.read_dataset().train
    moves = moving_digits.motion(digits.images)
    assert np.array_equal(moving_digits.directions(data.train.images), moves.direction)
    assert np.array_equal(data.train.labels, digits.labels)
    first = np.where(digits.images > 127, 255, 0)
    for i in range(0, 4000, 97):
        assert np.array_equal(np.roll(first[i], moves.start[i], axis=-1), data.train.images[i, 0])


def test_starts_and_directions_are_uniform_and_independent():
    moves = moving_digits.motion(mnist_5k.read_dataset().train.images)
    for way in (-1, 1):
        counts = np.bincount(moves.start[moves.direction == way], minlength=28)
        assert len(counts) == 28
        assert ((counts - 2000 / 28) ** 2 / (2000 / 28)).sum() < 60  # chi squared, 27 degrees: above 60 by chance 2e-4


@pytest.mark.slow
def test_no_digit_walks_in_both_splits(data):
    """Wherever it begins: of all rolls the first in order stands for the digit."""
    first = lambda image: min(np.roll(image, i, axis=-1).tobytes() for i in range(28))  # noqa: E731
    train, test = ({first(x) for x in split.images[:, 0, 0] > 0} for split in (data.train, data.test))
    assert not train & test


def test_a_digit_moves_the_same_whoever_else_is_there():
    digits = mnist_5k.read_dataset().test.images
    assert moving_digits.motion(digits[5:6]).start == moving_digits.motion(digits).start[5]


def test_limit_takes_whole_sequences():
    assert datasets.load(DataConfig("moving-digits", limit=7)).train.images.shape == (7, 20, 1, 28, 28)


def test_directions_of_images_that_stand_still_or_jump():
    still = np.zeros((1, 3, 1, 28, 28), np.uint8)
    jump = still.copy()
    jump[0, 0, 0, 3, 3] = jump[0, 1, 0, 3, 9] = 255
    assert moving_digits.directions(still) == 0 and moving_digits.directions(jump) == 0
