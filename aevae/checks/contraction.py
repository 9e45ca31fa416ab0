"""The encoder's Jacobian and its norm. Sources: Rifai et al. 2011; Hutchinson 1990."""

from typing import Any

import torch
from torch import Tensor, nn

from aevae import losses
from aevae.checks import check, digits, randn, rng, same_loss
from aevae.metrics.geometry import jacobians
from aevae.models import build_model, family_class
from aevae.models.contractive import by_products


def make(**options) -> Any:
    """A contractive autoencoder in float64."""
    return build_model(family_class("contractive").Config(**{"latent_dim": 6, "hidden": 24} | options), seed=2).double()


def norm_by_jacobian(f, x: Tensor) -> Tensor:
    """||df/dx||_F^2 (B,), computed from the Jacobian."""
    return jacobians(f, x.flatten(1)).square().sum((1, 2))


def against_jacobian(model) -> Tensor:
    """Relative error of the norm that a model computes against the norm of its Jacobian."""
    x = digits(5).double()
    norm = norm_by_jacobian(lambda rows: model.encode(rows.unflatten(1, (1, 28, 28))), x)
    return (model.code_and_norm(x, None)[1] / norm - 1).abs().max()


@check("||df/dx||^2 of one sigmoid layer in closed form equals that of the Jacobian", 1e-10)
def closed_form():
    return against_jacobian(make())


@check("||J(x) - J(x')||^2 of one sigmoid layer in closed form equals that of the two Jacobians, relative", 1e-10)
def change_in_closed_form():
    model, x = make(), digits(5).double()
    near = x + 0.3 * randn(*x.shape)
    one, other = (jacobians(lambda r: model.encode(r.unflatten(1, (1, 28, 28))), t.flatten(1)) for t in (x, near))
    found = losses.sigmoid_contraction_change(model.encode(x), model.encode(near), model.code[0].weight)
    return (found / (one - other).square().sum((1, 2)) - 1).abs().max().detach()


@check("CAE+H: E||J(x) - J(x + std eps)||^2 / std^2 is the norm of all second derivatives, std -> 0, relative", 0.05)
def change_is_curvature():
    model, x = make(hessian_std=1e-3, hessian=1.0), digits(1).double()
    with torch.no_grad():
        weight, h = model.code[0].weight, model.encode(x)
        drawn = model.change(x.expand(4000, -1, -1, -1), h.expand(4000, -1), rng())
        curvature = (h * (1 - h) * (1 - 2 * h)).square() @ weight.square().sum(
            1
        ).square()  # d2h_j / dx2 = s'' W_j W_j^T
    return (drawn.mean() / curvature[0] - 1).abs()


@check("||df/dx||^2 of two layers as a trace is that of the Jacobian", 1e-10)
def trace_form():
    return against_jacobian(make(network="mlp"))


@check("||df/dx||^2 of convolutions, by one product per code unit, equals that of the Jacobian", 1e-10)
def product_form():
    return against_jacobian(make(network="conv"))


@check("||df/dx||^2 of two sigmoid layers as a trace is that of the Jacobian, and of autograd's", 1e-10)
def two_sigmoid_layers():
    w1, w2, x = randn(7, 10) / 3, randn(4, 7, seed=1), randn(5, 10, seed=2)

    f = nn.Sequential(nn.Linear(10, 7, False), nn.Sigmoid(), nn.Linear(7, 4, False), nn.Sigmoid()).double()
    f[0].weight.data, f[2].weight.data = w1, w2
    h, z = (x @ w1.T).sigmoid(), f(x)
    trace = losses.two_layer_contraction(w1, w2, h * (1 - h), z * (1 - z))
    one_by_one = [torch.autograd.functional.jacobian(f, row.unsqueeze(0)).square().sum() for row in x]
    others = (norm_by_jacobian(f, x), by_products(f, x, None)[1], torch.stack(one_by_one))
    return max((trace - other).abs().max() for other in others)


@check("random signs estimate ||df/dx||^2 without bias, in standard errors", 4)
def hutchinson():
    f, x = nn.Sequential(nn.Linear(10, 8), nn.Sigmoid(), nn.Linear(8, 6)), randn(1, 10).float()
    with torch.no_grad():
        for i, p in enumerate(f.parameters()):
            p.copy_(randn(*p.shape, seed=i))
    drawn = by_products(f, x.expand(20_000, -1), rng())[1]
    exact = by_products(f, x, None)[1]
    return (drawn.mean() - exact[0]).abs() / (drawn.std() / len(drawn) ** 0.5)


@check("the contraction penalty of a linear encoder is weight decay: ||W||^2", 1e-10)
def linear_is_weight_decay():
    layer = nn.Linear(12, 5).double()
    return (by_products([layer], randn(3, 12), None)[1] - layer.weight.square().sum()).abs().max()


@check("untied weights: a code c times smaller has a c^2 times smaller penalty and the same image", 1e-9)
def untied_cheat():
    model, x = make(network="mlp"), digits().double()
    before, norm = model(x).params, model.code_and_norm(x, None)[1]
    with torch.no_grad():
        model.code.weight.div_(4), model.code.bias.div_(4), model.decoder[0].weight.mul_(4)
    after = model.code_and_norm(x, None)[1]
    return max((model(x).params - before).abs().max(), (norm / after / 16 - 1).abs().max())


@check("denoising contracts: for a linear r, E||r(x + s n) - x||^2 = ||r(x) - x||^2 + s^2 ||J_r||^2", 1e-9)
def linear_denoising_contracts():
    w, x, s = randn(6, 6), randn(4, 6, seed=1), 0.3
    r = nn.Linear(6, 6).double()
    with torch.no_grad():
        r.weight.copy_(w)
    # over n = +-sqrt(6) e_i, each as likely: mean 0 and covariance I, as N(0, I) has, so the expectation is the same
    n = 6**0.5 * torch.cat([torch.eye(6), -torch.eye(6)]).double().unsqueeze(1)  # (12, 1, 6)
    mean = losses.sse((r(x + s * n)).flatten(0, 1), x.repeat(12, 1)).view(12, 4).mean(0)
    return (mean - losses.sse(r(x), x) - s**2 * by_products([r], x, None)[1]).abs().max()


@check(
    "the norm of the Jacobian is not the norm of the gradient of the summed outputs: by how much their relative "
    "distance is below 100 %",
    0,
)
def not_the_summed_gradient():
    model, x = make(), digits(5).double().requires_grad_()
    with torch.no_grad():
        model.code[0].weight.abs_()  # makes the units' gradients similar
    summed = torch.autograd.grad(model.encode(x).sum(), x)[0].square().flatten(1).sum(1)
    return (1 - (summed / model.code_and_norm(x, None)[1] - 1).abs().mean()).clamp(min=0).detach()


@check("contractive with weight 0 is the autoencoder, loss and gradient, bit for bit", 0)
def contractive_is_ae():
    pairs = [same_loss("contractive", {"network": n, "lam": 0.0}, "ae", {"network": n}) for n in ("mlp", "conv")]
    return max(pairs)
