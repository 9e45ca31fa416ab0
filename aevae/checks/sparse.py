"""Sparse codes. Sources: Ng 2011; Makhzani & Frey 2014, arXiv:1312.5663."""

import math
from typing import Any

import torch
from torch.distributions import Bernoulli, Laplace, kl_divergence

from aevae import losses
from aevae.checks import check, digits, randn, rng
from aevae.models import build_model, family_class
from aevae.models.ae import Autoencoder
from aevae.models.blocks import TopK
from aevae.models.k_sparse import largest


def make(family: str, **options) -> Any:
    return build_model(family_class(family).Config(**{"latent_dim": 12} | options), seed=3)


def gradients(model, loss) -> list[torch.Tensor]:
    """[objective, *gradients]."""
    model.zero_grad()
    loss.total.backward()
    return [loss.total.detach(), *(p.grad.clone() for p in model.parameters())]


def largest_difference(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return max((x - y).abs().max().item() for x, y in zip(a, b, strict=True))


def is_plain(model) -> float:
    """Largest difference of a model's objective and gradients from those of a plain autoencoder with its layers."""
    x = digits()
    return largest_difference(gradients(model, model.loss(x)), gradients(model, Autoencoder.loss(model, x)))


@check("KL(rho || rho) = 0 between units", 1e-15)
def unit_kl_zero():
    rho = torch.rand(20, generator=rng(), dtype=torch.float64)
    return losses.bernoulli_kl(rho, rho).abs().max()


@check("KL between units has derivative 0 at rho_hat = rho", 1e-12)
def unit_kl_flat():
    rho = torch.rand(20, generator=rng(), dtype=torch.float64)
    rho_hat = rho.clone().requires_grad_()
    return torch.autograd.grad(losses.bernoulli_kl(rho, rho_hat).sum(), rho_hat)[0].abs().max()


@check("KL between units equals torch.distributions", 1e-12)
def unit_kl_torch():
    a, b = (torch.rand(20, generator=rng(i), dtype=torch.float64) for i in range(2))
    return (losses.bernoulli_kl(a, b) - kl_divergence(Bernoulli(a), Bernoulli(b))).abs().max()


@check("the cost of units that are always active or never active is finite: how many are not", 0)
def unit_kl_finite():
    model = make("sparse_kl")
    costs = []
    for bias in (-200.0, 200.0):
        torch.nn.init.constant_(model.code[0].bias, bias)
        costs.append(model.loss(digits()).total)
    return (~torch.stack(costs).isfinite()).sum()


@check("lam |h| - D log(lam / 2) is the negative log of a Laplace prior", 1e-12)
def laplace_prior():
    h, lam = randn(20, 9), 0.3
    theirs = Laplace(torch.zeros_like(h), torch.full_like(h, 1 / lam)).log_prob(h).sum(1)
    return (lam * losses.l1(h) - 9 * math.log(lam / 2) + theirs).abs().max()


@check("soft threshold: the minimum of (h - a)^2 / 2 + lam |h| on a fine grid", 1e-3)
def soft_threshold():
    a = torch.linspace(-2, 2, 41, dtype=torch.float64)
    tried = torch.linspace(-3, 3, 6001, dtype=torch.float64).unsqueeze(1)  # steps of 1e-3
    best = tried[(0.5 * (tried - a).square() + 0.7 * tried.abs()).argmin(0), 0]
    return (losses.soft_threshold(a, 0.7) - best).abs().max()


@check("L1 with weight 0 is the plain autoencoder with the same layers, loss and gradient, bit for bit", 0)
def sparse_is_ae():
    return is_plain(make("sparse", lam=0.0))


@check("KL sparsity with weight 0 is the plain autoencoder with the same layers, loss and gradient, bit for bit", 0)
def sparse_kl_is_ae():
    return is_plain(make("sparse_kl", beta=0.0))


@check("k-sparse with all units kept is the linear autoencoder, loss and gradient, bit for bit", 0)
def k_sparse_is_linear():
    both = [make("k_sparse", k=12, tied=False), make("linear_ae")]
    return largest_difference(*(gradients(model, model.loss(digits(), epoch=0.5)) for model in both))


@check("the decoder's columns have length 1, at the start and after a step", 1e-6)
def unit_columns():
    model = make("sparse")
    lengths = [model.decoder[0].weight.norm(dim=0)]
    with torch.no_grad():
        model.decoder[0].weight.mul_(3).add_(0.1)
    model.after_step()
    return (torch.cat([*lengths, model.decoder[0].weight.norm(dim=0)]) - 1).abs().max()


@check("exactly k units are active, even if activations are equal: rows with another number", 0)
def exactly_k_under_ties():
    z = torch.ones(6, 12)
    z[1:] = torch.randint(1, 3, (5, 12), generator=rng()).float()  # many ties
    wrong = [((h != 0).sum(1) != 4).sum() for h in (TopK(4)(z), largest(z, 9, 4), largest(z, 4, 4))]
    return sum(wrong)


@check("the largest activations are kept (with sign), with unchanged values", 0)
def largest_are_kept():
    z = randn(50, 12)
    threshold = z.sort(1, descending=True).values[:, 3:4]
    expected = torch.where(z >= threshold, z, 0)  # the same without ties
    return max((TopK(4)(z) - expected).abs().max(), (largest(z, 7, 4) - expected).abs().max())


@check("an inactive unit has gradient exactly 0, an active unit 1", 0)
def off_units_feel_nothing():
    z = randn(50, 12).requires_grad_()
    worst = 0.0
    for h in (TopK(4)(z), largest(z, 9, 4)):
        gradient = torch.autograd.grad(h.sum(), z)[0]
        worst = max(worst, (gradient - (h != 0).double()).abs().max())
    return worst


@check("k falls from its start to k on a straight line and stays: worst distance", 0)
def annealing():
    model = make("k_sparse", latent_dim=200, k=20, start_k=100, anneal_epochs=10.0)
    line = {0.0: 100, 2.5: 80, 5.0: 60, 10.0: 20, 50.0: 20, math.inf: 20}
    return max(abs(float(model.k_at(epoch)) - k) for epoch, k in line.items())


@check("k = 1 with columns of length 1 assigns as spherical k-means: images assigned elsewhere", 0)
def one_unit_is_k_means():
    model, x = make("k_sparse", k=1).double(), digits(40).double()
    with torch.no_grad():
        weight = model.code[0].weight
        weight.div_(weight.norm(dim=1, keepdim=True)), model.code[0].bias.zero_()
    flat = torch.nn.functional.normalize(x.flatten(1), dim=1)
    return (model.encode(x).argmax(1) != torch.cdist(flat, weight.detach()).argmin(1)).sum()
