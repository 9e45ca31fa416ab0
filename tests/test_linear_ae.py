"""The linear autoencoder against exact PCA, and the deep one. What needs no digits is in `aevae.checks.linear`."""

import pytest
import torch
from model_helpers import train_fast

from aevae import datasets, losses
from aevae.browser.program import program
from aevae.config import DataConfig
from aevae.metrics import linear
from aevae.models import build_model, family_class
from aevae.models.ae import AEConfig
from aevae.models.deep_ae import DeepAEConfig
from aevae.models.linear_ae import LinearAEConfig, pca, principal_angles

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    data = datasets.load(DataConfig("mnist-5k"))
    return [torch.tensor(part.images[::2]) for part in (data.train, data.test)]


def exact(digits, d):
    """Error per picture of PCA fitted to the training digits, on the test digits."""
    train, test = (part.flatten(1).double() / 255 for part in digits)
    mean, components = pca(train, d)
    return losses.sse(test - mean, (test - mean) @ components.T @ components).mean()


def error(model, digits):
    x = digits[1].float() / 255
    with torch.no_grad():
        return losses.sse(x, model(x).params).mean()


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 10])
def test_the_default_recipe_comes_within_5_percent_of_pca(digits, d):
    model = train_fast(LinearAEConfig(latent_dim=d), digits)
    assert error(model, digits) < 1.05 * exact(digits, d)


def test_without_centring_and_with_too_high_a_rate_it_is_missed(digits):
    """Provoked: Adam at a rate of 1 leaves the plane where it fell."""
    model = train_fast(LinearAEConfig(latent_dim=2), digits, epochs=2, lr=1.0, centre=False)
    assert error(model, digits) > 1.2 * exact(digits, 2)


@pytest.mark.slow
def test_an_autoencoder_beats_pca_and_more_numbers_say_more(digits):
    """On the digits that both were fitted to."""
    few, errors = digits[0][:500], []
    for d in (2, 8, 32):
        config = AEConfig(latent_dim=d, hidden=200, likelihood="gaussian")
        errors.append(error(train_fast(config, (few, few[:10]), epochs=25, batch_size=50), (few, few)))
        assert errors[-1] < exact((few, few), d)
    assert errors[2] < errors[1] < errors[0]


@pytest.mark.slow
@pytest.mark.mnist
def test_known_constants_of_mnist(mnist):
    """What every number of the lab is measured by: pixels, the mean picture, the entropy of grey, PCA."""
    data = datasets.load(DataConfig("mnist"))
    train, test = (torch.tensor(part.images).flatten(1).double() / 255 for part in (data.train, data.test))
    assert float(train.mean()) == pytest.approx(0.130660, abs=1e-6)
    assert float(train.std()) == pytest.approx(0.308108, abs=1e-6)
    assert float(train.var(0, correction=0).sum()) == pytest.approx(52.725, abs=1e-3)
    mean = train.mean(0).clamp(1e-7, 1 - 1e-7)
    constant = losses.bernoulli_nll(test, mean.logit().expand_as(test)).mean()
    floor = (torch.special.entr(test) + torch.special.entr(1 - test)).sum(1).mean()
    assert float(constant) == pytest.approx(205.8, abs=0.1) and float(floor) == pytest.approx(45.53, abs=0.01)
    mean, components = pca(train, 30)
    left = losses.sse(test - mean, (test - mean) @ components.T @ components).mean()
    assert float(left) == pytest.approx(13.866, abs=1e-3)


def test_any_basis_of_the_plane_is_as_good():
    model, x = build_model(LinearAEConfig(latent_dim=4)), torch.rand(5, 1, 28, 28)
    before, q = model.loss(x).total, torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    span = model.decoder[0].weight.detach().clone()
    with torch.no_grad():
        model.code.weight.copy_(torch.linalg.inv(q) @ model.code.weight)
        model.code.bias.copy_(torch.linalg.inv(q) @ model.code.bias)
        model.decoder[0].weight.copy_(model.decoder[0].weight @ q)
    assert torch.isclose(model.loss(x).total, before, rtol=1e-5)
    assert principal_angles(span, model.decoder[0].weight.detach()).max() < 0.1


