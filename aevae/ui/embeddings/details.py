"""Details of one image or of a selection: neighbours in each space and map, mean codes, files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import embeddings
from aevae.figures.static import safe
from aevae.metrics import neighbours
from aevae.ui.digit import picker
from aevae.ui.embeddings import map_state
from aevae.ui.embeddings.map_state import NUM_NEIGHBOURS, Look
from aevae.ui.embeddings.panes import PIXELS, RANDOM, title_of
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, image_sheets
from aevae.ui.shared.message import Boolean, valid_fields

MAX_SHEET_IMAGES, IMAGES_PER_ROW = 100, 20  # images of a selection, and how many in a row
OWN, BOARD = "guest", "board"  # keys of the own digit, and of the switch for its board
RESULTS, SELECTED = "neighbours", "selected"  # anchors of the results
_RESTED = "atlas_rested"  # session: the drawing after which the pen rested


# -- own digit -------------------------------------------------------------------------------------------------------


def pick_board() -> None:
    """The switch for the drawing board. A link with an own digit and without this choice opens the board."""
    has_own = st.session_state.get(f"{OWN}_own") is not None or f"{OWN}_own" in st.query_params
    if has_own and BOARD not in st.session_state:
        st.session_state[BOARD] = BOARD
    address.pick(
        st.pills, _("Your own digit"), [BOARD], default=None, key=BOARD, label_visibility="collapsed",
        format_func=lambda _option: _(":material/draw: Draw a digit"),
    )  # fmt: skip


def has_board() -> bool:
    """Whether the drawing board is open."""
    return st.session_state.get(BOARD) is not None


def own_digit(dataset: str) -> np.ndarray | None:
    """An image (1, 28, 28) that the reader draws, uploads or photographs, from the board; None while there is none."""
    image, _label, number = picker.pick_digit(OWN, ways=picker.WAYS[1:], dataset=dataset, models=[])
    return image if number is None else None


def pen_rests(own: np.ndarray | None) -> bool:
    """Whether the digit is complete: it is not a drawing, or the browser has said that the pen rests (`guest.js`)."""
    drawing = st.session_state.get(f"{OWN}_drawing") or {}
    if own is None or drawing.get("own") is None or not np.array_equal(drawing["own"], own):
        return True
    return st.session_state.get(_RESTED) == own.tobytes()


def receive_rest(payload: dict) -> None:
    """Handle a message of the maps: the pen rests."""
    if valid_fields(payload, {"rests": Boolean()}).get("rests"):
        own = st.session_state.get(f"{OWN}_own")
        st.session_state[_RESTED] = None if own is None else own.tobytes()


def places(looks: Sequence[Look], own: np.ndarray | None) -> list[np.ndarray | None]:
    """The point (2,) of the own digit in each map; None without a map or without a point."""
    return [None if own is None or look.map is None else _placed(look, own) for look in looks]


def _placed(look: Look, own: np.ndarray) -> np.ndarray | None:
    with st.spinner(_("Placing your digit …")):
        return _place(look.request.key, own.tobytes(), look)


@st.cache_data(max_entries=256, show_spinner=False)
def _place(key: str, own: bytes, _look: Look) -> np.ndarray | None:
    z = own_code(_look.choice.space, np.frombuffer(own, np.float32).reshape(1, 28, 28))
    if z is None:
        return None
    try:
        return np.asarray(embeddings.transform(_look.request, z), np.float64)[0]
    except ValueError:
        return None


def own_code(space: str, own: np.ndarray) -> np.ndarray | None:
    """The own digit in a space, (1, D); None for random codes, which have no encoder."""
    if space == RANDOM:
        return None
    return own.reshape(1, -1) if space == PIXELS else cached.applied(cached.run(space), "encode", own[None])


# -- neighbours ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Nearest digits of one digit in a space or map: indices (k,), and their Jaccard index with the neighbours in pixel
    space and, for a map, in its own space (else None)."""

    title: str
    near: np.ndarray
    pixels: float | None = None
    space: float | None = None


def neighbour_rows(looks: Sequence[Look], dataset: str, n: int, point: int, own, places: Sequence) -> list[Row]:
    """Neighbours of the own digit, or of the chosen row: in the pixels, in each space, in each finished map."""
    k = min(NUM_NEIGHBOURS, n - 1)
    who = str(point) if own is None else hashlib.sha256(own.tobytes()).hexdigest()

    def near(place: str, codes: np.ndarray, guest: np.ndarray | None) -> np.ndarray:
        return _nearest(f"{dataset}:{n} {place}", who, k, codes[[point]] if own is None else guest, codes)

    x = map_state.images(dataset, n).reshape(n, -1)
    pixels = near(PIXELS, x, None if own is None else own.reshape(1, -1) * 255)
    rows, spaces = [Row(title_of(PIXELS), pixels)], {PIXELS: pixels}
    for look in looks:
        space = look.choice.space
        if space not in spaces and look.request is not None:
            codes, guest = map_state.codes(look), None if own is None else own_code(space, own)
            if own is not None and guest is None:
                continue
            if not (np.isfinite(codes).all() and (guest is None or np.isfinite(guest).all())):  # its pane says why
                continue
            spaces[space] = near(f"{space} {look.request.checksum}", codes, guest)
            rows.append(Row(title_of(space), spaces[space], share(spaces[space], pixels)))
    for i, (look, place) in enumerate(zip(looks, places, strict=True), 1):
        if look.map is None or (own is not None and place is None):
            continue
        there = near(look.request.key, look.map.xy, None if own is None else np.asarray(place)[None])
        title = _("Map {}: {}, {}").format(i, title_of(look.choice.space), look.choice.settings)
        space = spaces.get(look.choice.space)
        rows.append(Row(title, there, share(there, pixels), None if space is None else share(there, space)))
    return rows


