"""The columns of an affine decoder, and its comparison with PCA."""

import numpy as np
import torch

from aevae import losses
from aevae.models.blocks import batches
from aevae.models.linear_ae import principal_angles
from aevae.spread import spread

BLOCK_IMAGES = 5000  # training images at a time: 16 MB in float32


@torch.no_grad()
def columns(model) -> tuple[np.ndarray, np.ndarray]:
    """(offset (P,), columns (D, P)) of a decoder z -> offset + z @ columns, before clipping to [0, 1]."""
    first = next(model.parameters())
    d = model.config.latent_dim
    offset = model.params(torch.zeros(1, d).to(first)).flatten()
    rows = model.params(torch.eye(d).to(first)).flatten(1) - offset
    return offset.cpu().numpy(), rows.cpu().numpy()


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Principal angles (D,) in degrees, ascending, between the row spaces of a and b, both (D, P)."""
    return principal_angles(torch.tensor(a.T).cpu().double(), torch.tensor(b.T).cpu().double()).numpy()


@torch.no_grad()
def against_pca(model, x: torch.Tensor, train: np.ndarray) -> dict[str, float]:
    """Name -> squared error per image of a linear model and of PCA (both unclipped), difference, and principal angle.

    The errors and the difference are means, with their `aevae.spread`.

    x: test images (N, 1, 28, 28); train: training images to which PCA is fitted, uint8 (M, 1, 28, 28). `above_pca` is
    negative if the model is better on the test images.
    """
    mean, components = training_pca(train, model.config.latent_dim)
    centred = x.flatten(1).cpu().double() - mean
    exact = losses.sse(centred, centred @ components.T @ components)  # (N,)
    ours = torch.cat([losses.sse(part, model.mean_unclamped(part)) for part in batches(x)]).cpu().double()  # (N,)
    angles = principal_angles(model.decoder[0].weight.detach().cpu().double(), components.T)
    each = {"sse_unclipped": ours.numpy(), "pca_sse": exact.numpy(), "above_pca": (ours - exact).numpy()}
    means = {name: float(values.mean()) for name, values in each.items()}
    return means | {"pca_angle": float(angles.max())} | spread(each, without_share=("above_pca",))


def training_pca(train: np.ndarray, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean (P,), d principal components (d, P), the largest first), float64, of images uint8 (M, 1, 28, 28).

    x and x x^T are summed over blocks, because MNIST in float64 would take 376 MB.
    """
    first = second = torch.zeros(()).cpu().double()
    for start in range(0, len(train), BLOCK_IMAGES):
        rows = torch.tensor(train[start : start + BLOCK_IMAGES]).flatten(1).float() / 255
        first, second = first + rows.cpu().double().sum(0), second + (rows.T @ rows).cpu().double()
    mean = first / len(train)
    vectors = torch.linalg.eigh(second / len(train) - mean.outer(mean)).eigenvectors  # ascending
    return mean, vectors[:, -d:].flip(1).T
