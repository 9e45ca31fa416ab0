"""A plane cut through the space of images, and where a reconstruction pulls its points."""

from collections.abc import Callable

import numpy as np


def pulled(
    reconstruct: Callable[[np.ndarray], np.ndarray], middle: np.ndarray, axes: np.ndarray, half: float, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places (side^2, 2) of a lattice -half..half, and what of r(x) - x lies in the plane there, (side^2, 2).

    x = middle + place @ axes with orthonormal axes (2, P); reconstruct takes and gives images (N, P).
    """
    line = np.linspace(-half, half, side)
    places = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    x = middle + places @ axes
    return places, (reconstruct(x) - x) @ axes.T
