"""The vector field r(x) - x of a reconstruction on a plane in image space."""

from collections.abc import Callable

import numpy as np


def pulled(
    reconstruct: Callable[[np.ndarray], np.ndarray], middle: np.ndarray, axes: np.ndarray, half: float, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """(points (side^2, 2) of a lattice in -half..half, projections of r(x) - x on the plane (side^2, 2)).

    x = middle + point @ axes with orthonormal axes (2, P). reconstruct: images (N, P) -> images (N, P).
    """
    line = np.linspace(-half, half, side)
    places = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    x = middle + places @ axes
    return places, (reconstruct(x) - x) @ axes.T
