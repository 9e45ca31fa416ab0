"""Singular values of an encoder's Jacobian at an image, and the metric of a decoder on a plane of codes.

Rifai et al. 2011 (NIPS), The manifold tangent classifier; Goodfellow et al. 2016, section 14.6.
"""

import numpy as np
import torch

from aevae.metrics.geometry import jacobians, metric


def jacobian_spectrum(model, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(singular values (D,), descending, directions (D, 784), orthonormal rows) of the encoder's Jacobian at an image.

    image: (1, 28, 28). A step of size e along direction k moves the code by e times value k.
    """
    x = torch.tensor(np.asarray(image, np.float32)).to(next(model.parameters())).view(1, -1)
    jacobian = jacobians(lambda rows: model.encode(rows.unflatten(1, (1, 28, 28))), x)[0]  # (D, 784)
    _, s, v = torch.linalg.svd(jacobian.cpu(), full_matrices=False)
    return s.numpy(), v.numpy()


def plane_metric(model, box: tuple[float, float, float, float], side: int) -> np.ndarray:
    """G = J^T J of a decoder with latent_dim 2 on a lattice: (side, side, 3) float32 with G11, G12, G22.

    box: x0, x1, y0, y1; row i is at y0 + i (y1 - y0) / (side - 1), column j likewise in x.
    """
    x0, x1, y0, y1 = box
    x, y = np.meshgrid(np.linspace(x0, x1, side), np.linspace(y0, y1, side))
    z = torch.tensor(np.stack([x, y], -1).reshape(-1, 2)).to(next(model.parameters()))
    parts = [metric(jacobians(lambda codes: model.decode(codes), rows)) for rows in z.split(512)]
    g = torch.cat(parts).cpu().numpy()
    return np.stack([g[:, 0, 0], g[:, 0, 1], g[:, 1, 1]], 1).reshape(side, side, 3).astype(np.float32)


def moved(run, image: np.ndarray, direction: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Distance (S,) between the codes of image + step * direction and of the image, for each of steps (S,)."""
    flat = np.asarray(image, np.float32).reshape(-1)
    images = flat + np.concatenate([[0.0], steps])[:, None].astype(np.float32) * direction
    codes = run.encode(images.reshape(-1, 1, 28, 28))
    return np.linalg.norm(codes[1:] - codes[0], axis=1)
