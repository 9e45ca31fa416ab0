"""Encoders and decoders that the families share. Images are (B, 1, 28, 28)."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx, nn

from aevae.config import ModelConfig

SHAPE = (1, 28, 28)
PIXELS = 784
CONV_FEATURES = 64 * 7 * 7
MIN_ONEDNN_CHANNELS = 8  # with at least as many output channels oneDNN's transposed convolution is faster


class FixedOffset(nn.Module):
    """x + by, with a constant image `by` that `set_offset` sets before training. Without one, forward returns x."""

    by: Tensor

    def __init__(self, channels: int = 1):
        super().__init__()
        self.register_buffer("by", torch.zeros(channels, *SHAPE[1:]))
        self.is_nonzero = False
        self.register_load_state_dict_post_hook(_look_for_offset)

    def set_offset(self, by: Tensor) -> None:
        """Set the constant (channels, 28, 28)."""
        self.by.copy_(by)
        self.is_nonzero = True

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by if self.is_nonzero else x.to(self.by.dtype)


def _look_for_offset(module: nn.Module, _incompatible_keys) -> None:
    """Called after a FixedOffset has loaded a state."""
    assert isinstance(module, FixedOffset)
    module.is_nonzero = bool(module.by.any())


class UpConv(nn.ConvTranspose2d):
    """Transposed convolution (B, in, h, w) -> (B, out, 2h, 2w) with 4x4 kernels and stride 2.

    On a CPU, few output channels are computed as one matrix product with all kernels and an overlap-add (fold):
    oneDNN's algorithm, made for many channels, takes five times as long for one channel.
    """

    bias: Tensor

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:  # ty: ignore[incompatible-method-override]  (no output_size)
        if x.device.type != "cpu" or self.out_channels >= MIN_ONEDNN_CHANNELS or torch.compiler.is_exporting():
            return super().forward(x)
        kernels = self.weight.flatten(1).T.expand(x.shape[0], -1, -1)  # (B, out 4 4, in)
        parts = torch.bmm(kernels, x.flatten(2))  # (B, out 4 4, h w)
        size = (2 * x.shape[2], 2 * x.shape[3])
        return nn.functional.fold(parts, size, 4, padding=1, stride=2) + self.bias.view(-1, 1, 1)


class TopK(nn.Module):
    """Keeps the `k` largest units of each row h (B, D) and sets the others to 0; of equal units it keeps the first.

    Makhzani & Frey 2014, arXiv:1312.5663, algorithm 1: largest by value, not by absolute value.
    """

    def __init__(self, k: int):
        super().__init__()
        self.k = k

    def forward(self, h: Tensor) -> Tensor:
        kept = h.topk(self.k, dim=1).indices  # exactly k, also with ties
        return torch.zeros_like(h).scatter(1, kept, h.gather(1, kept))


class Transposed(nn.Module):
    """h (B, out) -> h W + b (B, in) with the weight W (out, in) of another layer, tied to it, and a bias of its own."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.layer = (layer,)  # in a tuple, so that nn.Module does not register its weight here, too
        self.bias = nn.Parameter(torch.zeros(layer.in_features))

    @property
    def weight(self) -> Tensor:
        """The weight (in, out) in the layout of nn.Linear."""
        return self.layer[0].weight.T

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)


class Codebook(nn.Module):
    """K vectors (K, D). `forward` replaces each vector of z_e (B, D, h, w) by the nearest one: z_q of the same shape.

    van den Oord et al. 2017, arXiv:1711.00937, eq. 1 and 2. `vectors` (K, D) is a parameter if it is learned by
    gradient, else a buffer.
    """

    vectors: Tensor

    def __init__(self, count: int, size: int, learnt: bool):
        super().__init__()
        vectors = torch.randn(count, size)
        if learnt:
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)

    def indices(self, z_e: Tensor) -> Tensor:
        """Indices of the nearest vectors, (B, h, w) int64; the first on a tie."""
        flat = z_e.movedim(1, -1)  # (B, h, w, D)
        # |z - e|^2 without |z|^2, which does not depend on e
        return (self.vectors.square().sum(1) - 2 * flat @ self.vectors.T).argmin(-1)

    def look_up(self, indices: Tensor) -> Tensor:
        """The vectors (B, D, h, w) of these indices (B, h, w)."""
        return self.vectors[indices].movedim(-1, 1)

    def forward(self, z_e: Tensor) -> Tensor:
        return self.look_up(self.indices(z_e))


def encoder(config: ModelConfig) -> tuple[nn.Sequential, int]:
    """(network, width): the network maps x (B, 1, 28, 28) to h (B, width).

    mlp: 784-hidden (the encoder of pytorch/examples `vae`); conv: 32 and 64 channels, 4x4 kernels, stride 2.
    """
    if config.network == "mlp":
        return nn.Sequential(FixedOffset(), nn.Flatten(), nn.Linear(PIXELS, config.hidden), nn.ReLU()), config.hidden
    net = nn.Sequential(
        FixedOffset(),
        nn.Conv2d(1, 32, 4, 2, 1),  # (B, 32, 14, 14)
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2, 1),  # (B, 64, 7, 7)
        nn.ReLU(),
        nn.Flatten(),
    )
    return net, CONV_FEATURES


def decoder(config: ModelConfig) -> nn.Sequential:
    """A network z (B, D) -> natural parameters of the pixels (B, channels, 28, 28): the mirrored encoder."""
    channels = config.channels
    if config.network == "mlp":
        return nn.Sequential(
            nn.Linear(config.latent_dim, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, channels * PIXELS),
            nn.Unflatten(1, (channels, *SHAPE[1:])),
            FixedOffset(channels),
        )
    return nn.Sequential(
        nn.Linear(config.latent_dim, CONV_FEATURES),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        UpConv(64, 32),  # (B, 32, 14, 14)
        nn.ReLU(),
        UpConv(32, channels),  # (B, channels, 28, 28)
        FixedOffset(channels),
    )


def flat_encoder(*layers: nn.Module) -> nn.Sequential:
    """A network for x (B, 1, 28, 28): offset, flatten, then these layers."""
    return nn.Sequential(FixedOffset(), nn.Flatten(), *layers)


def flat_decoder(*layers: nn.Module) -> nn.Sequential:
    """A network of these layers, the last with 784 outputs, which become pixel parameters (B, 1, 28, 28)."""
    return nn.Sequential(*layers, nn.Unflatten(1, SHAPE), FixedOffset())


def parallel_linear(h: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """The outputs (B, out) of several linear layers of equal size for h (B, in), computed as one product."""
    if isinstance(h, fx.Proxy):  # traced programs contain the separate layers
        return tuple(layer(h) for layer in layers)
    weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
    return nn.functional.linear(h, weight, bias).chunk(len(layers), 1)


def mlp(widths: Sequence[int], unit: type[nn.Module]) -> list[nn.Module]:
    """Linear layers with these widths, and a `unit` after each but the last."""
    layers: list[nn.Module] = []
    for width, wider in itertools.pairwise(widths):
        layers += [nn.Linear(width, wider), unit()]
    return layers[:-1]


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def batches(x: Tensor, size: int = 1000) -> Iterator[Tensor]:
    """x in slices of `size` rows, in order."""
    return (x[i : i + size] for i in range(0, len(x), size))
