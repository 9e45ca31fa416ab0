"""TD-VAE: its terms, and its bound in a linear Gaussian model with a Kalman filter. Source: Gregor et al. 2019."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from aevae import losses
from aevae.checks import check, digits, randn
from aevae.models import build_model, family_class
from aevae.models.td_vae import Layered, circular_shift, smoothing_term, transition_term


def model(**options) -> Any:
    config = family_class("td_vae").Config(**{"latent_dim": 6, "hidden": 16, "belief_dim": 8, "block": 7} | options)
    return build_model(config, seed=2).double()


def layered() -> Layered:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return Layered(3, 5, 7).double()


@check("TD-VAE: with belief = smoothing = transition, only the image has a cost", 1e-12)
def all_equal():
    one = randn(9, 6), randn(9, 6, seed=1)
    z = randn(9, 6, seed=2)
    return max(smoothing_term(one, one).abs().max(), transition_term(z, one, one).abs().max())


@check("TD-VAE: both penalties equal torch.distributions", 1e-10)
def penalties_torch():
    a, b = ((randn(9, 6, seed=i), randn(9, 6, seed=i + 1)) for i in (0, 2))
    z = randn(9, 6, seed=5)
    p, q = (Normal(mu, (0.5 * logvar).exp()) for mu, logvar in (a, b))
    smoothing = smoothing_term(a, b) - kl_divergence(p, q).sum(1)
    transition = transition_term(z, a, b) - (p.log_prob(z) - q.log_prob(z)).sum(1)
    return max(smoothing.abs().max(), transition.abs().max())


@check("two layers: the density at a sample is p(upper) p(lower | upper)", 1e-10)
def two_layers():
    both, c = layered(), randn(9, 3)
    z, mu, logvar = both.reparameterize(c, randn(9, 7, seed=1))
    lower, upper = z[:, :4], z[:, 4:]
    parts = ((upper, both.upper(c)), (lower, both.lower(torch.cat([c, upper], 1))))
    theirs = sum(Normal(m, (0.5 * v).exp()).log_prob(part).sum(1) for part, (m, v) in parts)
    again = both.at(c, z)
    same = max((a - b).abs().max() for a, b in zip(again, (mu, logvar), strict=True))
    return max(same, (losses.gaussian_nll(z, mu, logvar) + theirs).abs().max())


@check("two layers: the density integrates to 1, in standard errors", 4)
def two_layers_integrate():
    both, n = layered(), 20_000
    c = randn(1, 3).expand(n, 3)
    mu, logvar = torch.zeros(n, 7, dtype=torch.float64), torch.ones(n, 7, dtype=torch.float64)
    z = mu + math.exp(0.5) * randn(n, 7, seed=1)
    weight = (losses.gaussian_nll(z, mu, logvar) - losses.gaussian_nll(z, *both.at(c, z))).exp()
    return (weight.mean() - 1).abs() / (weight.std() / n**0.5)


@check("a belief does not depend on later frames", 0)
def causal():
    net, x = model(), torch.stack([digits(6).double()] * 2)
    x[1, 4:] = 1 - x[1, 4:]
    with torch.no_grad():
        b = net.beliefs(x)
    return (b[0, :4] - b[1, :4]).abs().max() + (torch.equal(b[0, 4], b[1, 4]))


@check("if z moves by dt v, one jump of k frames equals k jumps of one frame", 1e-6)
def jumps_add_up():
    net, small = model(), 1e-4  # tanh is linear near 0, and the gates are half open
    with torch.no_grad():
        for half, width in ((net.transition.upper, 3), (net.transition.lower, 3)):
            for p in half.parameters():
                p.zero_()
            half.inner.weight[0, 6:10] = small * torch.arange(1.0, 5.0)
            half.outer[0].weight[0, 0] = 1.0
            half.outer[2].weight[:width, 0] = 2 / small * torch.tensor([0.3, -1.0, 0.7])
        z, stepped = randn(5, 6), randn(5, 6)
        errors = []
        for k in range(1, 5):
            stepped = net.jump(stepped, 1)
            errors.append((net.jump(z, k) - stepped).abs().max())
    moved = (stepped - z - 4 * torch.tensor([0.3, -1.0, 0.7] * 2)).abs().max()
    return max(*errors, moved)


@check("the shift of a rolled image is found, for all 28 shifts", 0)
def rolls_are_found():
    x = digits(1).expand(28, 1, 28, 28)
    rolled = torch.stack([image.roll(i - 14, -1) for i, image in enumerate(x)])
    return (circular_shift(rolled, x) - torch.arange(-14, 14)).abs().max()


# A linear Gaussian model: z_t = A z_(t-1) + N(0, Q), x_t = z_t + N(0, R), scalars. Three Gauss-Hermite nodes integrate
# quadratic functions of a Gaussian exactly.
A, Q, R = 0.8, 0.5, 0.3
NODES = math.sqrt(3) * torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
WEIGHTS = torch.tensor([1, 4, 1], dtype=torch.float64) / 6


def kalman(x: Tensor) -> list[tuple[float, float]]:
    """(mean, variance) of z_t given x_1..x_t, for each t; z_1 ~ N(0, 1)."""
    beliefs, mean, variance = [], 0.0, 1.0
    for value in x.tolist():
        gain = variance / (variance + R)
        mean, variance = mean + gain * (value - mean), (1 - gain) * variance
        beliefs.append((mean, variance))
        mean, variance = A * mean, A * A * variance + Q
    return beliefs


def moved(steps: int) -> tuple[float, float]:
    """(factor, variance) of `steps` transitions combined."""
    return A**steps, Q * sum(A ** (2 * i) for i in range(steps))


def bound(value: Tensor, first: tuple, second: tuple, steps: int) -> Tensor:
    """TD-VAE's bound on log p(x_t2 | x_<=t1), for beliefs (mean, variance) at t1 and t2 and the optimal smoothing q."""
    factor, spread = moved(steps)
    (m1, v1), (m2, v2) = first, second
    z2 = (m2 + math.sqrt(v2) * NODES).repeat_interleave(3).unsqueeze(1)  # (9, 1): all pairs of nodes
    gain = v1 * factor / (factor * factor * v1 + spread)
    mean, variance = m1 + gain * (z2 - factor * m1), v1 * (1 - gain * factor)  # q(z1|z2, b_t1)
    z1 = mean + math.sqrt(variance) * NODES.repeat(3).unsqueeze(1)
    const = lambda v: torch.full_like(z1, v)  # noqa: E731
    belief1, belief2 = ((const(m), const(math.log(v))) for m, v in (first, second))
    cost = losses.gaussian_nll(const(float(value)), z2, math.log(R))
    cost = cost + smoothing_term((mean, const(math.log(variance))), belief1)
    cost = cost + transition_term(z2, belief2, (factor * z1, const(math.log(spread))))
    return -(WEIGHTS.repeat_interleave(3) * WEIGHTS.repeat(3) * cost).sum()


