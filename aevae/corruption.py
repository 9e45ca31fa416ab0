"""Corruption of images: C(x~|x) of a denoising autoencoder and of the Denoise page.

Vincent et al. 2010, JMLR 11:3371, section 3.3 (Gaussian, masking, salt-and-pepper).
"""

import math

import torch
from torch import Generator, Tensor

from aevae.noise import normal, uniform

# kind -> what `level` means
KINDS = {
    "gaussian": "standard deviation of the added noise, in units of the pixel range",
    "masking": "fraction of the pixels set to 0",
    "salt_and_pepper": "fraction of the pixels set to 0 or 1, half each",
    "block": "fraction of the image covered by one black square",
}


def corrupt(x: Tensor, kind: str, level: float, generator: Generator, clip: bool = True) -> Tensor:
    """A corrupted copy of x (B, C, H, W) in [0, 1]. Level 0 returns x itself and leaves the generator unchanged.

    `apply` applies the noise of `draw`. Raises ValueError for an unknown kind or a level outside 0..1.
    """
    _check(kind, level)
    return apply(x, kind, level, sample_noise(x, kind, generator), clip) if level else x


def sample_noise(x: Tensor, kind: str, generator: Generator) -> Tensor:
    """Noise to corrupt x (B, C, H, W) at any level, with x's dtype and device.

    gaussian: N(0, 1) of x's shape; masking, salt_and_pepper: uniform in [0, 1), x's shape; block: uniform (B, 2, 1, 1),
    the relative position of the block's upper left corner. Raises ValueError for an unknown kind.
    """
    _check(kind, 0)
    shape = (len(x), 2, 1, 1) if kind == "block" else x.shape
    return (normal if kind == "gaussian" else uniform)(shape, generator, x)


def apply(x: Tensor, kind: str, level: float, noise: Tensor, clip: bool = True) -> Tensor:
    """x (B, C, H, W) in [0, 1] corrupted with the noise of `draw`; level 0 returns x itself.

    `clip` keeps Gaussian noise inside [0, 1]; without it the score identity of denoising holds (Vincent 2011).
    Raises ValueError for an unknown kind or a level outside 0..1.
    """
    _check(kind, level)
    if level == 0:
        return x
    if kind == "gaussian":
        noisy = x + level * noise
        return noisy.clamp(0, 1) if clip else noisy
    if kind == "masking":
        return x * (noise >= level)
    if kind == "salt_and_pepper":  # below level/2: pepper; from there to level: salt; otherwise unchanged
        return torch.where(noise < level, (noise >= level / 2).to(x.dtype), x)
    return x * ~_covered(x, level, noise)


def _covered(x: Tensor, level: float, corner: Tensor) -> Tensor:
    """bool (B, 1, H, W): the pixels under a square that covers the share `level` of the image. corner: (B, 2, 1, 1)."""
    height, width = x.shape[-2:]
    tall, wide = round(height * math.sqrt(level)), round(width * math.sqrt(level))
    top = (corner[:, 0] * (height - tall + 1)).floor()  # (B, 1, 1)
    left = (corner[:, 1] * (width - wide + 1)).floor()
    row = torch.arange(height, device=x.device).view(1, -1, 1)
    column = torch.arange(width, device=x.device).view(1, 1, -1)
    inside = (row >= top) & (row < top + tall) & (column >= left) & (column < left + wide)  # (B, H, W)
    return inside.unsqueeze(1)


def _check(kind: str, level: float) -> None:
    if kind not in KINDS:
        raise ValueError(f"noise must be one of {', '.join(KINDS)}, got {kind}")
    if not 0 <= level <= 1:
        raise ValueError(f"noise level must be in 0..1, got {level}")
