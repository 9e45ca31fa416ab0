"""The lab No encoder: codes found by optimisation, and the data for `no_encoder.js`."""

import hashlib

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.latent import fitting
from aevae.metrics.reconstruction import sse
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker, url_values
from aevae.ui.shared.message import Text, valid_fields

ENCODED = ("ae", "deep_ae", "vae", "iwae")  # families whose amortisation gap is shown
MASK = Text("[A-Za-z0-9_-]{131}", 131)  # 784 bits in URL-safe base64 without padding
NUM_GAP_DIGITS, NUM_NEW_DIGITS = 60, 10  # digits for the amortisation gap; new digits that are learned


ROW, COLUMN = np.divmod(np.arange(784), 28)
LOWER_HALF = fitting.pack_mask((ROW < 14).astype(np.uint8))  # masks of two buttons (no_encoder.js)
ALL_BUT_A_SPOT = fitting.pack_mask((np.hypot(COLUMN - 13.5, ROW - 7) < 6).astype(np.uint8))


def mask() -> np.ndarray:
    """The visible pixels, uint8 (784,): 1, or 0 for a covered pixel. At first the lower half is covered."""
    return fitting.unpack_mask(url_values.text("covered", MASK.fits) or LOWER_HALF)


def receive(payload: dict) -> None:
    """Handle a message with the browser's mask."""
    found = valid_fields(payload, {"covered": MASK})
    if "covered" in found:
        st.session_state["covered"] = "" if found["covered"] == LOWER_HALF else found["covered"]


@st.cache_resource(max_entries=3, show_spinner=False)
def weights(name: str) -> dict[str, np.ndarray] | str:
    """Weights of the decoder and learned codes for the browser, or the reason why there are none."""
    try:
        return fitting.layers(cached.run(name))
    except ValueError as problem:
        return str(problem)


@st.cache_data(max_entries=8, show_spinner=False)
def gaps(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return fitting.gap(cached.run(name), cached.shown_digits()[0][:NUM_GAP_DIGITS])


@st.cache_data(max_entries=8, show_spinner=False)
def learnt(name: str, everything: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(old digits, new digits (rotated), reconstructions of both after learning)."""
    images = cached.shown_digits()[0]
    old, new = images[:NUM_NEW_DIGITS], np.rot90(images[NUM_NEW_DIGITS : 2 * NUM_NEW_DIGITS], 1, (2, 3)).copy()
    new_after, old_after = fitting.learn(cached.run(name), new, old, everything)
    return old, new, old_after, new_after


def search(name: str, image: np.ndarray, start: str) -> None:
    """Show the search for the code of a digit, step by step."""
    run, found, visible = cached.run(name), weights(name), mask()
    model = run.config.model
    if problem := (found if isinstance(found, str) else component.trouble([], has_server_version=True)):
        st.caption(problem)
        seen = visible.reshape(1, 1, 28, 28).astype(np.float32)
        begin = np.zeros((1, run.latent_dim), np.float32) if start == "middle" else None
        z = cached.computed(fitting.fit, run, image[None], seen, begin)
        shown = np.stack([image * seen[0], cached.applied(run, "decode", z)[0], image])
        image_sheets.show(shown, 3, scale=6, alt=_("The visible part, the decoded code, the whole digit"))
        return
    component.mount(
        "no_encoder",
        "fit",
        {
            "run": name,
            "key": hashlib.sha256(name.encode() + image.tobytes()).hexdigest()[:12] + start,
            "picker": run_picker.DIGIT,
            "model": {
                "variance": model.sigma**2 if model.likelihood == "gaussian" else 0,
                "l2": model.l2,
                "ball": model.ball,
                "steps": model.fit_steps,
                "rate": run.model.fit_rate,
                "start": start,
            },
            "texts": {
                "seen": _("The visible part: drag to cover pixels"),
                "found": _("The decoded code of the search"),
                "whole": _("The whole digit, hidden from the search"),
                "covers": _("Cover"),
                "none": _("nothing"),
                "lower": _("lower half"),
                "right": _("right half"),
                "most": _("all except a spot"),
                "play": _("▶ Search"),
                "step": _("Step of the search"),
                "curve": _("Cost of the visible part, −log p: from {high} to {low} nats in {steps} steps"),
                "code": _("The {} numbers of the code, from −{{most}} to {{most}}").format(run.latent_dim),
                "said": _("Step {step}: squared error {seen} visible, {hidden} covered"),
            },
        },
        found | {"clean": image.reshape(-1), "mask": visible},
        height=480,
        on_send=receive,
    )


def amortisation(number: int) -> None:
    """Show the amortisation gap of an encoder."""
    st.header(_("How much worse an encoder is than a search"), anchor=False)
    name = run_picker.pick_model("gap", families=ENCODED, prefer=("ae",), label=_("Autoencoder"))
    with st.spinner(_("Searching codes for {} digits ...").format(NUM_GAP_DIGITS)):
        encoded, searched, best = gaps(name)
    left, right = st.columns([3, 2], gap="large")
    out = figure(_("with the code of the encoder (nats)"), _("with the code of the search (nats)"), 320)
    ends = [0, float(encoded.max()) * 1.05]
    out.add_scatter(x=ends, y=ends, mode="lines", line={"color": FALLBACK, "dash": "dot"}, hoverinfo="skip")
    out.add_scatter(
        x=encoded, y=searched, mode="markers", marker={"color": family_colour(cached.run(name).info.family)},
        customdata=np.arange(NUM_GAP_DIGITS), hovertemplate="%{customdata}: %{x:.1f} → %{y:.1f}<extra></extra>",
    )  # fmt: skip
    out.update_layout(showlegend=False)
    left.plotly_chart(out, key="gaps", config={"displayModeBar": False})
    i = number if number < NUM_GAP_DIGITS else int((encoded - searched).argmax())
    x = cached.shown_digits()[0][i : i + 1]
    shown = np.concatenate([x, cached.applied(cached.run(name), "reconstruct", x), best[i : i + 1]])
    with right:
        image_sheets.show(
            shown, 3, scale=4, width="stretch", alt=_("A digit, its reconstruction by the encoder, and by the search")
        )
        st.caption(_("Picture no. {}: original, g(f(x)), g(z*).").format(i))
        st.metric(_("Amortisation gap, mean of {}").format(NUM_GAP_DIGITS), f"{(encoded - searched).mean():.1f} nats")


def memory(name: str) -> None:
    """Show how new images are learned, with and without forgetting the old ones."""
    st.header(_("Learn ten rotated digits"), anchor=False)
    titles = {"codes": _("only their codes"), "all": _("the decoder as well")}
    what = address.pick(
        st.segmented_control, _("What may be learnt"), list(titles), default="codes", required=True, key="change",
        format_func=titles.get,
    )  # fmt: skip
    with st.spinner(_("Learning ...")):
        old, new, old_after, new_after = learnt(name, what == "all")
    left, right = st.columns(2, gap="medium")
    with left:
        image_sheets.show(
            np.concatenate([new, new_after]),
            NUM_NEW_DIGITS,
            width="stretch",
            alt=_("New digits and their reconstructions"),
        )
        st.caption(_("New digits and their reconstructions: squared error {:.1f}").format(sse(new, new_after).mean()))
    with right:
        image_sheets.show(
            np.concatenate([old, old_after]),
            NUM_NEW_DIGITS,
            width="stretch",
            alt=_("Old digits and their reconstructions afterwards"),
        )
        st.caption(
            _("Old digits, decoded from their old codes: squared error {:.1f}").format(sse(old, old_after).mean())
        )
