"""Plain models without torch: the programs that a trace makes, and the codes and images that PyTorch computes."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from aevae.browser import plain
from aevae.browser.blob import unpack
from aevae.browser.program import program
from aevae.metrics import classifier
from aevae.store import bundles

MEMBERS = [("planes", "ae"), ("planes", "1"), ("beta", "4"), ("likelihoods", "bernoulli")]
WITHOUT_TORCH = """
import sys
from aevae.browser import plain
from aevae.store import bundles
for member in bundles.stored("planes").values():
    plain.PlainModel(member.config["model"], member.weights).program()
plain.reader_program()
assert "torch" not in sys.modules
"""


def model_of(bundle: str, name: str) -> tuple[plain.PlainModel, torch.nn.Module]:
    stored = bundles.stored(bundle)[name]
    return plain.PlainModel(stored.config["model"], stored.weights), bundles.load(bundle)[name].model()


@pytest.mark.parametrize(("bundle", "name"), MEMBERS)
def test_a_program_is_that_of_the_trace(bundle, name):
    mine, model = model_of(bundle, name)
    (header, arrays), (wanted, traced) = unpack(mine.program()), unpack(program(model, params=True))
    assert header["functions"] == wanted["functions"]
    assert [header[k] for k in ("format", "family", "latent_dim", "prior")] == [
        wanted[k] for k in ("format", "family", "latent_dim", "prior")
    ]
    assert list(arrays) == list(traced)
    for key, array in traced.items():
        assert np.array_equal(arrays[key], array.astype(np.float16)), key


@pytest.mark.parametrize(("bundle", "name"), MEMBERS)
def test_codes_and_images_are_those_of_pytorch(bundle, name):
    mine, model = model_of(bundle, name)
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        z = model.encode(x)
        np.testing.assert_allclose(mine.encode(x.numpy()), z.numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(mine.decode(z.numpy()), model.decode(z).numpy(), atol=1e-5)


def test_random_codes_are_those_of_the_prior_or_have_mean_and_covariance_of_the_codes():
    ae, vae = (model_of("planes", name)[0] for name in ("ae", "1"))
    codes = np.random.default_rng(0).standard_normal((500, 2)) @ np.array([[3, 1], [0, 0.5]]) + [10, -2]
    mean, scale = ae.frame(codes)
    np.testing.assert_allclose(mean, codes.mean(0))
    np.testing.assert_allclose(scale @ scale.T, np.cov(codes.T))
    mean, scale = vae.frame(codes)
    assert not mean.any() and np.array_equal(scale, np.eye(2))


def test_the_classifier_of_the_browser_has_the_weights_of_the_classifier():
    header, arrays = unpack(plain.reader_program())
    net = classifier.reader()[0]
    ops = header["functions"]["read"]["ops"]
    assert [op["op"] for op in ops] == ["conv", "relu", "conv", "relu", "reshape", "linear", "relu", "linear"]
    layers = [net.body[0], net.body[2], net.body[5], net.head]
    for op, layer in zip([op for op in ops if "w" in op], layers, strict=True):
        assert np.array_equal(arrays[op["w"]].T.astype(np.float32), layer.weight.flatten(1).numpy())
        assert np.array_equal(arrays[op["b"]].astype(np.float32), layer.bias.numpy())


def test_other_models_are_refused():
    for bundle, name in (("likelihoods", "gaussian"), ("collapse", "plain")):
        stored = bundles.stored(bundle)[name]
        with pytest.raises(ValueError, match="is not a plain model"):
            plain.PlainModel(stored.config["model"], stored.weights)


def test_no_torch():
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=True)