@st.cache_data(max_entries=512, show_spinner=False)
def _nearest(place: str, who: str, k: int, _point: np.ndarray, _codes: np.ndarray) -> np.ndarray:
    """Indices (k,) of the rows of codes (N, D) nearest to a point (1, D): one of the rows, or another point."""
    own = np.array([int(who)]) if who.isdecimal() else None
    return neighbours.nearest(_point, _codes, k, own=own)[1][0]


def share(a: np.ndarray, b: np.ndarray) -> float:
    """The Jaccard index of two sets of rows: size of the intersection over size of the union."""
    return len(np.intersect1d(a, b)) / len(np.union1d(a, b))


def show_neighbours(looks: Sequence[Look], dataset: str, n: int, point: int, own, places: Sequence) -> None:
    """One line for each space and map: its name, the images, the overlap."""
    rows = neighbour_rows(looks, dataset, n, point, own, places)
    x, classes = map_state.images(dataset, n), cached.dataset(dataset).classes
    label = map_state.labels(dataset, n)
    who = _("your digit") if own is not None else _("{}, number {}").format(classes[label[point]], point)
    st.header(_("The {} nearest neighbours of {}").format(len(rows[0].near), who), anchor=RESULTS)
    image_sheets.show(x[point] if own is None else own, 1, scale=3, alt=who)
    for row in rows:
        words = [f"**{row.title}**"]
        if row.pixels is not None:
            words.append(_("overlap with the neighbours by pixels {:.2f}").format(row.pixels))
        if row.space is not None:
            words.append(_("with the neighbours in its own space {:.2f}").format(row.space))
        with st.container(gap="xsmall"):
            st.markdown(" · ".join(words))
            names = [str(classes[label[i]]) for i in row.near]
            image_sheets.show(
                x[row.near], len(row.near), alt=_("Classes: {}").format(", ".join(names)), width="content"
            )
    st.caption(
        _(
            "Nearest first. Overlap (Jaccard index): the number of common neighbours, divided by the number of all "
            "neighbours in both lists. 1: the same neighbours, 0: none in common."
        )
    )  # fmt: skip


# -- the selection ---------------------------------------------------------------------------------------------------


def show_selection(looks: Sequence[Look], dataset: str, n: int, selected: np.ndarray) -> None:
    """The selected images, their mean image, and their decoded mean code under each model."""
    x, label = map_state.images(dataset, n)[selected], map_state.labels(dataset, n)[selected]
    st.header(_("{:,} selected").format(len(selected)), anchor=SELECTED)
    runs = {look.choice.run: look for look in looks if look.choice.run and look.request}
    means = [(_("Mean image"), x.mean(0, keepdims=True) / 255)]
    for name, look in runs.items():
        z = map_state.codes(look)[selected].mean(0, keepdims=True)
        if np.isfinite(z).all():
            means.append(
                (_("Decoded mean code of {}").format(title_of(name)), cached.applied(cached.run(name), "decode", z))
            )
    with st.container(horizontal=True, gap="medium"):
        for title, image in means:
            image_sheets.show(image, 1, scale=4, alt=title, caption=title, width=150)
    shown = slice(MAX_SHEET_IMAGES)
    classes = cached.dataset(dataset).classes
    counts = np.bincount(label, minlength=len(classes))
    alt = ", ".join(f"{name}: {count}" for name, count in zip(classes, counts, strict=False) if count)
    image_sheets.show(x[shown], IMAGES_PER_ROW, scale=1 if len(x) > IMAGES_PER_ROW else 2, alt=alt)
    if len(x) > MAX_SHEET_IMAGES:
        st.caption(_("Only the first {} are shown.").format(MAX_SHEET_IMAGES))


# -- download --------------------------------------------------------------------------------------------------------


def downloads(looks: Sequence[Look], dataset: str, n: int) -> None:
    """Download buttons: the maps as CSV, and per pane the files of the Embedding Projector."""
    ready = [look for look in looks if look.map is not None]
    if not ready:
        return
    names = class_names(dataset, n)
    with st.popover(_("Download"), icon=":material/download:", key="take_along"):
        st.download_button(
            _("Maps as CSV"), lambda: csv(ready, names), "aevae-maps.csv", "text/csv", key="maps_csv",
            icon=":material/download:", on_click="ignore", help=_(
                "One row per image: number, class, and x and y in each map"
            ),
        )  # fmt: skip
        for name, look in {look.choice.space: look for look in ready}.items():
            st.download_button(
                _("{} for the Embedding Projector").format(title_of(name)),
                lambda look=look: projector(look, dataset, n), f"aevae-projector-{name}.zip", "application/zip",
                key=f"projector_{name}", icon=":material/download:", on_click="ignore",
                help=_("Vectors, metadata and an image sheet for projector.tensorflow.org"),
            )  # fmt: skip


def class_names(dataset: str, n: int) -> np.ndarray:
    """The class name of each image, (n,)."""
    return np.array(cached.class_names(dataset))[map_state.labels(dataset, n)]


def csv(looks: Sequence[Look], names: np.ndarray) -> str:
    """CSV with one row per image: index, class, and x and y in each map."""
    return embeddings.export.csv([look.map.xy for look in looks], [safe(str(name)) for name in names])


def projector(look: Look, dataset: str, n: int) -> bytes:
    """A zip for the Embedding Projector; see `aevae.embeddings.export.projector_zip`."""
    return embeddings.export.projector_zip(map_state.codes(look), class_names(dataset, n), map_state.images(dataset, n))
