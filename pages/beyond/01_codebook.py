"""Codebook: What if a picture were written in words?

icon: grid_view
"""

import hashlib
import math

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.latent import codebook
from aevae.ui import digits, kept, lab, live, loaders, pictures, state
from aevae.ui.i18n import _

SAMPLES = 20


@st.cache_resource(max_entries=3, show_spinner=False)
def known(name: str) -> dict[str, np.ndarray]:
    """Of a run: its vectors, what each is used for, how often, and their order by that."""
    run = loaders.run(name)
    maps = codebook.maps(run, loaders.test_digits()[0][:300])
    share = codebook.use(maps[0], len(codebook.vectors(run)))
    drawn = codebook.atlas(run, [level[:200] for level in maps])
    return {
        "vectors": codebook.vectors(run),
        "atlas": pictures.to_bytes(drawn),
        "share": share.astype(np.float32),
        "order": np.argsort(-share, kind="stable").astype(np.int32),
    }


@st.cache_data(max_entries=24, show_spinner=False)
def drawn(name: str, prior: str, seed: int) -> np.ndarray:
    run = loaders.run(name)
    return codebook.decode(run, codebook.draw(run, SAMPLES, seed, prior))


@st.cache_data(max_entries=24, show_spinner=False)
def two_levels(name: str, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    run, images = loaders.run(name), loaders.test_digits()[0]
    return codebook.swapped(run, images[a], images[b]), codebook.lone(run, images[a], 3, 0)


def edits(picture: str, cells: int, count: int) -> list[list[int]]:
    """Changes of this picture's map, from the address; those of another picture are forgotten."""
    if st.session_state.setdefault("cells_of", picture) != picture:
        st.session_state.update({"cells_of": picture, "cells": ""})
    return codebook.read_edits(kept.text("cells", lambda text: bool(codebook.EDITS.fullmatch(text))), cells, count)


def take(payload: dict) -> None:
    """The browser's edits."""
    text = codebook.edits_text(payload.get("edits"))
    if text is not None:
        st.session_state["cells"] = text


def editor(name: str, image: np.ndarray) -> None:
    """The map of a picture, cell by cell."""
    run, shelf = loaders.run(name), known(name)
    indices = codebook.maps(run, image[None])[0][0]
    picture = hashlib.sha256(name.encode() + image.tobytes()).hexdigest()[:12]
    changes = edits(picture, indices.size, len(shelf["vectors"]))
    if problem := live.trouble([name]):
        st.caption(problem)
        changed = indices.copy().ravel()
        for cell, number in changes:
            changed[cell] = number
        shown = np.stack([image, *codebook.decode(run, [np.stack([indices, changed.reshape(indices.shape)])])])
        pictures.show(shown, 3, scale=6, alt=_("The digit, its map painted, and the edited map painted"))
        return
    live.mount(
        "codemap",
        "codemap",
        {
            "model": name,
            "key": picture,
            "picture": state.DIGIT,
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
    st.subheader(_("New maps"), anchor=False)
    titles = {"learnt": _("the learnt prior"), "use": _("each cell for itself"), "uniform": _("all vectors alike")}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        prior = st.segmented_control(
            _("Numbers drawn from"), list(titles), default="learnt", required=True, key="numbers", bind="query-params",
            format_func=titles.get,
        )  # fmt: skip
        seed = st.number_input(_("Seed"), 0, 9999, 0, key="maps_seed", width=130, bind="query-params")
    with st.spinner(_("Drawing cell by cell ...")):
        shown = drawn(name, prior, int(seed))
    pictures.show(shown, 10, scale=3, width="stretch", alt=_("Digits painted from drawn maps"))


def levels(number: int) -> None:
    """Two maps for one picture: who says what?"""
    st.subheader(_("Two levels: swap top and bottom"), anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = state.pick_model("two_levels", families=("vq_vae2",), label=_("Model of two levels"))
        other = st.number_input(
            _("Other digit"), 0, len(loaders.test_digits()[0]) - 1, 9, key="other", width=130, bind="query-params"
        )
    with st.spinner(_("Encoding both levels ...")):
        swapped, alone = two_levels(name, number, int(other))
    left, right = st.columns(2, gap="medium")
    with left:
        labels = ["A / A", "A / B", "B / A", "B / B"]
        pictures.show(swapped, 4, scale=3, labels=labels, width="stretch", alt=_("A, the two mixtures, B"))
        st.caption(_("Top / bottom. Who gives the bottom gives the picture: 14 x 14 cells say nearly all of it."))
    with right:
        labels = ["A / A", _("A / black"), *[_("A / drawn")] * 3]
        pictures.show(alone, 5, scale=3, labels=labels, width="stretch", alt=_("What the top of A says alone"))
        st.caption(_("What the top says alone: bottoms drawn given it keep place and slope, not always the digit."))


lab.begin(__doc__)
left, right = st.columns([2, 3], gap="large")
with left:
    name = state.pick_model("codebook", families=("vq_vae",))
    image, _label, number = digits.pick_digit(default=5, models=[])
with right, st.spinner(_("Reading the codebook ...")):
    editor(name, image)
run = loaders.run(name)
shelf = known(name)
st.subheader(_("How often each vector is used"), anchor=False)
st.plotly_chart(usage(name), key="usage", config={"displayModeBar": False})
samples(name)
if loaders.finished(("vq_vae2",)):
    levels(5 if number is None else number)
numbers = run.metrics.get("mnist-5k") or next(iter(run.metrics.values()))
count, cells = len(shelf["vectors"]), sum(side * side for side in run.config.model.sides)
lab.end(
    notice=[
        _("A digit is {} numbers, each one of {} words. One word, black, fills most cells.").format(cells, count),
        _("A vector is no tile that is pasted: the decoder sees neighbours, and joins their strokes."),
        _("Words need a grammar: only numbers drawn one after another, each told those before it, make digits."),
    ],
    tries=[
        _("Open a 9 or a 0: choose a cell on its stroke and put the first vector of the codebook there."),
        _("Choose one cell in the black and try vectors along the codebook. How far does one cell reach?"),
        _("The known failure: new maps with **each cell for itself**: the right words as often as ever, no digit."),
    ],
    formula=r"\mathcal L=-\log p(x\mid z_q)+\lVert \mathrm{sg}[z_e]-e_k\rVert^2+b\,\lVert z_e-\mathrm{sg}[e_k]\rVert^2,"
    r"\qquad k=\arg\min_j\lVert z_e-e_j\rVert,\quad z_q=e_k",
    numbers=_(
        "This run: reconstruction **{:.1f}** nats / image. {} cells of log₂ {} bits: {:.0f} bits if nothing is known, "
        "**{:.0f}** bits with the learnt prior. {} vectors used, perplexity **{:.0f}**."
    ).format(
        numbers["recon"], cells, count, cells * math.log2(count), numbers["prior_bits"], numbers["codes_used"],
        numbers["perplexity"],
    ),
    more=_(
        "The encoder gives a vector $z_e$ for each cell; the nearest of $K$ vectors takes its place. Choosing "
        "has no slope, so the gradient of $z_q$ is handed to $z_e$ as it is (*straight through*). Each vector follows "
        "the mean of what chose it; the term with $b$ keeps the encoder near its choices; sg lets no gradient pass. "
        "*Perplexity* is $e^H$ of how often vectors are used: 1 if it is always one, $K$ if all are used alike. "
        "Without restarts of unused vectors a large codebook may collapse to a few of them. The prior $p(k)$ is a "
        "PixelCNN: in raster order, each number given those before it."
    ),
    sources="van den Oord et al. 2017; Razavi et al. 2019",
)  # fmt: skip
