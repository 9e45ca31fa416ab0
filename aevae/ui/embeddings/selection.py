"""The selection in the maps: selected points, one chosen point, and the view of each pane; in the session and the link.

The link has `selected` (a bit for each point, deflated), `point`, and `view` (centre and zoom of each pane). Each
change updates the link. If the page opens without them, it restores the session's selection.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from aevae.ui.shared import address
from aevae.ui.shared.message import SEQUENCE_NUMBER, Integer, ListOf, Number, Row, valid_fields

_STATE = "atlas"
NAMES = ("selected", "point", "view")
MIN_ZOOM, MAX_ZOOM = 0.5, 400.0  # equal to ZOOM in points.js
MAX_VIEWS = 8
VIEWS = ListOf(Row((Number(-1, 1), Number(-1, 1), Number(MIN_ZOOM, MAX_ZOOM))), 0, MAX_VIEWS)  # x, y, zoom
WHOLE = (0.0, 0.0, 1.0)
MAX_LINK_CHARACTERS = 16_000  # a longer part of a link is ignored


@dataclass
class Brush:
    """The selection in the maps of one set of points.

    points: data set and number of images. selected: sorted rows. point: the chosen row or -1. views: (x, y, zoom) of
    each pane, () if all show everything. n: sequence number of the browser's last message.
    """

    points: str
    selected: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    point: int = -1
    views: tuple[tuple[float, float, float], ...] = ()
    n: int = 0


def brush(dataset: str, n: int) -> Brush:
    """The selection among these points; for other points only the views are kept."""
    points, known = f"{dataset}:{n}", st.session_state.get(_STATE)
    if known is None or known.points != points:
        known = Brush(points) if known is None else Brush(points, views=known.views, n=known.n)
        st.session_state[_STATE] = known
    return known


def follow_link(dataset: str, n: int) -> None:
    """Take the selection from the address."""
    now = brush(dataset, n)
    values = [address.read_new(name) for name in NAMES]
    if any(said is not None for said in values):
        selected, point, view = (said[-1] if said else "" for said in values)
        now.selected, now.point, now.views = unpack(selected, n), _row(point, n), views_of(view)
    _write_link(now, n)


def receive(payload: dict, dataset: str, n: int) -> None:
    """Handle a message of the component; fields that do not fit are ignored."""
    now = brush(dataset, n)
    schema = {"selected": ListOf(Integer(0, n - 1), 0, n), "point": Integer(-1, n - 1), "n": SEQUENCE_NUMBER}
    found = valid_fields(payload, schema | {"views": VIEWS})
    if "selected" in found:
        now.selected = np.unique(np.array(found["selected"], np.int32))
    if "views" in found:
        now.views = _views(found["views"])
    now.point, now.n = found.get("point", now.point), found.get("n", now.n)
    _write_link(now, n)


def _write_link(now: Brush, n: int) -> None:
    texts = pack(now.selected, n), str(now.point) if now.point >= 0 else "", view_text(now.views)
    for name, text in zip(NAMES, texts, strict=True):
        address.write(name, *filter(None, [text]))


# -- the link --------------------------------------------------------------------------------------------------------


def pack(selected: np.ndarray, n: int) -> str:
    """Selected rows of n points as text for a link, at most about n / 6 characters; "" for none."""
    if not len(selected):
        return ""
    bits = np.zeros(n, np.uint8)
    bits[selected] = 1
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(np.packbits(bits).tobytes()) + deflate.flush()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unpack(text: str, n: int) -> np.ndarray:
    """The inverse of `pack`; an empty array for a text that is not its result for n points."""
    none, size = np.zeros(0, np.int32), -(-n // 8)
    if len(text) > MAX_LINK_CHARACTERS:
        return none
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        inflate = zlib.decompressobj(-15)
        content = inflate.decompress(packed, size + 1)
    except (binascii.Error, ValueError, zlib.error):
        return none
    bits = np.unpackbits(np.frombuffer(content, np.uint8))
    if len(content) != size or not inflate.eof or bits[n:].any():
        return none
    return np.flatnonzero(bits).astype(np.int32)


def _row(text: str, n: int) -> int:
    """A row of n points, or -1."""
    return int(text) if text.isdecimal() and len(text) < 9 and int(text) < n else -1


def view_text(views: tuple[tuple[float, float, float], ...]) -> str:
    """`x_y_zoom` of each pane, separated by `~`; "" if all panes show everything."""
    return "~".join("_".join(f"{value:.5f}".rstrip("0").rstrip(".") for value in view) for view in views)


def views_of(text: str) -> tuple[tuple[float, float, float], ...]:
    """The inverse of `view_text`, rounded; () for anything else."""
    if not text or len(text) > MAX_LINK_CHARACTERS:
        return ()
    try:
        views = [[float(value) for value in view.split("_")] for view in text.split("~")]
    except ValueError:
        return ()
    return _views(views) if VIEWS.fits(views) else ()


def _views(values: list) -> tuple[tuple[float, float, float], ...]:
    """The views as tuples; () if all show everything."""
    views = tuple(tuple(float(value) for value in view) for view in values)
    return () if all(view == WHOLE for view in views) else views
