"""Compare: the same numbers, images and dimensions of several models, side by side."""

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
image_runs = cached.finished()
default = table.first_choice(image_runs) if image_runs else None
names = run_picker.pick_models(max_selections=table.MAX_MODELS, default=default)
runs = table.finished()
chosen = sorted((run for run in runs if run.name in names), key=lambda run: names.index(run.name))

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    dataset = table.pick_dataset(runs, chosen)
    found = table.pick_families([run for run in runs if dataset in run.metrics])
    pin = table.pick_reference(found)
requested = table.pick_numbers(found, dataset)
table.find_missing(chosen, requested, dataset)
columns = table.with_extras(requested, found, dataset)
frame = table.table(found, names, dataset, columns, pin)
table.show_table(frame, found, columns, pin, dataset)
table.say_missing(chosen, dataset)
run_picker.say_rises({run_picker.label_of(run.name): run for run in chosen})
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    table.formulas(columns)
    views.download_buttons("numbers", csv=lambda: table.table_csv(frame, found, columns, dataset))
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
    _("Which numbers can be compared"),
    _(
        "The numbers are means over test images: sums over pixels and over dimensions of the code, in nats. Compare "
        "`recon`, `ELBO` and `NLL` only between models with the same likelihood of a pixel (Bernoulli, Gaussian ...), "
        "because a density has no upper limit. You can always compare the squared error.\n\n"
        "**Rate and distortion.** A code with more nats (KL, the rate) can leave a smaller reconstruction cost "
        "(recon, the distortion). Models on one dotted line have the same bound on $\\log p(x)$, but they divide it "
        "differently between the two. This sum does not say which code is good (Alemi et al. 2018, *Fixing a Broken "
        "ELBO*).\n\n"
        "**Dimensions.** Two models can learn the same thing in different dimensions and with opposite sign. So the "
        "page first pairs the dimensions: of all one-to-one pairings it takes the one with the largest sum of "
        "|correlation| over the test digits (the assignment problem). A small r means that no single dimension of the "
        "other code has the same meaning."
    ),
)
layout.try_this(
    [
        _("Choose the β-VAE in **Show differences to**: where is the VAE better, and what is the price?"),
        _(
            "Choose two VAEs and look at **Dimensions**: which dimension is the slant, which is the thickness of the "
            "pen?"
        ),
        _("**Best and worst**: are the worst images the same for all models?"),
    ]
)
