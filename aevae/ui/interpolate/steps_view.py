"""Interpolated steps as HTML and as an animation: images with their distance to the codes of real digits."""

import base64
import html
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from aevae import datasets
from aevae.ui.i18n import _
from aevae.ui.interpolate.spaces import Steps
from aevae.ui.shared import cached, image_sheets

FULL_BAR_SPACINGS = 4.0  # distance of a full bar, in spacings
GIF_SCALE, GIF_GAP, GIF_FONT = 6, 12, 15  # pixels: of one image pixel, between two walks, height of the names
GIF_FPS = 16

_STYLE = """<style>
.steps { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 5.2rem)); gap: 0.55rem 0.2rem; }
.steps.large { grid-template-columns: repeat(var(--columns), minmax(0, 9.5rem)); gap: 0.75rem; }
.steps figure { margin: 0; text-align: center; font-size: 0.75rem; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.steps.large figure { font-size: 0.875rem; }
.steps img { width: 100%; display: block; image-rendering: pixelated; border-radius: 0; }
.steps .bar { position: relative; height: 1.6rem; margin-top: 2px; border-bottom: 1px solid rgba(127, 127, 127, 0.6); }
.steps .bar i { position: absolute; bottom: 0; left: 30%; width: 40%; background: currentColor; opacity: 0.3; }
.steps .bar i.far { opacity: 0.85; }
.steps .bar b { position: absolute; left: 0; right: 0; border-top: 1px dashed rgba(127, 127, 127, 0.8); }
.steps.sheet { gap: 0; grid-template-columns: repeat(var(--columns), minmax(0, 3.4rem)); }
.steps.sheet figure { position: relative; padding: 10%; }
.steps.sheet figure i { position: absolute; inset: 0; background: rgb(200, 70, 20); }
.steps.sheet img { position: relative; }
.scale { display: inline-flex; align-items: center; gap: 0.4rem; font-size: 0.875rem; }
.scale i { width: 1.6rem; height: 0.9rem; background: rgb(200, 70, 20); outline: 1px solid rgba(127, 127, 127, 0.4); }
@media (max-width: 640px) { .steps.wrap { grid-template-columns: repeat(min(6, var(--columns)), minmax(0, 1fr)); }
  .steps { gap: 0.5rem 0.1rem; } .steps.large { gap: 0.3rem; } }
</style>"""


def show_steps(steps: Steps, columns: int | None = None, titles: Sequence[str] = (), large: bool = False) -> None:
    """Show images in a wrapping row, each with a bar of its distance below, or in a sheet with `columns` on a heat map.

    Full height: FULL_BAR_SPACINGS; dashed line: one spacing; a strong colour: above one spacing. titles: a text under
    each number.
    """
    st.html(steps_html(steps, columns, titles, large))


def steps_html(steps: Steps, columns: int | None = None, titles: Sequence[str] = (), large: bool = False) -> str:
    """Self-contained HTML of the steps; see `show_steps`."""
    count = len(steps.images)
    holes = [None] * count if steps.holes is None else steps.holes.tolist()
    nearest = [None] * count if steps.nearest is None else steps.nearest.tolist()
    cell = _sheet_cell if columns else _bar_cell
    cells = [
        cell(image, hole, near, titles[i] if i < len(titles) else "")
        for i, (image, hole, near) in enumerate(zip(steps.images, holes, nearest, strict=True))
    ]
    shape = "sheet" if columns else "large" if large else "wrap"
    return f'{_STYLE}<div class="steps {shape}" style="--columns: {columns or count}">{"".join(cells)}</div>'


def _image(image: np.ndarray, spoken: str) -> str:
    png = base64.b64encode(image_sheets.raw_sheet(image, 1)).decode()
    return f'<img src="data:image/png;base64,{png}" alt="{spoken}">'


def _spoken(hole: float | None, near: int | None) -> str:
    if hole is None:
        return ""
    return html.escape(_("{} spacings from the nearest real code, which is image {}").format(_number(hole), near))


def _number(hole: float) -> str:
    return f"{hole:.1f}" if np.isfinite(hole) else "–"


