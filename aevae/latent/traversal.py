"""Latent traversals along one coordinate or over a plane of two.

Grids are laid out like images: row 0 is the top (largest y), column 0 the left (smallest x).
"""

from collections.abc import Sequence

import numpy as np


def strip_values(steps: int, limit: float = 3.0) -> np.ndarray:
    """S = `steps` evenly spaced values from -limit to limit, both included: (S,) float32.

    The unit is that of the code; for the prior N(0, 1) it is one standard deviation. Odd numbers of steps contain 0.
    Raises ValueError for fewer than 2 steps or a limit that is not positive.
    """
    if steps < 2:
        raise ValueError(f"steps must be 2 or more, got {steps}")
    if not 0 < limit < np.inf:
        raise ValueError(f"limit must be a positive number, got {limit}")
    return np.linspace(-limit, limit, steps, dtype=np.float32)


def traverse(z: np.ndarray, dim: int, values: np.ndarray) -> np.ndarray:
    """Copies of `z` (D,) in which coordinate `dim` has each of `values` (S,): (S, D) float32.

    Raises ValueError unless z is one code and `dim` one of its coordinates.
    """
    z = _one_code(z)
    _check_dim("dim", dim, len(z))
    values = np.asarray(values, np.float32).ravel()
    codes = np.tile(z, (len(values), 1))  # (S, D)
    codes[:, dim] = values
    return codes


def walks(model, x: np.ndarray, dims: Sequence[int], steps: int) -> np.ndarray:
    """Images that a Gaussian model decodes around the code of x (1, 1, 28, 28): (1 + len(dims), steps, 784) float32.

    Row 0: x, then steps - 1 samples of q(z|x) with the same noise for every model; then a traversal of each of `dims`.
    """
    import torch

    with torch.inference_mode():
        images = torch.tensor(x)
        mu, logvar = model.posterior(images)
        eps = torch.randn(steps - 1, mu.shape[1], generator=torch.Generator().manual_seed(0))
        along = [traverse(mu[0].numpy(), int(j), strip_values(steps)) for j in dims]
        z = torch.cat([mu + (0.5 * logvar).exp() * eps, torch.tensor(np.concatenate(along))])
        return torch.cat([images, model.decode(z)]).numpy().reshape(1 + len(along), steps, -1)


def plane_grid(z: np.ndarray, dims: tuple[int, int], xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Copies of `z` (D,) over the plane of two coordinates: (ny, nx, D) float32.

    Coordinate dims[0] has the values xs (nx,), smallest in column 0; dims[1] has ys (ny,), largest in row 0; both are
    sorted here. The other coordinates are those of z.
    Raises ValueError unless z is one code and `dims` are two different coordinates of it.
    """
    z = _one_code(z)
    across, up = dims
    _check_dim("dims", across, len(z))
    _check_dim("dims", up, len(z))
    if across == up:
        raise ValueError(f"dims must be two different dimensions, got {across} twice")
    xs, ys = np.sort(np.asarray(xs, np.float32).ravel()), np.sort(np.asarray(ys, np.float32).ravel())
    codes = np.tile(z, (len(ys), len(xs), 1))  # (ny, nx, D)
    codes[..., across] = xs
    codes[..., up] = ys[::-1, None]
    return codes


def prior_grid(n: int, quantile: tuple[float, float] = (0.05, 0.95)) -> np.ndarray:
    """A grid with equal prior mass between its lines: (n, n, 2) float32, [..., 0] = x, [..., 1] = y.

    The n values of each axis are evenly spaced quantiles of N(0, 1), as in the manifold figure of Kingma & Welling
    2014, arXiv:1312.6114, appendix A. Raises ValueError for n < 1 or unless 0 < low < high < 1.
    """
    from scipy.special import ndtri

    low, high = quantile
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}")
    if not 0 < low < high < 1:
        raise ValueError(f"quantile must be two rising numbers between 0 and 1, got {low} and {high}")
    levels = np.linspace(low, high, n) if n > 1 else np.array([(low + high) / 2])
    return plane_grid(np.zeros(2), (0, 1), ndtri(levels), ndtri(levels))


def latent_order(kl_or_var: np.ndarray) -> np.ndarray:
    """Indices (D,) int64 of the coordinates, sorted by descending `kl_or_var`; a stable sort.

    kl_or_var: (D,) KL to the prior (nats) or variance of each coordinate. Raises ValueError for NaN or another shape.
    """
    score = np.asarray(kl_or_var, np.float64)
    if score.ndim != 1 or np.isnan(score).any():
        raise ValueError(f"one number per dimension is needed, without NaN, got shape {score.shape}")
    return np.argsort(-score, kind="stable")


def _one_code(z: np.ndarray) -> np.ndarray:
    z = np.asarray(z, np.float32)
    if z.ndim != 1 or not len(z):
        raise ValueError(f"z must be one code of shape (D,), got shape {z.shape}")
    return z


def _check_dim(name: str, dim: int, count: int) -> None:
    if not 0 <= dim < count:
        raise ValueError(f"{name} must be in 0..{count - 1}, got {dim}")
