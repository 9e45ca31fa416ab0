"""`show_plane`: an image or a cloud of points to point at. `pick_cell`: choose one image of a sheet.

One component serves the digit picker, the grid of a manifold and the map of codes. It draws in the browser and sends
the chosen point on click, tap or Enter. The session keeps the point under `<key>_xy`, so it outlives the page.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae.browser.blob import class_numbers
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared.message import Number, valid_fields

READOUT_PIXELS = 19  # height of the line under the plane that shows the coordinates or the name under the pointer
MAX_LARGE_POINTS = 2000  # a larger cloud has smaller points

Point = tuple[float, float]


@dataclass(frozen=True)
class Plane:
    """What a plane shows, in the units of `extent`.

    label: for screen readers. extent: (x left, x right, y bottom, y top). background: PNG, stretched over the extent,
    pixels kept sharp. points (N, 2) and classes (N,): a cloud, coloured by class. cell (w, h): a choice snaps to the
    middle of a cell, which gets a frame. names: a text per cell, for the line under the plane and screen readers.
    num_cells: number of cells with content; clicks on others are ignored. max_width: pixels. equal: x and y have the
    same scale. value_label: text beside the chosen point. readout: show the line under the plane.
    """

    label: str
    extent: tuple[float, float, float, float]
    background: bytes | None = None
    points: np.ndarray | None = None
    classes: np.ndarray | None = None
    cell: tuple[float, float] | None = None
    names: Sequence[str] = ()
    num_cells: int = 0
    max_width: int = 0
    equal: bool = True
    value_label: str = ""
    readout: bool = True

    @property
    def aspect(self) -> float:
        """Width over height; 0: no fixed shape."""
        left, right, bottom, top = self.extent
        return abs((right - left) / (top - bottom)) if self.equal else 0.0

    def arrays(self) -> dict[str, np.ndarray]:
        """The binary part for the browser. Raises ValueError."""
        points = np.zeros((0, 2), np.float32) if self.points is None else np.asarray(self.points, np.float32)
        classes = class_numbers(np.zeros(0) if self.classes is None else self.classes)
        if points.ndim != 2 or points.shape[1] != 2 or len(classes) not in (0, len(points)):
            raise ValueError(f"points must be (N, 2) with N classes or none, got {points.shape} and {classes.shape}")
        return {"background": np.frombuffer(self.background or b"", np.uint8), "points": points, "classes": classes}

    def spec(self, value: Point | None) -> dict:
        """The JSON part for the browser. value: the chosen point."""
        num_points = 0 if self.points is None else len(self.points)
        return {
            "extent": [float(v) for v in self.extent],
            "aspect": self.aspect,
            "height": 0,
            "maxWidth": self.max_width,
            "cell": [float(v) for v in self.cell] if self.cell else None,
            "label": self.label,
            "chosen": _("chosen:"),
            "names": list(self.names),
            "marks": [],
            "value": [float(v) for v in value] if value is not None else None,
            "valueLabel": self.value_label,
            "image": f"{zlib.crc32(self.background):08x}-{len(self.background)}" if self.background else "",
            "radius": 2.5 if num_points <= MAX_LARGE_POINTS else 1.8,
            "frame": self.background is None,
            "read": self.readout,
            "count": self.num_cells,
        }


def show_plane(
    key: str,
    plane: Plane,
    *,
    value: Point | None = None,
    default: Point | None = None,
    on_pick: Callable[[Point], None] | None = None,
) -> Point | None:
    """Draw the plane; the chosen point (x, y) in the units of its extent, or None before the first choice.

    value: the point to show if the caller keeps the choice (then use `on_pick`); else the plane keeps its own choice
    and begins with `default`. on_pick(xy) runs before the page, so it may set the state of widgets.
    """
    stored = f"{key}_xy"
    shown = value if value is not None else st.session_state.get(stored, default)

    def on_send(payload: dict) -> None:
        xy = _inside(payload, plane.extent)
        if xy is not None:
            st.session_state[stored] = xy
            if on_pick:
                on_pick(xy)

    foot = READOUT_PIXELS if plane.readout else 0
    shape = {"aspect": plane.aspect or 1, "width": plane.max_width, "height": 0, "foot": foot}
    component.mount("plane", key, plane.spec(shown), plane.arrays(), shape=shape, on_send=on_send)
    return shown


@dataclass(frozen=True)
class Sheet:
    """rows x columns images of one size as one PNG without gaps (`image_sheets.raw_sheet`).

    count: number of images, if the last row is not full. names: a text per image.
    """

    png: bytes
    rows: int
    columns: int
    count: int = 0
    names: Sequence[str] = ()

    def index(self, xy: Point) -> int:
        """Number of the image at a point, row by row from the top left."""
        row = self.rows - 1 - min(int(xy[1]), self.rows - 1)
        return row * self.columns + min(int(xy[0]), self.columns - 1)

    def centre(self, index: int) -> Point:
        """The middle of an image."""
        return (index % self.columns + 0.5, self.rows - 1 - index // self.columns + 0.5)


def pick_cell(
    key: str,
    sheet: Sheet,
    *,
    label: str,
    selected: int | None = None,
    default: int | None = None,
    on_pick: Callable[[int], None] | None = None,
    max_width: int = 0,
    readout: bool = True,
) -> int | None:
    """Index of the chosen image of a sheet, which gets a frame; None before the first choice.

    selected: index of the chosen image if the caller stores the choice (-1: none); on_pick(index) is then called with
    a new choice before the page runs. readout: show the name under the pointer below the sheet.
    """
    count = sheet.count or sheet.rows * sheet.columns
    if selected is not None:
        st.session_state.pop(f"{key}_xy", None)  # the caller keeps the choice
        default = selected if 0 <= selected < count else None
    plane = Plane(
        label,
        (0, sheet.columns, 0, sheet.rows),
        background=sheet.png,
        cell=(1, 1),
        names=sheet.names,
        num_cells=count,
        max_width=max_width,
        readout=readout and bool(sheet.names),
    )
    xy = show_plane(
        key,
        plane,
        default=sheet.centre(default) if default is not None else None,
        on_pick=(lambda xy: on_pick(sheet.index(xy))) if on_pick else None,
    )
    index = sheet.index(xy) if xy is not None else None
    return index if index is not None and index < count else None


def _inside(payload: dict, extent: tuple[float, float, float, float]) -> Point | None:
    """The point that the browser sent; None unless it is two numbers inside the extent."""
    x0, x1, y0, y1 = extent
    found = valid_fields(payload, {"x": Number(min(x0, x1), max(x0, x1)), "y": Number(min(y0, y1), max(y0, y1))})
    return (float(found["x"]), float(found["y"])) if len(found) == 2 else None
