"""Data sets that are drawn from known factors: sprites and lines."""

import numpy as np
import pytest

from aevae import datasets
from aevae.config import DataConfig
from aevae.datasets import lines, sprites


@pytest.fixture(scope="module")
def shapes():
    return datasets.load(DataConfig("sprites"))


@pytest.mark.slow
def test_every_combination_is_there_once_and_looks_like_no_other(shapes):
    pictures = np.concatenate([shapes.train.images, shapes.test.images]).reshape(-1, 784)
    assert pictures.shape[0] == np.prod(list(sprites.SIZES.values())) == 9000
    assert len(np.unique(pictures, axis=0)) == 9000 and set(np.unique(pictures)) == {0, 255}
    both = np.concatenate([sprites.factors("train"), sprites.factors("test")])
    assert len(np.unique(both, axis=0)) == 9000


def test_the_factors_of_an_image_draw_it_again(shapes):
    for part in ("train", "test"):
        split, known = getattr(shapes, part), sprites.factors(part)
        assert np.array_equal(sprites.render_sprites(known[:200]), split.images[:200])
        assert np.array_equal(known[:, 0], split.labels)
        assert np.array_equal(sprites.atlas()[sprites.number(known)], split.images)


def test_places_are_shifts_and_no_shape_is_cut(shapes):
    first = sprites.render_sprites(np.array([[2, 4, 3, 0, 0]]))[0, 0]
    moved = sprites.render_sprites(np.array([[2, 4, 3, 7, 4]]))[0, 0]
    assert np.array_equal(np.roll(first, (4, 7), (0, 1)), moved)
    lit = np.stack(
        [sprites.render_sprites(np.array([[s, 4, r, x, x]]))[0, 0] for s in range(3) for r in range(6) for x in (0, 9)]
    )
    ink = lit.reshape(-1, 2, 784).sum(2)
    assert np.array_equal(ink[:, 0], ink[:, 1]), "the same ink in the first and the last place"
    for picture in lit:
        rows = np.flatnonzero(picture.any(1))
        assert rows[-1] - rows[0] < 20, "in one piece: nothing came round the edge"


@pytest.mark.slow
def test_lines_begin_at_the_centre_and_point_where_they_should():
    right, up = lines.render_lines(np.array([0.0, np.pi / 2]))[:, 0]
    assert right[13:15, 14:27].min() >= 0.9 and right[:, :12].max() == 0
    assert np.allclose(up, np.rot90(right)), "a right angle on is the picture turned"
    data = datasets.load(DataConfig("lines"))
    assert data.train.images.shape == (10_000, 1, 28, 28) and data.test.images.shape == (2_000, 1, 28, 28)
    assert len(np.unique(np.concatenate([data.train.images, data.test.images]).reshape(-1, 784), axis=0)) == 12_000
    assert np.array_equal(np.unique(data.test.labels), np.arange(8))


def test_the_data_sets_are_the_same_each_time():
    assert np.array_equal(lines.angles(5), lines.angles(12_000)[:5])
    assert sprites.factors("test")[:2].tolist() == sprites.factors("test")[:2].tolist()
