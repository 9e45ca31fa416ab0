"""The digit classifier, and the Frechet distance of Gaussians."""

import numpy as np
import pytest
import torch

from aevae import datasets
from aevae.config import DataConfig
from aevae.metrics.classifier import FILE, reader
from aevae.metrics.samples import frechet, judge


@pytest.fixture(scope="module")
def digits():
    """1,000 digits that the reader was not taught, float32 tensor and labels."""
    test = datasets.load(DataConfig("mnist-5k")).test
    return torch.tensor(test.images).float() / 255, test.labels


def test_the_reader_reads_and_is_small(digits):
    x, labels = digits
    assert FILE.stat().st_size < 300_000
    with torch.inference_mode():
        found = reader()[0](x)[1].argmax(1).numpy()
    assert (found == labels).mean() > 0.98


def test_digits_are_sure_balanced_and_near_and_noise_is_far(digits):
    real = judge(digits[0])
    assert real["sample_confidence"] > 0.97 and real["class_balance"] > 0.999
    blurred = judge(torch.nn.functional.avg_pool2d(digits[0], 5, 1, 2))
    noise = judge(torch.rand(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    assert 0 < real["frechet_distance"] < 0.1 * blurred["frechet_distance"] < 0.1 * noise["frechet_distance"]
    ones = judge(digits[0][digits[1] == 1])
    assert ones["class_balance"] < 0.2 and ones["frechet_distance"] > 5 * real["frechet_distance"]
    assert sum(ones["class_balance_shares"]) == pytest.approx(1)


def test_the_floor_is_that_of_real_images(digits):
    from aevae.metrics.samples import floor

    distance, half = floor(digits[0], 0)
    assert half == 500 and 0 < distance < judge(torch.nn.functional.avg_pool2d(digits[0], 3, 1, 1))["frechet_distance"]
    assert floor(digits[0][:200], 0)[0] > distance, "biased upwards, the more so from few images"


def test_confidence_is_no_score():
    from aevae.metrics import METRICS

    noise = torch.rand(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert judge(noise)["sample_confidence"] > 0.5 and METRICS["sample_confidence"].better == ""


def test_the_distance_of_gaussians_is_the_closed_form():
    eye = torch.eye(3)
    assert frechet(torch.zeros(3), eye, torch.zeros(3), eye) == pytest.approx(0, abs=1e-9)
    assert frechet(torch.ones(3), eye, torch.zeros(3), eye) == pytest.approx(3)
    a, b = torch.diag(torch.tensor([1.0, 4, 9])), torch.diag(torch.tensor([4.0, 4, 1]))
    assert frechet(torch.zeros(3), a, torch.zeros(3), b) == pytest.approx(1 + 0 + 4)  # sum (s1 - s2)^2
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    turned = frechet(torch.zeros(3), q @ a @ q.T, torch.zeros(3), q @ b @ q.T)
    assert turned == pytest.approx(5, rel=1e-5)
    from scipy.linalg import sqrtm

    draw = np.random.default_rng(0)
    m, n = (np.cov(draw.normal(size=(5, 40)) * draw.uniform(1, 3, (5, 1))) for _ in range(2))
    expected = np.trace(m + n - 2 * sqrtm(m @ n).real)
    assert frechet(torch.zeros(5), torch.tensor(m), torch.zeros(5), torch.tensor(n)) == pytest.approx(expected)
