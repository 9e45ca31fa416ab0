"""Error against noise level, and repeated application."""

import numpy as np
import pytest
import torch

from aevae.corruption import KINDS, apply, corrupt, sample_noise
from aevae.metrics.denoising import apply_again, corrupt_images, draws, error_by_level, lay_over


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((6, 1, 28, 28), np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_is_that_of_training(images, kind):
    trained = corrupt(torch.tensor(images), kind, 0.4, torch.Generator().manual_seed(3)).numpy()
    noisy = corrupt_images(images, kind, 0.4, 3)
    assert noisy.dtype == np.float32
    assert np.array_equal(noisy, trained)
    assert np.array_equal(noisy, corrupt_images(images, kind, 0.4, 3))
    assert not np.array_equal(noisy, corrupt_images(images, kind, 0.4, 4))


def test_level_zero_is_a_copy_that_leaves_the_original_alone(images):
    images.setflags(write=False)
    copy = corrupt_images(images, "gaussian", 0.0, 0)
    copy[:] = 0
    assert images.max() > 0


def test_wrong_noise_is_refused(images):
    with pytest.raises(ValueError, match="noise must be one of"):
        corrupt_images(images, "rain", 0.5, 0)
    with pytest.raises(ValueError, match=r"noise level must be in 0\.\.1, got 2"):
        corrupt_images(images, "gaussian", 2, 0)


def test_masking_loses_the_expected_part_of_the_energy(images):
    levels = (0.0, 0.25, 0.5, 1.0)
    errors = error_by_level(lambda x: x, images, "masking", levels, 0)
    energy = float(np.square(images.astype(np.float64)).reshape(6, -1).sum(1).mean())
    assert errors[0] == 0
    assert errors[3] == pytest.approx(energy, rel=1e-6)  # all pixels black
    assert errors / energy == pytest.approx(levels, abs=0.02)


def test_a_perfect_cleaner_has_no_error_and_a_constant_one_does_not_care(images):
    assert error_by_level(lambda x: images, images, "block", (0.1, 0.9), 0).tolist() == [0, 0]
    low, high = error_by_level(np.zeros_like, images, "gaussian", (0.1, 0.9), 0)
    assert low == high


def test_error_grows_with_the_level(images):
    errors = error_by_level(lambda x: x, images, "gaussian", np.linspace(0, 1, 6), 0)
    assert (np.diff(errors) > 0).all()


def test_repeated_application_walks_to_the_fixed_point(images):
    walk = apply_again(lambda x: (x + 0.5) / 2, images, 10)
    assert walk.shape == (11, 6, 1, 28, 28)
    assert np.array_equal(walk[0], images)
    assert np.abs(walk[10] - 0.5).max() <= 0.5 / 1024 + 1e-6
    assert len(apply_again(lambda x: x, images, 0)) == 1
    with pytest.raises(ValueError, match="times must be 0 or more"):
        apply_again(lambda x: x, images, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_serves_every_level(images, kind):
    """One draw, applied at any level, is the noise that the seed gives at that level."""
    one = torch.tensor(images[:1])
    noise = torch.tensor(draws(3)[kind]).reshape(sample_noise(one, kind, torch.Generator()).shape)
    for level in (0, 0.3, 1):
        assert np.array_equal(apply(one, kind, level, noise).numpy(), corrupt_images(images[:1], kind, level, 3))
    with pytest.raises(ValueError, match=r"noise level must be in 0\.\.1"):
        apply(one, kind, 1.5, noise)


def test_strokes_cover_erase_and_leave_the_rest(images):
    layer = np.zeros((2, 28, 28), np.uint8)
    layer[:, 0, 0] = 255  # white
    layer[0, 0, 1] = 255  # black
    layer[:, 0, 2] = 51, 51  # a fifth of white
    out = lay_over(images, layer)
    assert out.dtype == np.float32
    assert (out[:, 0, 0, 0] == 1).all() and (out[:, 0, 0, 1] == 0).all()
    assert out[:, 0, 0, 2] == pytest.approx(0.8 * images[:, 0, 0, 2] + 0.2, abs=1e-6)
    assert np.array_equal(out[:, :, 1:], images[:, :, 1:])
