"""Ways to spoil a picture: the C(x~|x) of a denoising autoencoder, and the noise of the Denoise page.

Vincent et al. 2010, JMLR 11:3371, section 3.3 (Gaussian, masking, salt-and-pepper).
"""

import math

import torch
from torch import Generator, Tensor

# kind -> what `level` means
KINDS = {
    "gaussian": "standard deviation of the added noise, in units of the pixel range",
    "masking": "share of the pixels set to 0",
    "salt_and_pepper": "share of the pixels set to 0 or 1, half each",
    "block": "share of the picture covered by one black square",
}


def corrupt(x: Tensor, kind: str, level: float, generator: Generator, clip: bool = True) -> Tensor:
    """A spoilt copy of x: (B, C, H, W) in [0, 1]. Level 0 returns x itself.

    `clip` keeps Gaussian noise inside [0, 1]; without it the score identity of SYSTEMS holds (Vincent 2011).
    Noise is drawn from `generator` only. Raises ValueError for an unknown kind or a level outside 0..1.
    """
    if kind not in KINDS:
        raise ValueError(f"noise must be one of {', '.join(KINDS)}, got {kind}")
    if not 0 <= level <= 1:
        raise ValueError(f"noise level must be in 0..1, got {level}")
    if level == 0:
        return x
    return _KIND[kind](x, level, generator, clip)


def _uniform(shape, x: Tensor, generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)


def _gaussian(x, level, generator, clip):
    noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)
    noisy = x + level * noise
    return noisy.clamp(0, 1) if clip else noisy


def _masking(x, level, generator, clip):
    return x * (_uniform(x.shape, x, generator) >= level)


def _salt_and_pepper(x, level, generator, clip):
    u = _uniform(x.shape, x, generator)  # u < level/2: pepper; level/2 <= u < level: salt; else untouched
    return torch.where(u < level, (u >= level / 2).to(x.dtype), x)


def _block(x, level, generator, clip):
    batch, _, height, width = x.shape
    tall, wide = round(height * math.sqrt(level)), round(width * math.sqrt(level))
    corner = _uniform((batch, 2, 1, 1), x, generator)
    top = (corner[:, 0] * (height - tall + 1)).floor()  # (B, 1, 1)
    left = (corner[:, 1] * (width - wide + 1)).floor()
    row = torch.arange(height, device=x.device).view(1, -1, 1)
    column = torch.arange(width, device=x.device).view(1, 1, -1)
    inside = (row >= top) & (row < top + tall) & (column >= left) & (column < left + wide)  # (B, H, W)
    return x * ~inside.unsqueeze(1)


_KIND = {"gaussian": _gaussian, "masking": _masking, "salt_and_pepper": _salt_and_pepper, "block": _block}
