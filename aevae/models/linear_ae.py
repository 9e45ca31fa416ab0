"""Linear autoencoder: min E||x - (W_d (W_e x + b_e) + b_d)||^2, W_e (d, 784), W_d (784, d). It finds the PCA subspace.

Baldi & Hornik 1989, Neural Networks 2:53: every minimum is global, the columns of W_d span the subspace of the d
largest principal components, and W_d W_e projects onto it. W_d Q and Q^-1 W_e are as good for any invertible Q. Only
the squared error gives PCA: with the absolute error (likelihood laplace) the subspace is another one, and with
bernoulli the model is a logistic PCA. Differs from the autoencoder: encoder and decoder are one matrix each.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from aevae import losses
from aevae.config import option
from aevae.models import blocks
from aevae.models.ae import AEConfig, Autoencoder
from aevae.units import SQUARED_ERROR


@dataclass(frozen=True)
class LinearAEConfig(AEConfig):
    """Linear autoencoder (Baldi & Hornik 1989)."""

    family: ClassVar[str] = "linear_ae"
    overfits: ClassVar[float] = 0.0
    network: ClassVar[str] = "linear"
    hidden: ClassVar[int] = 0
    likelihood: str = option(
        "gaussian",
        "p(x|z) of a pixel: gaussian (squared error: PCA), gaussian_learned (one learnt sigma), "
        "laplace (absolute error, scale 1: not PCA), bernoulli (cross-entropy: logistic PCA)",
        choices=("gaussian", "gaussian_learned", "laplace", "bernoulli"),
    )


class LinearAutoencoder(Autoencoder):
    """An encoder and a decoder of one affine layer each. `metrics.linear.against_pca` compares it with PCA."""

    Config = LinearAEConfig
    config: LinearAEConfig
    objective = "||x - W_d (W_e x + b)||^2"
    paper = "Baldi & Hornik 1989"
    units: ClassVar[dict[str, str]] = {
        "sse_unclipped": f"{SQUARED_ERROR}, not clipped to [0, 1]",
        "pca_sse": f"{SQUARED_ERROR} of PCA of the training set, not clipped",
        "above_pca": f"{SQUARED_ERROR}, sse_unclipped - pca_sse",
        "pca_angle": "degrees, the largest principal angle between the two planes",
    }

    def build(self) -> None:
        self.encoder = blocks.flat_encoder()
        self.build_code(blocks.PIXELS)
        self.decoder = blocks.flat_decoder(self.build_decoder_layer())

    def build_decoder_layer(self) -> nn.Module:
        """The layer from the code to the pixels. Its initial weights are as small as the encoder's."""
        layer = nn.Linear(self.config.latent_dim, blocks.PIXELS)
        nn.init.uniform_(layer.weight, -(blocks.PIXELS**-0.5), blocks.PIXELS**-0.5)
        nn.init.zeros_(layer.bias)
        return layer

    def nll(self, x: Tensor, params: Tensor) -> Tensor:
        return losses.laplace_nll(x, params) if self.config.likelihood == "laplace" else super().nll(x, params)

    def mean_unclamped(self, x: Tensor) -> Tensor:
        """Reconstruction of x (B, 1, 28, 28), not clipped to [0, 1], for a comparison with PCA."""
        params = self(x).params
        return self.mean(params) if self.config.likelihood == "bernoulli" else params


def pca(x: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """(mean (P,), d orthonormal principal components (d, P), the largest first) of x (N, P), d <= P.

    x -> mean + components^T components (x - mean) has the smallest squared error of all projections on d dimensions
    (Eckart & Young 1936): the sum of the other eigenvalues of the covariance.
    """
    mean = x.mean(0)
    if d <= len(x) < x.shape[1]:
        return mean, torch.linalg.svd(x - mean, full_matrices=False).Vh[:d]  # faster here
    vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x)).eigenvectors  # ascending
    return mean, vectors[:, -d:].flip(1).T


def principal_angles(a: Tensor, b: Tensor) -> Tensor:
    """Principal angles in degrees, ascending (d,), between the column spaces of a (P, d) and b (P, d).

    Bjorck & Golub 1973, computed from sines, because cosines of small angles are 1 in floating point.
    """
    a, b = torch.linalg.qr(a)[0], torch.linalg.qr(b)[0]
    sines = torch.linalg.svdvals(b - a @ (a.T @ b)).clamp(max=1)
    return torch.rad2deg(torch.asin(sines)).flip(0)
