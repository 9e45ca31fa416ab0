"""The numbers of an affine decoder: its columns, and how its plane lies to another."""

import numpy as np
import torch

from aevae.models.linear_ae import principal_angles


@torch.no_grad()
def columns(model) -> tuple[np.ndarray, np.ndarray]:
    """Offset (P,) and columns (D, P) of a decoder z -> offset + z @ columns, before anything is clipped to [0, 1]."""
    first = next(model.parameters())
    d = model.config.latent_dim
    offset = model.params(torch.zeros(1, d).to(first)).flatten()
    rows = model.params(torch.eye(d).to(first)).flatten(1) - offset
    return offset.cpu().numpy(), rows.cpu().numpy()


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees (D,), ascending, between the planes that the rows of a and b, both (D, P), span."""
    return principal_angles(torch.tensor(a.T).double(), torch.tensor(b.T).double()).numpy()
