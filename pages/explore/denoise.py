"""Denoise: corrupt a digit, and see which model removes the noise."""

import streamlit as st

from aevae import figures
from aevae.ui.denoise import denoise_view
from aevae.ui.digit.picker import pick_digit
from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, opening, run_picker


def cards(runs: list, clean, name: str, noisy, walks: dict, times: int) -> None:
    """The clean digit, the noisy one and the output of each model, drawn by the server."""
    with st.container(horizontal=True, gap="small"):
        denoise_view.card(_("clean"), clean, name, _("Clean"))
        denoise_view.card(_("noisy"), noisy, denoise_view.errors_text(*denoise_view.errors(clean, noisy)), _("Noisy"))
        for run in runs:
            cleaned = walks[run.name][times]
            note = denoise_view.errors_text(*denoise_view.errors(clean, cleaned))
            denoise_view.card(labels[run.name], cleaned, note, _("Output of {}").format(labels[run.name]))


layout.page()
controls, view = st.columns([3, 5], gap="large")
with controls:
    names = run_picker.pick_models(default=denoise_view.first_choice(cached.finished()))
    runs = opening.open_runs(names)
    dataset = opening.common_set(runs)
    trouble = component.trouble([run.info for run in runs], has_server_version=True)
    corruption = denoise_view.pick_noise(seen=trouble is not None)
    clean, label, _number = pick_digit(default=1, dataset=dataset, models=())  # one that is about as hard as the others

labels = {run.name: run_picker.label_of(run.name) for run in runs}
name = _("your image") if label is None else _("a {}").format(cached.dataset(dataset).classes[label])
noisy = corruption.apply(clean)
walks = {run.name: denoise_view.walk(run, noisy) for run in runs}
with view:
    if trouble:
        cards(runs, clean, name, noisy, walks, corruption.times)
        st.caption(trouble)
    else:
        denoise_view.show_live(runs, clean, name, corruption)
    st.caption(
        _(
            "Difference to the clean image. SSE: squared error / image, smaller is better. PSNR: the same in "
            "decibels, larger is better; ∞ means an exact copy. For comparison, an all-black image has SSE {:.1f} and "
            "PSNR {} dB here."
        ).format(*denoise_view.errors_shown(*denoise_view.errors(clean, clean * 0)))
    )
    for note in dict.fromkeys(filter(None, (run_picker.seen_note(run, dataset) for run in runs))):
        st.caption(note)

st.header(_("Error against noise level"), anchor=False)
kind, seed = corruption.kind, corruption.seed
count = min(denoise_view.NUM_CURVE_IMAGES, len(cached.shown_digits(dataset)[0]))
with st.spinner(_("Cleaning {} test digits at {} levels ...").format(count, len(denoise_view.LEVELS))):
    curves = {labels[run.name]: denoise_view.model_curve(run, kind, seed, dataset) for run in runs}
    curves[_("noisy input")] = denoise_view.input_curve(kind, seed, dataset)
st.plotly_chart(
    cached.figure(
        figures.error_curve, denoise_view.LEVELS, curves, "squared error / image",
        families=run_picker.colour_families(names), mark=corruption.level,
        level_name=_("noise level ({})").format(denoise_view.noise_titles()[kind]),
    ),
    key="denoise_curve",
    config={"displayModeBar": False},
)  # fmt: skip
st.caption(
    _("Mean over {} test digits; each model is applied once. Vertical line: the chosen level.").format(count)
    + (" " + _("Your strokes are not used here.") if corruption.layer is not None else "")
)

st.header(_("Apply the model several times"), anchor=False)
st.caption(
    _("From the left: the noisy digit, then the output of the model after 1 to {} applications.").format(
        denoise_view.MAX_TIMES
    )
)
for run in runs:
    moved = [denoise_view.errors(clean, image)[0] for image in walks[run.name]]
    st.markdown(
        _("**{}** · SSE {:.1f} noisy, {:.1f} after one, {:.1f} after {}").format(
            labels[run.name], moved[0], moved[1], moved[-1], denoise_view.MAX_TIMES
        )
    )
    image_sheets.show(
        walks[run.name], denoise_view.MAX_TIMES + 1, scale=4, gap=4, width="stretch",
        alt=_("{}: the noisy digit and {} applications").format(labels[run.name], denoise_view.MAX_TIMES),
    )  # fmt: skip

layout.explain(
    _("What did you see?"),
    _(
        "A **denoising autoencoder** was trained to map noisy digits to clean ones. It removes the noise that it was "
        "trained on (its name says which). A **plain autoencoder** never saw noise: part of the noise enters its "
        "code. But a short code has no room for most of the noise, so the plain autoencoder also removes much of "
        "strong noise: its curve rises more slowly than the dotted line (the noisy input).\n\n"
        "Where the curve of a model lies below the dotted line, its output is closer to the clean digit than its "
        "input was. Above the line, the output is worse than the input. At level 0 every model loses a little: that "
        "is the price of a short code. The denoising model loses more at level 0 than at a medium level of its own "
        "noise: it was never trained on a clean digit.\n\n"
        "Apply the denoising model again and again: one or two steps remove the noise. Then the digit changes: "
        "strokes become sharper, some break, and an 8 may become a 6. From strong noise a plain autoencoder makes "
        "pieces of strokes, and a VAE makes a blurred digit, often the wrong one."
    ),
)
layout.try_this(
    [
        _(
            "Choose the noise that the denoising model was trained on, then the other three. For which noise is it "
            "still the best?"
        ),
        _(
            "Raise the level until you cannot read the digit. Can the model restore it? Take another seed: do you get "
            "the same digit?"
        ),
        _("Set the level to 0 and apply a model ten times. Which digits stay the same, which turn into others?"),
        _(
            "Set the level to 0 and erase the upper stroke of a 7 with black ink. Which model restores it? Add a white "
            "stroke to a 1."
        ),
    ]
)
