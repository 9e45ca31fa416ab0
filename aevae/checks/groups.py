"""Codes with a content that a group shares. Source: Bouchacourt et al. 2018."""

from typing import Any

import torch

from aevae import losses
from aevae.checks import check, digits, randn, rng
from aevae.models import build_model, family_class
from aevae.models.ml_vae import pooled


def make(**options) -> Any:
    """A small model in float64."""
    settings = {"content_dim": 3, "style_dim": 2, "hidden": 16, "style_weight": 1.0} | options
    return build_model(family_class("ml_vae").Config(**settings), seed=3).double()


def gaussians(count: int, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return randn(count, size), randn(count, size, seed=1)


@check("the product of Gaussians equals the product on a fine grid: mean and variance", 1e-9)
def product_on_a_grid():
    mu, logvar = gaussians(4, 1)
    mean, total = pooled(mu, logvar, mu.new_ones(1, 4))
    grid = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    log_p = (-0.5 * (grid - mu).square() / logvar.exp()).sum(0)
    p = torch.softmax(log_p, 0)
    m = (p * grid).sum()
    return max((mean - m).abs().max(), (total.exp() - (p * (grid - m).square()).sum()).abs().max())


@check("n equal posteriors together: the same mean, the variance / n", 1e-12)
def equal_posteriors():
    mu, logvar = (t.expand(5, 3) for t in gaussians(1))
    mean, total = pooled(mu, logvar, mu.new_ones(1, 5))
    return max((mean - mu[0]).abs().max(), (total.exp() * 5 - logvar[0].exp()).abs().max())


@check("the order of a group's images does not matter to the product", 1e-12)
def any_order():
    mu, logvar = gaussians(7)
    members = (torch.arange(7) % 2 == torch.arange(2).unsqueeze(1)).double()  # two groups
    order = torch.randperm(7, generator=rng())
    pairs = zip(pooled(mu, logvar, members), pooled(mu[order], logvar[order], members[:, order]), strict=True)
    return max((a - b).abs().max() for a, b in pairs)


@check("each further image makes the content more certain: largest increase of its variance", 0)
def surer():
    _, logvar = make().accumulate(digits().double())
    return logvar.exp().diff(dim=0).max().detach()


@check(
    "after all images of a group the content has the group's posterior, after one image the image's posterior", 1e-12
)
def accumulated():
    model, x = make(), digits().double()
    mu, logvar = (model.parts(t)[0] for t in model.posterior(x))
    after = model.accumulate(x)
    together = pooled(mu, logvar, mu.new_ones(1, len(x)))
    ends = [after[i][-1] - together[i][0] for i in (0, 1)] + [after[0][0] - mu[0], after[1][0] - logvar[0]]
    return max(end.abs().max() for end in ends).detach()


def beside_vae(labels: torch.Tensor | None) -> torch.Tensor:
    """Largest difference of loss and gradients from those of the VAE with the same code."""
    ours = make()
    vae: Any = build_model(family_class("vae").Config(latent_dim=5, hidden=16), seed=3).double()
    x, sides = digits().double(), []
    for model, extra in ((ours, {"labels": labels}), (vae, {})):
        loss = model.loss(x, generator=rng(1), **extra).total
        loss.backward()
        sides.append([loss.detach()] + [p.grad for p in model.parameters()])
    return max((a - b).abs().max() for a, b in zip(*sides, strict=True))


@check("ML-VAE with groups of one image is the VAE, loss and gradient, up to rounding", 1e-9)
def one_is_vae():
    return beside_vae(torch.arange(8))


@check("ML-VAE without labels is the VAE, loss and gradient, bit for bit", 0)
def unlabelled_is_vae():
    return beside_vae(None)


@check("the bound of a batch is the sum of its groups' bounds divided by its images, with one content per group", 1e-9)
def group_by_group():
    model, x = make(), digits().double()
    labels = torch.tensor([3, 1, 3, 3, 0, 1, 7, 0])
    eps = torch.randn(8, 5, generator=rng(2), dtype=torch.float64)
    (c_mu, s_mu), (c_logvar, s_logvar) = (model.parts(t) for t in model.posterior(x))
    total = 0.0
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        precision = (-c_logvar[members]).exp()
        mu = (precision * c_mu[members]).sum(0) / precision.sum(0)
        c = mu + precision.sum(0) ** -0.5 * eps[members[0], :3]
        total = total + losses.gaussian_kl(mu[None], -precision.sum(0).log()[None]).sum()
        for i in members:
            s = s_mu[i] + (0.5 * s_logvar[i]).exp() * eps[i, 3:]
            total = total + model.nll(x[i : i + 1], model.params(torch.cat([c, s])[None])).sum()
            total = total + losses.gaussian_kl(s_mu[i : i + 1], s_logvar[i : i + 1]).sum()
    terms = model.loss(x, generator=rng(2), labels=labels).terms
    return (terms["elbo"] + total / 8).abs().detach()
