"""Sparse: What do the units of a code learn to draw when only a few may speak?

icon: blur_linear
"""

import numpy as np
import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import sparse as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, run_picker

template.begin(__doc__)
left, right = st.columns(2, vertical_alignment="top")
with left:
    name = run_picker.pick_model("sparse", families=lab.FAMILIES, prefer=lab.FAMILIES, label=_("Sparse autoencoder"))
    with st.spinner(_("Opening the model")):
        of = lab.drawn_by(name)
    run = cached.run(name)
    with st.container(horizontal=True, gap="small"):
        st.metric(
            _("units on / digit"),
            f"{of['on'].sum(1).mean():.0f}",
            help=_("Mean of 1,000 test digits. On: above 0.5 in the Sparse AE (KL), not 0 in the others."),
        )
        st.metric(_("dead units"), int((of["used"] == 0).sum()), help=_("On for none of 1,000 test digits."))
        st.metric(_("squared error"), f"{of['error']:.1f}", help=_("Per test digit."))
with right:
    digit, _label, _number = picker.pick_digit(models=())
if problem := component.trouble([name]):
    st.caption(problem)
    image_sheets.show(
        np.stack([digit, run.reconstruct(digit[None])[0]]), 2, alt=_("A digit and what its units make of it")
    )
else:
    lab.one_digit(name, of, digit)
lab.fewer()
if not problem:
    lab.penalty(name, of)
template.end(
    notice=[
        _("Each unit draws a stroke or a curve; a digit is the sum of some of them. Hardly two digits use the same."),
        _("Many units allowed: specks and bits of stroke. Few: whole prototypes, since each must say more by itself."),
        _("KL forbids silence as well as noise: ρ̂ = 0 costs as surely as ρ̂ = 1. L1 only ever asks for less."),
    ],
    tries=[
        _("Take units away from a digit one by one. Which stroke goes last?"),
        _("Go from k = 70 to k = 10 and watch strokes become digits."),
        _("The known failure: allow only 10 *from the first step*. Those that never win never learn: count the dead."),
    ],
    formula=r"\min\ -\log p(x\mid h)+\lambda\sum_j|h_j|\quad\text{or}\quad"
    r"+\,\beta\sum_j\mathrm{KL}(\rho\,\Vert\,\hat\rho_j)\quad\text{or}\quad h=\mathrm{top}_k(W^\top x+b)",
    numbers=lab.in_numbers(run, of),
    more=_(
        "**L1** is the negative logarithm of a Laplace prior on h. It has a loophole: make every $h_j$ a hundred times "
        "smaller and every column of the decoder a hundred times larger; the picture is the same, the penalty gone. "
        "So the columns are held at length 1.\n\n"
        "**KL** compares the mean of a unit over a batch, ρ̂, with ρ. The estimate needs large batches. It limits the "
        "mean, not the number of units that a digit uses: here most of a digit lies in many small values, below 0.5."
        "\n\n"
        "**k-sparse** needs no weight at all: the k largest stay, the rest are 0 and get no gradient. That is why "
        "training starts with many and comes down to k.\n\n"
        "The five networks under *From 70 units to 10* were trained on 4,000 digits, 200 units each."
    ),
    sources="Olshausen & Field 1996 · Ng 2011 · Makhzani & Frey 2014",
)
