"""The figure of the page Start: a board, an encoder, a plane of codes, and a decoder (`toy.js`). Imports no torch."""

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.browser.blob import class_numbers
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, url_values
from aevae.ui.shared.run_picker import DIGIT
from aevae.ui.sliders import hand_planes

SHOWN = (hand_planes.AE, "1", "8")  # of the bundle: AE, VAE and a β-VAE
GUEST = "guest"  # session: the own digit of the page Embeddings
VALUES = {"toy": (1, 0, len(SHOWN) - 1)}  # the shown model


def show() -> None:
    """Show the figure. What is drawn on the board becomes the reader's own image on all pages."""
    planes = [plane for plane in hand_planes.planes() if plane.name in SHOWN]
    drawing = st.session_state.get(f"{DIGIT}_drawing")
    spec = {
        "key": "toy",
        "picker": DIGIT,
        "chosen": url_values.numbers(VALUES)["toy"],
        "models": [plane.spec() | {"says": says} for plane, says in zip(planes, _sayings(), strict=True)],
        "strokes": drawing["strokes"] if drawing else [],
        "classes": list(cached.class_names(datasets.EMBEDDED)),
        "texts": _texts(),
        "board": picker.board_texts(),
    }
    arrays = {f"places{i}": plane.places.astype(np.float16) for i, plane in enumerate(planes)}
    arrays["labels"] = class_numbers(cached.shown_digits()[1])
    component.mount(
        "toy", "toy_figure", spec, arrays, programs=[plane.program for plane in planes],
        shape={"height": 440, "narrow": 640}, on_send=_receive,
    )  # fmt: skip


def _receive(payload: dict) -> None:
    """Store the drawing, or which model is shown."""
    for key in (DIGIT, GUEST):
        picker.take_drawing(key, payload)
    st.session_state.pop(f"{GUEST}_drawing", None)  # there it is a complete digit, and the board begins empty
    url_values.number_handler({"chosen": "toy"}, VALUES)(payload)


def _sayings() -> list[str]:
    return [
        _("**AE**: nothing says where its codes lie. In gaps and far from the points, the image is no digit."),
        _("**VAE**: its codes fill one round cloud, the prior. A random code from it mostly becomes a digit."),
        _("**β = 8**: more weight on the prior. The cloud fits its rings better; the digits are blurred."),
    ]


def _texts() -> dict[str, str]:
    return {
        "board": _("Image"),
        "encoder": _("encoder"),
        "plane": _("Code: two numbers"),
        "decoder": _("decoder"),
        "image": _("Reconstruction"),
        "decoded": _("Image decoded from the code"),
        "switch": _("Model"),
        "classes": _("Colours: the digit of each point"),
        "label": _(
            "Codes of 1,000 digits in the {}. The arrow keys move the point that is decoded; Shift: larger steps."
        ),
    }
