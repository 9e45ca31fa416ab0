"""The recipe `fast` holds: what is cheap to measure of `benchmarks.recipe`, on the embedded digits."""

import dataclasses

import pytest
import torch
from conftest import fitting

from aevae import datasets
from aevae.config import IMAGES, DataConfig, TrainConfig, preset
from aevae.models import FAMILIES, build_model, family_class
from benchmarks.recipe import Setting, measure, recipe, settings


@pytest.fixture(scope="module")
def measured() -> dict[str, dict]:
    """A VAE on mnist-5k by the recipes `fast` and `classic`, 20 epochs each, measured on the test digits."""
    setting = Setting(dataset="mnist-5k", epochs=20)
    return {text: measure(setting, text, 1, "test", "cpu")[0] for text in ("fast", "classic")}


@pytest.mark.slow
def test_noise_does_not_undo_the_reconstruction(measured):
    """PSNR of the decoded mean of digits with noise of 0.1. It was 7 dB, less than that of a black image, when weights
    of pixels that are never lit could grow."""
    assert measured["fast"]["psnr"] > 18.5
    assert measured["fast"]["psnr"] > measured["classic"]["psnr"]


def test_no_digit_costs_more_than_a_few_times_the_others(measured):
    """A fleck in a corner once cost 13,236 nats of KL."""
    assert measured["fast"]["max_kl"] < 100 and measured["fast"]["max_kl"] < 4 * measured["fast"]["kl"]


def test_weights_of_pixels_that_are_never_lit_stay_small(measured):
    assert measured["fast"]["columns"] < 1 and measured["fast"]["rare_columns"] < 1


def test_the_bound_does_not_rise_and_is_better_than_the_classic_one(measured):
    assert measured["fast"]["rise"] < 1
    assert measured["fast"]["objective"] < measured["classic"]["objective"] - 5


@pytest.mark.slow
@pytest.mark.parametrize("setting", [
    Setting(dataset="mnist-5k", epochs=8, binarise="stochastic", model=(("latent_dim", 200), ("hidden", 1000))),
    Setting(family="iwae", dataset="mnist-5k", epochs=8, binarise="stochastic", model=(("latent_dim", 50),)),
    Setting(dataset="mnist-5k", epochs=40, batch_size=1000, model=(("latent_dim", 2), ("hidden", 128))),
    Setting(dataset="mnist-5k", epochs=1, batch_size=1000, model=(("latent_dim", 200), ("hidden", 1000))),
    Setting(dataset="mnist-5k", epochs=3, batch_size=1000, model=(("latent_dim", 200), ("hidden", 1000))),
    Setting(dataset="mnist-5k", epochs=8, model=(("likelihood", "gaussian"), ("sigma", 0.1))),
    Setting(family="beta_vae", dataset="mnist-5k", epochs=8, model=(("beta", 16.0),)),
], ids=lambda setting: setting.name)  # fmt: skip
def test_the_corners_of_the_range_hold(setting):
    (row,) = measure(setting, "fast", 1, "validation", "cpu")
    assert row["rise"] < 1, row


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pixel_that_is_never_lit_enters_the_encoder_as_zero(family):
    """Else its weights act as a bias, and Adam moves them as far as all others."""
    model = build_model(family_class(family).Config(**fitting(family, latent_dim=3, hidden=16)), 0)
    if not model.has_encoder:
        return
    mean = torch.rand(model.shape)
    mean[..., :3, :] = 0
    model.init_from_mean(mean)
    black = torch.zeros(2, *model.shape).flatten(0, -4)
    seen = model.encoder[0](black[:, :1] if model.encoder[0].by.shape[0] == 1 else black.expand(-1, 2, -1, -1))
    assert not seen[..., :3, :].any() and seen[..., 3:, :].any()


# -- the learning rate -----------------------------------------------------------------------------------------------


def test_the_rate_follows_epochs_and_batch_until_it_is_given():
    data, model = DataConfig("mnist"), family_class("vae").Config()
    rate = lambda **chosen: preset("fast", data, model, **chosen).lr  # noqa: E731
    assert rate(epochs=3) > rate(epochs=20) > rate(epochs=200)
    assert rate(epochs=20, batch_size=64) < rate(epochs=20, batch_size=400) < rate(epochs=20, batch_size=1000)
    assert rate(epochs=200, lr=0.5) == 0.5
    assert preset("classic", data, model, epochs=200).lr == 1e-3


def test_the_rate_knows_how_many_images_there_are():
    for name, count in IMAGES.items():
        if name not in ("mnist", "fashion-mnist", "kmnist"):
            assert len(datasets.load(DataConfig(name)).train.images) == count
    assert preset("fast", DataConfig(), None).lr == TrainConfig().lr


@pytest.mark.parametrize(
    ("family", "options", "plain_options", "factor"),
    [
        ("vae", {"likelihood": "categorical"}, {}, 1 / 8),
        ("vae", {"likelihood": "gaussian_learned"}, {}, 1 / 2),
        ("deep_ae", {}, {}, 1 / 2),
    ],
)
def test_what_overfits_a_small_data_set_has_a_lower_rate_there(family, options, plain_options, factor, monkeypatch):
    rate = lambda name, chosen: preset("fast", DataConfig(name), family_class(family).Config(**chosen), epochs=20).lr  # noqa: E731
    small, large = rate("mnist-5k", options), rate("mnist", options)
    monkeypatch.setattr(family_class(family).Config, "rate_factor_small", 1.0)
    assert small == pytest.approx(factor * rate("mnist-5k", plain_options), rel=0.05)
    assert large == rate("mnist", plain_options)


def test_every_setting_of_the_search_is_a_valid_request():
    names = [setting.name for setting in settings()]
    assert len(names) == len(set(names))
    for setting in settings():
        chosen = recipe("fast", setting)
        assert chosen.epochs == setting.epochs and chosen.damping > 0
        assert dataclasses.asdict(recipe("lr=x2", setting))["lr"] == pytest.approx(2 * chosen.lr)


def test_configs_from_before_the_damping_keep_their_fingerprint():
    old = dataclasses.replace(TrainConfig(), damping=0.0)
    from aevae.config import plain

    assert "damping" not in plain(old) and plain(TrainConfig())["damping"] == 1.0
