"""Operations on latent codes, with values that are known without a model."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness as sklearn_trustworthiness

from aevae.latent import interpolation as ip
from aevae.latent import sampling
from aevae.latent import traversal as tr
from aevae.metrics import neighbours as nb


def draws(n, latent_dim, seed=0):
    return sampling.prior(n, latent_dim, seed)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data[:600].astype(np.float32), data.target[:600]


# -- traversal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", range(5))
def test_traversal_changes_one_coordinate_only(dim):
    z, values = draws(1, 5)[0], tr.strip_values(7)
    codes = tr.traverse(z, dim, values)
    assert codes.shape == (7, 5) and codes.dtype == np.float32
    assert np.array_equal(codes[:, dim], values)
    others = np.delete(codes, dim, axis=1)
    assert np.array_equal(others, np.tile(np.delete(z, dim), (7, 1)))


def test_traversal_leaves_its_code_alone():
    z = draws(1, 3)[0]
    before = z.copy()
    tr.traverse(z, 1, [9.0])[...] = -1
    assert np.array_equal(z, before)


def test_strip_meets_both_limits_and_zero():
    assert np.array_equal(tr.strip_values(7), np.float32([-3, -2, -1, 0, 1, 2, 3]))
    assert np.array_equal(tr.strip_values(2, 1.5), np.float32([-1.5, 1.5]))


def test_prior_grid_is_the_inverse_distribution_with_the_largest_y_on_top():
    grid = tr.prior_grid(5)
    levels = np.linspace(0.05, 0.95, 5)
    assert grid.shape == (5, 5, 2) and grid.dtype == np.float32
    np.testing.assert_allclose(norm.cdf(grid[0, :, 0]), levels, rtol=1e-6)
    np.testing.assert_allclose(norm.cdf(grid[:, 0, 1]), levels[::-1], rtol=1e-6)
    np.testing.assert_allclose(grid[2, 2], 0, atol=1e-6)
    assert np.array_equal(tr.prior_grid(1), np.zeros((1, 1, 2)))


def test_plane_grid_moves_two_coordinates_and_puts_row_zero_on_top():
    z = draws(1, 4)[0]
    grid = tr.plane_grid(z, (3, 1), xs=[1, -1, 0], ys=[-2, 2])
    assert grid.shape == (2, 3, 4)
    assert np.array_equal(grid[0, :, 3], [-1, 0, 1]) and np.array_equal(grid[:, 0, 1], [2, -2])
    assert np.array_equal(grid[..., [0, 2]], np.broadcast_to(z[[0, 2]], (2, 3, 2)))


def test_latent_order_is_falling_and_stable():
    assert tr.latent_order([0.0, 2.0, 0.5, 2.0]).tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tr.strip_values(1), "steps must be 2 or more, got 1"),
        (lambda: tr.strip_values(5, 0), "limit must be a positive number, got 0"),
        (lambda: tr.strip_values(5, np.nan), "limit must be"),
        (lambda: tr.traverse(np.zeros(3), 3, [0]), r"dim must be in 0\.\.2, got 3"),
        (lambda: tr.traverse(np.zeros(3), -1, [0]), r"dim must be in 0\.\.2, got -1"),
        (lambda: tr.traverse(np.zeros((1, 3)), 0, [0]), "one code of shape"),
        (lambda: tr.plane_grid(np.zeros(3), (1, 1), [0], [0]), "two different dimensions"),
        (lambda: tr.plane_grid(np.zeros(3), (0, 5), [0], [0]), r"dims must be in 0\.\.2, got 5"),
        (lambda: tr.prior_grid(0), "n must be 1 or more"),
        (lambda: tr.prior_grid(3, (0.0, 0.9)), "quantile must be"),
        (lambda: tr.latent_order([1.0, np.nan]), "without NaN"),
        (lambda: ip.path(np.zeros(2), np.zeros(3), 4), "one shape"),
        (lambda: ip.path(np.zeros(2), np.zeros(2), 1), "steps must be 2 or more"),
        (lambda: ip.path(np.zeros(2), np.zeros(2), 4, "cubic"), "kind must be one of linear, spherical, got cubic"),
        (lambda: ip.slerp(np.zeros((2, 2)), np.zeros((2, 2)), 0.5), r"codes of shape \(D,\)"),
        (lambda: ip.bilinear(np.zeros((3, 2)), 4), "four corners"),
        (lambda: ip.arithmetic(np.zeros(2), np.zeros(2), np.zeros(3)), "one shape"),
        (lambda: ip.nearest_distance(np.zeros((1, 2)), np.zeros((5, 3))), "are needed, got shapes"),
        (lambda: ip.nearest_distance(np.zeros((1, 2)), np.zeros((0, 2))), r"k must be in 1\.\.0"),
        (lambda: ip.nearest_distance(np.full((1, 2), np.nan), np.zeros((5, 2))), "finite"),
        (lambda: ip.typical_spacing(np.zeros((1, 2))), r"k must be in 1\.\.0"),
        (lambda: ip.typical_spacing(np.zeros((5, 2)), sample=0), "sample must be 1 or more"),
        (lambda: sampling.prior(3, 0), "latent_dim 1 or more"),
        (lambda: sampling.class_means(np.zeros((3, 2)), np.zeros(2)), "are needed"),
        (lambda: nb.knn_accuracy(np.zeros((3, 2)), np.zeros(2)), "one label per point"),
        (lambda: nb.knn_accuracy(np.zeros((3, 2)), np.zeros(3), k=3), r"k must be in 1\.\.2"),
        (lambda: nb.trustworthiness(np.zeros((9, 2)), np.zeros((8, 2))), "two arrays of N points"),
        (lambda: nb.trustworthiness(np.zeros((9, 2)), np.zeros((9, 2)), k=5), "below half of the 9 points, got 5"),
    ],
)
def test_every_refusal_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ip.KINDS)
def test_path_hits_both_ends_bit_for_bit(kind):
    for a, b in zip(draws(50, 7, 1) * 1e3, draws(50, 7, 2) / 3, strict=True):
        codes = ip.path(a, b, 9, kind)
        assert codes.shape == (9, 7) and codes.dtype == np.float32
        assert codes[0].tobytes() == a.tobytes() and codes[-1].tobytes() == b.tobytes()


def test_lerp_is_the_straight_line():
    a, b = np.float32([0, 4]), np.float32([8, 0])
    assert np.array_equal(ip.lerp(a, b, 0.25), [2, 3])
    assert np.array_equal(ip.path(a, b, 5), [[0, 4], [2, 3], [4, 2], [6, 1], [8, 0]])


def test_slerp_between_unit_vectors_stays_on_the_sphere_and_turns_evenly():
    for a, b in zip(draws(50, 6, 3), draws(50, 6, 4), strict=True):
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        codes = ip.path(a, b, 11, "spherical").astype(np.float64)
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-6)
        turns = np.arccos(np.clip((codes[1:] * codes[:-1]).sum(1), -1, 1))
        np.testing.assert_allclose(turns, np.arccos(a.astype(np.float64) @ b) / 10, atol=2e-5)


def test_slerp_knows_a_right_angle():
    half = ip.slerp(np.float32([2, 0, 0]), np.float32([0, 2, 0]), 0.5)
    np.testing.assert_allclose(half, [2**0.5, 2**0.5, 0], atol=1e-6)


def test_slerp_becomes_lerp_as_the_angle_goes_to_zero():
    a = draws(1, 5)[0]
    for size in (1e-2, 1e-4, 1e-6, 0.0):
        b = a + np.float32(size) * draws(1, 5, 1)[0]
        gap = np.abs(ip.path(a, b, 9, "spherical") - ip.path(a, b, 9)).max()
        assert gap <= 2 * size**2 + 1e-6
    assert np.array_equal(ip.path(a, a, 3, "spherical"), np.tile(a, (3, 1)))


@pytest.mark.parametrize("latent_dim", [2, 3, 20])
def test_slerp_between_opposites_keeps_the_norm(latent_dim):
    for a in draws(10, latent_dim):
        codes = ip.path(a, -a, 9, "spherical")
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), np.linalg.norm(a), rtol=1e-6)
        assert abs(codes[4].astype(np.float64) @ a) < 1e-5 * np.linalg.norm(a) ** 2
        assert np.array_equal(codes[-1], -a)


def test_slerp_between_unequal_norms_goes_linearly_in_the_norm():
    a, b = np.float32([1, 0]), np.float32([0, 3])
    np.testing.assert_allclose(np.linalg.norm(ip.path(a, b, 5, "spherical"), axis=1), [1, 1.5, 2, 2.5, 3], rtol=1e-6)


def test_slerp_without_an_angle_is_lerp():
    for a, b in ([[0, 0], [1, 2]], [[1, 2], [0, 0]], [[0, 0], [0, 0]], [[2], [-2]], [[1, 1], [3, 3]]):
        assert np.array_equal(ip.path(a, b, 5, "spherical"), ip.path(a, b, 5))


def test_the_middle_of_two_prior_draws_loses_half_its_square_on_the_line_only():
    a, b, latent_dim = draws(4000, 20, 5), draws(4000, 20, 6), 20
    middle = ip.lerp(a, b, 0.5)
    assert abs((middle**2).sum(1).mean() / (latent_dim / 2) - 1) < 0.03
    round_middle = np.stack([ip.slerp(p, q, 0.5) for p, q in zip(a[:1000], b[:1000], strict=True)])
    assert abs((round_middle**2).sum(1).mean() / latent_dim - 1) < 0.04


@pytest.mark.parametrize("kind", ip.KINDS)
def test_bilinear_has_its_corners_and_edges(kind):
    corners = draws(4, 6)
    sheet = ip.bilinear(corners, 5, kind)
    assert sheet.shape == (5, 5, 6)
    assert np.array_equal(sheet[[0, 0, -1, -1], [0, -1, 0, -1]], corners)
    assert np.array_equal(sheet[0], ip.path(corners[0], corners[1], 5, kind))
    assert np.array_equal(sheet[:, 0], ip.path(corners[0], corners[2], 5, kind))
    if kind == "linear":
        np.testing.assert_allclose(sheet[2, 2], corners.mean(0), atol=1e-6)


def test_pixel_blend_is_the_cross_fade():
    a, b = np.zeros((1, 28, 28), np.float32), np.ones((1, 28, 28), np.float32)
    blend = ip.pixel_blend(a, b, 5)
    assert blend.shape == (5, 1, 28, 28)
    assert np.array_equal(blend.mean((1, 2, 3)), [0, 0.25, 0.5, 0.75, 1])


def test_arithmetic():
    a, b, c = np.float32([[5, 1], [3, 2], [10, 20]])
    assert np.array_equal(ip.arithmetic(a, b, c), [12, 19])
    np.testing.assert_allclose(ip.arithmetic(*draws(1, 4), *draws(1, 4), c := draws(1, 4, 2)[0]), c)


# -- distance ----------------------------------------------------------------------------------------------------------


def test_nearest_distance_is_brute_force(monkeypatch):
    monkeypatch.setattr(nb, "BLOCK_DISTANCES", 1000)  # many blocks
    codes, bank = draws(83, 5, 1) + 100, draws(301, 5, 2) + 100
    brute = np.linalg.norm(codes[:, None].astype(np.float64) - bank[None], axis=2)
    distance, index = ip.nearest_distance(codes, bank)
    assert np.array_equal(index, brute.argmin(1))
    np.testing.assert_allclose(distance, brute.min(1), rtol=1e-6)
    distance, index = ip.nearest_distance(bank, bank)
    assert not distance.any() and np.array_equal(index, np.arange(301))


def test_typical_spacing_of_a_lattice_is_its_step():
    lattice = np.stack(np.meshgrid(*[np.arange(12) * 0.5] * 2), -1).reshape(-1, 2)
    assert ip.typical_spacing(lattice) == pytest.approx(0.5)
    assert ip.typical_spacing(lattice, sample=20, seed=3) == pytest.approx(0.5)


def test_typical_spacing_leaves_each_point_out_and_repeats_for_a_seed():
    bank = draws(400, 4)
    brute = np.linalg.norm(bank[:, None].astype(np.float64) - bank[None], axis=2)
    np.fill_diagonal(brute, np.inf)
    assert ip.typical_spacing(bank) == pytest.approx(np.median(brute.min(1)))
    assert ip.typical_spacing(bank, 50, seed=1) == ip.typical_spacing(bank, 50, seed=1)


# -- sampling ----------------------------------------------------------------------------------------------------------


def test_prior_is_standard_normal_and_repeats():
    z = draws(20_000, 3, 7)
    assert z.dtype == np.float32 and np.array_equal(z, draws(20_000, 3, 7))
    assert not np.array_equal(z, draws(20_000, 3, 8))
    np.testing.assert_allclose(z.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.05)


def test_class_means():
    means = sampling.class_means([[1, 2], [3, 4], [9, 9]], np.array([7, 7, 2]))
    assert list(means) == [2, 7]
    assert np.array_equal(means[7], [2, 3]) and np.array_equal(means[2], [9, 9])


# -- neighbourhoods ----------------------------------------------------------------------------------------------------


def test_knn_accuracy_is_one_on_blobs_and_chance_on_shuffled_labels():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 100)
    points = draws(1000, 5) + 100 * np.eye(10, 5)[labels] + 100 * labels[:, None]
    assert nb.knn_accuracy(points, labels) == 1.0
    assert nb.knn_accuracy(points, rng.permutation(labels)) == pytest.approx(0.1, abs=0.04)


def test_knn_accuracy_gives_a_tie_to_the_nearest():
    points = np.array([[0.0], [1.0], [-1.5], [50.0], [51.0]])
    # k = 2: the neighbours of 0 are 1 (its own class) and -1.5 (another); the nearer, 1, decides.
    labels = np.array(["a", "a", "b", "b", "b"])
    _, index = nb.nearest(points, points, 2, own=np.arange(5))
    expected = np.mean([labels[row[0]] == own for row, own in zip(index, labels, strict=True)])
    assert nb.knn_accuracy(points, labels, k=2) == expected == 0.8


@pytest.mark.slow
def test_knn_accuracy_of_digits_is_the_classifier_of_scikit_learn(digits):
    from sklearn.model_selection import LeaveOneOut, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    x, y = digits
    x, y = x[:200], y[:200]
    theirs = cross_val_score(KNeighborsClassifier(1), x, y, cv=LeaveOneOut()).mean()
    assert nb.knn_accuracy(x, y, k=1) == pytest.approx(theirs)


def test_trustworthiness_of_a_shifted_rescaled_copy_is_one_and_of_a_shuffle_low(digits):
    for x in (draws(500, 8), digits[0]):
        copy = 4 * x + 16
        assert nb.trustworthiness(x, copy) == nb.continuity(x, copy) == 1.0
        shuffled = np.random.default_rng(0).permutation(x)
        assert nb.trustworthiness(x, shuffled) < 0.6 and nb.continuity(x, shuffled) < 0.6


@pytest.mark.parametrize("chunk", [1 << 22, 5000])
def test_trustworthiness_is_that_of_scikit_learn(digits, monkeypatch, chunk):
    monkeypatch.setattr(nb, "BLOCK_DISTANCES", chunk)
    high = digits[0] + 1e-3 * draws(*digits[0].shape).astype(
        np.float64
    )  # no equal distances, where ranks are a matter of taste
    low = high[:, 20:22]
    for k in (1, 10, 50):
        ours, theirs = nb.trustworthiness(high, low, k), sklearn_trustworthiness(high, low, n_neighbors=k)
        assert ours == pytest.approx(theirs, abs=1e-6)
        assert nb.continuity(high, low, k) == pytest.approx(sklearn_trustworthiness(low, high, n_neighbors=k), abs=1e-6)


def test_a_fold_is_not_trusted_and_a_tear_not_continuous():
    line = np.linspace(0, 1, 200)[:, None]
    folded = np.abs(line - 0.5)  # far points drawn on top of each other
    assert nb.trustworthiness(line, folded) < 0.9 < nb.continuity(line, folded)
    assert nb.continuity(folded, line) < 0.9 < nb.trustworthiness(folded, line)


@pytest.mark.slow
def test_memory_stays_bounded(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(nb, "BLOCK_DISTANCES", 1 << 19)  # 4 MB; all distances at once would be 128 MB
    x = draws(4000, 2)
    tracemalloc.start()
    try:
        nb.knn_accuracy(x, np.zeros(4000))
        nb.trustworthiness(x, x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * 8 * nb.BLOCK_DISTANCES  # a few blocks, whatever N is
