"""Maps by request: the same request is the same map; t-SNE's gradient is the gradient; a map can be left and used."""

import json
import sys
import threading

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.spatial.distance import squareform
from sklearn import manifold
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import aevae.embeddings as maps
from aevae import paths
from aevae.embeddings import cache, tsne, umaps
from aevae.embeddings import maps as engine
from aevae.embeddings.config import EmbedConfig, nearest_others
from aevae.metrics import neighbours
from aevae.queue import map_task

N = 150
SMALL = {"latent": {}, "pca": {}, "tsne": {"perplexity": 20.0}, "umap": {"n_neighbors": 10}}
DRAWN = [method for method in SMALL if method != "umap"]  # which must be compiled: test_umap.py


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    engine._base.cache_clear()
    return tmp_path / "cache" / "embeddings"


def asked(method: str = "pca", space: str = "pixels", n: int = N, **more) -> maps.MapRequest:
    return maps.MapRequest(
        space=space, n=n, method=method, parameters=SMALL[method] | more.pop("parameters", {}), **more
    )


def silent(news: dict) -> None:
    pass


# -- t-SNE -----------------------------------------------------------------------------------------------------------


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


def test_affinities_have_the_perplexity_that_was_asked_for():
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


# -- numbers under a map ---------------------------------------------------------------------------------------------


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


def test_many_points_are_asked_by_sample(monkeypatch):
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


# -- requests --------------------------------------------------------------------------------------------------------


def test_a_request_goes_through_json():
    for request in (asked("latent", "random", parameters={"dims": (3, 1)}), asked("tsne", via="pca50"), asked("umap")):
        again = maps.MapRequest.from_dict(json.loads(json.dumps(request.to_dict())))
        assert again == request and again.key == request.key and hash(again) == hash(request)


def test_the_key_knows_all_that_matters_and_no_more():
    other = [asked("tsne", n=100), asked("tsne", space="random"), asked("tsne", via="pca50"), asked("umap"),
             asked("tsne", parameters={"seed": 1}), asked("tsne", dataset="mnist"), asked("tsne", part="train"),
             asked("tsne", checksum="ab")]  # fmt: skip
    assert len({r.key for r in [asked("tsne"), *other]}) == len(other) + 1
    assert asked("tsne").key == asked("tsne", parameters={"min_dist": 0.7}).key
    assert asked("pca").key == asked("pca", parameters={"seed": 4}).key


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"method": "lda"}, "method must be one of latent, pca, tsne, umap, got lda"),
        ({"n": 0}, "n must be a whole number of points, got 0"),
        ({"n": "many"}, "n must be a whole number"),
        ({"part": "rest"}, "part must be one of test, train, got rest"),
        ({"via": "pca9", "method": "tsne"}, "via must be empty, or pca50"),
        ({"via": "pca50", "method": "pca"}, "via must be empty, or pca50"),
        ({"method": "latent"}, "raw pixels have no latent code"),
        ({"parameters": {"perplexty": 3}}, "unknown option 'perplexty'"),
        ({"parameters": 3}, "parameters must be named values"),
        ({"method": "tsne", "parameters": {"perplexity": "x"}}, "perplexity must be a number"),
        ({"space": 3}, "space must be a text"),
        ({"n": 4}, "a map needs at least 5 codes, got 4"),
        ({"n": 50, "method": "tsne"}, r"perplexity must be in 1\.\.16\.3 for 50 codes, got 30"),
        ({"n": 10, "method": "umap"}, r"n_neighbors must be in 2\.\.9 for 10 codes, got 15"),
        ({"method": "umap", "together": 3}, "together must be pairs"),
        ({"method": "umap", "together": [["random", ""], ["vae", 3]]}, "together must be pairs"),
        ({"method": "umap", "together": [["random", ""], ["vae", "ab"]]}, "this one among them"),
        ({"method": "umap", "together": [["pixels", ""]]}, r"2\.\.8 different spaces can be aligned, got 1"),
        ({"method": "umap", "together": [["pixels", ""], ["pixels", "a"]]}, "different spaces can be aligned"),
        ({"method": "tsne", "together": [["pixels", ""], ["random", ""]]}, "only umap without pca50"),
        ({"method": "umap", "via": "pca50", "together": [["pixels", ""], ["random", ""]]}, "only umap without pca50"),
        ({"colour": "red"}, "a request for a map has the fields space"),
    ],
)
def test_what_is_no_request_is_one_sentence(raw, words):
    with pytest.raises(ValueError, match=words) as error:
        maps.MapRequest.from_dict({"space": "pixels"} | raw)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (asked("pca", n=1001), "n must be at most 1000 for the test images of mnist-5k, got 1001"),
        (asked("pca", dataset="cats"), "data set must be one of"),
        (asked("pca", dataset="moving-digits", n=10), "moving-digits has sequences"),
        (asked("pca", space="nobody"), "nobody"),
        (asked("latent", "random", parameters={"dims": (0, 20)}), r"dims must be in 0\.\.19"),
    ],
)
def test_what_has_no_map_is_one_sentence(request_, words, empty_store, own_cache):
    with pytest.raises(ValueError, match=words) as error:
        maps.make_map(request_)
    assert "\n" not in str(error.value) and maps.find_map(request_) is None and not list(own_cache.glob("*.npz"))


