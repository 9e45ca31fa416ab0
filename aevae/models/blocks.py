"""Encoders and decoders shared by the families. Pictures are (B, 1, 28, 28)."""

import torch
from torch import Tensor, nn

from aevae.config import ModelConfig

SHAPE = (1, 28, 28)
PIXELS = 784
CONV_FEATURES = 64 * 7 * 7


class Shift(nn.Module):
    """x + `by`, a picture that is set before training and not learnt; zero at first."""

    def __init__(self):
        super().__init__()
        self.register_buffer("by", torch.zeros(SHAPE))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


def encoder(config: ModelConfig) -> tuple[nn.Module, int]:
    """x (B, 1, 28, 28) -> h (B, width). Returns the net and its width.

    mlp: 784-hidden (the encoder of pytorch/examples `vae`); conv: 32 and 64 maps, 4x4 kernels, stride 2.
    """
    if config.network == "mlp":
        return nn.Sequential(Shift(), nn.Flatten(), nn.Linear(PIXELS, config.hidden), nn.ReLU()), config.hidden
    net = nn.Sequential(
        Shift(),
        nn.Conv2d(1, 32, 4, 2, 1),  # (B, 32, 14, 14)
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2, 1),  # (B, 64, 7, 7)
        nn.ReLU(),
        nn.Flatten(),
    )
    return net, CONV_FEATURES


def decoder(config: ModelConfig) -> nn.Module:
    """z (B, D) -> natural parameters of the pixels (B, 1, 28, 28): the encoder mirrored."""
    if config.network == "mlp":
        return nn.Sequential(
            nn.Linear(config.latent_dim, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, PIXELS),
            nn.Unflatten(1, SHAPE),
            Shift(),
        )
    return nn.Sequential(
        nn.Linear(config.latent_dim, CONV_FEATURES),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 32, 4, 2, 1),  # (B, 32, 14, 14)
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1),  # (B, 1, 28, 28)
        Shift(),
    )


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def batches(x: Tensor, size: int = 1000):
    """x in slices of `size` rows, in order."""
    return (x[i : i + size] for i in range(0, len(x), size))
