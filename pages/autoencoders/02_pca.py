"""PCA and the linear AE: What does a network without nonlinear layers learn?

icon: 360
"""

import numpy as np
import streamlit as st

from aevae.latent import rotation
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import pca as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker

template.begin(__doc__)
figure, controls = st.container(), st.container(horizontal=True, vertical_alignment="bottom", gap="large")
with controls:
    basis = address.pick(
        st.segmented_control, _("Directions of"), lab.BASES, default="pca", required=True, key="basis",
        format_func={"pca": _("PCA"), "linear_ae": _("the trained network")}.get,
    )  # fmt: skip
    name = run_picker.pick_model("linear", families=("linear_ae",), label=_("Trained network: linear autoencoder"))
d = cached.run(name).latent_dim
with figure:
    with st.spinner(_("Principal components of 4,000 digits")):
        both = lab.affine(name, d)
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        shown = both[basis][1]
        image_sheets.show(0.5 + shown.reshape(-1, 28, 28) / (2 * np.abs(shown).max()), 10, alt=_("The directions"))
    else:
        lab.turning(both, basis, d, {"pca_turn": (0, 0, 90), "pca_keep": (d, 1, d), "pca_digit": (3, 0, 9)})
if not problem:
    lab.absolute()
template.end(
    notice=[
        _(
            "The directions of the network have no clear shape; the directions of PCA look like strokes. Both span "
            "nearly the same plane."
        ),
        _(
            "If all dimensions are kept, no pixel changes while the code rotates: no basis is better than another."
        ),
        _(
            "Only the order makes the basis of PCA special: its first k dimensions are the best k. After a rotation "
            "this is no longer true."
        ),
    ],
    tries=[
        Try(
            _("Keep all dimensions and rotate. Then keep 4, rotate again, and watch the error."),
            {"basis": "pca", "pca_keep": d, "pca_turn": 45},
        ),
        Try(
            _("Switch to the trained network and keep 4 of its dimensions. Why is the error larger than with PCA's 4?"),
            {"basis": "linear_ae", "pca_keep": 4, "pca_turn": 0},
        ),
        Try(
            _(
                "*A linear decoder with absolute error is PCA*: is it? Drag the outliers, or add more of them: the "
                "line of the absolute error is not the line of PCA."
            ),
            {"outliers": lab.MAX_OUTLIERS},
            breaks=True,
        ),
    ],
    formula=r"\begin{gathered}\min\ \frac1N\sum_i\lVert x_i-W_d(W_ex_i+b_e)-b_d\rVert^2=\sum_{j>d}\lambda_j\\"
    r"W_d\,z=(W_dQ)(Q^{-1}z)\end{gathered}",
    numbers=_(
        "Squared error per image with d = {}, on 1,000 test digits, without clipping pixels to [0, 1]: PCA "
        "**{:.2f}**, this network **{:.2f}**. The angles between the two planes go from {:.0f}° to {:.0f}°. The last "
        "direction has the largest angle, because its eigenvalue is close to the next one."
    ).format(
        d, both["errors"][d],
        rotation.moments(cached.shown_digits()[0].reshape(-1, 784), *both["linear_ae"])["full"],
        both["angles"][0], both["angles"][-1],
    ),
    more=_(
        "Of all planes of dimension d, one has the smallest squared error: the plane through the mean along the d "
        "directions of largest variance (Eckart & Young). A linear autoencoder cannot be better. Its loss has no bad "
        "local minima, so training reaches this plane. But the loss does not depend on the basis, so training may end "
        "at any $W_dQ$. Only the *decoder* must be linear: for a plane, the best code is the projection, which is "
        "linear too.\n\n"
        "It is PCA because of the **squared** error. The squared error leads to a mean, the absolute error to a "
        "median, and a median does not depend on how far away a few points are.\n\n"
        "Here PCA is fitted to 4,000 digits, and the network was trained on its own training set. On new digits, "
        "either of the two can have the smaller error. The number *above PCA* of a run compares it with PCA of the "
        "run's own training set."
    ),
    sources="Eckart & Young 1936 · Baldi & Hornik 1989",
)  # fmt: skip
