"""Maps: equal requests give equal maps, and the cache may be lost at any time."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import aevae.embeddings as maps
from aevae.embeddings import cache
from aevae.metrics.neighbours import knn_accuracy, trustworthiness

SMALL = {"latent": {}, "pca": {}, "tsne": {"perplexity": 20.0}}  # UMAP, which must be compiled: test_umap.py
N = 150


@pytest.fixture(scope="module")
def codes():
    return load_digits().data[:N].astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    return tmp_path / "embeddings"


@pytest.fixture
def drawn(monkeypatch):
    """The methods that were really drawn, in order."""
    calls, compute_map = [], cache.compute_map
    recorded = lambda codes, config: calls.append(config.method) or compute_map(codes, config)  # noqa: E731
    monkeypatch.setattr(cache, "compute_map", recorded)
    return calls


def files(folder):
    return sorted(folder.glob("*.npz"))


# -- maps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SMALL)
def test_same_seed_same_map_bit_for_bit(codes, method):
    xy = maps.embed(codes, method, seed=3, **SMALL[method])
    assert xy.shape == (N, 2) and xy.dtype == np.float32 and xy.flags.c_contiguous and np.isfinite(xy).all()
    np.random.seed(1)  # the maps may not hang on the global generator
    assert np.array_equal(xy, maps.embed(codes.copy(), method, seed=3, **SMALL[method]))


def test_another_seed_is_another_map(codes):
    one, other = (maps.embed(codes, "tsne", seed=s, **SMALL["tsne"]) for s in (0, 1))
    assert not np.array_equal(one, other)


def test_codes_that_repeat_give_one_map_all_the_same(codes):
    """Many identical codes: the graph falls into pieces."""
    few = np.repeat(codes[:30, 20:21], 5, axis=0).round()
    one, again = (maps.embed(few, "tsne", **SMALL["tsne"]) for _ in range(2))
    assert np.isfinite(one).all() and np.array_equal(one, again)


def test_neighbours_are_kept_better_than_by_pca(codes):
    labels = load_digits().target[:N]
    xy, flat = maps.embed(codes, "tsne", **SMALL["tsne"]), maps.embed(codes, "pca")
    assert trustworthiness(codes, xy) > max(0.9, trustworthiness(codes, flat))
    assert knn_accuracy(xy, labels) > max(0.8, knn_accuracy(flat, labels))


@pytest.mark.parametrize("latent_dim", [1, 2, 20, 64])
def test_pca_is_that_of_scikit_learn_up_to_sign(codes, latent_dim):
    x = codes[:, 20 : 20 + latent_dim] if latent_dim < 64 else codes
    xy = maps.embed(x, "pca")
    theirs = PCA(min(2, latent_dim)).fit_transform(x.astype(np.float64))
    for axis in range(theirs.shape[1]):
        sign = np.sign(theirs[:, axis] @ xy[:, axis])
        np.testing.assert_allclose(xy[:, axis], sign * theirs[:, axis], atol=1e-4)
    assert xy[:, 1].any() == (latent_dim > 1)


def test_pca_has_a_sign_of_its_own(codes):
    x = codes - codes.mean(0)
    np.testing.assert_allclose(maps.embed(x[::-1], "pca")[::-1], maps.embed(x, "pca"), atol=1e-4)
    line = np.arange(10.0)[:, None] * [3, -1]  # the larger loading, 3, points to the right
    assert (np.diff(maps.embed(line, "pca")[:, 0]) > 0).all()


def test_latent_shows_two_columns_as_they_are(codes):
    assert np.array_equal(maps.embed(codes, "latent"), codes[:, :2])
    assert np.array_equal(maps.embed(codes, "latent", dims=(30, 4)), codes[:, [30, 4]])
    one = maps.embed(codes[:, 20:21], "latent")
    assert np.array_equal(one[:, 0], codes[:, 20]) and not one[:, 1].any()


@pytest.mark.parametrize("method", SMALL)
@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (40, 1)])
def test_the_smallest_maps(method, shape):
    n = shape[0]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    xy = maps.embed(x, method, perplexity=maps.largest_perplexity(n))
    assert xy.shape == (n, 2) and np.isfinite(xy).all()


@pytest.mark.parametrize("method", SMALL)
def test_collapsed_codes_still_make_a_map(method):
    xy = maps.embed(np.ones((40, 3)), method, perplexity=10.0)
    assert np.isfinite(xy).all()


BAD = np.ones((20, 3))
BAD[[4, 7], 1] = np.nan, np.inf


@pytest.mark.parametrize(
    ("x", "method", "parameters", "words"),
    [
        (np.zeros((20, 3)), "mds", {}, "method must be one of latent, pca, tsne, umap, got mds"),
        (BAD, "pca", {}, "codes must be finite numbers, got NaN or infinity in 2 of 20"),
        (np.zeros((4, 3)), "pca", {}, "a map needs at least 5 codes, got 4"),
        (np.zeros(20), "pca", {}, r"codes must have shape \(N, D\), got shape \(20,\)"),
        (np.zeros((20, 1, 28, 28)), "pca", {}, r"shape \(N, D\)"),
        (np.zeros((20, 0)), "pca", {}, r"shape \(N, D\)"),
        (np.zeros((50, 3)), "tsne", {}, r"perplexity must be in 1\.\.16\.3 for 50 codes, got 30"),
        (np.zeros((50, 3)), "tsne", {"perplexity": 0.5}, "perplexity must be in 1.0..1000.0, got 0.5"),
        (np.zeros((50, 3)), "tsne", {"perplexity": np.nan}, "perplexity must be a finite number"),
        (np.zeros((10, 3)), "umap", {}, r"n_neighbors must be in 2\.\.9 for 10 codes, got 15"),
        (np.zeros((10, 3)), "umap", {"n_neighbors": 1}, "n_neighbors must be in 2..1000, got 1"),
        (np.zeros((50, 3)), "umap", {"min_dist": 2.0}, "min_dist must be in 0.0..1.0, got 2"),
        (np.zeros((50, 3)), "umap", {"seed": -1}, "seed must be in 0.."),
        (np.zeros((50, 3)), "latent", {"dims": (0, 3)}, r"dims must be in 0\.\.2, got 0 and 3"),
        (np.zeros((50, 3)), "latent", {"dims": (0, -1)}, "dims must be two dimensions"),
        (np.zeros((50, 3)), "latent", {"dims": (0,)}, "dims must be two dimensions"),
        (np.zeros((50, 3)), "pca", {"perplexty": 9}, "unknown option 'perplexty'"),
    ],
)
@pytest.mark.parametrize("ask", [maps.embed, maps.cached_embed])
def test_every_refusal_is_one_sentence(ask, x, method, parameters, words, folder):
    with pytest.raises(ValueError, match=words) as error:
        ask(x, method, **parameters)
    assert "\n" not in str(error.value) and not folder.exists()


def test_largest_perplexity_is_accepted_and_no_more():
    x = np.random.default_rng(0).normal(size=(20, 3))
    assert maps.largest_perplexity(20) == 6.3
    maps.embed(x, "tsne", perplexity=6.3)
    with pytest.raises(ValueError, match="perplexity"):
        maps.embed(x, "tsne", perplexity=6.4)


def test_import_is_light():
    heavy = ("torch", "sklearn", "umap", "openTSNE", "numba", "scipy", "filelock", "streamlit")
    code = (
        "import sys, aevae.embeddings, aevae.latent.traversal, aevae.latent.interpolation, aevae.latent.sampling;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8").stdout.strip() == "[]"


# -- cache -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_hit_is_the_identical_array(codes, method, folder, drawn):
    first = maps.cached_embed(codes, method, **SMALL[method])
    second = maps.cached_embed(codes.copy(), method, **SMALL[method])
    assert (first.cached, second.cached) == (False, True) and drawn == [method]
    assert first.xy.tobytes() == second.xy.tobytes() and second.xy.dtype == np.float32
    assert first.seconds == second.seconds > 0
    assert first.xy.tobytes() == maps.embed(codes, method, **SMALL[method]).tobytes()
    assert len(files(folder)) == 1 and not list(folder.glob("*.tmp"))


def test_any_change_that_matters_misses(codes, folder, monkeypatch):
    drawn = []

    def compute_map(codes, config):
        drawn.append(config.method)
        return np.zeros((len(codes), 2), np.float32), None

    monkeypatch.setattr(cache, "compute_map", compute_map)
    other = codes.copy()
    other[7, 7] += 1e-3
    reshaped = codes.reshape(-1, 32)  # the same bytes
    for x in (codes, other, reshaped):
        assert not maps.cached_embed(x, "pca").cached
    for parameters in ({}, {"seed": 1}, {"min_dist": 0.2}, {"n_neighbors": 9}):
        assert not maps.cached_embed(codes, "umap", **parameters).cached
    assert len(drawn) == 7 == len(files(folder))


def test_what_does_not_matter_hits(codes, folder):
    maps.cached_embed(codes, "pca", seed=1)
    assert maps.cached_embed(codes, "pca", seed=2, perplexity=5, n_neighbors=3).cached
    maps.cached_embed(codes, "tsne", perplexity=20)
    assert maps.cached_embed(codes.astype(np.float64), "tsne", perplexity=20.0, min_dist=0.5).cached


def test_another_library_version_misses(codes, folder, monkeypatch):
    maps.cached_embed(codes, "pca")
    monkeypatch.setattr(cache, "version", lambda name: "0.0.0")
    assert not maps.cached_embed(codes, "pca").cached


def test_latent_is_not_stored(codes, folder):
    assert not maps.cached_embed(codes, "latent").cached and not folder.exists()


def _pickled(file):
    np.savez(file, xy=np.array([object()] * N, dtype=object), seconds=1.0)


DAMAGE = {
    "empty": lambda file: file.write_bytes(b""),
    "noise": lambda file: file.write_bytes(bytes(range(256)) * 4),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:300]),
    "flipped": lambda file: file.write_bytes(file.read_bytes().replace(file.read_bytes()[300:304], b"\xff" * 4)),
    "array": lambda file: file.write_bytes(b"\x93NUMPY\x01\x00"),
    "pickled": _pickled,
    "other shape": lambda file: np.savez(file, xy=np.zeros((3, 2), np.float32), seconds=1.0),
    "other type": lambda file: np.savez(file, xy=np.zeros((N, 2)), seconds=1.0),
    "not a number": lambda file: np.savez(file, xy=np.full((N, 2), np.nan, np.float32), seconds=1.0),
    "other names": lambda file: np.savez(file, a=np.zeros(1)),
    "odd seconds": lambda file: np.savez(file, xy=np.zeros((N, 2), np.float32), seconds=np.zeros(3)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_drawn_again(codes, folder, damage):
    first = maps.cached_embed(codes, "pca")
    DAMAGE[damage](files(folder)[0])
    second = maps.cached_embed(codes, "pca")
    assert not second.cached and np.array_equal(first.xy, second.xy)
    assert maps.cached_embed(codes, "pca").cached


def test_any_single_changed_byte_is_damage_or_harmless(tmp_path):
    file, xy = tmp_path / "map.npz", np.ones((5, 2), np.float32)
    np.savez(file, xy=xy, seconds=np.float64(1.0))
    whole = file.read_bytes()
    for place in range(len(whole)):
        for flip in (0x01, 0xFF):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            known = cache._read(file, 5)
            if known is not None:
                assert np.array_equal(known.xy, xy)


@pytest.mark.parametrize("broken", ["mkdir", "replace", "lock"])
def test_a_cache_that_can_not_be_written_is_no_error(codes, folder, broken, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no space left")

    if broken == "mkdir":
        folder.parent.joinpath("embeddings").write_text("a file where the folder should be", "utf-8")
    elif broken == "replace":
        monkeypatch.setattr(os, "replace", refuse)
    else:
        monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    drawn = maps.cached_embed(codes, "pca")
    assert not drawn.cached and np.array_equal(drawn.xy, maps.embed(codes, "pca"))
    if broken != "mkdir":
        assert not list(folder.glob("*.tmp"))


def test_two_sessions_draw_the_same_map_once(codes, folder, drawn):
    results = []

    def session():
        results.append(maps.cached_embed(codes, "tsne", perplexity=20.0))

    ask = [threading.Thread(target=session) for _ in range(2)]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert drawn == ["tsne"] and sorted(r.cached for r in results) == [False, True]
    assert np.array_equal(results[0].xy, results[1].xy)


def test_the_files_unused_for_longest_go(codes, folder, monkeypatch):
    monkeypatch.setattr(cache, "MAX_FILES", 3)
    for i in range(3):
        maps.cached_embed(codes + i, "pca")
        for age, file in enumerate(sorted(files(folder), key=os.path.getmtime)):
            os.utime(file, (1000 + age, 1000 + age))
    assert maps.cached_embed(codes, "pca").cached  # the oldest, used again just now
    maps.cached_embed(codes + 3, "pca")
    assert len(files(folder)) == 3
    assert maps.cached_embed(codes, "pca").cached and not maps.cached_embed(codes + 1, "pca").cached
