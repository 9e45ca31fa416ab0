"""Bottleneck: How many numbers does a digit need?

icon: compress
"""

import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_title
from aevae.ui.i18n import _
from aevae.ui.labs import bottleneck as lab
from aevae.ui.labs import template
from aevae.ui.shared import cached, url_values

template.begin(__doc__)
k = url_values.numbers(lab.KEPT)["kept"]
runs = [run for run in cached.finished(lab.FAMILIES) if run.dataset in datasets.DIGITS]
found = cached.principal(lab.MAX_COMPONENTS)
left = found.errors(cached.shown_digits()[0].reshape(-1, 784))
lab.through(runs, found, left, k)
st.plotly_chart(lab.chart(runs, left, k), key="sizes", config={"displayModeBar": False})
lab.missing(runs)
lab.holes()
numbers = _(
    "With {} dimensions, PCA leaves a squared error of **{:.1f}**. This is {:.0%} of the total variance, {:.1f}."
).format(k, left[k], left[k] / left[0], left[0])
if fits := [run for run in runs if run.latent_dim <= k]:
    best = min(fits, key=lambda run: lab.error_of(run.name))
    numbers += " " + _("{}, with {}: **{:.1f}**.").format(
        family_title(best.family), best.latent_dim, lab.error_of(best.name)
    )
template.end(
    notice=[
        _(
            "With few dimensions the network is far better than PCA: its surface can be curved, but PCA's surface is "
            "flat."
        ),
        _(
            "With 32 dimensions, the error of the AE is a quarter of PCA's. PCA needs more than 64 dimensions for the "
            "same error."
        ),
        _(
            "A random code does not always decode to a digit: no term in the objective of a plain AE fills the space "
            "between its codes."
        ),
    ],
    tries=[
        _("Keep 2 dimensions: which digits does PCA confuse? Which digits does the AE confuse? Then keep 32."),
        _("Find the number of components with which PCA is as good as the AE with two dimensions."),
        _(
            "The known failure: under **Holes**, point between the clusters of an AE's plane, or sample codes from "
            "N(0, I): nearly all decode to a 3 or an 8. Then choose a VAE with two dimensions. Its codes follow N(0, "
            "I): the samples show more kinds of digits."
        ),
    ],
    formula=r"\min_{f,\,g}\ \frac1N\sum_i \lVert x_i - g(f(x_i))\rVert^2,\qquad f:\mathbb R^{784}\to\mathbb R^{d}",
    numbers=numbers,
    more=_(
        "The best *linear* autoencoder is PCA: it keeps the d directions of largest variance. A network with "
        "nonlinear layers can follow a curved sheet of digits, so two of its dimensions contain more information than "
        "two of PCA's. In both, the error falls when d grows. How fast it falls shows in how many ways digits differ."
    ),
    sources="Baldi & Hornik 1989; Hinton & Salakhutdinov 2006",
)
