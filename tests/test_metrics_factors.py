"""Scores whose best and worst are known: disentanglement of true factors, walks of true lines."""

import numpy as np
import pytest

from aevae.datasets import lines, sprites
from aevae.metrics import disentanglement as scores
from aevae.metrics import interpolation

FACTORS = sprites.every()
KINDS = np.array([True, False, False, False, False])


def noise(size):
    return np.random.default_rng(0).normal(size=(len(FACTORS), size))


def turned():
    """x and y, turned by 45 degrees: both numbers say as much of either."""
    place = FACTORS[:, 3:] - FACTORS[:, 3:].mean(0)
    return place @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)


def test_mig_of_true_factors_is_1_and_of_a_copy_or_a_turn_0():
    true = FACTORS.astype(float)
    assert scores.mig(true, FACTORS) > 0.95
    assert scores.mig(-3 * true[:, ::-1] + 7, FACTORS) > 0.95, "order, sign and scale do not matter"
    assert scores.mig(np.hstack([true, true]), FACTORS) == pytest.approx(0, abs=1e-9)
    assert scores.mig(turned(), FACTORS[:, 3:]) < 0.02
    assert scores.mig(noise(5), FACTORS) < 0.01
    assert scores.mig(np.ones((9000, 4)), FACTORS) < 1e-9


def test_mutual_information_is_the_entropy_of_what_is_known():
    assert scores.entropy(FACTORS[:, 4]) == pytest.approx(np.log(10))
    table = scores.information(FACTORS.astype(float), FACTORS)
    assert np.allclose(table, np.diag([np.log(n) for n in sprites.SIZES.values()]), atol=1e-9)


def test_factor_vae_score():
    true = FACTORS.astype(float)
    assert scores.factor_vae_score(true, FACTORS) == 1
    with_dead = np.hstack([true, 1e-6 * noise(3)])
    assert scores.factor_vae_score(with_dead, FACTORS) == 1, "what hardly varies has no vote"
    assert scores.factor_vae_score(noise(5), FACTORS) < 0.35
    assert scores.factor_vae_score(np.zeros((9000, 2)), FACTORS) == 0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[3.0, 0.0], [0.0, 1.0]], 1.0),
        ([[2.0, 2.0], [5.0, 5.0]], 0.0),
        ([[3.0, 0.0], [0.5, 0.5]], 0.75),  # weighted with the rows' sums 3 and 1
        ([[0.75, 0.25]], 1 - 0.811278),  # entropy in bits, as there are two columns
        ([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], 1.0),  # a row of zeros has no weight
        ([[2.0], [1.0]], 1.0),
        ([[0.0, 0.0]], 0.0),
    ],
)
def test_rows_that_name_one_factor_are_unmixed(rows, expected):
    assert scores._unmixed(np.array(rows)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_dci_and_sap():
    some = np.random.default_rng(1).permutation(len(FACTORS))[:3000]
    true, known = FACTORS[some].astype(float), FACTORS[some]
    assert min(scores.dci(true, known)) > 0.95
    assert max(scores.dci(noise(5)[some], known)[:2]) < 0.05
    mixed = scores.dci(np.hstack([turned()[some]]), known[:, 3:])
    assert mixed[0] < 0.2
    assert scores.sap(true, known, KINDS) > 0.9
    assert scores.sap(np.hstack([true, true]), known, KINDS) == pytest.approx(0, abs=1e-9)


def walk(steps):
    first, last = interpolation.ends(0, 10)
    part = np.asarray(steps)
    return np.stack([lines.render_lines(a * (1 - part) + b * part) for a, b in zip(first, last, strict=True)])


def test_walks_of_true_lines_are_perfect_and_blends_are_not():
    even = np.linspace(0, 1, interpolation.NUM_STEPS)
    distance, smoothness, count = interpolation.judge(walk(even))
    assert distance < 1e-4 and smoothness < 5e-3 and count == 10
    jumpy = np.repeat([0.0, 1.0], interpolation.NUM_STEPS // 2)
    distance, smoothness, _ = interpolation.judge(walk(jumpy))
    assert distance < 1e-4 and smoothness == pytest.approx(1 - 1 / 15, abs=1e-3), "true lines, all of the way at once"
    ends = walk([0.0, 1.0])
    blend = ends[:, :1] * (1 - even[:, None, None, None]) + ends[:, 1:] * even[:, None, None, None]
    assert interpolation.judge(blend)[0] > 0.05
    first, last = interpolation.ends(0)
    assert np.all((np.abs(last - first) >= np.pi / 4) & (np.abs(last - first) <= 3 * np.pi / 4))


def test_an_interpolation_that_stands_still_has_no_smoothness():
    assert np.isnan(interpolation.judge(walk(np.zeros(interpolation.NUM_STEPS)))[1])


def test_smoothness_is_the_papers():
    """The largest step over the change between the ends, less that of an even interpolation (ACAI, section 3.2)."""
    straight, detour, across = [0, 0.2, 0.4, 0.6], [0, 0.6, 0.9, 0.3], [6.2, 6.3 - 2 * np.pi, 0.2, 0.3]
    still = [1.0, 2.0, 1.5, 1.0]
    found = interpolation.smoothness(np.array([straight, detour, across, still]))
    assert found[0] == pytest.approx(0)
    assert found[1] == pytest.approx(0.6 / 0.3 - 1 / 3), "there and back counts: more than the whole way in one step"
    turn = 0.2 + 2 * np.pi - 6.3  # past 2 pi, the short way
    assert found[2] == pytest.approx(turn / (0.3 + 2 * np.pi - 6.2) - 1 / 3)
    assert np.isnan(found[3])
