"""Alignment of maps, so that a point has similar positions in all of them."""

import numpy as np


def procrustes(xy: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """xy (N, 2), rotated, mirrored if necessary, scaled and shifted to fit `onto` (N, 2): float32.

    Orthogonal Procrustes (Schönemann 1966) with both maps scaled to the same size, because with a free scale an
    unrelated map would shrink to a point. Raises ValueError for different numbers of rows.
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
    scale = np.linalg.norm(fixed - centre) / size if size > 0 else 1.0  # a map of coincident points is not scaled
    return (scale * moved @ (u @ vt) + centre).astype(np.float32)
