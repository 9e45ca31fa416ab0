"""Embeddings: the same images in two to four maps side by side, with one selection for all."""

import streamlit as st

from aevae.ui.embeddings import alignment, colours, details, map_state, map_view, panes, selection, tries
from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.shared import address


def choose(notes) -> tuple[list[panes.Choice], str, int, str, str]:
    """(panes, data set, number of images, colouring, alignment) from the controls. notes: container for messages."""
    choices, dataset, n = panes.choose(notes)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        found = colours.shades(choices)
        colour = address.pick(st.selectbox, _("Colour by"), list(found), format_func=found.get, key="colour", width=400)
        turned = alignment.ways()
        align = address.pick(
            st.segmented_control, _("Alignment"), list(turned), default=alignment.FREE, required=True,
            format_func=turned.get, key="align",
            help=_(
                "To the first map: each map is rotated, mirrored, scaled and shifted (Procrustes), but keeps its "
                "shape. Aligned UMAP: new maps in which the same digit has nearly the same place."
            ),
        )  # fmt: skip
    return choices, dataset, n, colour, align


def show_maps(looks: list, dataset: str, n: int, colour: str, align: str, results) -> None:
    """Draw the maps, with the drawing board beside them, and below the page the results of a choice.

    results: the last place of the page, so that nothing above it moves when results appear.
    """
    if st.session_state["atlas_waits"] != map_state.waiting(looks):
        st.rerun()  # starts or stops the polling
    board = details.has_board()
    with st.container(horizontal=True, key="atlas_row"):
        maps = st.container(key="atlas_maps", width="stretch")
        own = None
        if board:
            with st.container(key="atlas_board"):
                own = details.own_digit(dataset)
    rests = details.pen_rests(own)
    done = own if rests else None
    with maps:
        places = details.places(looks, done)
        guest = map_view.Guest(board, done, places, is_drawn=not rests)
        map_view.show(looks, dataset, n, colour=colour, align=align, guest=guest)
    details.downloads(looks, dataset, n)
    now = selection.brush(dataset, n)
    with results.container():
        if len(now.selected):
            details.show_selection(looks, dataset, n, now.selected)
        if now.point >= 0 or done is not None:
            details.show_neighbours(looks, dataset, n, now.point, done, places)


layout.page()
map_view.styles()
if not panes.runs():
    st.info(_("There is no trained model here yet, so the maps show raw pixels."))
    st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
notes = st.container()
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    line = st.container(width="content")
    with st.popover(_("Change"), icon=":material/tune:", key="map_controls"):
        choices, dataset, n, colour, align = choose(notes)
    details.pick_board()
line.markdown(panes.summary(choices, colours.shades(choices)[colour]))
if align == alignment.TOGETHER:
    try:
        choices = alignment.together(choices)
    except ValueError as problem:
        st.caption(str(problem))
selection.follow_link(dataset, n)
maps, more, results = st.container(), st.container(), st.empty()
with maps:
    looks = map_state.show_and_poll(show_maps, choices, dataset, n, colour, align, results)
with more:
    layout.try_this(tries.of_maps())
    layout.explain(_("What did you see?"), tries.what_is_seen())
    layout.explain(
        _("What a map of t-SNE or UMAP does not show"),
        _(
            "**latent plane** shows the two strongest dimensions of the code, unchanged; a code with two dimensions is "
            "shown completely. **PCA** rotates and projects: its distances are never larger than the true ones. "
            "**t-SNE** and **UMAP** bend the space: they keep *which points are near each other* and lose the rest.\n\n"
            "- The **distance between two clusters** says little; another seed or perplexity changes it.\n"
            "- The **size of a cluster** says nothing: dense clusters become larger, thin ones smaller.\n"
            "- **Clusters can appear from nothing**: a small perplexity breaks an even cloud into clumps. A map of "
            "random codes shows this.\n"
            "- The axes have no meaning and no unit, so the maps have none.\n\n"
            "Trust only what stays the same when you change seed and perplexity. The colours are the labels; neither "
            "the models nor the maps have seen a label.\n\n"
            "**10-NN accuracy**: how often the ten nearest points vote for the right class. **Trustworthiness** is 1 "
            "if every neighbour in the map is also a neighbour in the original space. **Continuity** is 1 if every "
            "neighbour in the original space is also a neighbour in the map. **Neighbours kept**: how many of the ten "
            "nearest neighbours stay the same. The last three compare a map with its original space, not one model "
            "with another."
        ),
    )
map_view.send_sheets(looks, dataset, n)  # last: the maps do not wait for them
