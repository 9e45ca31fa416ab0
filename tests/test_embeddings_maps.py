"""Maps by request: the same request is the same map, and a map can be left and used."""

import json
import threading

import numpy as np
import pytest
from model_helpers import ignore

import aevae.embeddings as maps
from aevae import paths
from aevae.embeddings import cache, tsne, umaps
from aevae.embeddings import maps as engine
from aevae.metrics import neighbours
from aevae.queue import map_task

pytestmark = pytest.mark.usefixtures("own_cache")

N = 150
SMALL = {"latent": {}, "pca": {}, "tsne": {"perplexity": 20.0}, "umap": {"n_neighbors": 10}}
DRAWN = [method for method in SMALL if method != "umap"]  # which must be compiled: test_umap.py


def map_request(method: str = "pca", space: str = "pixels", n: int = N, **more) -> maps.MapRequest:
    return maps.MapRequest(
        space=space, n=n, method=method, parameters=SMALL[method] | more.pop("parameters", {}), **more
    )


# -- requests --------------------------------------------------------------------------------------------------------


def test_a_request_goes_through_json():
    for request in (
        map_request("latent", "random", parameters={"dims": (3, 1)}),
        map_request("tsne", via="pca50"),
        map_request("umap"),
    ):
        again = maps.MapRequest.from_dict(json.loads(json.dumps(request.to_dict())))
        assert again == request and again.key == request.key and hash(again) == hash(request)


def test_the_key_knows_all_that_matters_and_no_more():
    different = {"n": 100}, {"space": "random"}, {"via": "pca50"}, {"method": "umap"}, {"parameters": {"seed": 1}}
    more = {"dataset": "mnist"}, {"part": "train"}, {"checksum": "ab"}
    other = [map_request(**{"method": "tsne"} | options) for options in (*different, *more)]
    assert len({r.key for r in [map_request("tsne"), *other]}) == len(other) + 1
    assert map_request("tsne").key == map_request("tsne", parameters={"min_dist": 0.7}).key
    assert map_request("pca").key == map_request("pca", parameters={"seed": 4}).key


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
        (map_request("pca", n=1001), "n must be at most 1000 for the test images of mnist-5k, got 1001"),
        (map_request("pca", dataset="cats"), "data set must be one of"),
        (map_request("pca", dataset="moving-digits", n=10), "moving-digits has sequences"),
        (map_request("pca", space="nobody"), "nobody"),
        (map_request("latent", "random", parameters={"dims": (0, 20)}), r"dims must be in 0\.\.19"),
    ],
)
def test_what_has_no_map_is_one_sentence(request_, words, empty_store, own_cache):
    with pytest.raises(ValueError, match=words) as error:
        maps.make_map(request_)
    assert "\n" not in str(error.value) and maps.find_map(request_) is None and not list(own_cache.glob("*.npz"))


def test_codes_that_are_no_numbers_and_weights_that_changed(store, monkeypatch):
    name = store["vae"]
    with pytest.raises(ValueError, match="has been trained again"):
        maps.make_map(map_request("pca", name, checksum="0123"))
    codes = np.full((N, 3), np.nan, np.float32)
    monkeypatch.setattr(engine, "codes_of", lambda *_: codes)
    for method in ("pca", "tsne", "umap"):
        with pytest.raises(ValueError, match=f"NaN or infinity in {N} of {N}"):
            maps.make_map(map_request(method, name))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_thousands_of_identical_points(method, monkeypatch):
    same = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 350, axis=0)[:1000].astype(np.float32)
    monkeypatch.setattr(engine, "codes_of", lambda *_: same)
    monkeypatch.setattr(tsne, "SCHEDULE", {True: (20, 60)})
    made = maps.make_map(map_request(method, n=1000))
    assert np.isfinite(made.xy).all() and all(0 <= v <= 1 for k, v in made.quality.items() if k in QUALITY)


QUALITY = ("knn_accuracy", "knn_accuracy_space", "trustworthiness", "continuity", "neighbourhood_preservation")


# -- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", DRAWN)
def test_made_once_and_kept(method, store, own_cache, monkeypatch):
    request = map_request(method, store["vae"])
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
    assert maps.find_map(request).xy is again.xy and not again.xy.flags.writeable, "all sessions share the array"


def test_frames_lead_to_the_map_and_say_how_far(monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    request, seen = map_request("tsne"), []

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


def test_a_cancelled_map_stops_at_once_and_leaves_nothing(own_cache, monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    request, asked_for = map_request("tsne"), []

    def should_stop():
        if maps.newest_frame(request) is not None:
            asked_for.append(maps.newest_frame(request).iteration)
        return bool(asked_for)

    with pytest.raises(maps.Stopped):
        maps.make_map(request, ignore, should_stop)
    assert len(asked_for) == 1, "asked once more, it goes"
    assert maps.find_map(request) is None and maps.newest_frame(request) is None and not list(own_cache.glob("*.npz"))
    assert maps.make_map(map_request("pca")).xy.shape == (N, 2)  # the lock is free


def test_two_sessions_make_a_map_once(monkeypatch):
    drawn, compute_map = [], engine.compute_map
    monkeypatch.setattr(engine, "compute_map", lambda *a: drawn.append(1) or compute_map(*a))
    found = []
    sessions = [threading.Thread(target=lambda: found.append(maps.make_map(map_request("tsne")))) for _ in range(2)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(drawn) == 1 and sorted(m.cached for m in found) == [False, True]


def test_whoever_waits_can_leave(own_cache):
    request = map_request("pca")
    with cache.turn(request.key), pytest.raises(maps.Stopped):
        maps.make_map(request, ignore, lambda: True)


def test_a_damaged_frame_is_no_frame(own_cache):
    request = map_request("pca")
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
    request = map_request("pca", "random")
    assert map_task.work(request.to_dict(), ignore, lambda: True) is False
    assert map_task.work(request.to_dict(), ignore, lambda: False) is True and maps.find_map(request)
    with pytest.raises(ValueError, match="method must be one of"):
        map_task.work(request.to_dict() | {"method": "lda"}, ignore, lambda: False)


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
    request = map_request(method, store["vae"])
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
        maps.transform(map_request("tsne"), np.zeros((1, 784)))


def test_ways_back(store):
    request = map_request("pca", store["vae"])
    made, codes = maps.make_map(request), maps.codes_of(request)
    there, how = maps.inverse(request, made.xy, codes)
    assert how == "exact" and there.shape == codes.shape and there.dtype == np.float32
    np.testing.assert_allclose(maps.transform(request, there), made.xy, atol=1e-4)
    request = map_request("latent", store["vae"], parameters={"dims": (2, 0)})
    there, how = maps.inverse(request, np.array([[5.0, 6.0]]), codes)
    assert how == "exact" and there[0, [2, 0]].tolist() == [5, 6] and there[0, 1] == pytest.approx(codes[:, 1].mean())
    request = map_request("tsne", store["vae"])
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
