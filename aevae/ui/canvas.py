"""`plane`: a picture or a cloud of points that can be pointed at. `pick_cell`: choose one picture of a sheet.

One component serves the digit picker, the grid of a manifold and the map of codes. It draws in the browser; Python
hears a choice on click, tap or Enter. The choice is kept in the session under `<key>_xy`, so it outlives the page.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from aevae.blob import class_numbers
from aevae.ui import live
from aevae.ui.i18n import _

_READ = 19  # pixels of the line under the plane that tells what the pointer shows


def plane(
    key: str,
    *,
    background: bytes | None = None,
    extent: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0),
    points: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    marks: Sequence[dict] | None = None,
    height: int | None = 420,
    max_width: int | None = None,
    cell: tuple[float, float] | None = None,
    equal: bool = True,
    label: str,
    names: Sequence[str] | None = None,
    value_label: str = "",
    value: tuple[float, float] | None = None,
    default: tuple[float, float] | None = None,
    on_pick: Callable[[tuple[float, float]], None] | None = None,
    read: bool = True,
    count: int | None = None,
) -> tuple[float, float] | None:
    """The chosen place (x, y) in the units of `extent`, or None before the first choice.

    background: PNG, stretched over the extent, pixels kept sharp. extent: (x left, x right, y bottom, y top).
    points (N, 2) and classes (N,): a cloud, coloured by class. marks: dicts x, y, label.
    height: pixels; None: as high as width and shape ask. equal: one unit is as long in x as in y (as long as the
    background's pixels are square). cell (w, h): the choice snaps to the middle of a cell, and its frame is drawn.
    label: what a screen reader says. names: a text per cell, read out and shown under the plane while pointing.
    value: the choice to show if the caller keeps it himself (then use `on_pick`); else the plane keeps its own,
    beginning with `default`. on_pick(xy) runs before the page, so it may set the state of widgets.
    read: show the coordinates or the name under the pointer. count: cells that hold something; others ignore clicks.
    """
    kept = f"{key}_xy"
    shown = value if value is not None else st.session_state.get(kept, default)

    def picked(payload: dict) -> None:
        xy = _inside(payload, extent)
        if xy is not None:
            st.session_state[kept] = xy
            if on_pick:
                on_pick(xy)

    points = np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32)
    classes = class_numbers(np.zeros(0) if classes is None else classes)
    if points.ndim != 2 or points.shape[1] != 2 or len(classes) not in (0, len(points)):
        raise ValueError(f"points must be (N, 2) with N classes or none, got {points.shape} and {classes.shape}")
    x0, x1, y0, y1 = (float(v) for v in extent)
    aspect = abs((x1 - x0) / (y1 - y0)) if equal else 0
    spec = {
        "extent": [x0, x1, y0, y1],
        "aspect": aspect,
        "height": height or 0,
        "maxWidth": max_width or 0,
        "cell": [float(v) for v in cell] if cell else None,
        "label": label,
        "chosen": _("chosen:"),
        "names": list(names or ()),
        "marks": [{"x": float(m["x"]), "y": float(m["y"]), "label": str(m.get("label", ""))} for m in marks or ()],
        "value": [float(v) for v in shown] if shown is not None else None,
        "valueLabel": value_label,
        "picture": f"{zlib.crc32(background):08x}-{len(background)}" if background else "",
        "radius": 2.5 if len(points) <= 2000 else 1.8,
        "frame": background is None,
        "read": read,
        "count": count or 0,
    }
    arrays = {"background": np.frombuffer(background or b"", np.uint8), "points": points, "classes": classes}
    shape = {
        "aspect": aspect or (0 if height else 1),
        "width": max_width or 0,
        "height": height or 0,
        "foot": _READ if read else 0,
    }
    live.mount("plane", key, spec, arrays, shape=shape, on_send=picked)
    return shown


def pick_cell(
    key: str,
    sheet_png: bytes,
    rows: int,
    columns: int,
    *,
    count: int | None = None,
    selected: int | None = None,
    default: int | None = None,
    names: Sequence[str] | None = None,
    label: str,
    on_pick: Callable[[int], None] | None = None,
    max_width: int | None = None,
) -> int | None:
    """Number of the chosen picture of a sheet (row by row from the top left), framed; None before the first choice.

    sheet_png: `pictures.raw_sheet`, rows x columns pictures of one size, no gaps; count: how many there are, if the
    last row is not full. selected: the choice to show if the caller keeps it himself (-1: none of them); then
    on_pick(index) tells him, before the page runs. names: a text per picture.
    """
    limit = count or rows * columns

    def number(xy: tuple[float, float]) -> int:
        return (rows - 1 - min(int(xy[1]), rows - 1)) * columns + min(int(xy[0]), columns - 1)

    def centre(index: int) -> tuple[float, float]:
        return (index % columns + 0.5, rows - 1 - index // columns + 0.5)

    if selected is not None:
        st.session_state.pop(f"{key}_xy", None)  # the caller is the one who knows
        default = selected if 0 <= selected < limit else None
    xy = plane(
        key,
        background=sheet_png,
        extent=(0, columns, 0, rows),
        cell=(1, 1),
        height=None,
        max_width=max_width,
        label=label,
        names=names,
        default=centre(default) if default is not None else None,
        on_pick=(lambda xy: on_pick(number(xy))) if on_pick else None,
        read=bool(names),
        count=limit,
    )
    index = number(xy) if xy is not None else None
    return index if index is not None and index < limit else None


def _inside(picked, extent) -> tuple[float, float] | None:
    """What the browser sent, if it is two numbers inside the extent; it is not to be trusted."""
    try:
        x, y = float(picked["x"]), float(picked["y"])
    except (TypeError, KeyError, ValueError):
        return None
    x0, x1, y0, y1 = extent
    fits = min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1)
    return (x, y) if fits else None
