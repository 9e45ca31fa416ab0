"""Denoise: corrupt a digit, and see which model removes the noise."""

import streamlit as st

from aevae import figures
from aevae.ui import chrome, denoising, live, loaders, opening, pictures, state
from aevae.ui.digits import pick_digit
from aevae.ui.i18n import _


def cards(runs: list, clean, name: str, noisy, walks: dict, times: int) -> None:
    """The clean digit, the noisy one and what each model makes of it, as the server draws them."""
    with st.container(horizontal=True, gap="small"):
        denoising.card(_("clean"), clean, name, _("Clean"))
        denoising.card(_("noisy"), noisy, denoising.errors_text(*denoising.errors(clean, noisy)), _("Noisy"))
        for run in runs:
            cleaned = walks[run.name][times]
            note = denoising.errors_text(*denoising.errors(clean, cleaned))
            denoising.card(labels[run.name], cleaned, note, _("What {} makes of it").format(labels[run.name]))


chrome.page(_("Denoise"), _("Which model removes the noise from a digit, and how much noise can it remove?"))
controls, picture = st.columns([3, 5], gap="large")
with controls:
    names = state.pick_models(default=denoising.first_choice(loaders.finished()))
    runs = opening.open_runs(names)
    dataset = opening.common_set(runs)
    trouble = live.trouble([run.name for run in runs])
    spoiling = denoising.pick_noise(seen=trouble is not None)
    clean, label, _number = pick_digit(default=1, dataset=dataset, models=())  # one that is about as hard as the others

labels = {run.name: state.label_of(run.name) for run in runs}
name = _("own picture") if label is None else _("a {}").format(loaders.dataset(dataset).classes[label])
noisy = spoiling.spoil(clean)
walks = {run.name: denoising.walk(run, noisy) for run in runs}
with picture:
    if trouble:
        cards(runs, clean, name, noisy, walks, spoiling.times)
        st.caption(trouble)
    else:
        denoising.show_live(runs, clean, name, spoiling)
    st.caption(
        _(
            "Against the clean image. SSE: squared error / image, smaller is better. PSNR: decibels, larger is "
            "better; ∞ is an exact copy. For comparison, an all-black image has SSE {:.1f} and PSNR {} dB here."
        ).format(*denoising.errors_shown(*denoising.errors(clean, clean * 0)))
    )
    for note in dict.fromkeys(filter(None, (state.seen_note(run, dataset) for run in runs))):
        st.caption(note)

st.header(_("Error against noise level"), anchor=False)
kind, seed = spoiling.kind, spoiling.seed
count = min(denoising.DIGITS, len(loaders.test_digits(dataset)[0]))
with st.spinner(_("Cleaning {} test digits at {} levels ...").format(count, len(denoising.LEVELS))):
    curves = {labels[run.name]: denoising.model_curve(run, kind, seed, dataset) for run in runs}
    curves[_("noisy input")] = denoising.input_curve(kind, seed, dataset)
st.plotly_chart(
    loaders.drawn(
        figures.error_curve, denoising.LEVELS, curves, "squared error / image",
        families=state.colour_families(names), mark=spoiling.level,
        level_name=_("noise level ({})").format(denoising.noise_titles()[kind]),
    ),
    key="denoise_curve",
    config={"displayModeBar": False},
)  # fmt: skip
st.caption(
    _("Mean of {} test digits, each model applied once. Upright line: the level chosen now.").format(count)
    + (" " + _("Without your strokes.") if spoiling.layer is not None else "")
)

st.header(_("Again and again"), anchor=False)
st.caption(
    _("From the left: the noisy digit, then what the model makes of it after 1 to {} applications.").format(
        denoising.MOST
    )
)
for run in runs:
    moved = [denoising.errors(clean, image)[0] for image in walks[run.name]]
    st.markdown(
        _("**{}** · SSE {:.1f} noisy, {:.1f} after one, {:.1f} after {}").format(
            labels[run.name], moved[0], moved[1], moved[-1], denoising.MOST
        )
    )
    pictures.show(
        walks[run.name], denoising.MOST + 1, scale=4, gap=4, width="stretch",
        alt=_("{}: the noisy digit and {} applications").format(labels[run.name], denoising.MOST),
    )  # fmt: skip

chrome.explain(
    _("What is to be seen"),
    _(
        "A **denoising autoencoder** was trained to map noisy digits to clean ones. It removes the noise that it was "
        "trained on (its name says which). A **plain autoencoder** never saw noise: part of the noise enters its code. "
        "But a short code has no room for most of it, so the plain autoencoder removes much of a strong noise, too: "
        "its curve rises more slowly than the dotted line.\n\n"
        "Where a model's curve lies below the dotted line, its output is closer to the clean digit than its input was. "
        "Above the line the model does harm. At level 0 every model loses a little: that is the price of a short code. "
        "The denoising model loses more at level 0 than at a medium level of its own noise: it was never trained on "
        "a clean digit.\n\n"
        "Apply the denoising model again and again: one or two steps remove the noise. Then the digit changes: strokes "
        "become sharper, some break, and an 8 may become a 6. From strong noise a plain autoencoder makes pieces of "
        "strokes, and a VAE a blurred digit, often the wrong one."
    ),
)
chrome.try_this(
    [
        _("Choose the noise that the denoising model was trained on, then the other three. Where does it still win?"),
        _("Raise the level until you cannot read the digit. Can the model? Draw another seed: is it sure?"),
        _("Set the level to 0 and apply a model ten times. Which digits stay themselves, which turn into others?"),
        _("Level 0, black ink: erase the upper stroke of a 7. Which model restores it? Add a white stroke to a 1."),
    ]
)
