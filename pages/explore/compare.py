"""Compare: the same numbers, pictures and dimensions of several models, side by side."""

import streamlit as st

from aevae.ui import address, chrome, comparing, contrasts, loaders, state
from aevae.ui.i18n import _

VIEWS = {
    "rates": _("Rate and distortion"),
    "kl": _("KL over training"),
    "dims": _("Dimensions"),
    "errors": _("Best and worst"),
    "samples": _("Samples"),
}

chrome.page(_("Compare"), _("Which model is better, and at what?"))
pictured = loaders.finished()
names = state.pick_models(max_selections=comparing.MOST, default=comparing.first_choice(pictured) if pictured else None)
runs = comparing.finished()
chosen = sorted((run for run in runs if run.name in names), key=lambda run: names.index(run.name))

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    dataset = comparing.pick_dataset(runs, chosen)
    found = comparing.pick_families([run for run in runs if dataset in run.metrics])
    pin = comparing.pick_reference(found)
asked = comparing.pick_numbers(found, dataset)
comparing.find_missing(chosen, asked, dataset)
columns = comparing.with_extras(asked, found, dataset)
frame = comparing.table(found, names, dataset, columns, pin)
comparing.show_table(frame, found, columns, pin, dataset)
comparing.say_missing(chosen, dataset)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    comparing.formulas(columns)
    contrasts.take("numbers", csv=lambda: comparing.table_csv(frame, found, columns, dataset))
    contrasts.report_button(chosen, dataset)

view = address.pick(
    st.segmented_control, _("View"), list(VIEWS), default="rates", required=True, format_func=VIEWS.get,
    key="compare_view", label_visibility="collapsed",
)  # fmt: skip
if view == "rates":
    contrasts.rate_and_distortion(found, names, dataset)
else:
    opened, shown = contrasts.open_alike(names)
    if view == "kl":
        contrasts.kl_over_training(opened)
    elif view == "dims":
        contrasts.dimensions(opened, shown)
    elif view == "errors":
        contrasts.errors(opened, shown)
    else:
        contrasts.samples(opened)
    if view in ("dims", "errors"):
        for note in dict.fromkeys(filter(None, (state.seen_note(run, shown) for run in opened))):
            st.caption(note)

chrome.explain(
    _("What compares with what"),
    _(
        "Numbers are means over test pictures: sums over pixels and dimensions of the code, in nats. `recon`, `ELBO` "
        "and `NLL` compare only between models that say the same kind of thing of a pixel (Bernoulli, Gaussian ...): "
        "a density can be as large as it likes. The squared error always compares.\n\n"
        "**Rate and distortion.** A code can cost more nats (KL, the rate) and leave fewer unsaid (recon, the "
        "distortion). Models on one dotted line are equally good as a bound on $\\log p(x)$, and yet spend "
        "it differently: what a good code is, this sum does not say (Alemi et al. 2018, *Fixing a Broken ELBO*).\n\n"
        "**Dimensions.** Two models that learnt the same thing may have put it at other places, and upside down. "
        "So the dimensions are paired first: of all one-to-one pairings the one with the largest sum of "
        "|correlation| over the test digits (the assignment problem). A small r means: no number of the other code "
        "says this alone."
    ),
)
chrome.try_this(
    [
        _("Take the β-VAE for **Differences to**: where is the VAE better, and what does it pay for that?"),
        _("Choose two VAEs and look at **Dimensions**: which of them found slant, which the thickness of the pen?"),
        _("**Best and worst**: are the worst pictures of all models the same ones?"),
    ]
)
