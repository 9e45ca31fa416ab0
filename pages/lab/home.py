"""Start: the laboratory, its models, and the way to each page. No torch."""

import streamlit as st

from aevae.ui.frame import access, layout, menu
from aevae.ui.i18n import _
from aevae.ui.shared import cached, image_sheets, markdown
from aevae.ui.shared.run_picker import run_labels

NUM_IMAGES = 36
MAX_ROWS = 12  # models in the table


def strip() -> None:
    """A row of real digits."""
    try:
        images, _labels = cached.shown_digits()
    except ValueError as problem:
        st.warning(markdown.escape(problem))
        return
    image_sheets.show(
        images[:NUM_IMAGES],
        columns=NUM_IMAGES // 2,
        alt=_("Two rows of handwritten digits from MNIST, white on black"),
        width="stretch",
    )


def cards() -> None:
    """A card for each page: its question and a link. Labs are under their sections."""
    sections: dict[str, list] = {}
    for page in menu.all_pages()[1:]:
        sections.setdefault(page.section if page.section in menu.SECTIONS.values() else "", []).append(page)
    for section, listed in sections.items():
        if section:
            st.header(_(section), anchor=False)
        for row in range(0, len(listed), 3):
            for column, page in zip(st.columns(3), listed[row : row + 3], strict=False):
                with column.container(border=True, height="stretch"):
                    st.page_link(page.path, label=f"**{_(page.title)}**", icon=page.icon)
                    st.markdown(_(page.question))


def previews(runs: list) -> None:
    """The preview of the widest model of each family: originals, reconstructions, samples."""
    with_image = [run for run in runs if (run.path / "preview.png").is_file()]
    first = {run.family: run for run in sorted(with_image, key=lambda run: run.latent_dim)}
    if not first:
        return
    labels = run_labels(runs)
    st.header(_("What the models have learnt"), anchor=False)
    st.caption(_("Top: digits. Middle: their reconstructions. Bottom: images decoded from random codes."))
    shown = list(first.values())[:4]
    for column, run in zip(st.columns(4), shown, strict=False):
        png = image_sheets.enlarge((run.path / "preview.png").read_bytes(), 3)
        if png:
            column.image(
                png,
                caption=labels[run.name],
                width="stretch",
                alt=_("Images, their reconstructions and samples of {}").format(labels[run.name]),
            )


def table(runs: list) -> None:
    """The finished models and their data sets."""
    st.header(_("Models that are ready"), anchor=False)
    if not runs:
        st.info(
            _("There is no finished model yet. Open the page Train and train one: a small model takes a minute or two.")
        )
        return
    labels = run_labels(runs)
    lines = [f"| {_('model')} | {_('epochs')} | {_('squared error / image')} |", "|:---|---:|---:|"]
    for run in runs[:MAX_ROWS]:
        error = run.metrics.get(run.dataset, {}).get("sse")
        number = f"{error:.1f}" if isinstance(error, int | float) else "–"
        lines.append(f"| {markdown.strip(labels[run.name])} | {run.epochs} | {number} |")
    st.markdown("\n".join(lines))  # st.dataframe would bring half a second of imports to the first page
    if len(runs) > MAX_ROWS:
        st.caption(_("The page Models shows all models."))


layout.page("aevae", _("What do a few numbers say about a handwritten digit?"))
st.markdown(
    _(
        "A laboratory for autoencoders. An autoencoder is a network that compresses an image into a few numbers, the "
        "code, and reconstructs the image from the code. Train one, then see what its numbers mean. Everything here "
        "runs on this computer, with real digits."
    )
)
if problem := access.exposure_problem(st.get_option("server.address")):
    st.warning(markdown.escape(problem))
strip()
layout.try_this(
    [
        _("**Latent sliders**: move one slider from end to end. Does one number change one thing?"),
        _(
            "**Interpolate**: go from a 4 to a 9 in an autoencoder (AE) and in a variational autoencoder (VAE). Which "
            "path shows a digit at every step?"
        ),
        _("**Denoise**: raise the noise until you cannot read the digit. Can the model still restore it?"),
    ],
    _("Start with one of these"),
)
cards()
finished = cached.finished()
previews(finished)
table(finished)
