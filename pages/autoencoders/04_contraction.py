"""Contraction and tangents: To which changes of an image does its code react?

icon: explore
"""

import numpy as np
import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import contraction as lab
from aevae.ui.labs import template
from aevae.ui.shared import cached, run_picker

template.begin(__doc__)
runs = cached.finished(lab.FAMILIES)
figure, controls = st.container(), st.container()
with controls:
    image, _label, _number = picker.pick_digit(default=picker.GOOD_DIGITS[3], models=())
    name = run_picker.pick_model("felt_by", families=lab.FAMILIES, prefer=("denoising",), label=_("Directions of"))
image = np.ascontiguousarray(image, np.float32)
largest = {run.family: run.name for run in sorted(runs, key=lambda run: run.latent_dim)}  # of each family
names = list((largest | {cached.run(name).config.model.family: name}).values())
with figure, st.spinner(_("Directions that the code reacts to")):
    mine = lab.sensitivity(name, image.tobytes())
    lab.pushed(name, image)
with st.spinner(_("Directions of other codes")):
    lab.spectra(names, image.tobytes())
lab.plane()
total = float(np.square(mine["values"]).sum())
template.end(
    notice=[
        _(
            "An image has 784 directions. A code reacts to at most as many of them as it has numbers; all other "
            "directions do not change it."
        ),
        _(
            "The denoising code reacts to strokes that grow, bend and move. The contractive code reacts to smooth "
            "patches."
        ),
        _("The plane is stretched most where many codes are close: there a small step changes the image much."),
    ],
    tries=[
        Try(
            _(
                "Press **Play** and look at the directions: does the digit become thicker, longer, slanted? No code "
                "reacts to the last direction, noise."
            ),
            {"push": 60},
        ),
        Try(
            _(
                "Drag A and B to two points of one colour, then of two colours: when does the geodesic leave the "
                "straight line?"
            )
        ),
        Try(
            _(
                "Choose the **AE**. Its directions are spots and patches beside the digit, not strokes: no term of its "
                "objective keeps the code fixed. Compare ‖J‖² below with the value of the denoising AE."
            ),
            {"felt_by": largest["ae"]} if "ae" in largest else {},
            breaks=True,
        ),
    ],
    formula=r"\begin{gathered}\min\ \mathbb E\big[-\log p(x\mid g(f(x)))\big]+\lambda\,\mathbb E\lVert J_f(x)"
    r"\rVert_F^2,\qquad \lVert J_f\rVert_F^2=\sum_k s_k^2\\ G=J_g^\top J_g,\qquad \text{length}=\int\!\sqrt{\dot "
    r"z^\top G\,\dot z}\,dt\end{gathered}",
    numbers=_(
        "At this digit, in usual distances: ‖J‖² = Σ s² = **{:.3f}**. The first direction has {:.0%} of it."
    ).format(total, float(mine["values"][0] ** 2) / total),
    more=_(
        "Codes have no scale of their own: half the code with twice the decoder weights is the same model. Therefore "
        "this page counts steps of codes in *usual distances*: one is the mean distance between the codes of two test "
        "digits. (For this reason the contractive AE ties its weights: g uses the transposed matrix of f. Otherwise "
        "training would make f small and g large, and the code would be no better.)\n\n"
        "The rows of $V^\\top$ in $J_f=USV^\\top$ are the directions in image space. The first few span the tangent "
        "plane of the digits at this digit. A denoising AE contracts too, for another reason: it must give the same "
        "output for an image and for its noisy neighbours.\n\n"
        "Through the decoder, a step $dz$ moves the image by $\\sqrt{dz^\\top G\\,dz}$; $\\sqrt{\\det G}$ is the "
        "factor by which an area grows. The geodesic (the shortest path) is first found on a grid of 48 × 48 points "
        "and then improved."
    ),
    sources="Rifai et al. 2011 · Arvanitidis et al. 2018 · Goodfellow et al. 2016, 14.6",
)
