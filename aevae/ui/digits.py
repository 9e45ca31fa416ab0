"""The digit that a page works on: picked from real test digits, or brought by the reader."""

import importlib.util

import numpy as np
import streamlit as st

from aevae.ui import canvas, loaders, pictures
from aevae.ui.i18n import _
from aevae.ui.state import DIGIT

COLUMNS, ROWS = 10, 4
MAX_BYTES = 5_000_000  # of an own picture


def pick_digit(
    key: str = DIGIT, *, default: int = 0, label: str | None = None, upload: bool = True, dataset: str = "mnist-5k"
) -> tuple[np.ndarray, int | None, int | None]:
    """The chosen picture (float32 (1, 28, 28) in [0, 1]), its label and its number among the test pictures.

    Number and label are None for an own picture. The number is in the URL (`?digit=123`); pages that use the same
    key share the digit.
    """
    images, labels = loaders.test_digits(dataset)
    own = st.session_state.get(f"{key}_own")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        number = st.number_input(
            label or _("Digit"),
            min_value=0,
            max_value=len(images) - 1,
            value=min(default, len(images) - 1),
            key=key,
            width=130,
            help=_("Number of the picture among the {:,} test pictures; it is part of the link.").format(len(images)),
            bind="query-params",
            on_change=_forget_own,
            args=(key,),
        )
        st.button(
            _("Shuffle"), key=f"{key}_shuffle", icon=":material/shuffle:", on_click=_next_handful, args=(key,),
            help=_("Show other pictures"),
        )  # fmt: skip
        if upload and importlib.util.find_spec("aevae.datasets.images"):
            with st.popover(_("Own picture"), icon=":material/upload:", key=f"{key}_popover"):
                _upload(key)
    wanted = st.pills(
        _("Show"),
        range(-1, int(labels.max()) + 1),
        default=-1,
        required=True,
        format_func=lambda c: _("all") if c < 0 else str(c),
        key=f"{key}_class",
        label_visibility="collapsed",
        wrap=True,
        persist_state="session",
    )
    shown = handful(labels, wanted, st.session_state.get(f"{key}_handful", 0), number)
    names = [_("{}, number {}").format(labels[i], i) for i in shown]
    canvas.pick_cell(
        f"{key}_grid",
        pictures.raw_sheet(images[shown], COLUMNS),
        rows=-(-len(shown) // COLUMNS),
        columns=COLUMNS,
        count=len(shown),
        selected=shown.index(number) if own is None else -1,
        names=names,
        label=_("Test digits; arrow keys move, Enter chooses"),
        on_pick=lambda i: _choose(key, shown[i]),
        max_width=520,
    )
    if own is not None:
        st.button(_("Back to the digits"), key=f"{key}_back", on_click=_forget_own, args=(key,), type="tertiary")
        return own, None, None
    return images[number], int(labels[number]), int(number)


def handful(labels: np.ndarray, wanted: int, seed: int, chosen: int, count: int = ROWS * COLUMNS) -> list[int]:
    """Numbers of `count` pictures of class `wanted` (-1: all), drawn by `seed`; the chosen one is always among them."""
    pool = np.arange(len(labels)) if wanted < 0 else np.flatnonzero(labels == wanted)
    drawn = pool[np.random.default_rng(seed).permutation(len(pool))][:count].tolist()
    return drawn if chosen in drawn else [int(chosen), *drawn[: count - 1]]


def _choose(key: str, number: int) -> None:
    st.session_state[key] = number
    _forget_own(key)


def _next_handful(key: str) -> None:
    st.session_state[f"{key}_handful"] = st.session_state.get(f"{key}_handful", 0) + 1


def _forget_own(key: str) -> None:
    st.session_state.pop(f"{key}_own", None)


def _upload(key: str) -> None:
    st.file_uploader(
        _("A picture of one digit"),
        type=["png", "jpg", "jpeg", "webp", "bmp"],
        key=f"{key}_file",
        max_upload_size=MAX_BYTES // 1_000_000,
        on_change=_read_own,
        args=(key,),
    )
    st.caption(_("It is made grey, 28 x 28, white on black, like the digits the models know. It is not stored."))
    if problem := st.session_state.get(f"{key}_problem"):
        st.error(problem)


def _read_own(key: str) -> None:
    from aevae.datasets.images import read_picture

    st.session_state.pop(f"{key}_problem", None)
    file = st.session_state.get(f"{key}_file")
    if file is None:
        return _forget_own(key)
    try:
        if file.size > MAX_BYTES:
            raise ValueError(_("The picture is larger than 5 MB."))
        st.session_state[f"{key}_own"] = read_picture(file.getvalue()).astype(np.float32) / 255
    except ValueError as problem:
        st.session_state[f"{key}_problem"] = str(problem)
