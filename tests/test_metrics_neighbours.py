"""The numbers under a map: those of scikit-learn, and extremes whose value is known."""

import numpy as np
import pytest
from sklearn import manifold
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import aevae.embeddings as maps
from aevae.metrics import neighbours

pytestmark = pytest.mark.usefixtures("own_cache")


def test_numbers_are_those_of_scikit_learn():
    digits = load_digits()
    rng = np.random.default_rng(0)  # without noise many distances are equal, and which is nearer is nobody's business
    x, labels = digits.data[:300] + 0.01 * rng.normal(size=(300, 64)), digits.target[:300]
    xy = x[:, [20, 42]] + 0.01 * rng.normal(size=(300, 2))
    found = neighbours.map_quality(x, xy, labels)
    assert found["trustworthiness"] == pytest.approx(manifold.trustworthiness(x, xy, n_neighbors=10), abs=1e-9)
    assert found["continuity"] == pytest.approx(manifold.trustworthiness(xy, x, n_neighbors=10), abs=1e-9)
    high, low = (NearestNeighbors(n_neighbors=10).fit(space).kneighbors(return_distance=False) for space in (x, xy))
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(high, low, strict=True)]
    assert found["neighbourhood_preservation"] == pytest.approx(np.mean(shared))
    for name, space in (("knn_accuracy", xy), ("knn_accuracy_space", x)):
        others = np.arange(len(space)) != np.arange(len(space))[:, None]
        votes = [KNeighborsClassifier(10).fit(space[o], labels[o]).predict(space[~o])[0] for o in others]
        assert found[name] == pytest.approx((votes == labels).mean(), abs=0.02), "ties go by class there"
        assert found[name] == neighbours.knn_accuracy(space, labels)
    assert (found["anchors"], found["neighbours"]) == (300, 10)


def test_many_points_are_measured_on_a_sample(monkeypatch):
    digits = load_digits()
    x, xy = digits.data, maps.embed(digits.data, "pca")
    whole = neighbours.map_quality(x, xy, digits.target)
    monkeypatch.setattr(neighbours, "MAX_EXACT_POINTS", 1000)
    monkeypatch.setattr(neighbours, "NUM_ANCHORS", 700)
    some = neighbours.map_quality(x, xy, digits.target)
    assert (whole["anchors"], some["anchors"]) == (1797, 700)
    for name in ("knn_accuracy", "knn_accuracy_space", "trustworthiness", "continuity", "neighbourhood_preservation"):
        assert some[name] == pytest.approx(whole[name], abs=0.03) and some[name] != whole[name]


def test_a_copy_keeps_everything_and_one_class_is_always_right():
    x = np.random.default_rng(0).normal(size=(60, 2))
    found = neighbours.map_quality(x, 3 * x + 1, np.zeros(60))
    for name in ("trustworthiness", "continuity", "neighbourhood_preservation", "knn_accuracy"):
        assert found[name] == 1.0
    assert neighbours.map_quality(x[:5], x[:5], np.zeros(5))["neighbours"] == 2


def test_overlap_is_jaccard():
    a, b = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([[3, 2, 1], [4, 5, 0], [0, 1, 2]])
    np.testing.assert_allclose(neighbours.overlap(a, b), [1, 0.5, 0])
    with pytest.raises(ValueError, match="same points"):
        neighbours.overlap(a, b[:2])


@pytest.mark.parametrize("shapes", [((3,), (5, 3)), ((2, 3), (3,)), ((2, 3), (5, 4))])
def test_wrong_shapes_are_one_sentence(shapes):
    points, bank = map(np.zeros, shapes)
    with pytest.raises(ValueError, match="are needed, got shapes"):
        neighbours.nearest(points, bank, 1)
