"""Compare: the same numbers, pictures and dimensions of several models, side by side."""

import streamlit as st

from aevae.ui.compare import table, views
from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, run_picker

VIEWS = {
    "rates": _("Rate and distortion"),
    "kl": _("KL over training"),
    "dims": _("Dimensions"),
    "errors": _("Best and worst"),
    "samples": _("Samples"),
}

layout.page()
pictured = cached.finished()
names = run_picker.pick_models(max_selections=table.MOST, default=table.first_choice(pictured) if pictured else None)
runs = table.finished()
chosen = sorted((run for run in runs if run.name in names), key=lambda run: names.index(run.name))

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    dataset = table.pick_dataset(runs)
    found = table.pick_families([run for run in runs if dataset in run.metrics])
    pin = table.pick_reference(found)
asked = table.pick_numbers(found, dataset)
table.find_missing(chosen, asked, dataset)
columns = table.with_extras(asked, found, dataset)
frame = table.table(found, names, dataset, columns, pin)
table.show_table(frame, found, columns, pin, dataset)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    table.formulas(columns)
    views.take("numbers", csv=lambda: table.table_csv(frame, found, columns, dataset))
    views.report_button(chosen, dataset)

view = address.pick(
    st.segmented_control, _("View"), list(VIEWS), default="rates", required=True, format_func=VIEWS.get,
    key="compare_view", label_visibility="collapsed",
)  # fmt: skip
if view == "rates":
    views.rate_and_distortion(found, names, dataset)
else:
    opened, shown = views.open_alike(names)
    if view == "kl":
        views.kl_over_training(opened)
    elif view == "dims":
        views.dimensions(opened, shown)
    elif view == "errors":
        views.errors(opened, shown)
    else:
        views.samples(opened)
    if view in ("dims", "errors"):
        for note in dict.fromkeys(filter(None, (run_picker.seen_note(run, shown) for run in opened))):
            st.caption(note)

layout.explain(
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
layout.try_this(
    [
        _("Take the β-VAE for **Differences to**: where is the VAE better, and what does it pay for that?"),
        _("Choose two VAEs and look at **Dimensions**: which of them found slant, which the thickness of the pen?"),
        _("**Best and worst**: are the worst pictures of all models the same ones?"),
    ]
)
