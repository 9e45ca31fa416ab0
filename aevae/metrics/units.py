"""Which latent dimensions are used."""

import numpy as np

THRESHOLD = 0.01


def active_units(mu: np.ndarray) -> np.ndarray:
    """Whether Var_x(E_q[z_j|x]) > 0.01, for each dimension (D,) bool. mu: (N, D).

    Burda et al. 2016, arXiv:1509.00519, section 5.
    """
    return mu.var(axis=0) > THRESHOLD


def used_directions(codes: np.ndarray) -> np.ndarray:
    """For codes without a prior: whether each dimension's variance is above 0.1 % of the largest, (D,) bool."""
    variance = codes.var(axis=0)
    return variance > 1e-3 * variance.max(initial=0.0)