def _bar_cell(image: np.ndarray, hole: float | None, near: int | None, title: str) -> str:
    """An image, and below it a bar and a number for its distance, and a title."""
    spoken, bar = _spoken(hole, near), ""
    if hole is not None:
        height = 100 * min(hole, FULL_BAR_SPACINGS) / FULL_BAR_SPACINGS if np.isfinite(hole) else 0
        far = ' class="far"' if hole > 1 else ""
        one = 100 / FULL_BAR_SPACINGS  # % of the bar: one spacing
        bar = (
            f'<div class="bar"><i{far} style="height: {height:.0f}%"></i><b style="bottom: {one:.0f}%"></b></div>'
            f"<div>{_number(hole)}</div>"
        )
    below = f"<div>{html.escape(title)}</div>" if title else ""
    return f'<figure title="{spoken}">{_image(image, spoken)}{bar}{below}</figure>'


def heat(hole: float | None) -> float:
    """Opacity 0..1 of the heat map at a distance in spacings: faint up to one spacing, full at FULL_BAR_SPACINGS."""
    if hole is None or not np.isfinite(hole):
        return 0.0
    return 0.15 * hole if hole <= 1 else min(1.0, 0.3 + 0.7 * (hole - 1) / (FULL_BAR_SPACINGS - 1))


def _sheet_cell(image: np.ndarray, hole: float | None, near: int | None, _title: str) -> str:
    """An image on its piece of the heat map."""
    spoken = _spoken(hole, near)
    return f'<figure title="{spoken}"><i style="opacity: {heat(hole):.2f}"></i>{_image(image, spoken)}</figure>'


def sheet_legend() -> None:
    """Show what the colours of a heat map mean."""
    steps = [(0.5, _("among real codes")), (1.5, _("more than one spacing away: a hole")), (4.0, _("4 or more"))]
    parts = [f'<span class="scale"><i style="opacity: {heat(h):.2f}"></i>{text}</span>' for h, text in steps]
    st.html(f"{_STYLE}<div>{' &ensp; '.join(parts)}</div>")


def legend() -> None:
    """Show the legend of bars and numbers under the images."""
    st.caption(
        _(
            "Bar: the distance to the nearest code of a real test digit, in typical spacings between real codes. "
            "Dashed line: 1. Strong bar: a hole (more than 1). Full bar: {:g} or more. The pixel blend has no bar: its "
            "distances are between pixels, not between codes."
        ).format(FULL_BAR_SPACINGS)
    )


def show_sum(row: Steps, result: Steps, dataset: str = datasets.EMBEDDED) -> None:
    """Show the images a, b, c and a - b + c of one space, and the class of the real digit nearest to the result."""
    joined = {"images": np.concatenate([row.images, result.images])}
    last = "a − b + c"
    if result.nearest is not None:
        test = cached.dataset(dataset)
        joined |= {name: np.concatenate([getattr(row, name), getattr(result, name)]) for name in ("holes", "nearest")}
        last += " · " + _("nearest: a {}").format(test.classes[test.test.labels[result.nearest[0]]])
    show_steps(Steps(**joined), titles=["a", "− b", "+ c", last], large=True)


# -- the animation ---------------------------------------------------------------------------------------------------


def animation(walks: dict[str, np.ndarray]) -> bytes:
    """GIF of walks, title -> images (S, 1, 28, 28) of equal number, side by side below their titles."""
    width, step = 28 * GIF_SCALE, 28 * GIF_SCALE + GIF_GAP
    font = ImageFont.load_default(GIF_FONT)
    names = [_wrapped(title, font, width) for title in walks]
    head = (GIF_FONT + 5) * max(name.count("\n") + 1 for name in names) + 6
    paper = Image.new("L", (step * len(walks) - GIF_GAP, head + width), 0)
    pen = ImageDraw.Draw(paper)
    for i, name in enumerate(names):
        pen.multiline_text((i * step + 2, 2), name, fill=235, font=font, spacing=4)
    frames = np.repeat(np.asarray(paper)[None], len(next(iter(walks.values()))), 0)
    for i, images in enumerate(walks.values()):
        enlarged = image_sheets.to_bytes(images[:, 0]).repeat(GIF_SCALE, 1).repeat(GIF_SCALE, 2)
        frames[:, head:, i * step : i * step + width] = enlarged
    return image_sheets.gif(frames, fps=GIF_FPS, scale=1)


def _wrapped(text: str, font, width: int) -> str:
    """The text in lines of at most `width` pixels, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width - 4:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)
