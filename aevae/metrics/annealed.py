"""log p(x) by annealed importance sampling (AIS), with the interval of bidirectional Monte Carlo (BDMC).

Neal 2001, arXiv:physics/9803008; for decoders: Wu et al. 2017, arXiv:1611.04273. Chains pass from the prior p(z) to the
posterior p(z|x) through f_t(z) = p(z) p(x|z)^beta_t, 0 = beta_0 < ... < beta_T = 1, with Hamiltonian Monte Carlo (HMC;
Neal 2011, arXiv:1206.1901) at each temperature. The weight w of a chain has E w = p(x), so E log w is a lower bound of
log p(x). A chain backwards from an exact posterior sample has E 1/w = 1 / p(x), which gives an upper bound. Exact
samples exist for images simulated by the model, z ~ p(z), x ~ p(x|z) (BDMC; Grosse et al. 2015, arXiv:1511.02543).

Shapes: C chains, B images, D latent dimensions, T temperatures after beta_0. All values are in nats.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from aevae.losses import log_mean_exp
from aevae.noise import normal, uniform

LEAPFROG_STEPS = 10
TARGET_ACCEPTANCE = 0.65  # Neal 2011, section 5.4.4.3
PILOT_CHAINS = 2  # chains of the pilot run that tunes the step sizes
FIRST_STEP = 0.2
STEP_GAIN = 0.2  # log step size += STEP_GAIN (acceptance - target), after each transition of the pilot run
SKEW = 4.0  # parameter of the sigmoid schedule (Wu et al. 2017, section 4.2)
SIMULATED = ("bernoulli", "gaussian", "gaussian_learned", "gaussian_pixel")  # p(x|z) that `simulate` samples from


class State(NamedTuple):
    """Codes (C, B, D), log p(x|z) (C, B), and its gradient (C, B, D). Log p(x|z) is float64, and so on the CPU."""

    z: Tensor
    log_likelihood: Tensor
    gradient: Tensor


class Interval(NamedTuple):
    """Lower and upper estimates of log p(x) of simulated images, (B,) each, in nats."""

    lower: Tensor
    upper: Tensor


def schedule(temperatures: int) -> Tensor:
    """beta (T + 1,), float64, from 0 to 1 along a sigmoid, so that it is dense at both ends."""
    if temperatures < 1:
        raise ValueError(f"temperatures must be at least 1, got {temperatures}")
    s = torch.linspace(-SKEW, SKEW, temperatures + 1, dtype=torch.float64).sigmoid()
    return (s - s[0]) / (s[-1] - s[0])


def log_p(model, x: Tensor, temperatures: int, chains: int, generator: Generator, beat=lambda part: None) -> Tensor:
    """AIS estimate of log p(x) (B,), float64; its expectation is at most log p(x). x: (B, 1, 28, 28).

    beat: called with the finished fraction, 0..1.
    """
    betas = schedule(temperatures)
    steps = tune(model, x, betas, generator, lambda part: beat(part * PILOT_CHAINS / (PILOT_CHAINS + chains)))
    rest = lambda part: beat((PILOT_CHAINS + part * chains) / (PILOT_CHAINS + chains))  # noqa: E731
    z = prior_codes(model, (chains, len(x)), x, generator)
    return log_mean_exp(anneal(model, x, z, betas, steps, generator, rest))


def bidirectional(
    model, images: int, temperatures: int, chains: int, generator: Generator, beat=lambda part: None
) -> Interval:
    """The Interval of BDMC on this number of images, which the model simulates."""
    like = next(model.parameters())
    z = prior_codes(model, (images,), like, generator)
    with torch.no_grad():
        x = simulate(model, z, generator)
    return interval(model, x, z, temperatures, chains, generator, beat)


def interval(
    model, x: Tensor, z: Tensor, temperatures: int, chains: int, generator: Generator, beat=lambda part: None
) -> Interval:
    """The Interval for images x (B, 1, 28, 28) with exact posterior samples z (B, D).

    Step sizes depend only on x, so both directions are unbiased: E w = p(x), E 1/w = 1 / p(x).
    """
    betas = schedule(temperatures)
    total = PILOT_CHAINS + 2 * chains
    steps = tune(model, x, betas, generator, lambda part: beat(part * PILOT_CHAINS / total))
    start = prior_codes(model, (chains, len(x)), z, generator)
    up = lambda part: beat((PILOT_CHAINS + part * chains) / total)  # noqa: E731
    lower = log_mean_exp(anneal(model, x, start, betas, steps, generator, up))
    down = lambda part: beat((PILOT_CHAINS + (1 + part) * chains) / total)  # noqa: E731
    log_inverse = anneal(model, x, z.expand(chains, -1, -1), betas.flip(0), steps.flip(0), generator, down)
    return Interval(lower, -log_mean_exp(log_inverse))


def anneal(
    model, x: Tensor, z: Tensor, betas: Tensor, steps: Tensor, generator: Generator, beat: Callable = lambda part: None
) -> Tensor:
    """Log weights (C, B), float64, of chains that start at z (C, B, D): sum_t (beta_t+1 - beta_t) log p(x|z_t).

    betas (T + 1,) ascend from the prior, or descend from the posterior; steps (T + 1, B): leapfrog step sizes.
    """
    state = evaluate_at(model, x, z)
    log_w = torch.zeros_like(state.log_likelihood)
    for t in range(len(betas) - 1):
        log_w += float(betas[t + 1] - betas[t]) * state.log_likelihood
        if t + 2 < len(betas):
            state, _ = transition(model, x, state, float(betas[t + 1]), steps[t + 1], generator)
        beat((t + 1) / (len(betas) - 1))
    return log_w


def tune(model, x: Tensor, betas: Tensor, generator: Generator, beat: Callable = lambda part: None) -> Tensor:
    """Leapfrog step sizes (T + 1, B) at which HMC accepts about TARGET_ACCEPTANCE, from a separate pilot run.

    A chain with adaptive step sizes has no invariant distribution; a chain with fixed step sizes has.
    """
    state = evaluate_at(model, x, prior_codes(model, (PILOT_CHAINS, len(x)), x, generator))
    step = torch.full((len(x),), FIRST_STEP, dtype=x.dtype, device=x.device) * prior_std(model)
    steps = [step]
    for t, beta in enumerate(betas.tolist()[1:]):
        state, acceptance = transition(model, x, state, beta, step, generator)
        step = step * torch.exp(STEP_GAIN * (acceptance.mean(0) - TARGET_ACCEPTANCE)).to(step.dtype).to(step.device)
        steps.append(step)
        beat((t + 1) / (len(betas) - 1))
    return torch.stack(steps)


def transition(model, x: Tensor, state: State, beta: float, step: Tensor, generator: Generator) -> tuple[State, Tensor]:
    """(new state, acceptance rates (C, B)) of one HMC step of size (B,) that leaves p(z) p(x|z)^beta invariant."""
    variance = prior_std(model) ** 2
    momentum = normal(state.z.shape, generator, state.z)
    size = step[:, None]  # (B, 1)
    force = lambda s: beta * s.gradient - s.z / variance  # noqa: E731
    proposal, p = state, momentum + 0.5 * size * force(state)
    for i in range(LEAPFROG_STEPS):
        proposal = evaluate_at(model, x, proposal.z + size * p)
        p = p + (size if i + 1 < LEAPFROG_STEPS else 0.5 * size) * force(proposal)
    energy = lambda s, m: (  # noqa: E731
        0.5 * (m.square() + s.z.square() / variance).cpu().double().sum(2) - beta * s.log_likelihood
    )
    acceptance = (energy(state, momentum) - energy(proposal, p)).clamp(max=0).exp().nan_to_num(0.0)
    accepted = uniform(acceptance.shape, generator, acceptance) < acceptance
    pairs = zip(proposal, state, strict=True)
    return State(
        *(torch.where(accepted.view(accepted.shape + (1,) * (a.ndim - 2)).to(a.device), a, b) for a, b in pairs)
    ), acceptance


def evaluate_at(model, x: Tensor, z: Tensor) -> State:
    """The State of codes z (C, B, D) for images x (B, 1, 28, 28)."""
    with torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        nll = model.nll(x.repeat(len(z), 1, 1, 1), model.params(z.flatten(0, 1)))
        (gradient,) = torch.autograd.grad(-nll.sum(), z)
    return State(z.detach(), -nll.detach().cpu().double().view(z.shape[:2]), gradient)


def prior_std(model) -> float:
    """s0 of the prior N(0, s0^2 I)."""
    return float(getattr(model, "prior_std", 1.0))


def prior_codes(model, shape: tuple[int, ...], like: Tensor, generator: Generator) -> Tensor:
    """Samples (*shape, D) of the prior, in the dtype and on the device of `like`."""
    return prior_std(model) * normal((*shape, model.config.latent_dim), generator, like)


def simulate(model, z: Tensor, generator: Generator) -> Tensor:
    """Images x ~ p(x|z) (B, 1, 28, 28) of codes z (B, D). Raises ValueError for a p(x|z) not in SIMULATED."""
    params, kind = model.params(z), model.config.likelihood
    if kind not in SIMULATED:
        raise ValueError(f"simulated images need pixels that are {', '.join(SIMULATED)}, got {kind}")
    if kind == "bernoulli":
        return (uniform(params.shape, generator, params) < params.sigmoid()).to(params)
    logvar = torch.as_tensor(model.pixel_variance_log(), dtype=params.dtype, device=params.device)
    return params + (0.5 * logvar).exp() * normal(params.shape, generator, params)


def standard_error(values: Tensor) -> float:
    """Standard error of the mean of values (B,); nan for one value."""
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
