"""Lossless images of arrays with sharp pixels. Digits are white on black in both themes, like the data.

This module is in `shared` and not in `digit`, because rooms that choose no digit show images, too.
"""

import io
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from aevae.tiles import tile

GAP = (127, 127, 127)  # colour between images, for light and dark themes


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Images as uint8; float images are clipped to [0, 1] and scaled to 0..255."""
    images = np.asarray(images)
    return images if images.dtype == np.uint8 else np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """uint8 (R, C, H, W) of images (N, H, W) or (N, 1, H, W) in `columns`; the last row is filled with black images.

    columns: None for images that are (R, C, H, W) already.
    """
    images = to_bytes(images)
    if images.ndim == 4 and images.shape[1] == 1 and columns is not None:
        images = images[:, 0]
    if images.ndim == 4:
        return images
    if images.ndim != 3:
        raise ValueError(f"images must be (N, H, W) or (R, C, H, W), got {images.shape}")
    n, h, w = images.shape
    columns = min(columns or n, n) or 1
    rows = -(-n // columns)
    out = np.zeros((rows * columns, h, w), np.uint8)
    out[:n] = images
    return out.reshape(rows, columns, h, w)


def sheet(
    images: np.ndarray,
    columns: int | None = None,
    scale: int = 2,
    gap: int = 2,
    labels: Sequence[str] | None = None,
) -> bytes:
    """PNG of many images: (N, H, W) or (N, 1, H, W) in `columns`, or (R, C, H, W). Each pixel is scale x scale.

    gap: transparent pixels between the images (after scaling). labels: a short text under each image, row by row.
    """
    cells = grid(images, columns)
    rows, cols, h, w = cells.shape
    below = 14 if labels else 0
    step_y, step_x = h * scale + gap + below, w * scale + gap
    out = Image.new("RGBA", (cols * step_x - gap, rows * step_y - gap), (0, 0, 0, 0))
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(12)
    for i in range(rows * cols):
        r, c = divmod(i, cols)
        tile = Image.fromarray(cells[r, c]).resize((w * scale, h * scale), Image.Resampling.NEAREST)
        out.paste(tile, (c * step_x, r * step_y))
        if labels and i < len(labels):
            middle = (c * step_x + w * scale / 2, r * step_y + h * scale + below / 2)
            draw.text(middle, str(labels[i]), fill=(*GAP, 255), font=font, anchor="mm")
    return _png(out)


def raw_sheet(images: np.ndarray, columns: int | None = None) -> bytes:
    """PNG at one pixel per pixel, no gaps: for `canvas.Plane` and `canvas.Sheet`, which scale it in the browser."""
    cells = grid(images, columns)
    return _png(Image.fromarray(tile(cells.reshape(-1, *cells.shape[2:]), cells.shape[1])))


def show(
    images: np.ndarray,
    columns: int | None = None,
    *,
    alt: str,
    scale: int = 2,
    gap: int = 2,
    labels: Sequence[str] | None = None,
    caption: str | None = None,
    width: str | int = "content",
) -> None:
    """Put a sheet of images on the page as one PNG. alt: alternative text for screen readers."""
    st.image(sheet(images, columns, scale, gap, labels), caption=caption, alt=alt, width=width, output_format="PNG")


def gif(frames: np.ndarray, fps: float = 8, scale: int = 6, pause: float = 0.6) -> bytes:
    """Looping GIF of grey images (T, H, W) or (T, 1, H, W); the last one is shown for `pause` seconds."""
    frames = to_bytes(frames).reshape(-1, *np.shape(frames)[-2:])
    size = (frames.shape[2] * scale, frames.shape[1] * scale)
    tiles = [Image.fromarray(frame).resize(size, Image.Resampling.NEAREST) for frame in frames]
    times = [round(1000 / fps)] * (len(tiles) - 1) + [round(1000 * pause)]
    out = io.BytesIO()
    tiles[0].save(out, "GIF", save_all=True, append_images=tiles[1:], duration=times, loop=0, optimize=False)
    return out.getvalue()


def _png(tile: Image.Image) -> bytes:
    out = io.BytesIO()
    tile.save(out, "PNG", compress_level=1)  # a third larger, but twice as fast
    return out.getvalue()


def enlarge(png: bytes, scale: int) -> bytes | None:
    """The PNG enlarged by `scale` with sharp pixels; None if it is not an image or too large."""
    try:
        tile = Image.open(io.BytesIO(png), formats=["PNG"])
        if tile.width * tile.height > 1_000_000:
            return None
        size = (tile.width * scale, tile.height * scale)
        return _png(tile.resize(size, Image.Resampling.NEAREST))
    except (OSError, ValueError, SyntaxError):
        return None
