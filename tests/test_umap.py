"""UMAP: all tests that run the library, in one process because it compiles; single and aligned maps."""

import sys
import threading

import numpy as np
import pytest
from model_helpers import ignore
from sklearn.datasets import load_digits

import aevae.embeddings as maps
from aevae.embeddings import maps as engine
from aevae.embeddings import umaps
from aevae.embeddings.config import EmbedConfig
from aevae.metrics.neighbours import knn_accuracy, trustworthiness

N = 150
DIGITS = load_digits()
LABELS = DIGITS.target[:N]


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return DIGITS.data[:N].astype(np.float32)


@pytest.fixture(scope="module")
def drawn(codes) -> np.ndarray:
    """The map of these codes by seed 3."""
    return maps.embed(codes, "umap", seed=3)


@pytest.fixture
def compiled_once(monkeypatch) -> None:
    """The library's AlignedUMAP, which compiles at every call, reads what an earlier call has compiled."""
    import numba

    monkeypatch.setattr(numba, "njit", lambda *of, real=numba.njit, **more: umaps._kept_on_disk(real(*of, **more)))


# -- one map ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_same_seed_same_map_bit_for_bit(codes, drawn):
    assert drawn.shape == (N, 2) and drawn.dtype == np.float32 and np.isfinite(drawn).all()
    np.random.seed(1)  # the maps may not hang on the global generator
    assert np.array_equal(drawn, maps.embed(codes.copy(), "umap", seed=3))
    assert not np.array_equal(drawn, maps.embed(codes, "umap", seed=4))


@pytest.mark.parametrize("gone", [True, False])
def test_without_undocumented_functions_of_the_library_its_class_draws_the_same_map(codes, drawn, monkeypatch, gone):
    if gone:
        monkeypatch.delattr("umap.layouts.optimize_layout_euclidean")
    else:  # a release with other arguments
        monkeypatch.setattr("umap.layouts.optimize_layout_euclidean", lambda embedding, graph: embedding)
    monkeypatch.setattr(umaps, "POLL_SECONDS", 0.0)
    seen, rounds = [], umaps.ROUNDS[0]

    def watch(done, of, xy):
        seen.append((done, of, xy))

    config = EmbedConfig("umap", seed=3)
    assert np.array_equal(umaps.umap_map(codes, config, watch), drawn)
    assert len(seen) > 2 and seen[-1] == (rounds, rounds, None)

    def stop(done, of, xy):
        if done > 100:
            raise maps.Stopped

    with pytest.raises(maps.Stopped):
        umaps.umap_map(codes, config, stop)
    assert not umaps._ONE_AT_A_TIME.locked()
    monkeypatch.setitem(sys.modules, "umap.layouts", None)
    assert umaps.library_function("layouts", "optimize_layout_generic") is None


def test_numbers_that_the_library_computes_in_undocumented_functions(codes):
    from umap.umap_ import find_ab_params, make_epochs_per_sample

    for min_dist in (0.0, 0.1, 0.35, 1.0):
        assert umaps.force_parameters(min_dist) == tuple(find_ab_params(1.0, min_dist))
    weights = np.random.default_rng(0).random(1000).astype(np.float32)
    assert np.array_equal(umaps._rounds_per_turn(weights, 500), make_epochs_per_sample(weights, 500))


def test_neighbours_are_kept_better_than_by_pca(codes, drawn):
    flat = maps.embed(codes, "pca")
    assert trustworthiness(codes, drawn) > max(0.9, trustworthiness(codes, flat))
    assert knn_accuracy(drawn, LABELS) > max(0.8, knn_accuracy(flat, LABELS))


def test_codes_that_repeat_give_one_map_all_the_same(codes):
    """Many identical codes: the graph falls into pieces."""
    few = np.repeat(codes[:30, 20:21], 5, axis=0).round()
    one, again = (maps.embed(few, "umap", n_neighbors=4) for _ in range(2))
    assert np.isfinite(one).all() and np.array_equal(one, again)


