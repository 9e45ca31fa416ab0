"""Linear autoencoder: min E||x - (W_d (W_e x + b_e) + b_d)||^2 with W_e (d, 784), W_d (784, d); it finds the PCA plane.

Baldi & Hornik 1989, Neural Networks 2:53: every minimum is global, the columns of W_d span the plane of the d largest
principal components, and W_d W_e projects on it; W_d Q, Q^-1 W_e is as good for any invertible Q. It is the squared
error that makes it PCA: under the absolute one (likelihood laplace) the plane is another, and under bernoulli the model
is a logistic PCA. Differs from the autoencoder: one matrix each way.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from aevae import losses
from aevae.config import option
from aevae.models import blocks
from aevae.models.ae import AEConfig, Autoencoder


@dataclass(frozen=True)
class LinearAEConfig(AEConfig):
    """Linear autoencoder (Baldi & Hornik 1989)."""

    family: ClassVar[str] = "linear_ae"
    network: ClassVar[str] = "linear"
    hidden: ClassVar[int] = 0
    likelihood: str = option(
        "gaussian",
        "p(x|z) of a pixel: gaussian (squared error: PCA), gaussian_learned (one learnt sigma), "
        "laplace (absolute error, scale 1: not PCA), bernoulli (cross-entropy: logistic PCA)",
        choices=("gaussian", "gaussian_learned", "laplace", "bernoulli"),
    )


class LinearAutoencoder(Autoencoder):
    """One matrix each way, with biases. `metrics.linear.against_pca` compares it with PCA of the training set."""

    Config = LinearAEConfig
    title = "Linear autoencoder"
    objective = "||x - W_d (W_e x + b)||^2"
    paper = "Baldi & Hornik 1989"
    units: ClassVar[dict[str, str]] = {
        "sse_unclipped": "squared error / image, not clipped to [0, 1]",
        "pca_sse": "squared error / image of PCA of the training set, not clipped",
        "above_pca": "squared error / image, sse_unclipped - pca_sse",
        "pca_angle": "degrees, the largest principal angle between the two planes",
    }

    def build(self) -> None:
        self.encoder = blocks.flat_encoder()
        self.build_code(blocks.PIXELS)
        self.decoder = blocks.flat_decoder(self.way_back())

    def way_back(self) -> nn.Module:
        """The layer from the code to the pixels, of weights as small as the encoder's: both find the plane together."""
        layer = nn.Linear(self.config.latent_dim, blocks.PIXELS)
        nn.init.uniform_(layer.weight, -(blocks.PIXELS**-0.5), blocks.PIXELS**-0.5)
        nn.init.zeros_(layer.bias)
        return layer

    def nll(self, x: Tensor, params: Tensor) -> Tensor:
        return losses.laplace_nll(x, params) if self.config.likelihood == "laplace" else super().nll(x, params)

    def mean_unclamped(self, x: Tensor) -> Tensor:
        """Reconstruction of x (B, 1, 28, 28), not clipped to [0, 1], as PCA's is not."""
        params = self(x).params
        return self.mean(params) if self.config.likelihood == "bernoulli" else params


def pca(x: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Mean (P,) and the d principal components (d, P), orthonormal, the largest first, of x (N, P), d <= P.

    Of all planes, x -> mean + components^T components (x - mean) has the least squared error (Eckart & Young 1936):
    the sum of the other eigenvalues of the covariance.
    """
    mean = x.mean(0)
    if d <= len(x) < x.shape[1]:
        return mean, torch.linalg.svd(x - mean, full_matrices=False).Vh[:d]  # the quicker of the two
    vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x)).eigenvectors  # ascending
    return mean, vectors[:, -d:].flip(1).T


def principal_angles(a: Tensor, b: Tensor) -> Tensor:
    """Angles in degrees between the planes that the columns of a (P, d) and b (P, d) span, ascending (d,).

    Bjorck & Golub 1973, through the sines: cosines cannot tell small angles from 0.
    """
    a, b = torch.linalg.qr(a)[0], torch.linalg.qr(b)[0]
    sines = torch.linalg.svdvals(b - a @ (a.T @ b)).clamp(max=1)
    return torch.rad2deg(torch.asin(sines)).flip(0)
