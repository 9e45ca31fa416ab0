"""The lab Codebook: codebook vectors, grids of indices, and the data for `codebook.js`."""

import hashlib

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.latent import codebook
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker, url_values
from aevae.ui.shared.message import Integer, ListOf, Row, valid_fields

NUM_SAMPLES = 20
_INDEX = Integer(0, codebook.MAX_INDEX)
EDITS = ListOf(Row((_INDEX, _INDEX)), 0, codebook.MAX_EDITS)  # [[cell, index of a vector], ...]


@st.cache_resource(max_entries=3, show_spinner=False)
def known(name: str) -> dict[str, np.ndarray]:
    """Codebook of a run: vectors, mean patch of each vector, frequencies, and order by frequency."""
    run = cached.run(name)
    maps = codebook.indices(run, cached.shown_digits()[0][:300])
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
    return codebook.decode(run, codebook.sample_indices(run, NUM_SAMPLES, seed, prior))


@st.cache_data(max_entries=64, show_spinner=False)
def mixed(name: str, a: int, b: int) -> np.ndarray:
    images = cached.shown_digits()[0]
    return codebook.swapped(cached.run(name), images[a], images[b])


@st.cache_data(max_entries=300, show_spinner=False)  # takes a third of a second
def alone(name: str, number: int) -> np.ndarray:
    return codebook.lone(cached.run(name), cached.shown_digits()[0][number], 3, 0)


def edits(image_key: str, cells: int, count: int) -> list[list[int]]:
    """Edits of this image's grid from the address; edits of another image are dropped."""
    if st.session_state.setdefault("cells_of", image_key) != image_key:
        st.session_state.update({"cells_of": image_key, "cells": ""})
    return codebook.read_edits(
        url_values.text("cells", lambda text: bool(codebook.EDITS.fullmatch(text))), cells, count
    )


def receive(payload: dict) -> None:
    """Handle a message with the browser's edits."""
    found = valid_fields(payload, {"edits": EDITS})
    if "edits" in found:
        st.session_state["cells"] = codebook.edits_text(found["edits"])


def editor(name: str, image: np.ndarray) -> None:
    """Show the grid of an image, which can be edited cell by cell."""
    run, shelf = cached.run(name), known(name)
    indices = cached.computed(codebook.indices, run, image[None])[0][0]
    image_key = hashlib.sha256(name.encode() + image.tobytes()).hexdigest()[:12]
    changes = edits(image_key, indices.size, len(shelf["vectors"]))
    if problem := component.trouble([name], has_server_version=True):
        st.caption(problem)
        changed = indices.copy().ravel()
        for cell, number in changes:
            changed[cell] = number
        both = np.stack([indices, changed.reshape(indices.shape)])
        shown = np.stack([image, *cached.computed(codebook.decode, run, [both])])
        image_sheets.show(
            shown,
            3,
            scale=6,
            alt=_("The digit, the image decoded from its index map, and the image decoded from the edited map"),
        )
        return
    component.mount(
        "codebook",
        "codemap",
        {
            "model": name,
            "key": f"{name}|{image_key}",
            "picker": run_picker.DIGIT,
            "edits": changes,
            "texts": {
                "clean": _("The digit"),
                "tiles": _("Its index map, one tile for each vector: choose a cell"),
                "painted": _("The decoded map"),
                "map": _("The index map; arrow keys move, Enter chooses a cell"),
                "atlas": _(
                    "The codebook, most used vectors first. Each tile is the mean image patch that the vector decodes "
                    "to. Point at a vector to try it; click to keep it."
                ),
                "number": _("vector {number}"),
                "cell": _("row {row}, column {column}: vector {number}"),
                "said": _("Row {row}, column {column}: vector {number}, {share} % of all cells"),
                "undo": _("Undo all edits"),
            },
        },
        shelf | {"clean": image.reshape(-1), "indices": indices.ravel().astype(np.int32)},
        programs=[name],
        height=560,
        on_send=receive,
    )


def usage(name: str):
    """A figure of the frequency of each vector, descending."""
    share = np.sort(known(name)["share"])[::-1]
    out = figure(_("vector, most used first"), _("fraction of cells"), 240)
    out.add_bar(x=np.arange(1, len(share) + 1), y=share, marker_color=family_colour("vq_vae"), hovertemplate="%{y:.2%}")
    out.add_hline(
        y=1 / len(share), line={"color": FALLBACK, "dash": "dot", "width": 1},
        annotation_text=_("if all vectors were used equally"), annotation_position="top right",
    )  # fmt: skip
    out.update_layout(showlegend=False, bargap=0.1)
    out.update_yaxes(tickformat=".0%")
    return out


def samples(name: str) -> None:
    """Show decoded random grids."""
    st.header(_("New index maps"), anchor=False)
    titles = {"learnt": _("the learnt prior"), "use": _("each cell independently"), "uniform": _("uniform")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        prior = address.pick(
            st.segmented_control, _(
                "Sample vectors with"
            ), list(titles), default="learnt", required=True, key="numbers",
            format_func=titles.get,
        )  # fmt: skip
        seed = st.number_input(_("Seed"), 0, 9999, 0, key="maps_seed", width=130, bind="query-params")
    with st.spinner(_("Sampling cell by cell ...")):
        shown = drawn(name, prior, int(seed))
    image_sheets.show(shown, 10, scale=3, width="stretch", alt=_("Digits decoded from sampled index maps"))


def levels(number: int) -> None:
    """Show what each of the two levels determines."""
    st.header(_("Two levels: swap top and bottom"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = run_picker.pick_model("two_levels", families=("vq_vae2",), label=_("Model with two levels"))
        other = st.number_input(
            _("Picture no. of B"), 0, len(cached.shown_digits()[0]) - 1, 9, key="other", width=130, bind="query-params"
        )
    with st.spinner(_("Encoding both levels ...")):
        swapped, bottoms = mixed(name, number, int(other)), alone(name, number)
    left, right = st.columns(2, gap="medium")
    with left:
        image_sheets.show(
            swapped, 4, scale=3, width="stretch", alt=_("Digit A, the two mixtures of A and B, and digit B")
        )
        st.caption(
            _(
                "Top level / bottom level, from the left: **A / A**, **A / B**, **B / A**, **B / B**; A is the chosen "
                "digit. The bottom level (14 x 14 cells) decides nearly the whole image."
            )
        )
    with right:
        image_sheets.show(bottoms, 5, scale=3, width="stretch", alt=_("Decoded from the top level of A alone"))
        st.caption(
            _(
                "The top level of A with other bottom levels, from the left: that of A, that of a black image, three "
                "samples. Samples keep the position and the slant, but not always "
                "the digit."
            )
        )
