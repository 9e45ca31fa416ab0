"""Decomposition of the KL, posterior collapse and its remedies. Sources: Chen et al. 2018; Dieng et al. 2019."""

import math

import torch
from torch import Tensor

from aevae import losses
from aevae.checks import check, digits, randn, rng, same_loss
from aevae.checks.bounds import furthest, gradients, model
from aevae.metrics.units import active_units
from aevae.models.aggregate import decompose, minibatch_total_correlation, stratified
from aevae.models.base import sample

# -- decomposition of the KL -----------------------------------------------------------------------------------------


def gaussian_codes(count: int) -> tuple[Tensor, Tensor, dict[str, float]]:
    """(mu (N, 2), logvar (N, 2) of a linear encoder of Gaussian data, parts of the KL for N -> infinity).

    mu ~ N(0, M), q(z|x) = N(mu, S): the aggregate is N(0, M + S).
    """
    mix = torch.tensor([[0.8, 0.0], [0.5, 0.3]], dtype=torch.float64)
    logvar = torch.tensor([-0.2, -0.6], dtype=torch.float64)
    mu = randn(count, 2) @ mix.T
    whole = mix @ mix.T + torch.diag(logvar.exp())
    each = whole.diagonal()
    exact = {
        "index_code_mi": 0.5 * (torch.logdet(whole) - logvar.sum()),
        "total_correlation": 0.5 * (each.log().sum() - torch.logdet(whole)),
        "dimensionwise_kl": 0.5 * (each - each.log() - 1).sum(),
    }
    return mu, logvar.expand(count, 2), {name: float(value) for name, value in exact.items()}


def parts(mu: Tensor, logvar: Tensor) -> dict[str, float]:
    kl = losses.gaussian_kl_per_dim(mu, logvar).mean(0)
    return decompose(mu, logvar, randn(*mu.shape, seed=5), kl)


@check("Gaussian code: information + total correlation + dimension-wise KL is the mean KL", 1e-12)
def gaussian_sum():
    _, logvar, exact = gaussian_codes(1)
    whole = torch.tensor([[0.64, 0.4], [0.4, 0.34]], dtype=torch.float64)  # E mu mu^T
    kl = 0.5 * (whole.diagonal() + logvar[0].exp() - logvar[0] - 1).sum()
    return (sum(exact.values()) - kl).abs()


@check("the three parts of a sample's KL add up to its mean KL", 1e-10)
def parts_sum():
    mu, logvar = randn(2, 300, 4)
    return abs(sum(parts(mu, logvar).values()) - float(losses.gaussian_kl(mu, logvar).mean()))


@check("the three parts estimated from Gaussian samples equal the exact ones, in nats", 0.08)
def parts_gaussian():
    mu, logvar, exact = gaussian_codes(1500)
    found = parts(mu, logvar)
    return max(abs(found[name] - value) for name, value in exact.items())


@check("0 <= information <= min(KL, log N): log N for codes that are far apart, 0 for equal codes", 1e-9)
def information_bounds():
    worst = []
    for scale in (0.0, 0.3, 3.0, 1e4):
        mu, logvar = scale * randn(200, 3), 0.5 * randn(200, 3, seed=1) * min(scale, 1.0)
        found, kl = parts(mu, logvar)["index_code_mi"], float(losses.gaussian_kl(mu, logvar).mean())
        worst += [-found, found - math.log(200), found - kl - 0.05 * min(scale, 1.0)]  # the last is approximate
        if scale in (0.0, 1e4):
            worst.append(abs(found - (math.log(200) if scale else 0.0)))
    return max(worst)


@check("collapsed code: all three parts of the KL are 0", 1e-10)
def collapsed_parts():
    zero = torch.zeros(100, 4, dtype=torch.float64)
    return max(map(abs, parts(zero, zero).values()))


@check("posteriors that differ, with the prior as aggregate: the KL is only information", 1e-12)
def aggregate_is_not_each():
    """Mistake 3: q(z) = p(z) does not require q(z|x) = p(z) for every x."""
    q = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)  # two images, two codes
    prior = torch.tensor([0.5, 0.5], dtype=torch.float64)
    kl = (q * (q / prior).log()).sum(1).mean()
    information = (q * (q / q.mean(0)).log()).sum(1).mean()
    return (q.mean(0) - prior).abs().max() + (kl - information).abs() if kl > 0.1 else math.inf


@check("stratified weights of a batch sum to 1 for every code", 1e-12)
def stratified_sum():
    sizes = ((1, 1.0), (2, 50.0), (64, 60_000.0), (64, 64.0), (64, 0.0))
    rows = [stratified(batch, torch.tensor(count, dtype=torch.float64)).sum(1) for batch, count in sizes]
    return max((row - 1).abs().max() for row in rows)


@check("total correlation of a Gaussian code, estimated from a batch, in nats", 0.08)
def batch_correlation():
    mu, logvar, exact = gaussian_codes(700)
    z = sample(mu, logvar, rng(6))
    found = minibatch_total_correlation(z, mu, logvar, torch.tensor(1e9, dtype=torch.float64))
    return (found - exact["total_correlation"]).abs()


