"""Eight common wrong statements about autoencoders: the error of each, and the identity that refutes it.

The identities are those of `aevae.checks`. This module computes the error of the wrong statements for the same toy
models, for comparison.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aevae.units import NATS


@dataclass(frozen=True)
class Mistake:
    """key: name in addresses. subject, check: the function in `aevae.checks`. claimed(): error of the wrong statement,
    in
    `unit`. right: index of the right answer."""

    key: str
    subject: str
    check: str
    claimed: Callable[[], float]
    unit: str
    right: int

    def settle(self) -> tuple[str, float, float]:
        """(identity, residual, tolerance) of the check, which is run."""
        from aevae import checks

        function = getattr(__import__(f"aevae.checks.{self.subject}", fromlist=[self.check]), self.check)
        ((name, tolerance),) = [(n, t) for n, f, t in checks.CHECKS if f is function]
        return name, checks.residual(function), tolerance


def outliers() -> np.ndarray:
    """Points (200, 2): 190 along one axis, 10 outliers on the other."""
    chance = np.random.default_rng(0)
    along = np.outer(chance.standard_normal(190), [1.0, 0.0])
    far = np.outer(8 * np.sign(chance.standard_normal(10)), [0.0, 1.0])
    points = np.concatenate([along, far])
    return points - points.mean(0)


def best_lines(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the lines of least squared error and of least absolute error (by search) of points (N, 2)."""
    squares = np.linalg.svd(points)[2][0]
    turns = np.deg2rad(np.arange(0.5, 180, 1.0))
    lines = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    codes = points[None, :, :, None] / lines[:, None, :, None]  # (line, N, coordinate, 1): that coordinate is exact
    left = np.abs(points[None, :, None] - codes * lines[:, None, None]).sum(-1).min(-1)  # (line, N)
    return squares, lines[left.sum(1).argmin()]


def angle() -> float:
    """Angle in degrees between the line of PCA and that of the absolute error."""
    squares, sizes = best_lines(outliers())
    return float(np.degrees(np.arccos(min(abs(squares @ sizes), 1.0))))


def rounded_constant() -> float:
    """Error in nats of 5000 (mu^2 + s^2) - log s - 5 as KL(N(mu, s^2) || N(0, 0.01^2)), at mu = 0.3, s = 0.2."""
    mu, s, narrow = 0.3, 0.2, 0.01
    exact = math.log(narrow / s) + (s**2 + mu**2) / (2 * narrow**2) - 0.5
    return abs(5000 * (mu**2 + s**2) - math.log(s) - 5 - exact)


def unequal_posteriors() -> float:
    """Distance of posteriors from the prior, in an example where their average is the prior."""
    q, prior = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0.5, 0.5])
    return float(np.abs(q - prior).max()) if np.allclose(q.mean(0), prior) else math.inf


def posterior_for_joint() -> float:
    """Error in nats of E log p(z|x) + H(q) as the ELBO; it is log p(x) for every q."""
    from aevae import losses
    from aevae.checks import bounds

    toy = bounds.ppca()
    mu, logvar = bounds.perturbed(toy)
    gap = losses.gaussian_kl_between(*(t.unsqueeze(0) for t in (mu, logvar, *toy.posterior)))[0]
    return float((-gap - toy.elbo(mu, logvar)).abs())


def kept(variances: np.ndarray, beta: float, variance: float = 0.5) -> int:
    """Number of directions that a linear VAE uses: those with variance above beta sigma^2 (Lucas et al. 2019)."""
    return int((np.asarray(variances) > beta * variance).sum())


def swapped_letters() -> float:
    """Difference in nats of the KL of the joints, with the encoder's q(z|x) and with the model's p(z|x)."""
    chance = np.random.default_rng(0)
    data, prior = chance.dirichlet(np.ones(4)), chance.dirichlet(np.ones(3))
    q, p_x = chance.dirichlet(np.ones(3), 4), chance.dirichlet(np.ones(4), 3)  # (x, z) and (z, x)
    joint = (prior[:, None] * p_x).T  # (x, z)

    def kl(posterior: np.ndarray) -> float:
        ours = data[:, None] * posterior
        return float((ours * np.log(ours / joint)).sum())

    return kl(q) - kl(joint / joint.sum(1, keepdims=True))


def bounds_by_samples(counts: tuple[int, ...] = (1, 2, 5, 10, 50)) -> tuple[list[float], float]:
    """(means of log (1/R) sum w for R in counts, log p(x)), in nats, for a linear Gaussian model and a wrong q."""
    from aevae import losses
    from aevae.checks import bounds

    toy = bounds.ppca()
    log_w = bounds.weights(toy, *bounds.perturbed(toy), 50, 4000)
    return [float(losses.log_mean_exp(log_w[:r]).mean()) for r in counts], float(toy.log_p)


def log_of_mean() -> float:
    """Difference in nats of the log of a mean of 50 weights and the mean of their logs."""
    (one, many), _log_p = bounds_by_samples((1, 50))
    return many - one


def shortcut() -> float:
    """Amortisation gap in nats of a small autoencoder after 300 full-batch steps on eight images."""
    import torch

    from aevae import checks
    from aevae.models import build_model, family_class
    from aevae.models.auto_decoder import refine

    model, x = build_model(family_class("ae").Config(latent_dim=4, hidden=16), seed=3), checks.digits()
    rate, weights = 0.05, list(model.parameters())
    for _step in range(300):
        gradients = torch.autograd.grad(model.loss(x).total / 784, weights)
        with torch.no_grad():
            for p, gradient in zip(weights, gradients, strict=True):
                p -= rate * gradient
    start = model.encode(x).detach()
    found = refine(lambda z, _step: model.nll(x, model.params(z)), start, 100, 0.1)
    with torch.no_grad():
        return float((model.nll(x, model.params(start)) - model.nll(x, model.params(found))).mean())


MISTAKES = (
    Mistake("mae", "linear", "absolute_error_is_not_pca", angle, "degrees", 1),
    Mistake("constant", "likelihoods", "kl_narrow_prior", rounded_constant, "nats", 2),
    Mistake("aggregate", "collapse", "aggregate_is_not_each", unequal_posteriors, "probability", 0),
    Mistake("joint", "bounds", "three_forms", posterior_for_joint, "nats", 1),
    Mistake("mean", "bounds", "mean_or_sum", lambda: 784.0 - 1.0, "excess weight of the KL", 2),
    Mistake("letters", "bounds", "joint_form", swapped_letters, "nats", 0),
    Mistake("samples", "bounds", "mean_of_logs", log_of_mean, "nats", 1),
    Mistake("underfit", "decoders", "amortisation", shortcut, NATS, 2),
)