@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (40, 1)])
def test_the_smallest_maps(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    xy = maps.embed(x, "umap", n_neighbors=min(15, len(x) - 1))
    assert xy.shape == (len(x), 2) and np.isfinite(xy).all()


def test_identical_points_by_the_thousand_still_make_a_map(monkeypatch):
    monkeypatch.setattr(umaps, "ROUNDS", (30, 30))
    assert np.isfinite(maps.embed(np.ones((40, 3)), "umap")).all()
    same = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 350, axis=0)[:1000]
    assert np.isfinite(maps.embed(same, "umap")).all()


def request_of(space: str = "pixels", **more) -> maps.MapRequest:
    return maps.MapRequest(space, n=N, method="umap", parameters={"n_neighbors": 10}, **more)


def test_a_map_is_computed_once_reported_and_stored(own_cache, monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    monkeypatch.setattr(umaps, "POLL_SECONDS", 0.0)
    request, seen = request_of(), []

    def tell(news):
        if "iteration" in news:
            seen.append(maps.newest_frame(request))

    made = maps.make_map(request, tell)
    again = maps.find_map(request)
    assert again.cached and again.xy.tobytes() == made.xy.tobytes() and made.quality["kl"] is None
    assert len(seen) > 1 and [f.iteration for f in seen] == sorted({f.iteration for f in seen})
    gap = [np.linalg.norm(maps.procrustes(f.xy, made.xy) - made.xy) for f in (seen[0], seen[-1])]
    assert gap[1] < gap[0] and not list(own_cache.glob("*.frame.npz"))
    own = maps.codes_of(request)[:20]
    placed = maps.transform(request, own)
    assert np.median(np.linalg.norm(placed - made.xy[:20], axis=1)) < 0.15 * made.xy.std()
    assert np.array_equal(placed[4:5], maps.transform(request, own[4:5])), "whoever comes with it"


def test_a_cancelled_map_leaves_nothing_and_blocks_no_other_progress_bar(own_cache, monkeypatch):
    """The library's progress bar would keep the lock of all bars of the process, and the next one wait for ever."""
    from tqdm import tqdm

    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    monkeypatch.setattr(umaps, "POLL_SECONDS", 0.0)
    request = request_of()
    with pytest.raises(maps.Stopped):
        maps.make_map(request, ignore, lambda: maps.newest_frame(request) is not None)
    assert maps.find_map(request) is None and maps.newest_frame(request) is None and not list(own_cache.glob("*.npz"))
    free = []

    def another():
        with tqdm.get_lock():
            free.append(True)

    thread = threading.Thread(target=another, daemon=True)
    thread.start()
    thread.join(5)
    assert free


@pytest.mark.slow
def test_placing_is_what_the_library_does():
    x, config = DIGITS.data.astype(np.float32), EmbedConfig("umap")
    codes, new = x[:300], x[300:320]
    xy, model = maps.embed(codes, "umap"), umaps._graph(codes, config)
    model.embedding_, model.n_epochs, model._small_data = xy, None, True
    del model._knn_search_index
    apart = np.linalg.norm(umaps.transform(xy, codes, config, new) - model.transform(new), axis=1)
    assert np.median(apart) < 0.1 * xy.std()


# -- several as one --------------------------------------------------------------------------------------------------


def pair(space: str = "pixels") -> maps.MapRequest:
    return request_of(space, together=(("pixels", ""), ("random", "")))


@pytest.mark.slow
def test_a_group_is_requested_and_stored_as_one(own_cache, monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    first, second = pair().group
    assert (first, second) == (pair(), pair("random")) and pair("random").group == pair().group
    assert request_of().group == (request_of(),)
    assert len({r.key for r in (first, second, request_of(), request_of("random"))}) == 4
    assert maps.MapRequest.from_dict(second.to_dict()) == second and "together" not in request_of().to_dict()
    seen = []

    def tell(news):
        if "iteration" in news:
            frames = [maps.newest_frame(request) for request in (first, second)]
            assert {(f.iteration, f.of) for f in frames} == {(news["iteration"], umaps.ALIGNED_ROUNDS)}
            seen.append(frames[1].xy)

    made = maps.make_map(second, tell)
    assert len(seen) > 1 and made.xy.tobytes() == maps.find_map(second).xy.tobytes()
    assert maps.find_map(first).xy.tobytes() != made.xy.tobytes() and maps.find_map(first).seconds == made.seconds
    monkeypatch.setattr(umaps, "aligned_maps", None)
    assert maps.make_map(first).cached and not list(own_cache.glob("*.frame.npz"))
    assert maps.transform(first, maps.codes_of(first)[:3]).shape == (3, 2)


def test_a_group_is_given_up_as_one(own_cache, monkeypatch):
    monkeypatch.setattr(engine, "FRAME_SECONDS", 0.0)
    with pytest.raises(maps.Stopped):
        maps.make_map(pair(), ignore, lambda: maps.newest_frame(pair("random")) is not None)
    assert not list(own_cache.glob("*.npz")) and not umaps._ONE_AT_A_TIME.locked()


def test_who_has_no_map_is_named(own_cache, monkeypatch):
    monkeypatch.setattr(
        engine, "codes_of", lambda r, *_: np.full((N, 3), np.nan if r.space == "random" else 1.0, np.float32)
    )
    with pytest.raises(ValueError, match=f"^random: codes must be finite numbers, got NaN or infinity in {N} of {N}$"):
        maps.make_map(pair())


@pytest.mark.slow
def test_drawn_together_the_same_row_is_near_itself_and_neighbours_stay(codes):
    turned = codes @ np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)
    several = [codes, turned + 3, 2 * codes]  # one and the same cloud, seen three ways
    config = EmbedConfig("umap", n_neighbors=10)
    found = umaps.aligned_maps(several, config, ignore)
    again = umaps.aligned_maps(several, config, ignore)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    size = found[0].std()
    for xy in found:
        assert xy.shape == (N, 2) and xy.dtype == np.float32 and np.isfinite(xy).all()
        assert trustworthiness(codes, xy) > 0.9
        assert np.median(np.linalg.norm(xy - found[0], axis=1)) < 0.3 * size
    assert np.isfinite(umaps.aligned_maps([np.ones((40, 3), np.float32)] * 2, config, ignore)).all()


@pytest.mark.slow
@pytest.mark.parametrize("instead", [None, lambda embeddings, graphs: None], ids=["gone", "other arguments"])
def test_without_undocumented_functions_maps_are_drawn_together_by_aligned_umap(
    codes, monkeypatch, compiled_once, instead
):
    from umap import AlignedUMAP

    fits, real = [], AlignedUMAP.fit
    monkeypatch.setattr(AlignedUMAP, "fit", lambda own, *args, **more: fits.append(own) or real(own, *args, **more))
    turned = codes @ np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)
    every = umaps.library_function
    monkeypatch.setattr(umaps, "library_function", lambda *of: instead if of[0] == "layouts" else every(*of))
    first, second = umaps.aligned_maps([codes, turned], EmbedConfig("umap", n_neighbors=10), ignore)
    assert len(fits) == 1
    for xy in (first, second):
        assert xy.shape == (N, 2) and xy.dtype == np.float32 and trustworthiness(codes, xy) > 0.9
    assert np.median(np.linalg.norm(first - second, axis=1)) < 0.3 * first.std()


@pytest.mark.slow
def test_maps_of_different_codes_are_pulled_together(codes, monkeypatch):
    other = codes + 2 * np.random.default_rng(0).normal(size=codes.shape).astype(np.float32)
    config = EmbedConfig("umap")

    def apart() -> float:
        a, b = umaps.aligned_maps([codes, other], config, ignore)
        return float(np.linalg.norm(a - b, axis=1).mean() / a.std())

    pulled = apart()
    monkeypatch.setattr(umaps, "ALIGNMENT_WEIGHT", 0.0)
    assert pulled < 0.8 * apart()