def test_codes_that_are_no_numbers_and_weights_that_changed(store, monkeypatch):
    name = store["vae"]
    with pytest.raises(ValueError, match="has been trained again"):
        maps.make_map(asked("pca", name, checksum="0123"))
    codes = np.full((N, 3), np.nan, np.float32)
    monkeypatch.setattr(engine, "codes_of", lambda *_: codes)
    for method in ("pca", "tsne", "umap"):
        with pytest.raises(ValueError, match=f"NaN or infinity in {N} of {N}"):
            maps.make_map(asked(method, name))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_thousands_of_identical_points(method, monkeypatch):
    same = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 350, axis=0)[:1000].astype(np.float32)
    monkeypatch.setattr(engine, "codes_of", lambda *_: same)
    monkeypatch.setattr(tsne, "SCHEDULE", {True: (20, 60)})
    made = maps.make_map(asked(method, n=1000))
    assert np.isfinite(made.xy).all() and all(0 <= v <= 1 for k, v in made.quality.items() if k in QUALITY)


QUALITY = ("knn_accuracy", "knn_accuracy_space", "trustworthiness", "continuity", "neighbourhood_preservation")


# -- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", DRAWN)
def test_made_once_and_kept(method, store, own_cache, monkeypatch):
    request = asked(method, store["vae"])
    assert maps.find_map(request) is None
    news = []
    made = maps.make_map(request, news.append)
    again = maps.find_map(maps.MapRequest.from_dict(request.to_dict()))
    assert again.xy.tobytes() == made.xy.tobytes() and again.cached and not made.cached
    assert np.array_equal(again.labels, made.labels) and np.array_equal(again.index, np.arange(N))
    assert again.seconds == made.seconds and set(QUALITY) <= set(again.quality)
    assert {**again.quality, "kl": None} == {**made.quality, "kl": None}
    assert again.quality.get("kl") == made.quality["kl"] and (made.quality["kl"] is not None) == (method == "tsne")
    assert [n["stage"] for n in news if len(n) == 1] == ["codes", "map", "numbers"]
    assert maps.newest_frame(request) is None and not list(own_cache.glob("*.frame.npz"))
    monkeypatch.setattr(engine, "compute_map", None)
    assert maps.make_map(request).cached  # nothing is drawn again