def exact(value: Tensor, first: tuple, steps: int) -> Tensor:
    """log p(x_t2 | x_<=t1) by Kalman's predictor."""
    factor, spread = moved(steps)
    variance = value.new_tensor(factor**2 * first[1] + spread + R)
    return Normal(value.new_tensor(factor * first[0]), variance.sqrt()).log_prob(value)


@check("linear world: with Kalman's beliefs, TD-VAE's bound on the next frame is log p(x_t2 | x_<=t1)", 1e-10)
def kalman_is_tight():
    x = randn(8)
    b = kalman(x)
    return max((bound(x[t + 1], b[t], b[t + 1], 1) - exact(x[t + 1], b[t], 1)).abs() for t in range(7))


@check("linear world: for any belief at t2 and any jump, the bound stays below log p(x_t2 | x_<=t1)", 1e-10)
def bound_is_below():
    x, over = randn(9), []
    b = kalman(x)
    for steps in (1, 2, 4):
        for shift, stretch in ((0.0, 1.0), (0.5, 1.0), (0.0, 3.0), (-0.2, 0.4)):
            wrong = [(m + shift, v * stretch) for m, v in b]
            over += [bound(x[t + steps], b[t], wrong[t + steps], steps) - exact(x[t + steps], b[t], steps)
                     for t in range(9 - steps)]  # fmt: skip
    return max(over).clamp(min=0)
