"""Compare: the same images, metrics and dimensions of several models, side by side."""

import streamlit as st

from aevae.ui.compare import choice, missing, pictures, table, tries, views
from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, run_picker

VIEWS = {
    "images": _("Images"),
    "rates": _("Rate and distortion"),
    "kl": _("KL over training"),
    "dims": _("Dimensions"),
    "errors": _("Best and worst"),
    "samples": _("Samples"),
}

layout.page()
image_runs = cached.finished()
runs = choice.finished()
notes = st.container()
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    line = st.container(width="content")
    with st.popover(_("Change"), icon=":material/tune:", key="compare_controls") if image_runs else st.container():
        default = choice.first_choice(image_runs) if image_runs else None
        names = run_picker.pick_models(max_selections=choice.MAX_MODELS, default=default, notes=notes)
        chosen = sorted((run for run in runs if run.name in names), key=lambda run: names.index(run.name))
        dataset = choice.pick_dataset(runs, chosen)
        found = choice.pick_families([run for run in runs if dataset in run.metrics])
line.markdown(choice.summary(chosen, dataset))

view = address.pick(
    st.segmented_control, _("View"), list(VIEWS), default="images", required=True, format_func=VIEWS.get,
    key="compare_view", label_visibility="collapsed",
)  # fmt: skip
if view == "images":
    pictures.show(chosen, dataset)
elif view == "rates":
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

with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    pin = choice.pick_reference(found)
    with st.popover(_("Metrics"), icon=":material/checklist:", key="compare_metrics"):
        requested = choice.pick_metrics(found, dataset)
        with_spread = choice.pick_spread()
columns = choice.with_extras(requested, found, dataset)
brief = [name for name in columns if name in requested or with_spread or not choice.spread_of(name)]
table.show_metrics(chosen, table.without_errors(brief), pin, dataset)
missing.find_missing(chosen, requested, dataset)
choice.say_missing(chosen, dataset)
run_picker.say_rises({run_picker.label_of(run.name): run for run in chosen})
frame = table.table(found, names, dataset, columns, pin)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    table.definitions(columns)
    views.report_button(chosen, dataset)
    views.download_buttons("numbers", csv=lambda: table.table_csv(frame, found, columns, dataset))
with st.expander(_("All models in one table")):
    table.show_table(frame[["model", *brief, "chosen"]], found, brief, pin, dataset)
layout.try_this(tries.of_models(image_runs))
layout.explain(_("What did you see?"), tries.what_is_seen())
layout.explain(
    _("Which metrics can be compared"),
    _(
        "The metrics are means over test images: sums over pixels and latent dimensions, in nats. Compare "
        "`recon`, `ELBO` and `NLL` only between models with the same likelihood of a pixel (Bernoulli, Gaussian ...), "
        "because a density has no upper limit. You can always compare the squared error.\n\n"
        "The table shows as many digits as the standard error over the test images allows. A difference between two "
        "models on the same images is more certain than each of the two values.\n\n"
        "**Rate and distortion.** A code with more nats (KL, the rate) can leave a smaller reconstruction error "
        "(recon, the distortion). Models on one dotted line have the same bound on $\\log p(x)$, but they divide it "
        "differently between the two. This sum does not say which code is good (Alemi et al. 2018, *Fixing a Broken "
        "ELBO*).\n\n"
        "**Dimensions.** Two models can learn the same thing in different dimensions and with opposite sign. So the "
        "page first pairs the dimensions: of all one-to-one pairings it takes the one with the largest sum of "
        "|correlation| over the test digits (the assignment problem). A small r means that no single dimension of the "
        "other code has the same meaning."
    ),
)
