"""Skip-VAE: the deep decoder with and without z in every layer. Identities: `aevae check`."""

import numpy as np
import pytest
import torch
from model_helpers import small_model

from aevae import datasets
from aevae.browser.program import program
from aevae.config import DataConfig, TrainConfig, build
from aevae.metrics.units import active_units
from aevae.models import build_model, family_class
from aevae.models.blocks import parameter_count
from aevae.training.trainer import Trainer, TrainingData

CPU = torch.device("cpu")
DIGITS = datasets.load(DataConfig("mnist-5k")).train.images[::8][:500]


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_parameters(depth):
    """B_l: D numbers for each hidden unit of the layers after the first, and for each pixel."""
    plain, skip = (parameter_count(small_model("skip_vae", depth=depth, skips=skips)) for skips in (False, True))
    assert skip - plain == 4 * (24 * (depth - 1) + 784)
    assert plain == parameter_count(small_model("skip_vae", depth=1, skips=False)) + (depth - 1) * (24 * 24 + 24)


def test_every_layer_sees_z():
    """With one path open at a time, A_l = 0 else, the picture depends on z."""
    for open_layer in range(3):
        model = small_model("skip_vae", depth=3)
        layers = model.decoder[0]
        with torch.no_grad():
            for i, skip in enumerate(layers.skips):
                if i != open_layer:
                    skip.weight.zero_()
            layers.layers[0].weight.zero_()
        slope = torch.func.jacrev(model.requires_grad_(False).params)(torch.randn(1, 4))
        assert slope.abs().max() > 0


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_pixel"])
@pytest.mark.parametrize("skips", [True, False])
def test_the_browser_can_run_it(skips, likelihood):
    assert program(small_model("skip_vae", skips=skips, likelihood=likelihood).eval())


def test_provoke_a_deep_decoder_without_skips():
    """Eight layers that see z only at the bottom: nothing comes through. With skips every dimension is used."""
    found = {}
    for skips in (True, False):
        model = build_model(family_class("skip_vae").Config(latent_dim=10, hidden=64, depth=8, skips=skips), 0)
        trainer = Trainer(
            model, TrainingData(DIGITS, DIGITS[:200]), TrainConfig(epochs=8, batch_size=50, lr=4e-3), 0, CPU
        )
        assert trainer.fit()
        with torch.no_grad():
            mu = model.eval().encode(torch.tensor(DIGITS).float() / 255).numpy()
        found[skips] = trainer.history[-1]["test"]["kl"], int(np.sum(active_units(mu)))
    assert found[True][0] > found[False][0] + 3
    assert found[True][1] > found[False][1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"depth": 9}, r"depth must be in 1\.\.8, got 9"),
        ({"skips": 1}, "skips must be true or false, got 1"),
        ({"network": "conv"}, "unknown option 'network'; SkipVAEConfig has .*"),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(family_class("skip_vae").Config, options)
