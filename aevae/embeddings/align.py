"""Maps turned onto each other, so that the same point is sought in the same corner."""

import numpy as np


def procrustes(xy: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """xy (N, 2), rotated, perhaps mirrored, scaled as a whole and shifted to lie near `onto` (N, 2): float32.

    Least squares over the pairs of rows of both maps at one size (Schönemann 1966): with the size free, too, a map that
    has nothing in common with the other would shrink to a point. Raises ValueError where the rows do not pair.
    """
    moved, fixed = np.asarray(xy, np.float64), np.asarray(onto, np.float64)
    if moved.shape != fixed.shape or moved.ndim != 2:
        raise ValueError(f"two maps of the same points are needed, got shapes {moved.shape} and {fixed.shape}")
    if not (np.isfinite(moved).all() and np.isfinite(fixed).all()):
        raise ValueError("coordinates of maps must be finite numbers, got NaN or infinity")
    centre = fixed.mean(0)
    moved = moved - moved.mean(0)
    u, _, vt = np.linalg.svd(moved.T @ (fixed - centre))
    size = np.linalg.norm(moved)
    scale = np.linalg.norm(fixed - centre) / size if size > 0 else 1.0  # a map that is one point stays one
    return (scale * moved @ (u @ vt) + centre).astype(np.float32)
