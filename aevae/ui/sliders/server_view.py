"""Images of a whole latent space for the Sliders page: manifold grids and traversals, decoded by the server."""

import io

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from aevae.latent import traversal
from aevae.ui.shared import cached, image_sheets
from aevae.ui.sliders.latent_code import LatentSpace

MARK = (68, 121, 207)
GUTTER_PIXELS = 48  # space left of a strip for its name


def grid_lines(space: LatentSpace, dims: tuple[int, int], n: int, by_prior: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) of both dimensions at the lines of a grid, ascending: evenly spaced, or with equal prior mass."""
    if by_prior:
        line = np.float32(space.prior) * traversal.prior_grid(n)[0, :, 0]
        return line, line
    return tuple(np.linspace(space.near[d], space.far[d], n, dtype=np.float32) for d in dims)


def grid_sheet(space: LatentSpace, z: np.ndarray, dims: tuple[int, int], xs: np.ndarray, ys: np.ndarray) -> bytes:
    """PNG (`image_sheets.raw_sheet`) of the decoded plane of `dims` through z (D,): x to the right, y upwards."""
    rest = z.copy()
    rest[list(dims)] = 0  # they are overwritten; so one cached sheet serves all positions in the plane
    return _grid_sheet(space.name, rest.tobytes(), dims, xs.tobytes(), ys.tobytes())


@st.cache_data(max_entries=64, show_spinner=False)
def _grid_sheet(name: str, rest: bytes, dims: tuple[int, int], xs: bytes, ys: bytes) -> bytes:
    z, xs, ys = (np.frombuffer(part, np.float32) for part in (rest, xs, ys))
    codes = traversal.plane_grid(z, dims, xs, ys)  # (n, n, D)
    images = cached.run(name).decode(codes.reshape(-1, len(z)))
    return image_sheets.raw_sheet(images, len(xs))


def nearest_cell(xy: tuple[float, float], xs: np.ndarray, ys: np.ndarray) -> int:
    """Index of the grid's image nearest to (x, y), row by row from the top left."""
    column, row = np.abs(xs - xy[0]).argmin(), len(ys) - 1 - np.abs(ys - xy[1]).argmin()
    return int(row * len(xs) + column)


def cell_place(index: int, xs: np.ndarray, ys: np.ndarray) -> tuple[float, float]:
    """(x, y) of the grid's image with this index."""
    row, column = divmod(index, len(xs))
    return float(xs[column]), float(ys[len(ys) - 1 - row])


def strips(space: LatentSpace, z: np.ndarray, dims: list[int], steps: int = 11, scale: int = 2) -> bytes:
    """PNG with a traversal of each dimension around z (D,), one per row.

    The name of the dimension is on the left; the step nearest to z is underlined.
    """
    values = {d: np.linspace(space.near[d], space.far[d], steps, dtype=np.float32) for d in dims}
    codes = np.concatenate([traversal.traverse(z, d, values[d]) for d in dims])
    images = cached.applied(cached.run(space.name), "decode", codes)[:, 0]  # (rows * steps, 28, 28)
    side, gap = images.shape[1] * scale, 4
    body = image_sheets.to_bytes(images).repeat(scale, 1).repeat(scale, 2)
    out = Image.new("RGBA", (GUTTER_PIXELS + steps * (side + gap) - gap, len(dims) * (side + gap)), (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(out), ImageFont.load_default(14)
    for row, d in enumerate(dims):
        top, here = row * (side + gap), int(np.abs(values[d] - z[d]).argmin())
        pen.text((GUTTER_PIXELS - 10, top + side / 2), f"z{d}", fill=(*image_sheets.GAP, 255), font=font, anchor="rm")
        for column in range(steps):
            left = GUTTER_PIXELS + column * (side + gap)
            out.paste(Image.fromarray(body[row * steps + column]), (left, top))
            if column == here:
                pen.rectangle((left, top + side, left + side - 1, top + side + 2), fill=(*MARK, 255))
    file = io.BytesIO()
    out.save(file, "PNG", compress_level=1)
    return file.getvalue()
