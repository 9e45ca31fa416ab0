"""Skip-VAE: a VAE whose decoder gets z in every layer, h_l = relu(A_l h_(l-1) + B_l z), including the output layer.

Dieng et al. 2019, arXiv:1807.04863, eq. 5. A deep decoder that gets z only in its first layer learns to ignore z, and
the posterior collapses; here z reaches every layer directly. Differs from the VAE in the decoder only; with B_l = 0 it
is a plain decoder of that depth.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import relu

from aevae.config import option
from aevae.models.blocks import PIXELS, SHAPE, FixedOffset, encoder
from aevae.models.vae import VAE, VAEConfig


@dataclass(frozen=True)
class SkipVAEConfig(VAEConfig):
    """Skip-VAE (Dieng et al. 2019)."""

    family: ClassVar[str] = "skip_vae"
    overfits: ClassVar[float] = 1.0  # a decoder of six layers
    network: ClassVar[str] = "mlp"
    hidden: int = option(400, "hidden units of the encoder, and of each layer of the decoder", min=1, max=4096)
    depth: int = option(6, "hidden layers of the decoder", min=1, max=8)
    skips: bool = option(
        True, "every layer of the decoder gets z; off: only the first layer gets z, and the code may collapse"
    )


class SkipLayers(nn.Module):
    """z (B, D) -> parameters of the pixels (B, outputs), through `depth` ReLU layers.

    `skips[l]` maps z to layer l + 1, without a bias because that layer has one. skips=False: a plain network.
    """

    def __init__(self, latent_dim: int, hidden: int, depth: int, outputs: int, skips: bool):
        super().__init__()
        widths = (latent_dim, *(hidden,) * depth, outputs)
        self.layers = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.skips = nn.ModuleList(nn.Linear(latent_dim, width, bias=False) for width in widths[2:] if skips)

    def forward(self, z: Tensor) -> Tensor:
        h = self.layers[0](z)
        for i in range(1, len(self.layers)):
            h = self.layers[i](relu(h))
            if len(self.skips):
                h = h + self.skips[i - 1](z)
        return h


class SkipVAE(VAE):
    """A VAE with a deep decoder."""

    Config = SkipVAEConfig
    config: SkipVAEConfig
    objective = "-log p(x|z) + KL(q(z|x) || N(0, I)), z fed to every layer of the decoder"
    paper = "Dieng et al. 2019"

    def build(self) -> None:
        c = self.config
        self.encoder, width = encoder(c)
        self.build_code(width)
        layers = SkipLayers(c.latent_dim, c.hidden, c.depth, c.channels * PIXELS, c.skips)
        self.decoder = nn.Sequential(layers, nn.Unflatten(1, (c.channels, *SHAPE[1:])), FixedOffset(c.channels))
