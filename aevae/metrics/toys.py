"""Two-dimensional toy densities with known score, and a stored small denoising autoencoder for each.

r(x, sigma) = x + sigma g(f(x, log sigma)) is trained to return x from x + sigma eps for sigma in SIGMAS. The optimum
is E[x | noisy], so r(x) - x = sigma^2 grad log p_sigma(x) (Vincent 2011; Alain & Bengio 2014, JMLR 15:3743).
"""

import functools
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aevae.metrics.score import Mixture
from aevae.store import bundles

SIGMAS = (0.15, 1.0)
HALF = 3.0  # both coordinates are in -HALF..HALF
HIDDEN = 64
FINER = 3.0  # scale of the inputs; without it the network would learn too smooth a field
STORE = Path(__file__).with_name("toys.safetensors")


def _ring() -> np.ndarray:
    turn = np.arange(24) * 2 * np.pi / 24
    return 1.6 * np.stack([np.cos(turn), np.sin(turn)], 1)


def _moons() -> np.ndarray:
    turn = np.linspace(0, np.pi, 14)
    upper = np.stack([np.cos(turn), np.sin(turn)], 1)
    return 1.35 * np.concatenate([upper - [0.5, 0.25], [1, 0] - upper + [-0.5, 0.25]])


def _spiral() -> np.ndarray:
    turn = np.sqrt(np.linspace(0.06, 1, 40)) * 3.2 * np.pi
    return 0.21 * turn[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)


# name -> means (K, 2), std of each component, weights (None: equal)
SHAPES = {
    "three": (np.array([[-1.5, -0.9], [1.4, -1.0], [0.1, 1.5]]), 0.22, np.array([0.6, 0.3, 0.1])),
    "ring": (_ring(), 0.15, None),
    "moons": (_moons(), 0.16, None),
    "spiral": (_spiral(), 0.14, None),
}


def mixture(name: str) -> Mixture:
    """The density of a toy as a Mixture."""
    means, std, weights = SHAPES[name]
    weights = np.full(len(means), 1 / len(means)) if weights is None else weights
    tensor = functools.partial(torch.tensor, dtype=torch.float32)
    return Mixture(tensor(weights), tensor(means), torch.full((len(means),), std))


def net() -> nn.Sequential:
    """The network (FINER x, FINER y, log sigma) -> estimate of (x - noisy) / sigma, (B, 2)."""
    return nn.Sequential(nn.Linear(3, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2))


def denoise(model: nn.Module, x: Tensor, sigma: Tensor) -> Tensor:
    """r(x, sigma) (B, 2) of x (B, 2), sigma (B, 1)."""
    return x + sigma * model(torch.cat([FINER * x, sigma.log()], 1))


def train(name: str, steps: int = 10_000, batch: int = 512, seed: int = 0) -> nn.Module:
    """A denoiser of a toy, trained by Adam with a cosine schedule on the squared error divided by sigma^2."""
    torch.manual_seed(seed)
    p, model = mixture(name), net()
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    low, high = map(math.log, SIGMAS)
    for _ in range(steps):
        part = torch.multinomial(p.weights, batch, replacement=True)
        x = p.means[part] + p.stds[part, None] * torch.randn(batch, 2)
        sigma = torch.empty(batch, 1).uniform_(low, high).exp()
        back = denoise(model, x + sigma * torch.randn(batch, 2), sigma)
        loss = ((back - x) / sigma).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


@functools.cache
def weights(name: str) -> dict[str, np.ndarray]:
    """Stored weights of a toy's denoiser, float32: "0.weight" (64, 3) ... "4.bias" (2,). Raises `bundles.Missing`."""
    prefix = f"{name}."
    found = bundles.read_bundle(STORE)
    return {key[len(prefix) :]: value.astype(np.float32) for key, value in found.items() if key.startswith(prefix)}


@functools.cache
def trained(name: str) -> nn.Module:
    """The stored denoiser of a toy."""
    model = net()
    model.load_state_dict({key: torch.tensor(value) for key, value in weights(name).items()})
    return model.eval().requires_grad_(False)


@torch.no_grad()
def fidelity(name: str, sigma: float, side: int = 61, model: nn.Module | None = None) -> dict[str, float]:
    """Relative error and cosine of the learned field against sigma^2 score, on a lattice of side^2 points.

    near_error, near_cosine: where p_sigma is above 5 % of its maximum; far_error, far_cosine: elsewhere. model: None
    for the stored denoiser.
    """
    line = torch.linspace(-HALF, HALF, side)
    x = torch.cartesian_prod(line, line)
    p = mixture(name)
    learnt = denoise(model or trained(name), x, torch.full((len(x), 1), sigma)) - x
    true = sigma**2 * p.score(x, sigma)
    density = p.log_density(x, sigma)
    near = density > density.max() + math.log(0.05)
    out = {}
    for where, inside in (("near", near), ("far", ~near)):
        a, b = learnt[inside], true[inside]
        out[f"{where}_error"] = float((a - b).norm() / b.norm())
        out[f"{where}_cosine"] = float(nn.functional.cosine_similarity(a, b, dim=1).mean())
    return out
