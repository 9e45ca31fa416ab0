"""Many images as one array of pixels."""

import numpy as np


def tile(images: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Images (N, H, W, ...) as one array of pixels: `columns` per row, row by row, `gap` pixels apart.

    The gaps and the rest of the last row are 0.
    """
    count, height, width, *channels = images.shape
    rows, step_y, step_x = -(-count // columns), height + gap, width + gap
    cells = np.zeros((rows * columns, step_y, step_x, *channels), images.dtype)
    cells[:count, :height, :width] = images
    cells = cells.reshape(rows, columns, step_y, step_x, *channels).swapaxes(1, 2)
    pixels = cells.reshape(rows * step_y, columns * step_x, *channels)
    return np.ascontiguousarray(pixels[: rows * step_y - gap, : columns * step_x - gap])
