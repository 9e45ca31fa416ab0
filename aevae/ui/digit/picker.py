"""The image that a page works on: picked from the test images, drawn, uploaded or photographed.

The picker is one row of test images of a class. A board to draw, upload or photograph opens below the row on request.
The session keeps the reader's own image under `<key>_own`; the link has it packed (`?digit_own=`). It replaces the
picked image until the reader picks again. The session also keeps a drawing's strokes, under `<key>_drawing`.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.ui.digit import canvas
from aevae.ui.digit.rows import NUM_SHOWN, handful
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, markdown, url_values
from aevae.ui.shared.message import AnyOf, Boolean, Integer, ListOf, Record, Repeated, valid_fields
from aevae.ui.shared.run_picker import DIGIT, MODEL, MODELS, label_of

# One test image of each class. Every shipped model draws them readably (but for the 5, which models with two latent
# dimensions miss); pages open on one of these unless their point is a failure.
GOOD_DIGITS = (624, 369, 571, 10, 548, 113, 225, 380, 349, 176)
CELL_PIXELS = 44  # largest side of an image in the row
MAX_PILLS = 20  # classes shown as pills; more are in a list
NUM_PIXELS = 28 * 28
WAYS = ("pick", "draw", "upload", "camera")  # the row of test images, and the boards

# A drawing, with the limits of digit/draw.js. A captured pointer may leave the board by the board's own size.
BOARD = 2800  # x and y: tenths of a pixel of the board
MAX_STROKES, MAX_POINTS = 200, 20_000
WIDTHS = (8, 48)
PLACE, PRESSURE, GREY = Integer(-BOARD, 2 * BOARD), Integer(0, 100), Integer(0, 255)
STROKE = {"erase": Boolean(), "width": Integer(*WIDTHS), "points": Repeated((PLACE, PLACE, PRESSURE), MAX_POINTS)}
DRAWING = {
    "strokes": ListOf(Record(STROKE), 0, MAX_STROKES),
    "pixels": AnyOf((ListOf(GREY, 0, 0), ListOf(GREY, NUM_PIXELS, NUM_PIXELS))),
}
MAX_LINK_CHARACTERS = 1200  # limit of an image in the link; 784 incompressible bytes need 1,060


def pick_digit(
    key: str = DIGIT,
    *,
    default: int = GOOD_DIGITS[3],
    label: str | None = None,
    upload: bool = True,
    dataset: str = datasets.EMBEDDED,
    models: Sequence[str] | None = None,
    ways: Sequence[str] = WAYS,
) -> tuple[np.ndarray, int | None, int | None]:
    """(chosen image float32 (1, 28, 28) in [0, 1], label, index among the test images).

    Index and label are None for an own image. The index is in the URL (`?digit=123`); pages with the same key share the
    digit. upload: allow own images. models: names of runs whose reconstructions are shown beside the drawing; None: the
    models chosen in this session. ways: the inputs of WAYS that are offered.
    """
    images, labels = cached.shown_digits(dataset)
    _take_from_link(key)
    number, how = min(default, len(images) - 1), None
    with st.container(key=f"{key}_picker", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            if label:
                st.markdown(f"**{label}**", width="content")
            row = st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width="content")
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width="content"):
                if "pick" in ways:
                    _more_button(key)
                if upload:
                    how = _choose_way(key, ways)
                if "pick" in ways:
                    number = _number_field(key, len(images), number)
        if "pick" in ways:
            with row:
                _pick_from_row(key, dataset, number, back=how is None)
        if how:
            _bring(key, how, dataset in datasets.DIGITS, _models_of_session() if models is None else list(models))
    own = st.session_state.get(f"{key}_own")
    _put_into_link(key, own)
    if own is not None:
        return own, None, None
    return images[number], int(labels[number]), number


def draws(key: str = DIGIT) -> bool:
    """Whether the drawing board is open."""
    return st.session_state.get(f"{key}_how") == "draw"


def _choose_way(key: str, ways: Sequence[str]) -> str | None:
    """The open board: "draw", "upload" or "camera"; None while all are closed."""
    titles = {"draw": _("Draw"), "upload": _("Upload"), "camera": _("Camera")}
    boards, closes = [way for way in ways if way in titles], "pick" in ways
    return st.segmented_control(
        _("Use your own image"), boards, default=None if closes else boards[0], required=not closes,
        format_func=titles.get, key=f"{key}_how", label_visibility="collapsed", wrap=True, persist_state="session",
        on_change=_way_changed, args=(key,),
    )  # fmt: skip


def _way_changed(key: str) -> None:
    """On a change of board: Draw goes back to the last drawing (a callback)."""
    st.session_state.pop(f"{key}_problem", None)
    drawing = st.session_state.get(f"{key}_drawing")
    if draws(key) and drawing and drawing["own"] is not None:
        st.session_state[f"{key}_own"] = drawing["own"]


# -- the row of test images ------------------------------------------------------------------------------------------


def _more_button(key: str) -> None:
    help = _("Show {} other images").format(NUM_SHOWN)
    st.button(_("More"), key=f"{key}_shuffle", on_click=_next_handful, args=(key,), help=help)


def _number_field(key: str, count: int, default: int) -> int:
    """The number of the chosen test image; the field is folded away, because it does not say what the image shows."""
    text = _("Number of the image among the {:,} test images. The number is part of the link.").format(count)
    with st.popover(_("No."), key=f"number_{key}"):
        return url_values.field(
            st.number_input, _("Picture no."), 0, count - 1, default, key=key, width=150, help=text,
            on_change=_forget_own, args=(key,),
        )  # fmt: skip


def _pick_from_row(key: str, dataset: str, number: int, back: bool) -> None:
    """The classes, and a row of images of the chosen one. back: show an own image, with the way back to the row."""
    images, labels = cached.shown_digits(dataset)
    own, names = st.session_state.get(f"{key}_own"), cached.class_names(dataset)
    first = GOOD_DIGITS if dataset == datasets.EMBEDDED else ()
    wanted = _pick_class(key, names, labels, first, None if own is not None else int(labels[number]))
    shown = handful(labels, wanted, st.session_state.get(f"{key}_handful", 0), number, first)
    sheet = canvas.Sheet(
        image_sheets.raw_sheet(images[shown], len(shown)),
        rows=1,
        columns=len(shown),
        names=[_("{}, number {}").format(names[labels[i]], i) for i in shown],
    )
    with st.container(width=CELL_PIXELS * len(shown)):
        canvas.pick_cell(
            f"{key}_grid",
            sheet,
            selected=shown.index(number) if own is None and number in shown else -1,
            label=_("Test images; arrow keys move, Enter chooses"),
            on_pick=lambda i: _choose(key, shown[i]),
            max_width=CELL_PIXELS * len(shown),
            readout=False,
        )
    if own is not None and back:
        image_sheets.show(own, 1, alt=_("Your image"), width=CELL_PIXELS)
        st.button(_("Back to the test images"), key=f"{key}_back", on_click=_forget_own, args=(key,), type="tertiary")


def _pick_class(key: str, names: Sequence[str], labels: np.ndarray, first: Sequence[int], current: int | None) -> int:
    """The class of the images on offer, by number; -1: all. Many classes are in a list with search.

    current: class of the chosen test image, None for an own image. A chosen class follows it.
    """
    field = f"{key}_class"
    chosen = st.session_state.get(field, -1)
    if chosen >= len(names):  # of another data set
        del st.session_state[field]
    elif chosen >= 0 and current not in (None, chosen):
        st.session_state[field] = current
    options = list(range(-1, len(names)))
    common = {
        "format_func": lambda c: _("all") if c < 0 else names[c], "key": field, "label_visibility": "collapsed",
        "persist_state": "session", "on_change": _class_chosen, "args": (key, labels, first),
    }  # fmt: skip
    if len(names) > MAX_PILLS:
        return st.selectbox(_("Class"), options, width=200, **common)
    return st.pills(_("Class"), options, default=-1, required=True, wrap=True, **common)


def _class_chosen(key: str, labels: np.ndarray, first: Sequence[int]) -> None:
    """Choose the first image of a class, unless the chosen image is of this class (a callback)."""
    wanted, number = st.session_state[f"{key}_class"], st.session_state[key]
    st.session_state[f"{key}_handful"] = 0
    if wanted in labels and (labels[number] != wanted or st.session_state.get(f"{key}_own") is not None):
        _choose(key, handful(labels, wanted, 0, -1, first)[0])


def first_of(labels: np.ndarray, wanted: Sequence[int], usable: np.ndarray | None = None) -> list[int]:
    """Default indices, one per wanted class, of different images and classes if possible. usable: None for all."""
    pool = (np.arange(len(labels)) if usable is None else np.sort(usable)).tolist()
    found: list[int] = []
    for c in wanted:
        taken = {int(labels[i]) for i in found}
        left = [i for i in pool if i not in found] or pool
        of_class, of_others = ([i for i in left if labels[i] == c], [i for i in left if int(labels[i]) not in taken])
        found.append((of_class or of_others or left)[0])
    return found


def _choose(key: str, number: int) -> None:
    st.session_state[key] = number
    _forget_own(key)


def _next_handful(key: str) -> None:
    st.session_state[f"{key}_handful"] = st.session_state.get(f"{key}_handful", 0) + 1


def _forget_own(key: str) -> None:
    st.session_state.pop(f"{key}_own", None)


# -- own images ------------------------------------------------------------------------------------------------------


def _bring(key: str, how: str, handwriting: bool, models: list[str]) -> None:
    if how == "draw":
        return _draw(key, models)
    if how == "upload":
        from aevae.datasets.archives import MAX_FILE_BYTES
        from aevae.datasets.pictures import UPLOADED

        st.file_uploader(
            _("An image of one digit"),
            type=UPLOADED,
            key=f"{key}_file",
            max_upload_size=MAX_FILE_BYTES // 1_000_000,
            on_change=_read_own,
            args=(key, f"{key}_file", handwriting),
        )
    else:
        st.camera_input(
            _("A photo of one digit, with dark ink on light paper"),
            key=f"{key}_photo",
            on_change=_read_own,
            args=(key, f"{key}_photo", handwriting),
        )
        st.caption(_("Browsers open the camera only for pages on localhost or with https. Otherwise, use Upload."))
    if problem := st.session_state.get(f"{key}_problem"):
        st.error(markdown.escape(problem))
    own = st.session_state.get(f"{key}_own")
    if own is not None:
        _show_own(own)
    else:
        st.caption(
            _(
                "The image becomes grey, 28 x 28 pixels, white on black, like the training digits. The image is not "
                "stored."
            )
            + " "
            + _("There is no image yet, so the page uses the picked test image.")
        )


def _show_own(own: np.ndarray) -> None:
    image_sheets.show(own, 1, scale=4, alt=_("Your image"), caption=_("What the model sees"))


def _read_own(key: str, widget: str, handwriting: bool) -> None:
    from aevae.datasets.handwriting import read_digit
    from aevae.datasets.pictures import read_picture

    st.session_state.pop(f"{key}_problem", None)
    file = st.session_state.get(widget)
    if file is None:
        return _forget_own(key)
    try:
        read = read_digit if handwriting else read_picture
        st.session_state[f"{key}_own"] = read(file.getvalue()).astype(np.float32) / 255
    except ValueError as problem:
        st.session_state[f"{key}_problem"] = str(problem)


# -- draw ------------------------------------------------------------------------------------------------------------


def _draw(key: str, models: list[str]) -> None:
    """The drawing board, with the reconstruction by each model during the drawing (`draw.js`)."""
    if problem := component.trouble([], has_server_version=False):
        st.caption(problem)
        st.caption(_("Pick, upload or photograph a digit instead."))
        return
    problems = {name: component.trouble([name], has_server_version=False) for name in models}
    able = [name for name in models if problems[name] is None]
    drawing = st.session_state.get(f"{key}_drawing")
    component.mount(
        "draw",
        f"{key}_board",
        {
            "key": key,
            "names": [label_of(name) for name in able],
            "strokes": drawing["strokes"] if drawing else [],
            "texts": board_texts(),
        },
        programs=able,
        height=350,
        on_send=lambda payload: take_drawing(key, payload),
    )
    for problem in filter(None, problems.values()):
        st.caption(problem)


def board_texts() -> dict[str, str]:
    """The texts of `draw.js`."""
    return {
        "board": _("Drawing board for a digit. Arrow keys move the pen, Space sets it down or lifts it, E: eraser."),
        "hint": _("Draw a digit"),
        "seen": _("What the model sees"),
        "width": _("Width of the pen"),
        "pen_button": _("Pen"),
        "erase_button": _("Eraser (E)"),
        "undo_button": _("Undo (Ctrl+Z)"),
        "redo_button": _("Redo (Ctrl+Y)"),
        "clear_button": _("Clear"),
        "pen": _("Pen."),
        "erase": _("Eraser."),
        "down": _("Pen down: arrow keys draw."),
        "up": _("Pen up."),
        "undone": _("Undone."),
        "redone": _("Redone."),
        "cleared": _("Cleared."),
        "full": _("The drawing is full. Undo a stroke, or clear the drawing."),
    }


def _models_of_session() -> list[str]:
    """The finished runs that the reader has chosen on this page or the one before."""
    chosen = st.session_state.get(MODELS) or [st.session_state.get(MODEL)]
    known = {run.name for run in cached.finished()}
    return [name for name in chosen if name in known]


def take_drawing(key: str, payload: dict) -> None:
    """Store the drawing that the board sends when the pen rests; an empty board removes the own image."""
    found = valid_fields(payload, DRAWING)
    if len(found) < len(DRAWING):
        return
    pixels, strokes = found["pixels"], found["strokes"]
    if sum(len(stroke["points"]) for stroke in strokes) > 3 * MAX_POINTS:
        return
    own = np.array(pixels, np.float32).reshape(1, 28, 28) / 255 if any(pixels) else None
    st.session_state[f"{key}_drawing"] = {"strokes": strokes, "own": own}
    if own is None:
        _forget_own(key)
    else:
        st.session_state[f"{key}_own"] = own


# -- the link --------------------------------------------------------------------------------------------------------


def pack_image(image: np.ndarray) -> str:
    """An image float32 (1, 28, 28) of whole 255ths as text for a link, some 250 characters; lossless."""
    packed = zlib.compress(image_sheets.to_bytes(image).tobytes(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unpack_image(text: str) -> np.ndarray | None:
    """The inverse of `pack_image`, float32 (1, 28, 28); None for any other text."""
    if len(text) > MAX_LINK_CHARACTERS:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        inflate = zlib.decompressobj()
        content = inflate.decompress(packed, NUM_PIXELS + 1)
    except (binascii.Error, ValueError, zlib.error):
        return None
    if len(content) != NUM_PIXELS or not inflate.eof or not any(content):
        return None
    return np.frombuffer(content, np.uint8).reshape(1, 28, 28).astype(np.float32) / 255


def _take_from_link(key: str) -> None:
    """Take the image from the address."""
    if (said := address.read_new(f"{key}_own")) is None:
        return
    image = unpack_image(said[-1]) if said else None
    if image is not None:
        st.session_state[f"{key}_own"] = image
    elif not said:
        _forget_own(key)


def _put_into_link(key: str, own: np.ndarray | None) -> None:
    address.write(f"{key}_own", *([] if own is None else [pack_image(own)]))
