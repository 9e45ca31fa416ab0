"""Linear autoencoders, PCA, depth. Sources: Eckart & Young 1936; Baldi & Hornik 1989."""

import math
from typing import Any

import torch

from aevae import losses
from aevae.checks import check, digits, randn, rng
from aevae.models import build_model, family_class
from aevae.models.blocks import parameter_count
from aevae.models.linear_ae import pca, principal_angles

D = 3


def linear(d: int = D, seed: int = 0, **options):
    """A linear autoencoder in float64."""
    return build_model(family_class("linear_ae").Config(latent_dim=d, **options), seed).double()


def data(count: int = 40) -> torch.Tensor:
    """Images (count, 1, 28, 28) near a D-dimensional subspace."""
    plane = randn(count, D) @ torch.diag(torch.tensor([9.0, 6.0, 4.0])).double() @ randn(D, 784, seed=1)
    return (0.5 + 0.02 * plane + 0.05 * randn(count, 784, seed=2)).unflatten(1, (1, 28, 28))


def at_optimum(x: torch.Tensor, d: int = D):
    """A linear autoencoder at the PCA optimum for x, in another basis Q of the subspace."""
    model = linear(d)
    mean, components = pca(x.flatten(1), d)
    q = randn(d, d, seed=3)
    with torch.no_grad():
        model.code.weight.copy_(torch.linalg.inv(q) @ components)
        model.decoder[0].weight.copy_(components.T @ q)
        model.code.bias.zero_(), model.decoder[0].bias.zero_()
    model.init_from_mean(mean.view(1, 28, 28))
    return model


def error(model, x: torch.Tensor) -> torch.Tensor:
    """Mean squared error per image, from the objective."""
    with torch.no_grad():
        return model.nll(x, model(x).params).mean() - 392 * math.log(math.pi)


def floor(x: torch.Tensor, d: int = D) -> torch.Tensor:
    """Sum of the covariance eigenvalues without the d largest: the error of PCA."""
    centred = x.flatten(1) - x.flatten(1).mean(0)
    return torch.linalg.svdvals(centred)[d:].square().sum() / len(x)


@check("a linear autoencoder of 784 codes with identity matrices returns the image", 1e-12)
def identity_is_exact():
    model, x = linear(784), digits().double()
    with torch.no_grad():
        for layer in (model.code, model.decoder[0]):
            layer.weight.copy_(torch.eye(784)), layer.bias.zero_()
    return (model.decode(model.encode(x)) - x).abs().max()


@check("the code of an autoencoder has no scale: z c with g(. / c) gives the same image", 1e-12)
def scale_is_free():
    model: Any = build_model(family_class("ae").Config(latent_dim=4, hidden=16), seed=3).double()
    x = digits().double()
    before, z = model(x).params, model.encode(x)
    with torch.no_grad():
        model.code.weight.mul_(3), model.code.bias.mul_(3), model.decoder[0].weight.div_(3)
    return max((model(x).params - before).abs().max(), (model.encode(x) - 3 * z).abs().max()).detach()


@check(
    "PCA's error is the sum of the unused eigenvalues, and a linear autoencoder has the same error in any basis", 1e-9
)
def optimum_is_pca():
    x = data()
    return (error(at_optimum(x), x) - floor(x)).abs()


@check("no linear autoencoder has a smaller error than PCA: largest violation of ten", 0)
def nothing_below_pca():
    x = data()
    best = at_optimum(x)
    errors = []
    for seed in range(0, 20, 2):  # near the optimum and far from it
        with torch.no_grad():
            for p, start in zip(best.parameters(), at_optimum(x).parameters(), strict=True):
                p.copy_(start + 10.0 ** (-seed / 4) * randn(*p.shape, seed=seed))
        errors.append(error(best, x))
    return (floor(x) - torch.stack(errors)).clamp(min=0).max()


@check("at the optimum the gradient is 0", 1e-9)
def optimum_is_stationary():
    x = data()
    model = at_optimum(x)
    model.loss(x).total.backward()
    return max(p.grad.abs().max() for p in model.parameters())


@check("at the optimum W_d W_e is a projection", 1e-10)
def projection_is_idempotent():
    model = at_optimum(data())
    both = model.decoder[0].weight @ model.code.weight
    return (both @ both - both).abs().max()


@check("the plane of W_d is PCA's, in degrees", 1e-6)
def same_plane():
    x = data()
    return principal_angles(at_optimum(x).decoder[0].weight.detach(), pca(x.flatten(1), D)[1].T).max()


@check("principal angles between two known planes", 1e-6)
def known_angles():
    turn = torch.tensor([30.0, 70.0], dtype=torch.float64).deg2rad()
    a = torch.eye(6, 2, dtype=torch.float64)
    b = torch.zeros(6, 2, dtype=torch.float64)
    b[0, 0], b[1, 1], b[2, 0], b[3, 1] = *turn.cos(), *turn.sin()
    mix = randn(2, 2)  # any basis of the plane
    return (principal_angles(a @ mix, b @ mix) - torch.tensor([30.0, 70.0]).double()).abs().max()


@check(
    "under the absolute error the best line through data with outliers is not PCA's: by how many degrees the angle "
    "is below 45",
    0,
)
def absolute_error_is_not_pca():
    # 190 points along one axis, 10 outliers on the other, which determine PCA by their squared distance
    x = torch.cat([randn(190, 1) * torch.tensor([1.0, 0.0]), 8 * randn(10, 1).sign() * torch.tensor([0.0, 1.0])])
    x = x - x.mean(0)
    turns = torch.arange(0.5, 180, 1.0, dtype=torch.float64).deg2rad()

    def cost(turn):
        u = torch.stack([turn.cos(), turn.sin()])
        codes = x / u  # the best code of the absolute error fits one coordinate exactly
        return torch.stack([losses.laplace_nll(x, code.unsqueeze(1) * u) for code in codes.T]).amin(0).sum()

    best = turns[torch.stack([cost(turn) for turn in turns]).argmin()]
    line = torch.stack([best.cos(), best.sin()]).unsqueeze(1)
    return (45 - principal_angles(line, pca(x, 1)[1].T).max()).clamp(min=0)


@check("Laplace NLL equals torch.distributions", 1e-9)
def laplace_torch():
    x, mean = randn(4, 784), randn(4, 784, seed=1)
    theirs = torch.distributions.Laplace(mean, torch.tensor(0.7, dtype=torch.float64)).log_prob(x).sum(1)
    return (losses.laplace_nll(x, mean, 0.7) + theirs).abs().max()


@check("784-1000-500-250-30 and its mirror have 2,837,314 parameters", 0)
def deep_parameters():
    return abs(parameter_count(build_model(family_class("deep_ae").Config())) - 2_837_314)


@check("He's initial weights keep the mean square of the activations from layer to layer, relative", 0.25)
def he_keeps_the_scale():
    model = build_model(family_class("deep_ae").Config(widths="400-400-400-400"))
    h, squares = torch.randn(200, 784, generator=rng()), []
    for layer in model.encoder[2:]:
        h = layer(h)
        if isinstance(layer, torch.nn.Linear):
            squares.append(h.square().mean())
    squares = torch.stack(squares)[1:]  # mean squares of the inputs of the units, without the image
    return (squares / squares[0] - 1).abs().max()
