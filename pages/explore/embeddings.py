"""Embeddings: the same images in two to four maps side by side, with one selection for all."""

import streamlit as st

from aevae.ui.embeddings import alignment, colours, details, map_state, map_view, panes, selection
from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.shared import address


def show_maps(looks: list, dataset: str, n: int, colour: str, align: str) -> None:
    """Draw the maps, the reader's own digit, and the selection.

    Elements that come and go are below all controls, so that no control moves under the pointer.
    """
    if st.session_state["atlas_waits"] != map_state.waiting(looks):
        st.rerun()  # starts or stops the polling
    maps = st.container()
    own = details.own_digit(dataset)
    with st.container():
        places = details.places(looks, own)
        with maps:
            map_view.show(looks, dataset, n, colour=colour, align=align, own=own, places=places)
        details.downloads(looks, dataset, n)
        now = selection.brush(dataset, n)
        if len(now.selected):
            details.show_selection(looks, dataset, n, now.selected)
        if now.point >= 0 or own is not None:
            details.show_neighbours(looks, dataset, n, now.point, own, places)


layout.page()
if not panes.runs():
    st.info(_("There is no trained model here yet, so the maps show raw pixels."))
    st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
choices, dataset, n = panes.choose()
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    found = colours.shades(choices)
    colour = address.pick(st.selectbox, _("Colour by"), list(found), format_func=found.get, key="colour", width=400)
    turned = alignment.ways()
    align = address.pick(
        st.segmented_control, _("Alignment"), list(turned), default=alignment.FREE, required=True,
        format_func=turned.get, key="align",
        help=_(
            "To the first map: each map is rotated, mirrored, scaled and shifted (Procrustes), but keeps its shape. "
            "Aligned UMAP: new maps in which the same digit has nearly the same place."
        ),
    )  # fmt: skip
if align == alignment.TOGETHER:
    try:
        choices = alignment.together(choices)
    except ValueError as problem:
        st.caption(str(problem))
selection.follow_link(dataset, n)
looks = map_state.show_and_poll(show_maps, choices, dataset, n, colour, align)
layout.explain(
    _("What a map of t-SNE or UMAP does not show"),
    _(
        "**latent plane** shows the two strongest dimensions of the code, unchanged; a code with two dimensions is "
        "shown completely. **PCA** rotates and projects: its distances are never larger than the true ones. **t-SNE** "
        "and **UMAP** bend the space: they keep *which points are near each other* and lose the rest.\n\n"
        "- The **distance between two clusters** says little; another seed or perplexity changes it.\n"
        "- The **size of a cluster** says nothing: dense clusters become larger, thin ones smaller.\n"
        "- **Clusters can appear from nothing**: a small perplexity breaks an even cloud into clumps. A map of random "
        "codes shows this.\n"
        "- The axes have no meaning and no unit, so the maps have none.\n\n"
        "Trust only what stays the same when you change seed and perplexity. The colours are the labels; neither the "
        "models nor the maps have seen a label.\n\n"
        "**10-NN accuracy**: how often the ten nearest points vote for the right class. **Trustworthiness** is 1 if "
        "every neighbour in the map is also a neighbour in the original space. **Continuity** is 1 if every neighbour "
        "in the original space is also a neighbour in the map. **Neighbours kept**: how many of the ten nearest "
        "neighbours stay the same. The last three compare a map with its original space, not one model with another."
    ),
)
st.button(
    _("Show one model at perplexity 2, 30 and 100"), key="show_perplexity", icon=":material/play_arrow:",
    on_click=panes.use_preset, args=("perplexity",),
)  # fmt: skip
layout.try_this(
    [
        _("Perplexity 2, 30, 100: draw around a clump in the first map. Where do its digits lie in the others?"),
        _("Colour by *neighbours changed*: which digits have other neighbours in the second model?"),
        _("Press ⇄ over a map: it changes into the next one. Which class moves as a whole, which falls apart?"),
        _("Draw a 4 that is nearly a 9. Where does it appear, and which digits are its neighbours in each map?"),
    ],
    _("Four things to try"),
)
map_view.send_sheets(looks, dataset, n)  # last: the maps do not wait for them
