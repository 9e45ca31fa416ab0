"""The lab Flow: directions of a change, and the data for `flow.js`."""

import hashlib

import numpy as np
import streamlit as st

from aevae.latent import flows
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, run_picker, url_values

NUM_DIRECTION_IMAGES = 300  # images over which a direction is averaged
AMOUNT = {"amount": (1.0, -float(flows.MAX_AMOUNT), float(flows.MAX_AMOUNT))}
PAINTERS = ("vae", "iwae", "ae", "deep_ae")


@st.cache_resource(max_entries=3, show_spinner=False)
def directions(name: str) -> dict[str, np.ndarray]:
    return flows.directions(cached.run(name), cached.shown_digits()[0][:NUM_DIRECTION_IMAGES])


@st.cache_resource(max_entries=12, show_spinner=False)
def painted(name: str, kind: str) -> np.ndarray:
    return flows.painted(cached.run(name), cached.shown_digits()[0][:NUM_DIRECTION_IMAGES], kind)


@st.cache_resource(max_entries=6, show_spinner=False)
def exact(kind: str) -> np.ndarray:
    return flows.exact(kind)


def change(name: str, painter: str, kind: str, image: np.ndarray) -> None:
    """Show a change made by warping, made exactly, and made by a model that generates pixels."""
    learnt = cached.computed(flows.edits, cached.run(name), image, directions(name)[kind])
    step, amount = painted(painter, kind), url_values.numbers(AMOUNT)["amount"]
    if problem := component.trouble([painter], has_server_version=True):
        st.caption(problem)
        z = cached.applied(cached.run(painter), "encode", image[None]) + np.float32(amount) * step
        painted_image = cached.applied(cached.run(painter), "decode", z)
        shown = np.concatenate([image[None], flows.changed(image[None], kind, amount), painted_image])
        image_sheets.show(
            shown, 3, scale=6, alt=_("The digit, the exact change, and the change that the decoder makes")
        )
        return
    component.mount(
        "flow",
        "flow",
        {
            "key": hashlib.sha256(f"{name} {painter} {kind}".encode() + image.tobytes()).hexdigest()[:12],
            "picker": run_picker.DIGIT,
            "most": flows.MAX_AMOUNT,
            "amount": amount,
            "texts": {
                "slider": _("Amount"),
                "said": _("{amount} of a full change"),
                "source": _("The digit. Its sharpness is 100 %"),
                "warped": _("Pixels moved by the learnt flow: sharpness {edges} %"),
                "grid": _("The same flow, applied to a grid"),
                "exact": _("Pixels moved exactly: sharpness {edges} %"),
                "painted": _("Painted again by the other model: sharpness {edges} %"),
            },
        },
        {
            "clean": image.reshape(-1),
            "learnt": learnt.astype(np.float16),
            "exact": exact(kind).astype(np.float16),
            "step": step.astype(np.float32),
        },
        programs=[painter],
        shape={"height": 290, "narrow": 700},
        on_send=url_values.number_handler({"amount": "amount"}, AMOUNT),
    )


def ten(name: str, image: np.ndarray) -> None:
    """Show the digit warped towards one digit of each class."""
    st.header(_("Warp it into all ten digits"), anchor=False)
    images, labels = cached.shown_digits()
    targets = images[[int(np.flatnonzero(labels == c)[0]) for c in range(10)]]
    made = cached.computed(flows.onto, cached.run(name), image, targets)
    image_sheets.show(
        np.concatenate([targets, made]),
        10,
        scale=3,
        width="stretch",
        alt=_("Ten digits, and the warped digit for each"),
    )
    st.caption(_("Top: one digit of each class. Bottom: your digit, warped by the model to look like the digit above."))
