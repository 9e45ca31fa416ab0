"""Mounts the maps component (`atlas.js`) with points, colours, numbers and texts.

Images, codes and programs of the models are sent once, after the maps (`broadcast.js`), because they are larger.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import embeddings
from aevae.browser.blob import class_numbers
from aevae.embeddings.maps import NUM_NEAREST
from aevae.store import checkpoints
from aevae.ui.embeddings.alignment import FIRST, FREE, affine, aligned, carried
from aevae.ui.embeddings.colours import SHADES, shade, shades
from aevae.ui.embeddings.details import OWN, RESULTS, SELECTED, receive_rest
from aevae.ui.embeddings.map_state import QUICK, Look, answer, codes, images, labels
from aevae.ui.embeddings.panes import PIXELS, title_of
from aevae.ui.embeddings.selection import brush, receive
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, run_picker


def frame_of(xy: np.ndarray) -> list[float]:
    """[x, y, half]: centre and half the side of the square around points (N, 2)."""
    fine = xy[np.isfinite(xy).all(1)]
    if not len(fine):
        return [0.0, 0.0, 1.0]
    low, high = fine.min(0), fine.max(0)
    return [*((low + high) / 2).tolist(), float((high - low).max() / 2) or 1.0]


# The drawing board stands beside the maps, on phones below them, and stays in sight while one scrolls. The controls of
# all maps fit side by side into their pop-up.
STYLE = """
.st-key-atlas_row { flex-wrap: nowrap; align-items: flex-start; }
.st-key-atlas_row > :has(.st-key-atlas_maps) { flex: 1 1 0; min-width: 0; }
.st-key-atlas_row > :has(.st-key-atlas_board) {
  flex: none; width: clamp(11rem, 35%, 18rem); position: sticky; top: 1rem;
}
[data-testid="stPopoverBody"]:has(.st-key-panes) {
  min-height: min(20rem, 40vh) !important; width: min(52rem, calc(100vw - 2rem)); max-width: none;
}
@media (max-width: 640px) {
  .st-key-atlas_row { flex-direction: column; }
  .st-key-atlas_row > :has(.st-key-atlas_maps) { flex: none; width: 100%; }
  .st-key-atlas_row > :has(.st-key-atlas_board) { width: 15rem; position: static; }
}
"""


def styles() -> None:
    """Style rules for the layout around the maps."""
    st.html(f"<style>{STYLE}</style>")


@dataclass(frozen=True)
class Guest:
    """The user's own digit. image (1, 28, 28), or None; places: its position (2,) in each map, or None.

    has_board: the drawing board is open. is_drawn: the pen has not rested yet, so the browser places the drawing.
    """

    has_board: bool
    image: np.ndarray | None
    places: Sequence[np.ndarray | None]
    is_drawn: bool


def show(looks: Sequence[Look], dataset: str, n: int, *, colour: str, align: str, guest: Guest) -> None:
    """Show the maps."""
    now = brush(dataset, n)

    def on_send(payload: dict) -> None:
        receive(payload, dataset, n)
        answer(payload, looks)
        receive_rest(payload)

    maps = aligned(looks) if align == FIRST else [look.xy for look in looks]
    arrays = _map_arrays(looks, maps) | {"labels": class_numbers(labels(dataset, n)), "selected": now.selected}
    if guest.image is not None:
        arrays["own"] = image_sheets.to_bytes(guest.image).ravel()
    scale, problem = None, None
    try:
        if shaded := _shade(colour, looks, dataset, n):
            arrays["shade"], scale = shaded
    except ValueError as reason:
        problem = str(reason)
    spec = {
        "key": "atlas",
        "points": now.points,
        "panes": _pane_specs(looks, maps, guest.places, dataset, align),
        "classes": list(cached.dataset(dataset).classes),
        "shade": scale,
        "images": f"images:{now.points}",
        "point": now.point,
        "nearest": NUM_NEAREST,
        "views": [list(view) for view in now.views],
        "n": now.n,
        "picker": OWN,
        "board": guest.has_board,
        "drawn": guest.is_drawn,
        "anchors": {"point": RESULTS, "selected": SELECTED},
        "texts": _texts(),
    }
    shape = {"height": {2: 620, 3: 500}.get(len(looks), 1180), "narrow": 480 * len(looks)}
    component.mount("atlas", "atlas_view", spec, arrays, shape=shape, on_send=on_send)
    if problem:
        st.caption(problem)


def _map_arrays(looks: Sequence[Look], maps: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """Name -> array: the points of each map, and the plane of codes of maps with an exact inverse."""
    arrays = {f"xy{i}": xy.astype(np.float32) for i, xy in enumerate(maps) if xy is not None}
    for i, look in enumerate(looks):
        if (flat := _flat(look, maps[i])) is not None:
            arrays[f"lift{i}"] = flat
    return arrays


def _shade(colour: str, looks: Sequence[Look], dataset: str, n: int) -> tuple[np.ndarray, dict] | None:
    """(byte per point, legend) for a numeric colouring; None for colours by class. Raises ValueError."""
    found = shade(colour, looks, dataset, n)
    if found is None:
        return None
    values, unit = found
    low, high = float(values.min()), max(float(np.quantile(values, 0.98)), float(values.min()) + 1e-6)
    title = shades([look.choice for look in looks])[colour]
    scale = {"title": title, "unit": unit, "low": low, "high": high, "ramp": list(SHADES)}
    return np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8), scale


def _pane_specs(looks: Sequence[Look], maps: list, places: Sequence, dataset: str, align: str) -> list[dict]:
    """The spec of each pane. All share one frame unless the maps are not aligned."""
    points = [xy for xy in maps if xy is not None] or [np.zeros((1, 2))]
    shared = None if align == FREE else frame_of(np.concatenate(points))
    panes = []
    for look, xy, place in zip(looks, maps, places, strict=True):
        if place is not None and align == FIRST:
            place = carried(look.xy, xy, place)
        panes.append(_pane_spec(look, dataset) | {
            "frame": shared or frame_of(xy if xy is not None else np.zeros((1, 2))),
            "own": None if place is None else [float(v) for v in place],
        })  # fmt: skip
    return panes


def send_sheets(looks: Sequence[Look], dataset: str, n: int) -> None:
    """Send images, codes and programs after the maps: the page does not wait for them."""
    with st.container(gap=None):
        _send_sheets(looks, dataset, n)


def _send_sheets(looks: Sequence[Look], dataset: str, n: int) -> None:
    points = f"{dataset}:{n}"
    component.mount(
        "broadcast", "atlas_images", {"channel": f"images:{points}"},
        {"images": images(dataset, n).reshape(n, -1)},
    )  # fmt: skip
    for look in {look.choice.run: look for look in looks if look.choice.run and look.request}.values():
        name = look.choice.run
        if component.trouble([name], has_server_version=False):
            continue
        component.mount(
            "broadcast", f"atlas_codes_{name}", {"channel": f"codes:{name}"},
            {"codes": codes(look).astype(np.float16)}, programs=[name],
        )  # fmt: skip


def _pane_spec(look: Look, dataset: str) -> dict:
    note = run_picker.seen_note(checkpoints.find_run(look.choice.run), dataset) if look.choice.run else None
    return {
        "title": title_of(look.choice.space),
        "sub": look.choice.settings,
        "run": look.choice.run,
        "pixels": look.choice.space == PIXELS,
        "state": "stopped" if look.state == "stopped" else look.state,
        "again": look.again,
        "note": look.note,
        "part": look.part,
        "numbers": numbers(look.map),
        "warnings": [note] if note else [],
    }


def numbers(kept) -> list[list[str]]:
    """[name, value, meaning] of the numbers under a map. kept: None for a map without numbers yet, shown as dashes."""
    found = [
        (_("10-NN accuracy"), "knn_accuracy", "{:.1%}", _("how often the ten nearest points vote for the right class")),
        (_("before mapping"), "knn_accuracy_space", "{:.1%}", _("the same vote in the original space, before mapping")),
        (
            _("trustworthiness"),
            "trustworthiness",
            "{:.3f}",
            _("1: every neighbour in the map is also a neighbour in the original space"),
        ),
        (
            _("continuity"),
            "continuity",
            "{:.3f}",
            _("1: every neighbour in the original space is also a neighbour in the map"),
        ),
        (
            _("neighbours kept"),
            "neighbourhood_preservation",
            "{:.1%}",
            _("mean fraction of the ten nearest neighbours that stay the same"),
        ),
    ]
    q = {key: 0.888 for _name, key, _form, _help in found} if kept is None else kept.quality
    shown = [[name, form.format(q[key]), help] for name, key, form, help in found if q.get(key) is not None]
    seconds = 8.8 if kept is None else kept.seconds
    shown.append([_("computing time"), _("{:.1f} s").format(seconds), _("on the machine that computed the map")])
    return [[name, re.sub(r"\d", "–", value) if kept is None else value, help] for name, value, help in shown]


@st.cache_resource(max_entries=64, show_spinner=False)
def _exact(key: str, _look: Look) -> np.ndarray | None:
    """Codes (3, D) at (0, 0), (1, 0), (0, 1) of a map with an exact inverse, else None."""
    corners = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    try:
        found, how = embeddings.inverse(_look.request, corners, codes(_look))
    except ValueError:
        return None
    return np.asarray(found, np.float32) if how == "exact" else None


def _flat(look: Look, xy: np.ndarray | None) -> np.ndarray | None:
    """Origin and both axes (3, D) float32 of the plane of codes that a map shows, in the units of `xy`."""
    if look.map is None or not look.choice.run or look.request.method not in QUICK:
        return None
    corners = _exact(look.request.key, look)
    if corners is None:
        return None
    back = affine(xy, look.map.xy)  # shown position -> position in the map
    origin, u, v = corners[0], corners[1] - corners[0], corners[2] - corners[0]
    plane = back @ np.stack([u, v])  # (3, D)
    plane[2] += origin
    return plane[[2, 0, 1]].astype(np.float32)


def _texts() -> dict:
    return {
        "pane": _("Map {number}: {title}, {sub}. Arrow keys go from point to point, Enter chooses, Shift+Enter "
                  "selects, plus and minus zoom, 0 shows all, Escape clears."),
        "point": _("{class}, number {number}"),
        "exact": _("decoded from the code at this point"),
        "nearest": _("decoded from the {count} nearest codes"),
        "selected": _("{count} selected:"),
        "hint": _(
            "Draw around points to select them in every map, or click a class; Shift adds to the selection. Click a "
            "point to see its neighbours. Move over an empty place to see the image that the decoder makes there."
        ),
        "to_selected": _("Show the selected images"),
        "to_point": _("Show the neighbours"),
        "listed": _("Only the first {count} are listed."),
        "columns": [_("number"), _("class")],
        "classes": _("Classes"),
        "find": _("Find a class"),
        "find_help": _("Type a part of its name. Enter adds the class to the selection, or removes it."),
        "no_class": _("No class has the name {name}."),
        "more": _("and {count} more"),
        "class_help": _("Select this class; Shift adds it to the selection"),
        "lasso": _("Lasso"),
        "lasso_help": _("Drag to select; drag with Alt or the right button to move"),
        "move": _("Move"),
        "move_help": _("Drag to move; the wheel zooms"),
        "clear": _("Clear"),
        "png": _("PNG"),
        "png_help": _("Download the maps as you see them"),
        "morph": _("Change into the next map: which points move?"),
        "shows": _("Map {number}: {title}"),
        "closer": _("Zoom in"),
        "wider": _("Zoom out"),
        "whole": _("Show all"),
        "make": _("Compute the map"),
        "cancel": _("Cancel"),
    }  # fmt: skip
