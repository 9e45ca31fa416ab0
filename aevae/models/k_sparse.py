"""k-sparse autoencoder: min E||x - (W h + b')||^2, h = the k largest of z = W^T x + b, the others 0.

Makhzani & Frey 2014, arXiv:1312.5663, algorithm 1: exact sparsity without a penalty. Units that are rarely among the
largest get no gradient and die, so training starts with many active units and reduces them to k (section 4.2.1). After
training the alpha k largest are kept, alpha >= 1 (section 2.2). Differs from the linear autoencoder in TopK and, as in
the paper, tied weights; without tied weights and at k = latent_dim it is the linear autoencoder.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae.config import option
from aevae.models.blocks import TopK, Transposed
from aevae.models.linear_ae import LinearAEConfig, LinearAutoencoder
from aevae.models.sparse import SparseAutoencoder
from aevae.outputs import Loss
from aevae.schedules import warmup


@dataclass(frozen=True)
class KSparseConfig(LinearAEConfig):
    """k-sparse autoencoder (Makhzani & Frey 2014)."""

    family: ClassVar[str] = "k_sparse"
    recipe: ClassVar[dict] = {"epochs": 20, "batch_size": 128}
    latent_dim: int = option(500, "hidden units, which are the code", min=1, max=1024)
    k: int = option(25, "units kept per image, 1..latent_dim", min=1, max=1024)
    start_k: int = option(100, "units kept at the beginning, if more than k", min=1, max=1024)
    anneal_epochs: float = option(
        10.0, "epochs in which the number of units falls from start_k to k; 0: k from the start", min=0.0, max=1000.0
    )
    alpha: float = option(1.0, "after the training, alpha times k units are kept", min=1.0, max=5.0)
    tied: bool = option(True, "the decoder's matrix is the transposed matrix of the encoder, as in the paper")

    def __post_init__(self):
        super().__post_init__()
        if self.k > self.latent_dim:
            raise ValueError(f"k must be in 1..latent_dim={self.latent_dim}, got {self.k}")

    @property
    def most(self) -> int:
        """Number of units that are kept at the beginning of training."""
        return max(self.k, min(self.start_k, self.latent_dim)) if self.anneal_epochs else self.k

    @property
    def kept(self) -> int:
        """Number of units that are kept after training."""
        return min(round(self.alpha * self.k), self.latent_dim)


class KSparseAutoencoder(LinearAutoencoder):
    """A linear autoencoder in which at most k columns of W add up to the image."""

    Config = KSparseConfig
    config: KSparseConfig
    objective = "||x - W top_k(W^T x + b)||^2"
    paper = "Makhzani & Frey 2014"
    units, metrics = SparseAutoencoder.units, SparseAutoencoder.metrics

    def build_code(self, width: int) -> None:
        self.code = nn.Sequential(nn.Linear(width, self.config.latent_dim), TopK(self.config.kept))

    def build_decoder_layer(self) -> nn.Module:
        return Transposed(self.code[0]) if self.config.tied else super().build_decoder_layer()

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        if not self.training:  # keep the alpha k largest, as in use
            return super().loss(x)
        h = largest(self.code[0](self.encoder(x)), self.config.most, self.k_at(epoch))
        recon = self.nll(x, self.params(h)).mean()
        return Loss(total=recon, terms={"recon": recon.detach()})

    def k_at(self, epoch: float | Tensor) -> float | Tensor:
        """Number of units kept at this epoch, unrounded: linear from start_k down to k."""
        config = self.config
        return config.most - (config.most - config.k) * warmup(epoch, config.anneal_epochs)


def largest(z: Tensor, most: int, k: float | Tensor) -> Tensor:
    """z (B, D) with exactly its k largest units; the others are 0. k <= most: a number or tensor, which is rounded.

    Of equal units the first are kept. The gradient of a unit that is not kept is exactly 0.
    """
    kept, where = z.topk(most, dim=1)  # descending
    rank = torch.arange(most, device=z.device)
    return torch.zeros_like(z).scatter(1, where, kept * (rank < k - 0.5))
