"""Pixels of p(x|z): what a decoder's likelihood draws, and how far a pixel strays. torch inside the functions."""

import numpy as np


def drawn(model, z: np.ndarray, seed: int = 0) -> np.ndarray:
    """One picture x ~ p(x|z) for each code z (N, D): float32 (N, 1, 28, 28), as the likelihood draws it.

    A Gaussian's may leave [0, 1].
    """
    import torch

    from aevae.noise import normal

    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        params = model.params(torch.tensor(np.asarray(z, np.float32)))  # (N, maps, 28, 28)
        kind = model.config.likelihood
        if kind == "categorical":
            level = _levels(params, generator)
            return (level.float() / (params.shape[1] - 1)).numpy()
        if kind.startswith("gaussian"):
            logvar = torch.as_tensor(model.pixel_variance_log(), dtype=params.dtype)
            return (params + (0.5 * logvar).exp() * normal(params.shape, generator, params)).numpy()
        u = torch.rand(params.shape, generator=generator)
        if kind == "bernoulli":
            return (u < params.sigmoid()).float().numpy()
        return _continuous(params, u).numpy()


def strays(model, z: np.ndarray) -> np.ndarray:
    """Standard deviation of each pixel under p(x|z), of codes z (N, D): float32 (N, 1, 28, 28)."""
    import torch

    with torch.inference_mode():
        params = model.params(torch.tensor(np.asarray(z, np.float32)))
        kind = model.config.likelihood
        if kind == "categorical":
            level = torch.linspace(0, 1, params.shape[1]).view(1, -1, 1, 1)
            p = params.softmax(1)
            mean = (p * level).sum(1, keepdim=True)
            return (p * (level - mean).square()).sum(1, keepdim=True).sqrt().numpy()
        if kind.startswith("gaussian"):
            logvar = torch.as_tensor(model.pixel_variance_log(), dtype=params.dtype)
            return (0.5 * logvar).exp().expand_as(params).clone().numpy()
        if kind == "bernoulli":
            return (params.sigmoid() * (-params).sigmoid()).sqrt().numpy()
        eta = params.double()
        near = eta.abs() < 1e-2
        safe = torch.where(near, 1.0, eta)
        variance = torch.where(near, 1 / 12 - eta**2 / 240, 1 / safe**2 - 1 / (4 * torch.sinh(safe / 2) ** 2))
        return variance.sqrt().float().numpy()  # the second derivative of log C(eta)


def _levels(logits, generator):
    """A level of each pixel (N, 1, 28, 28) int64, drawn by softmax(logits (N, L, 28, 28))."""
    import torch

    below = logits.softmax(1).cumsum(1)[:, :-1]  # (N, L - 1, 28, 28)
    u = torch.rand((len(logits), 1, *logits.shape[2:]), generator=generator)
    return (u > below).sum(1, keepdim=True)


def _continuous(logits, u):
    """Where the distribution function of the continuous Bernoulli is u: log(1 + u (e^eta - 1)) / eta."""
    import torch

    eta = -logits.double().abs()  # for a rising density the mirrored draw, 1 - x: then nothing overflows
    near = eta > -1e-4
    safe = torch.where(near, -1.0, eta)
    falling = torch.where(near, u.double(), torch.log1p(u.double() * torch.expm1(safe)) / safe)
    return torch.where(logits > 0, 1 - falling, falling).float()
