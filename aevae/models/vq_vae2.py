"""VQ-VAE-2: a VQ-VAE with two levels; the top grid (7 x 7) is encoded first, then the bottom grid (14 x 14).

    h = f_bottom(x),  top = VQ(f_top(h)),  bottom = VQ([h, up(top)]),  x_hat = g([up'(top), bottom])

and p(k) = p(top) p(bottom | top), each a PixelCNN. Razavi et al. 2019, arXiv:1906.00446, algorithms 1 and 2.

Differs from the VQ-VAE: the losses of both quantisers are added, and the prior of the bottom level is conditioned on
the top level. The networks are smaller than in the paper (256 x 256 images); gated masked convolutions replace
PixelSNAIL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from aevae.config import option
from aevae.models.blocks import FixedOffset, UpConv
from aevae.models.pixel_cnn import EMBEDDING_DIM
from aevae.models.vq_vae import VQVAE, VQVAEConfig

NAMES = ("_top", "_bottom")


@dataclass(frozen=True)
class VQVAE2Config(VQVAEConfig):
    """Two-level VQ-VAE (Razavi et al. 2019)."""

    family: ClassVar[str] = "vq_vae2"
    recipe: ClassVar[dict] = {"epochs": 8}
    sides: ClassVar[tuple[int, ...]] = (7, 14)
    codes: int = option(32, "vectors in each level's codebook, K", min=2, max=1024)
    code_dim: int = option(4, "numbers in a vector, D", min=1, max=64)
    prior_width: int = option(32, "feature maps of the PixelCNNs", min=4, max=256)
    prior_layers: int = option(2, "gated layers of each PixelCNN after its first", min=0, max=12)


class PriorContext(nn.Module):
    """The top level's indices (B, 7, 7) as condition (B, features, 14, 14) of the bottom level's prior."""

    def __init__(self, codes: int, features: int):
        super().__init__()
        self.embed = nn.Embedding(codes, EMBEDDING_DIM)
        self.up = nn.Sequential(nn.Conv2d(EMBEDDING_DIM, features, 3, 1, 1), nn.ReLU(), UpConv(features, features))

    def forward(self, indices: Tensor) -> Tensor:
        return self.up(self.embed(indices).movedim(-1, 1))


class VQVAE2(VQVAE):
    """Two levels: 0 is the top, 1 the bottom."""

    Config = VQVAE2Config
    config: VQVAE2Config
    objective = "VQ-VAE with maps top and bottom; prior p(top) p(bottom | top)"
    paper = "Razavi et al. 2019"
    levels = 2
    names = NAMES
    units: ClassVar[dict[str, str]] = {f"{key}{name}": unit for key, unit in VQVAE.units.items() for name in NAMES}

    def build_networks(self) -> None:
        size = self.config.code_dim
        self.encoder = nn.Sequential(
            FixedOffset(),
            nn.Conv2d(1, 32, 4, 2, 1),  # (B, 32, 14, 14)
            nn.ReLU(),
        )
        self.to_top = nn.Sequential(
            nn.Conv2d(32, 64, 4, 2, 1),  # (B, 64, 7, 7)
            nn.ReLU(),
            nn.Conv2d(64, size, 1),
        )
        self.from_top = nn.Sequential(UpConv(size, 32), nn.ReLU())
        self.to_bottom = nn.Conv2d(64, size, 1)  # (B, 4, 14, 14), from h and the top level
        self.up_top = nn.Sequential(UpConv(size, 32), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Conv2d(32 + size, 32, 3, 1, 1),
            nn.ReLU(),
            UpConv(32, self.config.channels),  # (B, channels, 28, 28)
            FixedOffset(self.config.channels),
        )
        self.condition = PriorContext(self.config.codes, self.config.prior_width)

    def quantize_levels(self, x: Tensor, quantise: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        h = self.encoder(x)
        top = quantise(0, self.to_top(h))
        bottom = quantise(1, self.to_bottom(torch.cat([h, self.from_top(top)], 1)))
        return [top, bottom]

    def decode_vectors(self, vectors: Sequence[Tensor]) -> Tensor:
        top, bottom = vectors
        return self.decoder(torch.cat([self.up_top(top), bottom], 1))

    def prior_context(self, above: Sequence[Tensor]) -> Tensor | None:
        return self.condition(above[0]) if above else None
