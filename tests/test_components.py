"""Principal components against scikit-learn's and against what the theory says."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from aevae import datasets
from aevae.config import DataConfig
from aevae.latent import components


@pytest.fixture(scope="module")
def digits():
    data = datasets.load(DataConfig("mnist-5k"))
    return data.train.images[:600].reshape(600, -1) / 255, data.test.images[:200].reshape(200, -1) / 255


def test_they_are_those_of_scikit_learn(digits):
    train, test = digits
    ours, theirs = components.fit(train, 20), PCA(20, svd_solver="full").fit(train)
    assert np.allclose(np.abs((ours.axes * theirs.components_).sum(1)), 1, atol=1e-6)
    back = theirs.inverse_transform(theirs.transform(test))
    assert np.allclose(ours.decode(ours.codes(test)), back, atol=1e-8)


def test_what_is_left_is_the_variance_of_the_components_left_out(digits):
    train, test = digits
    found = components.fit(train, 30)
    for k in (0, 1, 7, 30):
        for x in (train, test):
            squared = np.square(x - found.decode(found.codes(x)[:, :k])).sum(1).mean()
            assert found.errors(x)[k] == pytest.approx(squared, rel=1e-9)
    assert np.allclose(found.errors(train), found.left, atol=1e-9)
    assert (np.diff(found.left) < 0).all()


def test_the_largest_loading_is_positive_and_axes_are_orthonormal(digits):
    axes = components.fit(digits[0], 10).axes
    assert np.allclose(axes @ axes.T, np.eye(10), atol=1e-9)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1) > 0).all()


@pytest.mark.parametrize("count", [0, 785])
def test_too_many_or_none(digits, count):
    with pytest.raises(ValueError, match=f"got {count}"):
        components.fit(digits[0], count)
