"""The digit classifier, and the Frechet distance of Gaussians."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aevae import datasets, metrics
from aevae.config import DataConfig
from aevae.metrics import samples
from aevae.metrics.classifier import FILE, reader
from aevae.metrics.metric import Sample
from aevae.metrics.samples import frechet, judge, real_digits
from aevae.reporting import comparison
from aevae.store import checkpoints, files


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


class Copier:
    """A model that decodes each code to a training digit: as good as samples can be."""

    latent_dim = 1
    config = SimpleNamespace(data=DataConfig("mnist-5k"))

    def __init__(self):
        train = datasets.load(DataConfig("mnist-5k")).train.images
        self.model, self.images = self, torch.tensor(train).float() / 255

    def sample_prior(self, noise):
        return noise

    def decode(self, z):
        places = torch.special.ndtr(z[:, 0]) * len(self.images)
        return self.images[places.long().clamp(max=len(self.images) - 1)]


def test_a_perfect_model_is_not_below_the_floor(digits):
    """The floor has the model's protocol: other images, but the same reference, number of images and repetitions."""
    test = datasets.load(DataConfig("mnist-5k")).test
    found = samples.samples(Copier(), Sample(test), 0)
    lowest, spread = samples.distance(samples.floor(real_digits(Copier.config.data), 1))
    error = np.hypot(found["frechet_distance_sd"], spread)
    for floor in (lowest, found["frechet_distance_floor"]):
        assert found["frechet_distance"] > floor - 2 * error
        assert found["frechet_distance"] < 1.5 * floor, "nor far above it"
    assert found["frechet_distance_floor_images"] == 4000
    blurred = torch.nn.functional.avg_pool2d(digits[0], 3, 1, 1)
    assert 0 < lowest < judge(blurred)["frechet_distance"]


def test_model_and_floor_are_judged_by_the_same_function(digits, monkeypatch):
    counts = []
    monkeypatch.setattr(samples, "judge", lambda images: counts.append(len(images)) or {"frechet_distance": 1.0})
    found = samples.samples(Copier(), Sample(datasets.load(DataConfig("mnist-5k")).test), 0)
    assert counts == [samples.NUM_SAMPLES] * 2 * samples.NUM_REPEATS
    assert found["frechet_distance_floor"] == 1.0 and found["frechet_distance_sd"] == 0.0


def test_the_floor_takes_the_digits_that_are_there(monkeypatch):
    few = DataConfig("mnist-5k", limit=200, binarise="threshold")
    assert len(real_digits(few)) == 200 and len(np.unique(real_digits(few))) > 2, "grey, as the reference"
    monkeypatch.setattr(datasets, "is_available", lambda data: data.name == "mnist-5k")
    assert len(real_digits(DataConfig("mnist", leave_out_5k=True))) == 4000
    monkeypatch.setattr(samples, "NUM_SAMPLES", 40)
    distances = {n: samples.distance(samples.floor(real_digits(few)[:n], 0))[0] for n in (20, 200)}
    assert distances[20] > distances[200] > 0, "few different digits are farther away"


def test_an_older_floor_is_not_shown(store):
    info = checkpoints.find_run(store["vae"])
    old = dict(info.metrics["mnist-5k"]) | {"schema": 2, "frechet_distance": 9.0, "frechet_distance_floor": 5.0}
    files.write_json(info.path / "metrics.json", {"mnist-5k": old})
    shown = metrics.current(checkpoints.find_run(info.name))
    assert "sse" in shown and not {"frechet_distance", "frechet_distance_floor"} & set(shown)


def test_confidence_is_no_score():
    from aevae.metrics import METRICS

    noise = torch.rand(1000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    metric = METRICS["sample_confidence"]
    assert judge(noise)["sample_confidence"] > 0.5 and metric.better == ""
    assert not set("↑↓") & set(comparison.column_head(metric)) and comparison.gain(metric, 0.9, 0.8) == 0


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
