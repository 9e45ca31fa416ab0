"""Scores, tangents and marginal likelihoods. Source: Vincent 2011."""

import math

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from aevae.checks import check, randn, rng
from aevae.metrics.geometry import jacobians, magnification, metric, tangents
from aevae.metrics.score import Mixture
from aevae.models import build_model, family_class

SIGMA = 0.4


def mixture() -> Mixture:
    """A mixture of three Gaussians in the plane with different widths."""
    weights = torch.softmax(randn(3, seed=1), 0)
    return Mixture(weights, 2 * randn(3, 2, seed=2), 0.3 + torch.rand(3, generator=rng(3), dtype=torch.float64))


def sphere(z: torch.Tensor) -> torch.Tensor:
    """Angles (B, 2) -> points of the unit sphere (B, 3)."""
    (a, b), one = z.T, torch.ones_like(z[:, 0])
    return torch.stack([a.sin() * b.cos(), a.sin() * b.sin(), a.cos() * one], 1)


@check("Tweedie: the best denoiser minus its input is sigma^2 times the score, on a mixture of Gaussians", 1e-10)
def tweedie():
    p, x = mixture(), 2 * randn(50, 2)
    return (p.denoised(x, SIGMA) - x - SIGMA**2 * p.score(x, SIGMA)).abs().max()


@check("the best denoiser is E[x | noisy] by quadrature", 1e-6)
def denoiser_by_quadrature():
    p, noisy = mixture(), randn(4, 2)
    line = torch.linspace(-9, 9, 181, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    log_p = p.log_density(x) - (noisy.unsqueeze(1) - x).square().sum(2) / (2 * SIGMA**2)  # (4, G), up to a constant
    return (log_p.softmax(1) @ x - p.denoised(noisy, SIGMA)).abs().max()


@check("the score is the gradient of the log density", 1e-12)
def score_is_gradient():
    p, x = mixture(), (2 * randn(50, 2)).requires_grad_()
    return (torch.autograd.grad(p.log_density(x, SIGMA).sum(), x)[0] - p.score(x, SIGMA)).abs().max().detach()


@check("the density of a mixture equals torch.distributions", 1e-12)
def density_torch():
    p, x = mixture(), 2 * randn(50, 2)
    parts = [MultivariateNormal(m, s**2 * torch.eye(2).double()) for m, s in zip(p.means, p.stds, strict=True)]
    theirs = torch.stack([part.log_prob(x) for part in parts], 1) + p.weights.log()
    return (p.log_density(x) - theirs.logsumexp(1)).abs().max()


@check("for N(0, s^2) the best denoiser multiplies by s^2 / (s^2 + sigma^2)", 1e-12)
def gaussian_shrinks():
    one = torch.ones(1, dtype=torch.float64)
    x = randn(20, 3)
    shrunk = Mixture(one, torch.zeros(1, 3).double(), 0.7 * one).denoised(x, SIGMA)
    return (shrunk - x * 0.49 / (0.49 + SIGMA**2)).abs().max()


@check("tangents of a linear decoder span its columns", 1e-10)
def linear_tangents():
    w = randn(9, 3)
    basis, _ = tangents(jacobians(lambda z: z @ w.T, randn(4, 3, seed=1)))
    return (w - basis @ (basis.mT @ w)).abs().max()


@check("tangents of a sphere are orthogonal to its radius", 1e-10)
def sphere_tangents():
    z = randn(20, 2)
    basis, _ = tangents(jacobians(sphere, z))
    return (basis.mT @ sphere(z).unsqueeze(2)).abs().max()


@check("the metric of the sphere is diag(1, sin^2), its magnification |sin|", 1e-10)
def sphere_metric():
    z = randn(20, 2)
    jacobian, sine = jacobians(sphere, z), z[:, 0].sin()
    expected = torch.stack([torch.ones_like(sine), sine.square()], 1).diag_embed()
    return max((metric(jacobian) - expected).abs().max(), (magnification(jacobian) - sine.abs()).abs().max())


def decoder(network: str = "mlp"):
    """(a decoder with latent_dim 3 in float64, codes (4, 3))."""
    config = family_class("ae").Config(latent_dim=3, hidden=24, network=network)
    return build_model(config, seed=1).double().params, randn(4, 3)


@check("the metric of a decoder is symmetric and has no negative eigenvalue: largest violation", 1e-12)
def metric_is_positive():
    g = metric(jacobians(*decoder()))
    return max((g - g.mT).abs().max(), -torch.linalg.eigvalsh(g).min().clamp(max=0))


@check("a decoder's Jacobian equals finite differences", 1e-6)
def finite_difference():
    f, z = decoder("conv")
    v, h = randn(3, seed=5), 1e-6
    difference = (f(z + h * v) - f(z - h * v)).flatten(1) / (2 * h)
    return (jacobians(f, z) @ v - difference).abs().max().detach()


@check(
    "the Jacobian of a reconstruction has at most as many directions as the code has numbers: size of the others", 1e-12
)
def rank_of_reconstruction():
    narrow, wide = randn(3, 12), randn(12, 3, seed=1)
    whole = jacobians(lambda x: (x.tanh() @ narrow.T).tanh() @ wide.T, randn(5, 12, seed=2))
    return torch.linalg.svdvals(whole)[:, 3:].max()


@check("log max_h p(h, x) <= log sum_h p(h, x) <= log max + log |H|: largest violation", 0)
def point_estimate():
    joint = randn(100, 6).log_softmax(1) + randn(100, 1, seed=1)
    most, total = joint.amax(1), joint.logsumexp(1)
    return max((most - total).clamp(min=0).max(), (total - most - math.log(6)).clamp(min=0).max())


@check("the best diagonal q of a correlated pair has KL -log(1 - rho^2) / 2", 1e-10)
def diagonal_limit():
    rho = 0.8
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    p = MultivariateNormal(torch.zeros(2).double(), covariance)
    narrow = torch.diag(1 / torch.linalg.inv(covariance).diagonal())
    best = MultivariateNormal(p.mean, narrow)
    others = [MultivariateNormal(p.mean, narrow * (1 + e)) for e in (-0.01, 0.01)]
    least = kl_divergence(best, p)
    better = max((least - kl_divergence(q, p)).clamp(min=0) for q in others)
    return max(better, (least + 0.5 * math.log(1 - rho**2)).abs())
