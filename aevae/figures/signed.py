"""Images of signed numbers: orange above 0, blue below, black at 0 (equal to `live/signed.js`)."""

import numpy as np

from aevae.tiles import tile

ABOVE = (255, 158, 44)
BELOW = (72, 150, 255)


def tint(values: np.ndarray, scale: float | np.ndarray | None = None) -> np.ndarray:
    """RGB uint8 (..., 3) of values (...). scale: absolute value with full brightness; default: the largest."""
    values = np.asarray(values, np.float64)
    scale = (np.abs(values).max() or 1.0) if scale is None else scale
    part = np.clip(np.abs(values) / scale, 0, 1)[..., None]
    return np.rint(np.where(values[..., None] < 0, BELOW, ABOVE) * part).astype(np.uint8)


def sheet(images: np.ndarray, columns: int, scale: int = 2, gap: int = 2) -> np.ndarray:
    """RGBA uint8 of images (N, H, W), each normalised, `columns` per row, with transparent gaps."""
    tinted = np.stack([tint(image) for image in images])
    opaque = np.concatenate([tinted, np.full_like(tinted[..., :1], 255)], axis=-1)
    return tile(opaque.repeat(scale, 1).repeat(scale, 2), columns, gap)
