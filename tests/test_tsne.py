"""t-SNE: the gradient is the gradient, exact and interpolated, and the map is as good as scikit-learn's."""

import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.spatial.distance import squareform
from sklearn import manifold
from sklearn.datasets import load_digits
from test_embeddings_maps import N

import aevae.embeddings as maps
from aevae.embeddings import tsne
from aevae.embeddings.config import EmbedConfig, nearest_others
from aevae.metrics import neighbours

pytestmark = pytest.mark.usefixtures("own_cache")


def affinities_of(n: int = 60) -> tuple[csr_matrix, np.ndarray]:
    rng = np.random.default_rng(0)
    p = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.3), 1)
    return csr_matrix((p + p.T) / (2 * p.sum())), rng.normal(size=(n, 2))


def test_exact_gradient_is_that_of_scikit_learn_and_of_autograd(monkeypatch):
    p, y = affinities_of()
    kl, gradient = tsne.Exact(p, "cpu")(y, p, should_eval_error=True)
    dense = p.toarray()
    full = squareform(np.maximum(dense, np.finfo(float).eps), checks=False)
    theirs_kl, theirs = manifold._t_sne._kl_divergence(y.ravel(), full, 1.0, len(y), 2)
    np.testing.assert_allclose(4 * gradient, theirs.reshape(-1, 2), atol=1e-10)
    assert kl == pytest.approx(theirs_kl, abs=1e-9)

    t, mask = torch.tensor(y, requires_grad=True), torch.tensor(dense > 0)
    w = 1 / (1 + (t[:, None] - t[None]).square().sum(2))
    q = w / (w.sum() - len(y))
    (torch.tensor(dense)[mask] * (torch.tensor(dense)[mask] / q[mask]).log()).sum().backward()
    np.testing.assert_allclose(4 * gradient, t.grad.numpy(), atol=1e-10)

    monkeypatch.setattr(tsne, "TILE_PAIRS", 7 * len(y))  # tiles that do not divide the rows
    np.testing.assert_allclose(tsne.Exact(p, "cpu")(y, p)[1], gradient, atol=1e-14)
    np.testing.assert_allclose(tsne.Exact(p, "cpu")(y, 12 * p)[1] - gradient, 11 * (gradient + push(y)), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "spacing", "bound"),
    [(1e-4, 0.5, 1e-6), (1.0, 0.5, 1e-3), (30.0, 0.5, 0.1), (30.0, 0.25, 5e-3), (70.0, 0.5, 0.15)],
)
def test_interpolated_gradient_is_the_exact_one(monkeypatch, scale, spacing, bound):
    """From the first iteration, all points in one place, to a map where each is alone; error against the push."""
    monkeypatch.setattr(tsne, "SPACING", spacing)
    p, y = affinities_of(500)
    y = y * scale
    kl, gradient = tsne.Interpolated()(y, p, should_eval_error=True)
    exact_kl, exact = tsne.Exact(p, "cpu")(y, p, should_eval_error=True)
    repelled = push(y)
    assert np.linalg.norm(gradient - exact) <= bound * np.linalg.norm(repelled)
    assert kl == pytest.approx(exact_kl, abs=bound)
    assert np.abs(gradient.sum(0)).max() <= 1e-6 * np.abs(gradient).sum()  # opposite and equal
    assert tsne.Interpolated()(y, p)[0] == 0
    np.testing.assert_array_equal(tsne.Interpolated()(y, p, n_jobs=2)[1], gradient)