def test_pca_takes_the_shorter_side_and_says_the_same():
    x = torch.randn(30, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few, many = pca(x, 3), pca(x.repeat(2, 1), 3)
    assert torch.allclose(few[0], many[0])
    assert principal_angles(few[1].T, many[1].T).max() < 1e-6
    assert torch.allclose(few[1] @ few[1].T, torch.eye(3, dtype=torch.float64))


def test_numbers_say_how_far_from_pca_of_the_training_set(digits):
    train, x = digits[0].numpy(), digits[1].float() / 255
    model = build_model(LinearAEConfig(latent_dim=3))
    far = linear.against_pca(model, x, train)
    mean, components = pca(digits[0].flatten(1).double() / 255, 3)
    left = x.flatten(1).double() - mean
    exact = float((left - left @ components.T @ components).square().sum(1).mean())
    mean, components = mean.float(), components.float()
    with torch.no_grad():
        model.code.weight.copy_(components), model.decoder[0].weight.copy_(components.T)
        model.code.bias.zero_(), model.decoder[0].bias.zero_()
        model.init_from_mean(mean.view(1, 28, 28))
    near = linear.against_pca(model, x, train)
    assert far["above_pca"] > 5 and far["pca_angle"] > 30
    assert near["pca_sse"] == far["pca_sse"] == pytest.approx(exact, rel=1e-5)
    assert near["above_pca"] == pytest.approx(near["sse_unclipped"] - near["pca_sse"])
    # the mean is kept off exact black, by half a grey level
    assert near["above_pca"] == pytest.approx(0, abs=5e-3) and near["pca_angle"] < 0.1
    clipped = float(losses.sse(x, model.decode(model.encode(x)).detach()).mean())
    assert clipped < near["sse_unclipped"], "clipping to [0, 1] can only help"


def test_no_plane_is_below_pca_on_the_training_set(digits):
    train = digits[0].numpy()
    model = train_fast(LinearAEConfig(latent_dim=3), digits, epochs=2)
    assert linear.against_pca(model, digits[0].float() / 255, train)["above_pca"] > 0


def test_pca_in_blocks_is_pca(digits, monkeypatch):
    monkeypatch.setattr(linear, "BLOCK_IMAGES", 77)
    mean, components = linear.training_pca(digits[0].numpy(), 4)
    exact = pca(digits[0].flatten(1).double() / 255, 4)
    assert torch.allclose(mean, exact[0]) and principal_angles(components.T, exact[1].T).max() < 1e-3


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_learned", "laplace", "bernoulli"])
def test_every_likelihood_begins_at_the_mean_image(likelihood):
    model = build_model(LinearAEConfig(latent_dim=3, likelihood=likelihood))
    mean = torch.rand(1, 28, 28)
    model.init_from_mean(mean)
    assert torch.allclose(model.decode(torch.zeros(1, 3))[0], mean, atol=0.05)
    program(model)


def test_the_absolute_error_is_the_laplace_likelihood():
    model, x = build_model(LinearAEConfig(latent_dim=3, likelihood="laplace")), torch.rand(4, 1, 28, 28)
    params = model(x).params
    expected = (x - params).abs().flatten(1).sum(1) + 784 * torch.log(torch.tensor(2.0))
    assert torch.allclose(model.nll(x, params), expected)


# -- deep ------------------------------------------------------------------------------------------------------------


def test_deep_layers_mirror():
    model = build_model(DeepAEConfig(widths="30-20", latent_dim=3))
    sizes = [(layer.in_features, layer.out_features) for layer in model.linear_layers()]
    assert sizes == [(784, 30), (30, 20), (20, 3), (3, 20), (20, 30), (30, 784)]
    program(model)


@pytest.mark.parametrize("widths", ["", "0", "10-", "10,20", "3000", "-5", "1e3", "٣", "1-2-3-4-5-6-7", "9" * 200])
def test_deep_refuses_widths(widths):
    with pytest.raises(ValueError, match="widths must be 1 to 6 whole numbers") as said:
        DeepAEConfig(widths=widths)
    assert len(str(said.value)) < 200


@pytest.mark.slow
def test_deep_learns_and_logistic_units_with_narrow_weights_do_not(digits):
    """Provoked: the deep network before 2006. Its gradient vanishes on the way, the answer stays the mean picture."""
    x = digits[1].float() / 255
    errors, ratios = {}, {}
    for unit, init in (("relu", "he"), ("logistic", "narrow")):
        config = DeepAEConfig(widths="200-100-50", unit=unit, init=init)
        fresh = build_model(config)
        ratios[unit] = fresh.metrics(x[:200], torch.zeros(200), torch.Generator())["gradient_ratio"]
        model = train_fast(config, digits, epochs=4)
        with torch.no_grad():
            errors[unit] = float(losses.sse(x, model.decode(model.encode(x))).mean())
    assert errors["relu"] < 35 < 50 < errors["logistic"]  # the mean picture: 52
    assert ratios["logistic"] < 1e-4 < 1e-2 < ratios["relu"]


def test_the_parts_a_linear_or_deep_model_lacks_are_no_options():
    for family in ("linear_ae", "deep_ae"):
        config = family_class(family).Config
        with pytest.raises(TypeError):
            config(hidden=100)
        with pytest.raises(TypeError):
            config(network="conv")
