"""Latent sliders: one code, changed by sliders, on a plane, or by sampling. The browser decodes during the movement."""

import numpy as np
import streamlit as st

from aevae.latent.sampling import prior
from aevae.ui.digit import canvas, picker
from aevae.ui.frame import layout
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, markdown, redraw, run_picker
from aevae.ui.shared.run_picker import DIGIT
from aevae.ui.sliders import latent_code, live_view, server_view

GRID_SIDE, MAX_STRIPS = 15, 16  # images a side; rows
FIRST_DIGIT = picker.GOOD_DIGITS[3]


@redraw.fragment
def bench(space: latent_code.LatentSpace, beside: list[str]) -> None:
    """The decoded image beside the plane, and below them the digit, the sliders and the options."""
    trouble = component.trouble([space.name, *beside], has_server_version=True)
    top, digits = st.container(), st.container()
    with digits:
        image, label, _number = picker.pick_digit(default=FIRST_DIGIT, dataset=space.dataset, models=[space.name])
    latent_code.settle(space)
    z = latent_code.current_code(space)
    if trouble:
        with top:
            st.caption(trouble)
            server_sliders(space, z, beside)
    else:
        live_view.sliders(space, z, beside)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        live_view.pick_size(space)
        latent_code.start_buttons(space)
    if space.latent_dim < 2:
        st.caption(_("This code has a single dimension, so there is no plane to show."))
    elif trouble:
        plane(space, z)
    else:
        live_view.plane(space, image, label, beside, top)
    if trouble:
        strips(space, z)
    with st.expander(_("Code and seed"), icon=":material/data_array:", key="code"):
        latent_code.code_field(space)
        latent_code.seed_field(space)
    run_picker.caption_seen(cached.run(space.name).info, space.dataset)


# -- the server's version: decoded when the hand lets go --------------------------------------------------------------


def server_sliders(space: latent_code.LatentSpace, z: np.ndarray, beside: list[str]) -> None:
    """The image of every model, and the sliders."""
    left, right = st.columns([2, 3], gap="large")
    shown = latent_code.decode_view(cached.run(space.name), z)
    with left:
        for name in [space.name, *beside]:
            run = cached.run(name)
            image = shown if name == space.name else cached.applied(run, "reconstruct", shown[None, None])[0, 0]
            image_sheets.show(
                image[None],
                scale=6 if beside else 12,
                alt=_("Image by {model}").format(model=run_picker.label_of(name)),
            )
            if beside:
                st.caption(run_picker.label_of(name))
        st.caption(latent_code.norm_note(z, space))
    with right:
        show_sliders(space, z)


def show_sliders(space: latent_code.LatentSpace, z: np.ndarray) -> None:
    """A slider for each active dimension; dead ones are folded below."""
    latent_code.sliders(space.alive, z, space)
    if not space.alive:
        st.info(_("No dimension of this code carries information: the decoder ignores the code."))
    if space.dead:
        text = _("{} dead dimensions: the image hardly changes with them").format(len(space.dead))
        folded = st.expander(text, key="dead", on_change="rerun")
        if folded.open:
            with folded:
                latent_code.sliders(space.dead, z, space)