def test_frames_lead_to_the_map_and_say_how_far(monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    request, seen = asked("tsne"), []

    def tell(news):
        if "iteration" in news:
            frame = maps.newest_frame(request)
            assert (frame.iteration, frame.of) == (news["iteration"], news["of"])
            seen.append(frame)

    made = maps.make_map(request, tell)
    assert len(seen) > 1 and all(f.xy.shape == (N, 2) and f.xy.dtype == np.float32 for f in seen)
    assert [f.iteration for f in seen] == sorted({f.iteration for f in seen}) and seen[-1].iteration <= seen[0].of
    gap = [np.linalg.norm(maps.procrustes(f.xy, made.xy) - made.xy) for f in (seen[0], seen[-1])]
    assert gap[1] < gap[0]


def test_told_to_stop_it_stops_at_once_and_leaves_nothing(own_cache, monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    request, asked_for = asked("tsne"), []

    def should_stop():
        if maps.newest_frame(request) is not None:
            asked_for.append(maps.newest_frame(request).iteration)
        return bool(asked_for)

    with pytest.raises(maps.Stopped):
        maps.make_map(request, silent, should_stop)
    assert len(asked_for) == 1, "asked once more, it goes"
    assert maps.find_map(request) is None and maps.newest_frame(request) is None and not list(own_cache.glob("*.npz"))
    assert maps.make_map(asked("pca")).xy.shape == (N, 2)  # the lock is free


def test_two_sessions_make_a_map_once(monkeypatch):
    drawn, compute_map = [], engine.compute_map
    monkeypatch.setattr(engine, "compute_map", lambda *a: drawn.append(1) or compute_map(*a))
    found = []
    sessions = [threading.Thread(target=lambda: found.append(maps.make_map(asked("tsne")))) for _ in range(2)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(drawn) == 1 and sorted(m.cached for m in found) == [False, True]


def test_whoever_waits_can_leave(own_cache):
    request = asked("pca")
    with cache.turn(request.key), pytest.raises(maps.Stopped):
        maps.make_map(request, silent, lambda: True)


def test_a_damaged_frame_is_no_frame(own_cache):
    request = asked("pca")
    own_cache.mkdir(parents=True)
    for content in (b"", b"noise" * 30):
        (own_cache / f"{request.key}.frame.npz").write_bytes(content)
        assert maps.newest_frame(request) is None
    cache.write_frame(request.key, maps.Frame(np.ones((3, 2), np.float32), 1, 2))
    assert maps.newest_frame(request) is None  # another number of points
    cache.write_frame(request.key, maps.Frame(np.ones((N, 2), np.float32), 1, 2))
    assert maps.newest_frame(request).of == 2


def test_the_task_of_the_queue(monkeypatch):
    monkeypatch.setattr(map_task, "warm", lambda: None)
    request = asked("pca", "random")
    assert map_task.work(request.to_dict(), silent, lambda: True) is False
    assert map_task.work(request.to_dict(), silent, lambda: False) is True and maps.find_map(request)
    with pytest.raises(ValueError, match="method must be one of"):
        map_task.work(request.to_dict() | {"method": "lda"}, silent, lambda: False)


def test_shipped_maps_are_found_and_small():
    folder = paths.ROOT / "checkpoints" / "maps"
    files = list(folder.glob("*.npz"))
    assert files and sum(f.stat().st_size for f in files) < 100_000
    shipped = maps.find_map(maps.MapRequest("pixels", method="tsne"))
    assert shipped.xy.dtype == np.float32 and len(np.unique(shipped.labels)) == 10
    found = neighbours.map_quality(maps.codes_of(maps.MapRequest("pixels")), shipped.xy, shipped.labels)
    for name in QUALITY:
        assert shipped.quality[name] == pytest.approx(found[name], abs=0.01)


# -- into and out of a map -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", DRAWN)
def test_a_point_of_the_map_is_placed_on_itself(method, store):
    request = asked(method, store["vae"])
    made, codes = maps.make_map(request), maps.codes_of(request)
    placed = maps.transform(request, codes[:20])
    apart = np.linalg.norm(placed - made.xy[:20], axis=1)
    if method in ("latent", "pca"):
        assert apart.max() < 1e-4
    else:
        assert np.median(apart) < 0.15 * made.xy.std()
    assert np.array_equal(placed[4:5], maps.transform(request, codes[4:5]))  # whoever comes with it
    assert maps.transform(request, codes[:0]).shape == (0, 2)
    for wrong, words in ((codes[:, :2], "have shape"), (codes[:1] * np.nan, "finite")):
        with pytest.raises(ValueError, match=words):
            maps.transform(request, wrong)


def test_memberships_sum_to_what_umap_asks_for():
    distance = np.sort(np.random.default_rng(0).random((7, 15)), axis=1)
    distance[:, 0] = 0
    member = umaps.memberships(distance)
    np.testing.assert_allclose(member.sum(1), np.log2(15))
    assert (member[:, 0] == 1).all() and np.isfinite(umaps.memberships(np.zeros((2, 5)))).all()


def test_no_place_in_a_map_that_is_not_made():
    with pytest.raises(ValueError, match="not computed yet"):
        maps.transform(asked("tsne"), np.zeros((1, 784)))


def test_ways_back(store):
    request = asked("pca", store["vae"])
    made, codes = maps.make_map(request), maps.codes_of(request)
    there, how = maps.inverse(request, made.xy, codes)
    assert how == "exact" and there.shape == codes.shape and there.dtype == np.float32
    np.testing.assert_allclose(maps.transform(request, there), made.xy, atol=1e-4)
    request = asked("latent", store["vae"], parameters={"dims": (2, 0)})
    there, how = maps.inverse(request, np.array([[5.0, 6.0]]), codes)
    assert how == "exact" and there[0, [2, 0]].tolist() == [5, 6] and there[0, 1] == pytest.approx(codes[:, 1].mean())
    request = asked("tsne", store["vae"])
    made = maps.make_map(request)
    there, how = maps.inverse(request, made.xy[:9], codes)
    assert how == "nearest codes"
    np.testing.assert_allclose(there, codes[:9], atol=1e-3)
    with pytest.raises(ValueError, match="places must be finite"):
        maps.inverse(request, np.array([[np.inf, 0]]), codes)


def test_procrustes_undoes_turning_mirroring_scaling_and_shifting():
    rng = np.random.default_rng(0)
    onto = rng.normal(size=(50, 2)) + 7
    for turn in (np.array([[0.6, -0.8], [0.8, 0.6]]), np.array([[0.6, 0.8], [0.8, -0.6]])):
        np.testing.assert_allclose(maps.procrustes(3 * onto @ turn - 5, onto), onto, atol=1e-5)
    stretched = maps.procrustes(onto * [1, 4], onto) - onto.mean(0)
    values = np.linalg.svd(np.linalg.lstsq((onto - onto.mean(0)) * [1, 4], stretched, rcond=None)[0])[1]
    assert values[0] == pytest.approx(values[1], rel=1e-5)  # no stretching back
    assert np.allclose(maps.procrustes(np.ones((50, 2)), onto), onto.mean(0), atol=1e-5)
    other = maps.procrustes(rng.normal(size=(50, 2)), onto)
    assert np.linalg.norm(other - other.mean(0)) == pytest.approx(np.linalg.norm(onto - onto.mean(0)), rel=1e-5)
    assert np.linalg.norm(other - onto) < np.linalg.norm(2 * onto.mean(0) - other - onto), "turned the better way"
    with pytest.raises(ValueError, match="same points"):
        maps.procrustes(onto[:3], onto)