@pytest.mark.parametrize("change", ["no module", "no function", "other arguments"])
def test_without_private_functions_of_opentsne_the_gradient_is_the_same(monkeypatch, change):
    import openTSNE

    p, y = affinities_of(500)
    kl, gradient = tsne.Interpolated()(y, p, should_eval_error=True)
    used = []
    monkeypatch.setattr(tsne.np, "repeat", lambda *args, real=np.repeat: used.append(1) or real(*args))
    if change == "no module":
        monkeypatch.delattr(openTSNE, "_tsne")
        monkeypatch.setitem(sys.modules, "openTSNE._tsne", None)
    elif change == "no function":
        monkeypatch.delattr(openTSNE._tsne, "estimate_positive_gradient_nn")
    else:
        monkeypatch.setattr(openTSNE._tsne, "estimate_positive_gradient_nn", lambda embedding, P: 0)
    own_kl, own = tsne.Interpolated()(y, p, should_eval_error=True)
    assert used, "not the compiled loop"
    assert own_kl == pytest.approx(kl, abs=1e-9)
    np.testing.assert_allclose(own, gradient, atol=1e-12)
    np.testing.assert_allclose(tsne.Interpolated()(y, p)[1], gradient, atol=1e-12)


def test_the_grid_follows_the_map(monkeypatch):
    p, y = affinities_of(500)
    gradient, asked, own = tsne.Interpolated(), [], tsne.Interpolated._spectra
    monkeypatch.setattr(tsne.Interpolated, "_spectra", lambda *a: asked.append(a[1:]) or own(*a))
    for scale in (0, 1e-3, 1, 30, 1e5):
        assert all(np.isfinite(each).all() for each in gradient(y * scale, p, should_eval_error=True))
    sizes, spacings = zip(*asked, strict=True)
    assert max(sizes) <= 2.1 * tsne.NODES[1] and all(s == 2 ** round(np.log2(s)) for s in spacings)
    assert spacings[1] < spacings[2] < spacings[3] == tsne.SPACING < spacings[4]


def push(y: np.ndarray) -> np.ndarray:
    """The repelling half of the gradient, by its definition."""
    apart = y[:, None] - y[None]
    w = 1 / (1 + np.square(apart).sum(2))
    np.fill_diagonal(w, 0)
    return (np.square(w)[:, :, None] * apart).sum(1) / w.sum()


def test_affinities_have_the_requested_perplexity():
    from openTSNE import affinity

    x = load_digits().data[:N].astype(np.float32)
    p = tsne.affinities(x, maps.EmbedConfig("tsne", perplexity=20.0), lambda *_: None).P
    assert p.sum() == pytest.approx(1) and abs(p - p.T).max() < 1e-15
    rows = affinity.joint_probabilities_nn(*nearest_others(x, 60), [20.0], symmetrize=False, normalization="point-wise")
    entropy = [-(r.data * np.log2(np.maximum(r.data, 1e-300))).sum() for r in rows]
    np.testing.assert_allclose(np.exp2(entropy), 20, rtol=1e-3)


@pytest.mark.slow
def test_no_worse_than_scikit_learn():
    digits = load_digits()
    x, labels = digits.data[:300].astype(np.float32), digits.target[:300]
    theirs, ours = (
        neighbours.map_quality(x, xy, labels)
        for xy in (manifold.TSNE(random_state=0).fit_transform(x), maps.embed(x, "tsne"))
    )
    assert ours["trustworthiness"] > theirs["trustworthiness"] - 0.003
    assert ours["knn_accuracy"] > theirs["knn_accuracy"] - 0.01


@pytest.mark.parametrize("kind", ["Exact", "Interpolated"])
def test_with_another_gradient_the_optimiser_gets_as_far(monkeypatch, kind):
    x = load_digits().data[:N].astype(np.float32)
    config = EmbedConfig("tsne", perplexity=20.0)
    monkeypatch.setattr(tsne, "SCHEDULE", {True: (60, 90)})
    near = tsne.tsne_map(x, config, lambda *_: None)[1]
    if kind == "Exact":
        monkeypatch.setattr(tsne, "_gradient", lambda p: {"negative_gradient_method": tsne.Exact(p, "cpu")})
    else:
        monkeypatch.setattr(tsne, "MAX_FEW_POINTS", N - 1)
        monkeypatch.setattr(tsne, "SCHEDULE", {False: (60, 90)})
    assert tsne.tsne_map(x, config, lambda *_: None)[1] == pytest.approx(near, abs=0.03)