def plane(space: latent_code.LatentSpace, z: np.ndarray) -> None:
    """Two dimensions at once: decoded images over the plane, and the test codes in it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x, y = latent_code.choose_dims(space)
        by_prior = bool(space.prior) and live_view.choose_grid_lines()
    dims, here = (x, y), (float(z[x]), float(z[y]))
    left, right = st.columns(2, gap="large")
    with left:
        xs, ys = server_view.grid_lines(space, dims, GRID_SIDE, by_prior)
        places = [server_view.cell_place(i, xs, ys) for i in range(GRID_SIDE * GRID_SIDE)]
        names = [f"z{x} = {a:.2f}, z{y} = {b:.2f}" for a, b in places]
        canvas.pick_cell(
            "manifold",
            canvas.Sheet(server_view.grid_sheet(space, z, dims, xs, ys), GRID_SIDE, GRID_SIDE, names=names),
            selected=server_view.nearest_cell(here, xs, ys),
            label=_("Decoded images over z{} and z{}; click to choose one").format(x, y),
            on_pick=lambda i: latent_code.place(dims, places[i], space),
            max_width=560,
        )
        st.caption(
            _(
                "The decoded images over z{} (horizontal) and z{} (vertical). All other dimensions stay as set above."
            ).format(x, y)
        )
    with right:
        plane = canvas.Plane(
            _("Codes of test images over z{} and z{}; click to decode a point").format(x, y),
            (space.low[x], space.high[x], space.low[y], space.high[y]),
            points=space.codes[:, list(dims)],
            classes=space.labels,
            equal=False,
            max_width=560,
            value_label="z",
        )
        canvas.show_plane("codes", plane, value=here, on_pick=lambda xy: latent_code.place(dims, xy, space))
        st.caption(_("The codes of {:,} test images. Click a point to decode it.").format(len(space.codes)))


def strips(space: latent_code.LatentSpace, z: np.ndarray) -> None:
    """One dimension at a time."""
    st.header(_("One dimension at a time"), anchor=False)
    rows = (space.alive or space.order.tolist())[:MAX_STRIPS]
    st.image(
        server_view.strips(space, z, rows),
        alt=_("One row per dimension: the images when only this dimension changes"),
        output_format="PNG",
        width="content",
    )
    centre = _("0") if space.prior else _("the mean code")
    st.caption(
        _(
            "Each row changes one dimension of z by ±3 standard deviations of {} around {}. The strongest dimension "
            "is first. The line marks the current value."
        ).format(_("the prior") if space.prior else _("the codes"), centre)
    )  # fmt: skip


def things_to_try() -> list[Try]:
    """Four things to try; each sets up the model and the digit."""
    shipped, runs = live_view.shipped_vaes(), cached.finished()
    small = {run_picker.MODEL: live_view.first_choice() or runs[0].name, latent_code.CODE: ""}
    large = {run_picker.MODEL: shipped[max(shipped)]} if shipped else small
    plain = [run for run in runs if run.family == "ae"]
    wide = max(plain, key=lambda run: run.latent_dim, default=None)
    far = {}
    if wide:
        sample = latent_code.format_code(prior(1, wide.latent_dim, 1)[0])
        far = {run_picker.MODEL: wide.name, latent_code.CODE: sample, latent_code.DRAW: 1}
    return [
        Try(
            _("Move slowly over the plane from the 3s to the 8s. What does the model show between two classes?"),
            small | {DIGIT: FIRST_DIGIT, live_view.PLANE: "dims", live_view.BEHIND: "codes"},
        ),
        Try(
            _("The plane as the decoder sees it: which digits have much room, which have little?"),
            small | {live_view.PLANE: "dims", live_view.BEHIND: "pictures"},
        ),
        Try(
            _("With more numbers, move the strongest dimension of a 7 from end to end. Does it change one thing?"),
            large | {DIGIT: picker.GOOD_DIGITS[7], live_view.PLANE: "dims"},
        ),
        Try(
            _("Press **Random sample** ten times with an AE, then with a VAE. Only one of them was trained so that "
              "samples of N(0, I) lie among the codes of digits."),
            far,
            breaks=True,
        ),
    ]  # fmt: skip


layout.page()
stage = st.container()
with st.expander(_("Choose the model"), icon=":material/tune:", key="choose_model"):
    model, others = st.columns(2)
with model:
    name = run_picker.pick_model(default=live_view.first_choice())
try:
    opened = latent_code.open_latent_space(name)
except ValueError as problem:
    st.error(markdown.escape(problem))
    st.stop()
if cached.run(name).info.traits["latent"] == "discrete":
    address.write(latent_code.CODE)  # a code in the link has no effect here
    st.info(
        _(
            "Sliders cannot change this code. It is a grid of cells, and each cell holds one of a few learnt vectors; "
            "a value between two vectors has no meaning. The page Interpolate shows where cells jump from one vector "
            "to the next."
        )
    )
    st.page_link("pages/explore/interpolate.py", label=_("Interpolate"), icon=":material/conversion_path:")
    st.page_link("pages/beyond/01_codebook.py", label=_("The Codebook lab"), icon=":material/grid_on:")
    st.stop()
with others:
    compared = live_view.pick_beside(opened)
with stage:
    bench(opened, compared)
layout.explain(
    _("What a code is, and why some dimensions do nothing"),
    _(
        "The encoder compresses an image of 784 pixels into the few numbers of **z**. The decoder makes an image from "
        "any z, even if no real digit has this z. The sliders are sorted by the information that their dimensions "
        "carry, measured on the test images. For a VAE this is the **KL divergence** of each dimension from its prior "
        "N(0, 1): how many nats the dimension costs. For an autoencoder it is the **variance** of the code.\n\n"
        "A VAE pays for every nat. If a dimension costs more than it improves the reconstruction, training switches "
        "it off: its KL is about 0 and the decoder ignores it. Such a dimension is *dead* (here: its mean has a "
        "variance below 0.01 over the test images; without a prior: below a thousandth of the largest variance).\n\n"
        "The prior says which codes are likely. In many dimensions a sample of N(0, I) does not lie near 0 but near a "
        "sphere of radius √D. A plain autoencoder has **no prior**. If you sample its code from N(0, I), you mostly "
        "get no digit, because its training put no codes there. *Fitted sample* uses a Gaussian with the mean and "
        "covariance of the test codes instead. This Gaussian is our guess and not part of the model."
    ),
)
layout.try_this(things_to_try(), _("Four things to try"))
