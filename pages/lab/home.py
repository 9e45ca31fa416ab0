"""Start: one figure to play with, and the way to each page. No torch."""

import streamlit as st

from aevae.figures.palette import family_title
from aevae.ui.frame import access, layout
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, markdown
from aevae.ui.start import cards, toy

MAX_MODELS = 4  # in the strip


def figure() -> None:
    """The figure, and where the reader's own digit goes."""
    if problem := component.trouble([], has_server_version=False):
        st.warning(problem)
        return
    try:
        toy.show()
    except ValueError as problem:
        st.warning(markdown.escape(str(problem)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="goes_with_you"):
        st.markdown(_("Your digit goes with you:"), width="content")
        st.page_link("pages/explore/embeddings.py", label=_("into every map"), icon=":material/scatter_plot:")
        st.page_link("pages/explore/sliders.py", label=_("to the sliders"), icon=":material/tune:")
        st.page_link("pages/explore/denoise.py", label=_("into noise"), icon=":material/blur_off:")


def previews(runs: list) -> None:
    """A strip of models that are ready: the preview of the widest model of each family."""
    with_image = [run for run in runs if (run.path / "preview.png").is_file()]
    widest = {run.family: run for run in sorted(with_image, key=lambda run: run.latent_dim)}
    st.header(_("Models that are ready"), anchor=False)
    if not runs:
        st.info(
            _("There is no finished model yet. Open the page Train and train one: a small model takes a minute or two.")
        )
        return
    for column, run in zip(st.columns(MAX_MODELS), list(widest.values())[:MAX_MODELS], strict=False):
        png = image_sheets.enlarge((run.path / "preview.png").read_bytes(), 3)
        name = _("{}, {} numbers").format(family_title(markdown.strip(run.family)), run.latent_dim)
        alt = _("Images, their reconstructions and samples of {}").format(name)
        if png:
            column.image(png, caption=name, width="stretch", alt=alt)
    st.caption(_("Top: digits. Middle: their reconstructions. Bottom: images decoded from random codes."))
    st.page_link(
        "pages/lab/models.py", label=_("All {} models").format(len(runs)), icon=":material/inventory_2:"
    )  # fmt: skip


layout.page("aevae", _("A picture becomes a few numbers, and the numbers become a picture again."))
if problem := access.exposure_problem(st.get_option("server.address")):
    st.warning(markdown.escape(problem))
figure()
cards.style()
cards.ways()
for section, pages in cards.groups().items():
    cards.show(_(section), pages)
previews(cached.finished())
st.caption(
    _(
        "aevae is a laboratory for autoencoders: networks that compress an image into a few numbers, the code, and "
        "reconstruct the image from the code. Your browser and the server of this page compute everything; no other "
        "computer does."
    )
)
