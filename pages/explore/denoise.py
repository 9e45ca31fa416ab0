"""Denoise: corrupt a digit, and see which model removes the noise."""

import streamlit as st

from aevae import figures
from aevae.ui.denoise import denoise_view
from aevae.ui.digit.picker import GOOD_DIGITS, pick_digit
from aevae.ui.frame import layout
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, opening, run_picker
from aevae.ui.shared.run_picker import DIGIT, LEVEL, NOISE

FIRST_DIGIT = GOOD_DIGITS[7]  # of its noisy image the denoising AE makes a 7, and the VAE something else


def cards(runs: list, clean, name: str, noisy, walks: dict, times: int) -> None:
    """The clean digit, the noisy one and the output of each model, drawn by the server."""
    with st.container(horizontal=True, gap="small"):
        denoise_view.card(_("clean"), clean, name, _("Clean"))
        denoise_view.card(_("noisy"), noisy, denoise_view.error_text(denoise_view.error(clean, noisy)), _("Noisy"))
        for run in runs:
            cleaned = walks[run.name][times]
            note = denoise_view.error_text(denoise_view.error(clean, cleaned))
            denoise_view.card(labels[run.name], cleaned, note, _("Output of {}").format(labels[run.name]))


def things_to_try() -> list[Try]:
    """Things to try; each sets up the noise."""
    start = {NOISE: "gaussian", LEVEL: 0.5, denoise_view.TIMES: 1, denoise_view.LAYER: None}
    return [
        Try(
            _("This is the noise that the denoising AE was trained on. Choose the other three kinds: for which of them "
              "is it still the best?"),
            start | {DIGIT: FIRST_DIGIT},
        ),
        Try(
            _("Raise the level until you cannot read the digit. Can a model restore it? Press ↻ for new noise: do you "
              "get the same digit?"),
            start | {LEVEL: 0.7, DIGIT: GOOD_DIGITS[3]},
        ),
        Try(
            _("There is no noise here, but each model is applied ten times. Which digits stay the same, which turn "
              "into others?"),
            start | {LEVEL: 0.0, denoise_view.TIMES: denoise_view.MAX_TIMES, DIGIT: GOOD_DIGITS[8]},
        ),
        Try(
            _("Erase the upper stroke of this 7 with black ink. Does a model restore it?"),
            start | {LEVEL: 0.0, DIGIT: FIRST_DIGIT},
        ),
        Try(
            _("A black square hides a fifth of the image. No model fills it in, because none was trained on squares."),
            start | {NOISE: "block", LEVEL: denoise_view.FITTING_LEVELS["block"], DIGIT: GOOD_DIGITS[3]},
            breaks=True,
        ),
    ]  # fmt: skip


layout.page()
view, below = st.container(), st.container()
with below:
    digits, chooser = st.container(), st.container()
    with chooser.expander(_("Choose the models"), icon=":material/tune:", key="denoise_models"):
        names = run_picker.pick_models(default=denoise_view.first_choice(cached.finished()))
        runs = opening.open_runs(names)
    dataset = opening.common_set(runs)
    trouble = component.trouble([run.info for run in runs], has_server_version=True)
    corruption = denoise_view.pick_noise(seen=trouble is not None)
    with digits:
        clean, label, _number = pick_digit(default=FIRST_DIGIT, dataset=dataset, models=())

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
            "Squared error: the squared difference to the clean image, summed over all pixels; smaller is better. For "
            "comparison, a black image has {:.1f} here."
        ).format(denoise_view.error(clean, clean * 0))
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
    moved = [denoise_view.error(clean, image) for image in walks[run.name]]
    st.markdown(
        _("**{}** · squared error {:.1f} noisy, {:.1f} after one, {:.1f} after {}").format(
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
        "**Why does the VAE draw another digit?** It never saw noise either. Its encoder answers a strange image with "
        "a code near 0, the centre of the prior: with Gaussian noise of 0.5 the codes of the shipped VAEs shrink by a "
        "third or more, those of the plain autoencoder hardly. Near 0 the decoder draws a blurred mixture of digits. "
        "So many noisy digits get nearly the same answer, and the VAE's curve becomes flat. With two numbers nearly "
        "all noisy digits get the same blurred answer.\n\n"
        "Apply the denoising model again and again: one or two steps remove the noise. Then the digit changes: "
        "strokes become sharper, some break, and an 8 may become a 6."
    ),
)
layout.try_this(things_to_try())
