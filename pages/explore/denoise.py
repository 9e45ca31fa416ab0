"""Denoise: spoil a digit, and see which model cleans it."""

import streamlit as st

from aevae import figures
from aevae.metrics.denoising import apply_again, spoil
from aevae.ui import chrome, denoising, loaders, opening, pictures, state
from aevae.ui.digits import pick_digit
from aevae.ui.i18n import _

MOST = 10  # applications

chrome.page(_("Denoise"), _("Which model cleans a spoilt digit, and how much noise can it stand?"))
controls, picture = st.columns([2, 3], gap="large")
with controls:
    names = state.pick_models(default=denoising.first_choice(loaders.finished()))
    kind, level, seed = denoising.pick_noise()
    times = st.slider(
        _("Times applied"), 1, MOST, 1, key="times", bind="query-params",
        help=_("What comes out goes in again: how often?"),
    )  # fmt: skip
    clean, label, _number = pick_digit(default=1)  # one that is about as hard as the others

with picture:
    runs = opening.open_runs(names)
    noisy = spoil(clean[None], kind, level, seed)
    walks = {run.name: apply_again(run.reconstruct, noisy, MOST)[:, 0] for run in runs}  # (MOST + 1, 1, 28, 28)
    labels = {run.name: state.label_of(run.name) for run in runs}
    with st.container(horizontal=True, gap="small"):
        denoising.card(_("clean"), clean, _("own picture") if label is None else _("a {}").format(label), _("Clean"))
        denoising.card(_("noisy"), noisy[0], denoising.errors_text(*denoising.errors(clean, noisy[0])), _("Noisy"))
        for run in runs:
            cleaned = walks[run.name][times]
            note = denoising.errors_text(*denoising.errors(clean, cleaned))
            denoising.card(labels[run.name], cleaned, note, _("What {} makes of it").format(labels[run.name]))
    st.caption(
        _(
            "Against the clean picture. SSE: squared error / image, smaller is better. PSNR: decibels, larger is "
            "better; ∞ is an exact copy."
        )
    )
    for note in dict.fromkeys(filter(None, map(state.seen_note, runs))):
        st.caption(note)

st.subheader(_("Error against noise level"), anchor=False)
with st.spinner(_("Cleaning {} test digits at {} levels ...").format(denoising.DIGITS, len(denoising.LEVELS))):
    curves = {labels[run.name]: denoising.model_curve(run, kind, seed) for run in runs}
    curves[_("noisy input")] = denoising.input_curve(kind, seed)
st.plotly_chart(
    figures.error_curve(
        denoising.LEVELS, curves, "squared error / image", families=state.colour_families(names), mark=level,
        level_name=_("noise level ({})").format(denoising.noise_titles()[kind]),
    ),
    key="denoise_curve",
    config={"displayModeBar": False},
)  # fmt: skip
st.caption(
    _("Mean of {} test digits, each model applied once. Upright line: the level chosen now.").format(denoising.DIGITS)
)

st.subheader(_("Again and again"), anchor=False)
st.caption(
    _("From the left: the noisy digit, then what the model makes of it after 1 to {} applications.").format(MOST)
)
for run in runs:
    moved = [denoising.errors(clean, image)[0] for image in walks[run.name]]
    st.markdown(
        _("**{}** · SSE {:.1f} noisy, {:.1f} after one, {:.1f} after {}").format(
            labels[run.name], moved[0], moved[1], moved[-1], MOST
        )
    )
    pictures.show(
        walks[run.name], MOST + 1, scale=4, gap=4, width="stretch",
        alt=_("{}: the noisy digit and {} applications").format(labels[run.name], MOST),
    )  # fmt: skip

chrome.explain(
    _("What is to be seen"),
    _(
        "A **denoising autoencoder** was shown spoilt digits and asked for the clean ones. It has learnt the way back "
        "to where digits live, for the noise it was trained on (its name says which). A **plain autoencoder** never "
        "saw noise: it copies part of it into the code. Its narrow code still throws away much that is no digit, so it "
        "cleans a little without having been asked to.\n\n"
        "Where a model's curve lies below the dotted line, its picture is nearer to the clean one than what went in; "
        "above it, one had better leave the digit alone. At level 0 every model loses a little: that is the price of a "
        "short code.\n\n"
        "Applied again and again, the noise is gone after a step or two, and then the picture walks on to a digit that "
        "the model likes: a clean one, but not always the one that went in."
    ),
)
chrome.try_this(
    [
        _("Choose the noise the denoising model was trained on, then another kind. Does it still win?"),
        _("Raise the level until you cannot read the digit. Can the model? Draw another seed: is it sure?"),
        _("Set the level to 0 and apply a model ten times. Which digits stay themselves, which turn into others?"),
    ]
)
