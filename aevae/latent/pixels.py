"""Samples and standard deviations of pixels under p(x|z). torch is imported in the functions.

`live/pixels.js` computes the same in the browser.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def noise(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(uniform in [0, 1), normal): noise for `count` images, float32 (N, 1, 28, 28) each."""
    chance = np.random.default_rng(seed)
    shape = (count, 1, 28, 28)
    return chance.random(shape, np.float32), chance.standard_normal(shape, np.float32)


def _tensor(model, array: np.ndarray) -> "Tensor":
    """A float32 tensor on the device of the model."""
    import torch

    return torch.tensor(np.asarray(array, np.float32)).to(next(model.parameters()).device)


def means(model, z: np.ndarray) -> np.ndarray:
    """Mean images of codes z (N, D): float32 (N, 1, 28, 28) in [0, 1]."""
    import torch

    with torch.inference_mode():
        return model.decode(_tensor(model, z)).cpu().numpy()


def sample_pixels(model, z: np.ndarray, uniform: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """One sample x ~ p(x|z) per code z (N, D), float32 (N, 1, 28, 28), from `noise`; a Gaussian may leave [0, 1]."""
    import torch

    with torch.inference_mode():
        params = model.params(_tensor(model, z))  # (N, channels, 28, 28)
        return _sampled(model, params, _tensor(model, uniform), _tensor(model, normal)).cpu().numpy()


def _sampled(model, params, u, n) -> "Tensor":
    kind = model.config.likelihood
    if kind == "bernoulli":
        return (u < params.sigmoid()).float()
    if kind == "continuous_bernoulli":
        return _continuous(params, u)
    if kind == "categorical":
        below = params.softmax(1).cumsum(1)[:, :-1]  # (N, L - 1, 28, 28)
        return (u > below).sum(1, keepdim=True).float() / (params.shape[1] - 1)
    return params + _deviation(model, params) * n


def strays(model, z: np.ndarray) -> np.ndarray:
    """Standard deviation of each pixel under p(x|z), for codes z (N, D): float32 (N, 1, 28, 28)."""
    import torch

    with torch.inference_mode():
        return _strays(model, model.params(_tensor(model, z))).cpu().numpy()


def _strays(model, params) -> "Tensor":
    import torch

    kind = model.config.likelihood
    if kind == "bernoulli":
        return (params.sigmoid() * (-params).sigmoid()).sqrt()
    if kind == "categorical":
        level = torch.linspace(0, 1, params.shape[1], device=params.device).view(1, -1, 1, 1)
        p = params.softmax(1)
        mean = (p * level).sum(1, keepdim=True)
        return (p * (level - mean).square()).sum(1, keepdim=True).sqrt()
    if kind.startswith("gaussian"):
        return _deviation(model, params).expand_as(params).clone()
    eta = params.cpu().double()
    near = eta.abs() < 1e-2
    safe = torch.where(near, 1.0, eta)
    variance = torch.where(near, 1 / 12 - eta**2 / 240, 1 / safe**2 - 1 / (4 * torch.sinh(safe / 2) ** 2))
    return variance.sqrt().float()  # the second derivative of log C(eta)


def _deviation(model, params) -> "Tensor":
    import torch

    return (0.5 * torch.as_tensor(model.pixel_variance_log(), dtype=params.dtype, device=params.device)).exp()


def _continuous(logits, u) -> "Tensor":
    """Quantile u of the continuous Bernoulli: log(1 + u (e^eta - 1)) / eta."""
    import torch

    logits, u = logits.cpu().double(), u.cpu().double()
    eta = -logits.abs()  # for an increasing density 1 - x is sampled, which avoids overflow
    near = eta > -1e-4
    safe = torch.where(near, -1.0, eta)
    falling = torch.where(near, u, torch.log1p(u * torch.expm1(safe)) / safe)
    return torch.where(logits > 0, 1 - falling, falling).float()
