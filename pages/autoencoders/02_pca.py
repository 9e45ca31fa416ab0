"""PCA and the linear AE: What does a network without bends find?

icon: 360
"""

import numpy as np
import streamlit as st

from aevae.latent import rotation
from aevae.ui.i18n import _
from aevae.ui.labs import pca as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker

template.begin(__doc__)
left, right = st.columns([1, 1], vertical_alignment="bottom")
with left:
    name = run_picker.pick_model("linear", families=("linear_ae",), label=_("Linear autoencoder"))
d = cached.run(name).latent_dim
with st.spinner(_("Principal components of 4,000 digits")):
    both = lab.affine(name, d)
with right:
    basis = address.pick(
        st.segmented_control, _("Directions of"), lab.BASES, default="pca", required=True, key="basis",
        format_func={"pca": _("PCA"), "linear_ae": _("the trained network")}.get,
    )  # fmt: skip
if problem := component.trouble([]):
    st.caption(problem)
    shown = both[basis][1]
    image_sheets.show(0.5 + shown.reshape(-1, 28, 28) / (2 * np.abs(shown).max()), 10, alt=_("The directions"))
    found = {"full": rotation.moments(cached.test_digits()[0].reshape(-1, 784), *both[basis])["full"]}
else:
    found = lab.turning(both, basis, d, {"pca_turn": (0, 0, 90), "pca_keep": (d, 1, d), "pca_digit": (3, 0, 9)})
    lab.absolute()
template.end(
    notice=[
        _("The network's directions look like nothing in particular, PCA's like strokes. Both span nearly one plane."),
        _("With all numbers kept the digits do not change by a pixel while the code turns: no basis is *the* basis."),
        _("PCA's own basis is special only in its order: its first k numbers are the best k. Turned ones are not."),
    ],
    tries=[
        _("Keep all numbers and turn. Then keep 4, turn again, and watch the error."),
        _("Switch to the trained network and keep 4 of its numbers. Why is the error larger than with PCA's 4?"),
        _(
            "The known failure: *a linear decoder with absolute error is PCA*. Drag the outliers about, or "
            "take more of them: the line of the absolute error is another one."
        ),
    ],
    formula=r"\begin{gathered}\min\ \frac1N\sum_i\lVert x_i-W_d(W_ex_i+b_e)-b_d\rVert^2=\sum_{j>d}\lambda_j\\"
    r"W_d\,z=(W_dQ)(Q^{-1}z)\end{gathered}",
    numbers=_(
        "Squared error per image with d = {}, on 1,000 test digits, no pixel clipped to [0, 1]: PCA **{:.2f}**, this "
        "network **{:.2f}**. The angles between the two planes go from {:.0f}° to {:.0f}°: the last direction is the "
        "one whose eigenvalue has a near neighbour."
    ).format(
        d, both["errors"][d],
        rotation.moments(cached.test_digits()[0].reshape(-1, 784), *both["linear_ae"])["full"],
        both["angles"][0], both["angles"][-1],
    ),
    more=_(
        "Of all planes of dimension d the one through the mean along the d directions of largest variance leaves the "
        "least squared error (Eckart & Young). A linear autoencoder can do no better, has no bad minima, and reaches "
        "it; but its loss does not see the basis, so it stops at any $W_dQ$. Only the *decoder* need be linear: for a "
        "plane the best code is the projection, which is linear too.\n\n"
        "It is the **squared** error that makes it PCA. The absolute error asks for a median where the square asks for "
        "a mean, and a median does not care how far away a few points are.\n\n"
        "Here PCA is fitted to 4,000 digits, and the network was trained on its own training set. On digits that "
        "neither of them saw, either can have the smaller error. The number *above PCA* of a run compares it with PCA "
        "of the run's own training set."
    ),
    sources="Eckart & Young 1936 · Baldi & Hornik 1989",
)  # fmt: skip
