"""The lab Codebook: vectors, maps, and what `codemap.js` gets."""

import hashlib

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.latent import codebook
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker, url_values

SAMPLES = 20


@st.cache_resource(max_entries=3, show_spinner=False)
def known(name: str) -> dict[str, np.ndarray]:
    """Of a run: its vectors, what each is used for, how often, and their order by that."""
    run = cached.run(name)
    maps = codebook.maps(run, cached.test_digits()[0][:300])
    share = codebook.use(maps[0], len(codebook.vectors(run)))
    drawn = codebook.atlas(run, [level[:200] for level in maps])
    return {
        "vectors": codebook.vectors(run),
        "atlas": image_sheets.to_bytes(drawn),
        "share": share.astype(np.float32),
        "order": np.argsort(-share, kind="stable").astype(np.int32),
    }


@st.cache_data(max_entries=24, show_spinner=False)
def drawn(name: str, prior: str, seed: int) -> np.ndarray:
    run = cached.run(name)
    return codebook.decode(run, codebook.draw(run, SAMPLES, seed, prior))


def mixed(name: str, a: int, b: int) -> np.ndarray:
    images = cached.test_digits()[0]
    return codebook.swapped(cached.run(name), images[a], images[b])


@st.cache_data(max_entries=300, show_spinner=False)  # cell by cell, a third of a second
def alone(name: str, number: int) -> np.ndarray:
    return codebook.lone(cached.run(name), cached.test_digits()[0][number], 3, 0)


def edits(picture: str, cells: int, count: int) -> list[list[int]]:
    """Changes of this picture's map, from the address; those of another picture are forgotten."""
    if st.session_state.setdefault("cells_of", picture) != picture:
        st.session_state.update({"cells_of": picture, "cells": ""})
    return codebook.read_edits(
        url_values.text("cells", lambda text: bool(codebook.EDITS.fullmatch(text))), cells, count
    )


def take(payload: dict) -> None:
    """The browser's edits."""
    text = codebook.edits_text(payload.get("edits"))
    if text is not None:
        st.session_state["cells"] = text


def editor(name: str, image: np.ndarray) -> None:
    """The map of a picture, cell by cell."""
    run, shelf = cached.run(name), known(name)
    indices = codebook.maps(run, image[None])[0][0]
    picture = hashlib.sha256(name.encode() + image.tobytes()).hexdigest()[:12]
    changes = edits(picture, indices.size, len(shelf["vectors"]))
    if problem := component.trouble([name]):
        st.caption(problem)
        changed = indices.copy().ravel()
        for cell, number in changes:
            changed[cell] = number
        shown = np.stack([image, *codebook.decode(run, [np.stack([indices, changed.reshape(indices.shape)])])])
        image_sheets.show(shown, 3, scale=6, alt=_("The digit, its map painted, and the edited map painted"))
        return
    component.mount(
        "codemap",
        "codemap",
        {
            "model": name,
            "key": f"{name}|{picture}",
            "picker": run_picker.DIGIT,
            "edits": changes,
            "texts": {
                "clean": _("The digit"),
                "tiles": _("Its map, a tile for each number: choose a cell"),
                "painted": _("What the decoder paints"),
                "map": _("The map of numbers; arrow keys move, Enter chooses a cell"),
                "atlas": _("The codebook, most used first, as the mean of what each paints. Point: try, click: keep"),
                "number": _("vector {number}"),
                "cell": _("row {row}, column {column}: vector {number}"),
                "said": _("Row {row}, column {column}: vector {number}, {share} % of all cells"),
                "undo": _("Undo all edits"),
            },
        },
        shelf | {"clean": image.reshape(-1), "indices": indices.ravel().astype(np.int32)},
        programs=[name],
        height=520,
        on_send=take,
    )


def usage(name: str):
    """How often each vector is used, most used first."""
    share = np.sort(known(name)["share"])[::-1]
    out = figure(_("vector, most used first"), _("share of cells"), 240)
    out.add_bar(x=np.arange(1, len(share) + 1), y=share, marker_color=family_colour("vq_vae"), hovertemplate="%{y:.2%}")
    out.add_hline(y=1 / len(share), line={"color": FALLBACK, "dash": "dot", "width": 1})
    out.update_layout(showlegend=False, bargap=0.1)
    out.update_yaxes(tickformat=".0%")
    return out


def samples(name: str) -> None:
    """Maps that no picture was made into."""
    st.header(_("New maps"), anchor=False)
    titles = {"learnt": _("the learnt prior"), "use": _("each cell for itself"), "uniform": _("all vectors alike")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        prior = address.pick(
            st.segmented_control, _("Numbers drawn from"), list(titles), default="learnt", required=True, key="numbers",
            format_func=titles.get,
        )  # fmt: skip
        seed = st.number_input(_("Seed"), 0, 9999, 0, key="maps_seed", width=130, bind="query-params")
    with st.spinner(_("Drawing cell by cell ...")):
        shown = drawn(name, prior, int(seed))
    image_sheets.show(shown, 10, scale=3, width="stretch", alt=_("Digits painted from drawn maps"))


def levels(number: int) -> None:
    """Two maps for one picture: who says what?"""
    st.header(_("Two levels: swap top and bottom"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = run_picker.pick_model("two_levels", families=("vq_vae2",), label=_("Model of two levels"))
        other = st.number_input(
            _("Other digit"), 0, len(cached.test_digits()[0]) - 1, 9, key="other", width=130, bind="query-params"
        )
    with st.spinner(_("Encoding both levels ...")):
        swapped, bottoms = mixed(name, number, int(other)), alone(name, number)
    left, right = st.columns(2, gap="medium")
    with left:
        labels = ["A / A", "A / B", "B / A", "B / B"]
        image_sheets.show(swapped, 4, scale=3, labels=labels, width="stretch", alt=_("A, the two mixtures, B"))
        st.caption(_("Top / bottom. Who gives the bottom gives the picture: 14 x 14 cells say nearly all of it."))
    with right:
        labels = ["A / A", _("A / black"), *[_("A / drawn")] * 3]
        image_sheets.show(bottoms, 5, scale=3, labels=labels, width="stretch", alt=_("What the top of A says alone"))
        st.caption(_("What the top says alone: bottoms drawn given it keep place and slope, not always the digit."))
