"""The digit that a page works on: picked from real test digits, drawn, uploaded or photographed.

What the reader brings is kept in the session under `<key>_own` and, packed, in the link (`?digit_own=`). It wins over
the picked digit until a digit is picked again. A drawing's strokes stay too, under `<key>_drawing`.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.ui import address, canvas, kept, live, loaders, pictures
from aevae.ui.i18n import _
from aevae.ui.state import DIGIT, MODEL, MODELS, label_of, literal

COLUMNS, ROWS = 10, 4
MAX_PILLS = 20  # classes on offer side by side
PIXELS = 28 * 28
WAYS = ("pick", "draw", "upload", "camera")

# What a drawing may be (constants of ui/web/draw.js): strokes {erase, width, points: [x, y, pressure, ...]}
BOARD = 2800  # x and y: tenths of a pixel of the board
MOST_STROKES, MOST_POINTS = 200, 20_000
WIDTHS = (8, 48)
LONGEST_LINK = 1200  # characters of a picture in the link; 784 bytes that do not shrink need 1,060


def pick_digit(
    key: str = DIGIT,
    *,
    default: int = 0,
    label: str | None = None,
    upload: bool = True,
    dataset: str = datasets.EMBEDDED,
    models: Sequence[str] | None = None,
    ways: Sequence[str] = WAYS,
) -> tuple[np.ndarray, int | None, int | None]:
    """The chosen picture (float32 (1, 28, 28) in [0, 1]), its label and its number among the test pictures.

    Number and label are None for an own picture. The number is in the URL (`?digit=123`); pages that use the same
    key share the digit. upload: whether the reader may bring one. models: names of runs whose reconstructions are
    shown beside the drawing while it grows; None: the models chosen in this session. ways: those of WAYS on offer.
    """
    images, labels = loaders.test_digits(dataset)
    _take_from_link(key)
    how = _choose_way(key, label, ways) if upload else "pick"
    if how == "pick":
        number = _pick(key, dataset, min(default, len(images) - 1), None if upload else label)
    else:
        number = min(int(st.session_state.get(key, default)), len(images) - 1)
        _bring(key, how, dataset in datasets.DIGITS, _models_of_session() if models is None else list(models))
    own = st.session_state.get(f"{key}_own")
    _put_into_link(key, own)
    if own is not None:
        return own, None, None
    return images[number], int(labels[number]), number


def draws(key: str = DIGIT) -> bool:
    """Whether the digit is being drawn by hand."""
    return st.session_state.get(f"{key}_how") == "draw"


def _choose_way(key: str, label: str | None, ways: Sequence[str]) -> str:
    titles = {"pick": _("Pick"), "draw": _("Draw"), "upload": _("Upload"), "camera": _("Camera")}
    return st.segmented_control(
        label or _("How to give the digit"),
        ways,
        default=ways[0],
        required=True,
        format_func=titles.get,
        key=f"{key}_how",
        label_visibility="visible" if label else "collapsed",
        wrap=True,  # columns are narrow
        persist_state="session",
        on_change=_way_changed,
        args=(key,),
    )


def _way_changed(key: str) -> None:
    """Picking means a test digit again; drawing means the drawing, if there is one."""
    st.session_state.pop(f"{key}_problem", None)
    how, drawing = st.session_state[f"{key}_how"], st.session_state.get(f"{key}_drawing")
    if how == "pick":
        _forget_own(key)
    elif how == "draw" and drawing and drawing["own"] is not None:
        st.session_state[f"{key}_own"] = drawing["own"]


# -- pick ------------------------------------------------------------------------------------------------------------


def _pick(key: str, dataset: str, default: int, label: str | None) -> int:
    """The number of a test picture, from a field and a sheet of pictures."""
    images, labels = loaders.test_digits(dataset)
    own = st.session_state.get(f"{key}_own")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        number = kept.field(
            st.number_input,
            label or _("Digit"),
            0,
            len(images) - 1,
            default,
            key=key,
            width=130,
            help=_("Number of the picture among the {:,} test pictures; it is part of the link.").format(len(images)),
            on_change=_forget_own,
            args=(key,),
        )
        st.button(
            _("Shuffle"), key=f"{key}_shuffle", icon=":material/shuffle:", on_click=_next_handful, args=(key,),
            help=_("Show other pictures"),
        )  # fmt: skip
    names = loaders.class_names(dataset)
    wanted = _pick_class(key, names, labels)
    shown = handful(labels, wanted, st.session_state.get(f"{key}_handful", 0), number)
    columns = min(COLUMNS, len(shown))  # of a small data set, or of a class with few pictures
    canvas.pick_cell(
        f"{key}_grid",
        pictures.raw_sheet(images[shown], columns),
        rows=-(-len(shown) // columns),
        columns=columns,
        count=len(shown),
        selected=shown.index(number) if own is None and number in shown else -1,
        names=[_("{}, number {}").format(names[labels[i]], i) for i in shown],
        label=_("Test digits; arrow keys move, Enter chooses"),
        on_pick=lambda i: _choose(key, shown[i]),
        max_width=52 * columns,
    )
    if own is not None:
        _show_own(own)
        st.button(_("Back to the digits"), key=f"{key}_back", on_click=_forget_own, args=(key,), type="tertiary")
    return int(number)


def _pick_class(key: str, names: Sequence[str], labels: np.ndarray) -> int:
    """The class of the pictures on offer, by number; -1: all. Many classes stand in a list that searches."""
    field = f"{key}_class"
    if st.session_state.get(field, -1) >= len(names):  # of another data set
        del st.session_state[field]
    options = list(range(-1, len(names)))
    common = {
        "format_func": lambda c: _("all") if c < 0 else names[c], "key": field, "label_visibility": "collapsed",
        "persist_state": "session", "on_change": _class_chosen, "args": (key, labels),
    }  # fmt: skip
    if len(names) > MAX_PILLS:
        return st.selectbox(_("Show"), options, **common)
    return st.pills(_("Show"), options, default=-1, required=True, wrap=True, **common)


def handful(labels: np.ndarray, wanted: int, seed: int, chosen: int, count: int = ROWS * COLUMNS) -> list[int]:
    """Numbers of `count` pictures of class `wanted` (-1: all), drawn by `seed`; with the chosen one, if it is of it."""
    pool = np.arange(len(labels)) if wanted < 0 else np.flatnonzero(labels == wanted)
    drawn = pool[np.random.default_rng(seed).permutation(len(pool))][:count].tolist()
    return drawn if chosen in drawn or chosen not in pool else [int(chosen), *drawn[: count - 1]]


def _class_chosen(key: str, labels: np.ndarray) -> None:
    """Choosing a class chooses the first digit of it that is shown, unless one of it is chosen (a callback)."""
    wanted, number = st.session_state[f"{key}_class"], st.session_state[key]
    if wanted in labels and labels[number] != wanted:
        st.session_state[key] = handful(labels, wanted, st.session_state.get(f"{key}_handful", 0), -1)[0]


def first_of(labels: np.ndarray, wanted: Sequence[int], usable: np.ndarray | None = None) -> list[int]:
    """Default numbers of pictures, one for each wanted class: the first of that class; different ones as long as there
    are enough, of different classes as long as there are enough. usable: numbers to choose from, by default all."""
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


# -- bring one's own -------------------------------------------------------------------------------------------------


def _bring(key: str, how: str, handwriting: bool, models: list[str]) -> None:
    if how == "draw":
        return _draw(key, models)
    if how == "upload":
        from aevae.datasets.archives import MAX_FILE_BYTES
        from aevae.datasets.pictures import UPLOADED

        st.file_uploader(
            _("A picture of one digit"),
            type=UPLOADED,
            key=f"{key}_file",
            max_upload_size=MAX_FILE_BYTES // 1_000_000,
            on_change=_read_own,
            args=(key, f"{key}_file", handwriting),
        )
    else:
        st.camera_input(
            _("A photograph of one digit, dark on light paper"),
            key=f"{key}_photo",
            on_change=_read_own,
            args=(key, f"{key}_photo", handwriting),
        )
        st.caption(_("Browsers open the camera only for pages that come from localhost or by https."))
    if problem := st.session_state.get(f"{key}_problem"):
        st.error(literal(problem))
    own = st.session_state.get(f"{key}_own")
    if own is not None:
        _show_own(own)
    else:
        st.caption(
            _("It is made grey, 28 x 28, white on black, like the digits the models know. It is not stored.")
            + " "
            + _("Until there is one, the page works on the picked digit.")
        )


def _show_own(own: np.ndarray) -> None:
    pictures.show(own, 1, scale=4, alt=_("Your own picture"), caption=_("What the model sees"))


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
    """The board, with what each model makes of the drawing while it grows (`web/draw.js`)."""
    if problem := live.trouble([], has_server_version=False):
        st.caption(problem)
        st.caption(_("Pick, upload or photograph a digit instead."))
        return
    problems = {name: live.trouble([name]) for name in models}
    able = [name for name in models if problems[name] is None]
    drawing = st.session_state.get(f"{key}_drawing")
    live.mount(
        "draw",
        f"{key}_board",
        {
            "key": key,
            "names": [label_of(name) for name in able],
            "strokes": drawing["strokes"] if drawing else [],
            "texts": _texts(),
        },
        programs=able,
        height=350,
        on_send=lambda payload: _take_drawing(key, payload),
    )
    for problem in filter(None, problems.values()):
        st.caption(problem)


def _texts() -> dict[str, str]:
    return {
        "board": _("Board to draw a digit on. Arrow keys move the pen, Space sets it down and lifts it, E: eraser."),
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
        "undone": _("Taken back."),
        "redone": _("Done again."),
        "cleared": _("Cleared."),
        "full": _("The drawing is full: take something back, or clear it."),
    }


def _models_of_session() -> list[str]:
    """Those the reader has chosen on this page or the one before; finished ones only."""
    chosen = st.session_state.get(MODELS) or [st.session_state.get(MODEL)]
    known = {run.name for run in loaders.finished()}
    return [name for name in chosen if name in known]


def _take_drawing(key: str, payload: dict) -> None:
    """What the board sends when the hand rests. A drawing without ink is none; what is no drawing is ignored."""
    pixels, strokes = payload.get("pixels"), payload.get("strokes")
    if not (_are_strokes(strokes) and (pixels == [] or _are_pixels(pixels))):
        return
    own = np.array(pixels, np.float32).reshape(1, 28, 28) / 255 if any(pixels) else None
    st.session_state[f"{key}_drawing"] = {"strokes": strokes, "own": own}
    if own is None:
        _forget_own(key)
    else:
        st.session_state[f"{key}_own"] = own


def _are_whole(values, low: int, high: int) -> bool:
    return isinstance(values, list) and all(type(v) is int and low <= v <= high for v in values)


def _are_pixels(values) -> bool:
    return isinstance(values, list) and len(values) == PIXELS and _are_whole(values, 0, 255)


def _are_strokes(values) -> bool:
    """Within the limits above; a captured pointer may leave the board by its own size."""
    if not isinstance(values, list) or len(values) > MOST_STROKES or not all(isinstance(s, dict) for s in values):
        return False
    points = [stroke.get("points") for stroke in values]
    if not all(isinstance(p, list) and p and len(p) % 3 == 0 for p in points):
        return False
    if sum(map(len, points)) > 3 * MOST_POINTS:
        return False
    places = all(_are_whole(p[0::3] + p[1::3], -BOARD, 2 * BOARD) and _are_whole(p[2::3], 0, 100) for p in points)
    return places and all(
        set(stroke) == {"erase", "width", "points"}
        and type(stroke["erase"]) is bool
        and _are_whole([stroke["width"]], *WIDTHS)
        for stroke in values
    )


# -- the link --------------------------------------------------------------------------------------------------------


def pack_picture(picture: np.ndarray) -> str:
    """A picture float32 (1, 28, 28) of whole 255ths as text for a link, some 250 characters; lossless."""
    packed = zlib.compress(pictures.to_bytes(picture).tobytes(), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def unpack_picture(text: str) -> np.ndarray | None:
    """What `pack_picture` was given, float32 (1, 28, 28); None for anything else."""
    if len(text) > LONGEST_LINK:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        inflate = zlib.decompressobj()
        content = inflate.decompress(packed, PIXELS + 1)
    except (binascii.Error, ValueError, zlib.error):
        return None
    if len(content) != PIXELS or not inflate.eof or not any(content):
        return None
    return np.frombuffer(content, np.uint8).reshape(1, 28, 28).astype(np.float32) / 255


def _take_from_link(key: str) -> None:
    """The picture that the address brings."""
    if (said := address.asked(f"{key}_own")) is None:
        return
    picture = unpack_picture(said[-1]) if said else None
    if picture is not None:
        st.session_state[f"{key}_own"] = picture
    elif not said:
        _forget_own(key)


def _put_into_link(key: str, own: np.ndarray | None) -> None:
    address.tell(f"{key}_own", *([] if own is None else [pack_picture(own)]))