@check("beta 0 is an autoencoder with a sampled code: loss and gradient of -log p(x|z) only", 1e-12)
def no_weight():
    x, vae = digits().double(), model("beta_vae", beta=0.0)
    alone = vae.nll(x, vae.params(sample(*vae.posterior(x), rng(1)))).mean()
    loss = vae.loss(x, generator=rng(1)).total
    return max(float((loss - alone).abs().detach()), furthest(gradients(vae, loss), gradients(vae, alone)))


@check("beta-TCVAE at beta 1 is the VAE, loss and gradient, bit for bit", 0)
def tc_is_vae():
    return same_loss("beta_vae", {"penalty": "total_correlation", "beta": 1.0}, "vae", {})


@check("capacity 0 at cost gamma is the beta-VAE of beta = gamma, bit for bit", 0)
def no_capacity():
    capacity = {"penalty": "capacity", "capacity": 0.0, "gamma": 7.0}
    return same_loss("beta_vae", capacity, "beta_vae", {"beta": 7.0})


@check("capacity: gamma |KL - C| plus the NLL, below C and above", 1e-9)
@torch.no_grad()
def capacity():
    x, worst = digits().double(), []
    for nats in (0.125, 50.0):
        vae = model("beta_vae", penalty="capacity", capacity=nats, gamma=30.0)
        loss = vae.loss(x, generator=rng(1))
        worst.append((loss.total - loss.terms["recon"] - 30 * (loss.terms["kl"] - nats).abs()).abs())
    return max(worst)


# -- collapse and remedies -------------------------------------------------------------------------------------------


@check("active units: 3 constant dimensions of 7 are not counted", 0)
def units_counted():
    mu = randn(500, 7).numpy()
    mu[:, [1, 4, 5]] = 2.0
    return abs(int(active_units(mu).sum()) - 4)


@check("free bits below the KL of every dimension change nothing, bit for bit", 0)
def few_free_bits():
    return same_loss("vae", {"free_bits": 1e-9}, "vae", {})


@check("free bits: below lambda the gradient of a dimension's KL is exactly 0", 0)
def free_bits_gradient():
    per_dim = randn(6, 4).square().requires_grad_()
    means = per_dim.detach().mean(0)
    vae = model("vae", latent_dim=4, free_bits=1.01 * float(means.median()))
    gradient = torch.autograd.grad(vae.charged(per_dim.mean(0)), per_dim)[0]
    below = means < vae.free_bits
    feels = (gradient[:, ~below] - 1 / 6).abs().max() < 1e-12
    return gradient[:, below].abs().max() if below.any() and feels else math.inf


@check("free bits above the KL of every dimension: the gradient equals that of beta = 0, bit for bit", 0)
def many_free_bits():
    x, sides = digits().double(), []
    for family, options in (("vae", {"free_bits": 10.0}), ("beta_vae", {"beta": 0.0})):
        vae = model(family, **options)
        sides.append(gradients(vae, vae.loss(x, generator=rng(1)).total))
    return furthest(*sides)


@check("linear VAE: active where an eigenvalue of the data is above sigma^2, with w = sqrt(lambda - sigma^2)", 1e-9)
def linear_collapse():
    """Linear VAE x_j = w_j z_j + sigma noise for data N(0, diag lambda), optimised by alternating encoder and decoder.

    Lucas et al. 2019, arXiv:1911.02469, section 4.
    """
    values, s2 = torch.tensor([3.0, 2.0, 1.2, 0.8, 0.3, 0.1], dtype=torch.float64), 0.5
    w = torch.full_like(values, 0.5)
    for _ in range(200):
        v, variance = w / (w.square() + s2), s2 / (w.square() + s2)  # q(z|x) = N(v x, variance)
        w = values * v / (values * v.square() + variance)
    active = v.square() * values > 0.01  # Var mu_j
    off = (w - (values - s2).clamp(min=0).sqrt()).abs().max()
    return off if torch.equal(active, values > s2) else math.inf


# -- Skip-VAE --------------------------------------------------------------------------------------------------------


@check("Skip-VAE with one layer and without skips is the VAE, loss and gradient, bit for bit", 0)
def skip_is_vae():
    return same_loss("skip_vae", {"depth": 1, "skips": False}, "vae", {})


@check("Skip-VAE with all B_l = 0 is the plain decoder of that depth, bit for bit", 0)
@torch.no_grad()
def skips_of_zero():
    plain, skip = (model("skip_vae", depth=4, skips=skips) for skips in (False, True))
    for layer in skip.decoder[0].skips:
        layer.weight.zero_()
    z = randn(6, 5)
    return (plain.params(z) - skip.params(z)).abs().max()


@check("Skip-VAE with all A_l = 0 still has a path from z to the image; a plain decoder has none", 0)
def skip_path():
    gradients = []
    for skips in (True, False):
        vae = model("skip_vae", depth=4, skips=skips)
        for layer in vae.decoder[0].layers:
            torch.nn.init.zeros_(layer.weight)
        jacobian = torch.func.jacrev(vae.requires_grad_(False).params)(randn(1, 5))
        gradients.append(float(jacobian.abs().max()))
    return gradients[1] if gradients[0] > 1e-3 else math.inf
