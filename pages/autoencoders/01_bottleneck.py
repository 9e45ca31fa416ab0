"""Bottleneck: How many numbers does a digit need?

icon: compress
"""

import streamlit as st

from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import bottleneck as lab
from aevae.ui.labs import template
from aevae.ui.shared import cached

template.begin(__doc__)
found = cached.principal(lab.SIZES[-1])
left = found.errors(cached.shown_digits()[0].reshape(-1, 784))
lab.through(found, left)
k, errors = lab.kept(), lab.autoencoders()[1]
st.plotly_chart(lab.chart(left, k), key="sizes", config={"displayModeBar": False})
lab.holes()
error = errors[lab.SIZES.index(k)]
template.end(
    notice=[
        _(
            "With few dimensions the network is far better than PCA: its surface can be curved, but PCA's surface is "
            "flat."
        ),
        _("Each doubling of the code reduces the error, but less and less."),
        _(
            "A random code does not always decode to a digit: no term in the objective of a plain AE fills the space "
            "between its codes."
        ),
    ],
    tries=[
        Try(_("Keep 1 dimension: which digits does PCA confuse? Which digits does the AE confuse?"), {"kept": 1}),
        Try(
            _("Keep 16 dimensions for PCA. With how many dimensions is the AE as good? The curves above show it."),
            {"kept": 16},
        ),
        Try(
            _(
                "Under **Holes**, point between the clusters of an AE's plane, or sample codes from N(0, I): nearly "
                "all decode to a 3 or an 8. Then choose a VAE with two dimensions. Its codes follow N(0, I): the "
                "samples show more kinds of digits."
            ),
            {"holes_from": "prior"},
            breaks=True,
        ),
    ],
    formula=r"\min_{f,\,g}\ \frac1N\sum_i \lVert x_i - g(f(x_i))\rVert^2,\qquad f:\mathbb R^{784}\to\mathbb R^{d}",
    numbers=_(
        "With {} dimensions, PCA leaves a squared error of **{:.1f}**. This is {:.0%} of the total variance, {:.1f}. "
        "The autoencoder leaves **{:.1f}**."
    ).format(k, left[k], left[k] / left[0], left[0], error),
    more=_(
        "The best *linear* autoencoder is PCA: it keeps the d directions of largest variance. A network with "
        "nonlinear layers can follow a curved sheet of digits, so two of its dimensions contain more information than "
        "two of PCA's. In both, the error falls when d grows. How fast it falls shows in how many ways digits differ."
    ),
    sources="Baldi & Hornik 1989; Hinton & Salakhutdinov 2006",
)
