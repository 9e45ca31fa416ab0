"""Contraction and tangents: Along which directions does a code feel that the picture moves?

icon: explore
"""

import numpy as np
import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import contraction as lab
from aevae.ui.labs import template
from aevae.ui.shared import cached, run_picker

template.begin(__doc__)
runs = cached.finished(lab.FAMILIES)
left, right = st.columns(2, vertical_alignment="top")
with right:
    picture, _label, _number = picker.pick_digit(models=())
picture = np.ascontiguousarray(picture, np.float32)
with left:
    name = run_picker.pick_model("felt_by", families=lab.FAMILIES, prefer=("denoising",), label=_("Directions felt by"))
largest = {run.family: run.name for run in sorted(runs, key=lambda run: run.latent_dim)}  # of each family
names = list((largest | {cached.run(name).config.model.family: name}).values())
with st.spinner(_("What the code feels")):
    mine = lab.felt(name, picture.tobytes())
count = int((mine["values"] > 0.1 * mine["values"][0]).sum())
left.metric(
    _("directions felt, of the {} that its code could feel").format(len(mine["values"])), count,
    help=_("Those along which the code moves at least a tenth as much as along the first."),
)  # fmt: skip
lab.pushed(name, picture)
with st.spinner(_("What other codes feel")):
    lab.spectra(names, picture.tobytes())
lab.plane()
total = float(np.square(mine["values"]).sum())
template.end(
    notice=[
        _("Of 784 directions a code can feel at most as many as it has numbers; along all others it stands still."),
        _("The denoising code feels strokes that grow, bend and move; the contractive one smooth patches, ever less."),
        _("The plane is stretched most where many codes are close: a small step there changes the image much."),
    ],
    tries=[
        _("Press **Play** and read the directions: thicker, longer, tilted? The last one, noise, no code feels."),
        _("Drag A and B into two digits of one colour, then of two: when does the geodesic leave the straight way?"),
        _(
            "The known failure: choose the **AE**. Its directions are patches beside the digit and specks, not "
            "strokes: no term of its objective keeps the code still. Compare ‖J‖² below with the denoising AE's."
        ),
    ],
    formula=r"\begin{gathered}\min\ \mathbb E\big[-\log p(x\mid g(f(x)))\big]+\lambda\,\mathbb E\lVert J_f(x)"
    r"\rVert_F^2,\qquad \lVert J_f\rVert_F^2=\sum_k s_k^2\\ G=J_g^\top J_g,\qquad \text{length}=\int\!\sqrt{\dot "
    r"z^\top G\,\dot z}\,dt\end{gathered}",
    numbers=_(
        "At this digit, in usual distances: ‖J‖² = Σ s² = **{:.3f}**, of which the first direction is {:.0%}."
    ).format(total, float(mine["values"][0] ** 2) / total),
    more=_(
        "Codes have no scale of their own: half a code and twice a decoder is the same model. So steps of codes are "
        "counted here in *usual distances*, the mean distance between the codes of two test digits. (This is also why "
        "the contractive AE ties its weights: else it would shrink f, grow g, and gain nothing.)\n\n"
        "The rows of $V^\\top$ in $J_f=USV^\\top$ are the directions in the space of pictures; the first few span the "
        "tangent plane of the digits at this one. A denoising AE contracts too, for another reason: it must answer the "
        "same to a picture and to its noisy neighbours.\n\n"
        "Through the decoder a step $dz$ moves the picture by $\\sqrt{dz^\\top G\\,dz}$; $\\sqrt{\\det G}$ says by "
        "how much an area grows. The geodesic is found over a lattice of 48 × 48 and then drawn tight."
    ),
    sources="Rifai et al. 2011 · Arvanitidis et al. 2018 · Goodfellow et al. 2016, 14.6",
)
