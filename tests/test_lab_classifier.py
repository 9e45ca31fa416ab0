"""The lab Generative classifier: scores are the models' own, Bayes is LDA where it must be, controls act."""

import numpy as np
import pytest
import torch
from conftest import open_page
from page_helpers import sent_to_module

from aevae import datasets
from aevae.config import DataConfig
from aevae.metrics import class_densities as densities
from aevae.store import bundles

PAGE = "pages/variational/05_classifier.py"


@pytest.fixture(scope="module")
def digits():
    test = datasets.load(DataConfig("mnist-5k")).test
    return test.images.reshape(len(test.images), -1).astype(np.float32) / 255, test.labels


def test_with_the_mean_as_code_scores_are_the_models_own_bound(digits):
    """Noise 0: log p(x|mu) + log N(mu; 0, I) - log N(mu; mu, s^2), term by term in torch."""
    x, _labels = digits
    ours = densities.scores(densities.layers(), x[:20], np.zeros((1, 8), np.float32))
    for c, member in bundles.load("classes").items():
        model, picture = member.model(), torch.tensor(x[:20]).view(-1, 1, 28, 28)
        with torch.inference_mode():
            mu, logvar = model.posterior(picture)
            log = -model.nll(picture, model.params(mu)) - 0.5 * mu.square().sum(1) + 0.5 * logvar.sum(1)
        assert np.allclose(ours[:, int(c)], log.numpy(), atol=1e-2)


@pytest.mark.slow
def test_more_draws_raise_the_bound_and_both_classifiers_are_good(digits):
    x, labels = digits
    net, noise = densities.layers(), densities.noise(16, 8)
    one, many = (densities.scores(net, x[:300], noise[:count]) for count in (1, 16))
    own = np.arange(300), labels[:300]
    assert many[own].mean() > one[own].mean() + 1
    assert (many.argmax(1) == labels[:300]).mean() > 0.93
    assert (densities.class_probabilities(densities.reader(), x).argmax(1) == labels).mean() > 0.95


def test_the_order_of_the_classes_only_permutes(digits):
    x, _labels = digits
    net, noise, order = densities.layers(), densities.noise(2, 8), np.random.default_rng(0).permutation(10)
    turned = {name: value[order] for name, value in net.items()}
    assert np.allclose(densities.scores(turned, x[:9], noise), densities.scores(net, x[:9], noise)[:, order])


def test_with_gaussian_densities_the_rule_is_lda():
    """Equal covariances: log-odds of softmax(log p(x|c)) are linear in x."""
    x = np.random.default_rng(0).standard_normal((50, 2))
    means = np.array([[1.0, 0.0], [-1.0, 0.5]])
    log_p = -0.5 * np.square(x[:, None] - means).sum(2)
    share = densities.softmax(log_p)
    linear = x @ (means[0] - means[1]) - 0.5 * (np.square(means[0]).sum() - np.square(means[1]).sum())
    assert np.allclose(np.log(share[:, 0] / share[:, 1]), linear) and np.allclose(share.sum(1), 1)


def test_the_known_failure_black_is_more_probable_than_digits(digits):
    x, _labels = digits
    net, noise = densities.layers(), densities.noise(4, 8)
    black = densities.scores(net, np.zeros((1, 784), np.float32), noise).max()
    real = densities.scores(net, x[:200], noise).max(1)
    assert black > np.median(real)
    chaos = densities.strange("noise", x[0].reshape(1, 28, 28), x[1].reshape(1, 28, 28)).reshape(1, -1)
    assert densities.scores(net, chaos, noise).max() < real.min()


def test_strange_images():
    x, other = np.zeros((1, 28, 28), np.float32), np.ones((1, 28, 28), np.float32)
    x[0, 0, 3] = 1
    assert densities.strange("digit", x, other) is x and densities.strange("negative", x, other).sum() == 783
    assert densities.strange("two", x, other).min() == 1 and not densities.strange("black", x, other).any()
    assert densities.strange("turned", x, other)[0, 24, 0] == 1
    for kind in ("stripes", "noise"):
        made = densities.strange(kind, x, other)
        assert made.shape == x.shape and made.dtype == np.float32 and 0 <= made.min() <= made.max() <= 1
    with pytest.raises(ValueError, match="no unusual image"):
        densities.strange("shirt", x, other)


@pytest.mark.slow
def test_every_control_changes_what_it_says(page):
    assert not page.exception
    spec, arrays = sent_to_module(page, "classifier")
    assert tuple(arrays["w1"].shape) == (10, 24, 784)
    assert len(spec["usual"]) == 10 and spec["draws"] == 4
    page.pills(key="picture_kind").set_value("black").run()
    dark, changed = sent_to_module(page, "classifier")
    assert not changed["x"].any() and dark["key"] != spec["key"]
    page.pills(key="picture_kind").set_value("digit").run()
    page.number_input(key="digit").set_value(3).run()
    assert not np.allclose(sent_to_module(page, "classifier")[1]["x"], arrays["x"])


def test_the_address_brings_the_draws_back(monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    app = open_page(PAGE, class_draws="9")
    assert sent_to_module(app, "classifier")[0]["draws"] == 9 and any("R = 9" in m.value for m in app.markdown)
