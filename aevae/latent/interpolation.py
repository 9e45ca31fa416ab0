"""Interpolation between codes, and distances of interpolated codes to known codes.

"linear" follows the straight line; "spherical" (slerp, Shoemake 1985) follows the great circle and keeps the norm. The
midpoint of two samples of N(0, I_D) has E||z||^2 = D/2 on the line, but D on the circle.
"""

from collections.abc import Callable

import numpy as np

from aevae.metrics.neighbours import nearest

KINDS = ("linear", "spherical")
PARALLEL = 1e-7  # directions whose angle has a smaller sine count as parallel


def lerp(a: np.ndarray, b: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """(1 - t) a + t b, in float32; t = 0 and t = 1 give a and b bit for bit.

    a, b: equal shape (...). t: a number -> (...), or (S,) -> (S, ...). Raises ValueError for different shapes.
    """
    a, b = _pair(a, b)
    t = _steps_first(t, a.ndim)
    return _with_ends((1.0 - t) * a.astype(np.float64) + t * b.astype(np.float64), a, b, t)


def slerp(a: np.ndarray, b: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Spherical interpolation from a to b at the share t of the angle; t = 0 and t = 1 give a and b bit for bit.

    a, b: (D,). t: a number -> (D,), or (S,) -> (S, D). The direction rotates at constant speed, and the norm changes
    linearly from ||a|| to ||b||. It is `lerp` without an angle (parallel codes, a zero code, D = 1), and continuous
    there. Opposite codes have no unique great circle; the one through the axis in which a is smallest is used. Raises
    ValueError unless a and b are codes of equal size.
    """
    a, b = _pair(a, b)
    if a.ndim != 1:
        raise ValueError(f"codes of shape (D,) are needed, got shape {a.shape}")
    start, end = a.astype(np.float64), b.astype(np.float64)
    norm_a, norm_b = np.linalg.norm(start), np.linalg.norm(end)
    if len(a) < 2 or norm_a == 0 or norm_b == 0:
        return lerp(a, b, t)
    u, v = start / norm_a, end / norm_b
    sideways = v - (u @ v) * u  # the part of v orthogonal to u
    angle = np.arctan2(np.linalg.norm(sideways), u @ v)
    if np.linalg.norm(sideways) < PARALLEL:
        if u @ v > 0:
            return lerp(a, b, t)
        axis = np.eye(len(u))[np.abs(u).argmin()]
        sideways = axis - (u @ axis) * u
    sideways /= np.linalg.norm(sideways)
    t = _steps_first(t, 1)
    direction = np.cos(t * angle) * u + np.sin(t * angle) * sideways
    return _with_ends(((1.0 - t) * norm_a + t * norm_b) * direction, a, b, t)


def path(a: np.ndarray, b: np.ndarray, steps: int, kind: str = "linear") -> np.ndarray:
    """S = `steps` codes from a (D,) to b (D,), both included, evenly spaced in t: (S, D) float32.

    Raises ValueError for fewer than 2 steps or an unknown kind.
    """
    return _walk(kind)(a, b, _even(steps))


def bilinear(corners: np.ndarray, n: int, kind: str = "linear") -> np.ndarray:
    """A grid of codes interpolated between four corners: (n, n, D) float32, row 0 on top.

    corners: (4, D), top left, top right, bottom left, bottom right, which the grid contains bit for bit. The left and
    right edges are interpolated first, then each row between them.
    Raises ValueError for another shape, n < 2 or an unknown kind.
    """
    corners = np.asarray(corners, np.float32)
    if corners.ndim != 2 or len(corners) != 4:
        raise ValueError(f"four corners of shape (4, D) are needed, got shape {corners.shape}")
    left = path(corners[0], corners[2], n, kind)  # (n, D)
    right = path(corners[1], corners[3], n, kind)
    return np.stack([path(a, b, n, kind) for a, b in zip(left, right, strict=True)])


def pixel_blend(x_a: np.ndarray, x_b: np.ndarray, steps: int) -> np.ndarray:
    """Linear blend of two images (...) in pixel space: (S, ...) float32, both ends included.

    Raises ValueError for different shapes or fewer than 2 steps.
    """
    return lerp(x_a, x_b, _even(steps))


def arithmetic(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a - b + c for codes of equal shape, float32: latent arithmetic. Raises ValueError for different shapes."""
    a, b = _pair(a, b)
    a, c = _pair(a, c)
    return (a.astype(np.float64) - b + c).astype(np.float32)


def nearest_distance(codes: np.ndarray, bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distance (S,) float32, index (S,) int64) of the nearest code of `bank` (N, D) to each of `codes` (S, D).

    Distances are Euclidean; memory is bounded. Raises ValueError for wrong shapes.
    """
    distance, index = nearest(codes, bank, k=1)
    return distance[:, 0].astype(np.float32), index[:, 0]


def typical_spacing(bank: np.ndarray, sample: int = 1000, seed: int = 0) -> float:
    """Median distance of a code of `bank` (N, D) to its nearest other code; much larger distances indicate a hole.

    Estimated from at most `sample` random codes, each compared with all others. Raises ValueError for fewer than 2
    codes or a sample below 1.
    """
    bank = np.asarray(bank, np.float32)
    if sample < 1:
        raise ValueError(f"sample must be 1 or more, got {sample}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(bank))[:sample])
    distance, _ = nearest(bank[chosen], bank, k=1, own=chosen)
    return float(np.median(distance))


def _walk(kind: str) -> Callable:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind}")
    return lerp if kind == "linear" else slerp


def _even(steps: int) -> np.ndarray:
    if steps < 2:
        raise ValueError(f"steps must be 2 or more, got {steps}")
    return np.linspace(0.0, 1.0, steps)


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if a.shape != b.shape:
        raise ValueError(f"both ends must have one shape, got {a.shape} and {b.shape}")
    return a, b


def _steps_first(t: float | np.ndarray, ndim: int) -> np.ndarray:
    """t (S,) as (S, 1, ...), to broadcast with an array of `ndim` axes; a number is unchanged."""
    t = np.asarray(t, np.float64)
    return t.reshape(t.shape + (1,) * ndim) if t.ndim else t


def _with_ends(points: np.ndarray, a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.where(t == 0, a, np.where(t == 1, b, points.astype(np.float32)))
