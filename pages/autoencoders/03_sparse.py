"""Sparse: What do the units of a code learn if only a few may be active?

icon: blur_linear
"""

import numpy as np
import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import sparse as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, run_picker

template.begin(__doc__)
figure, controls = st.container(), st.container()
with controls:
    digit, _label, _number = picker.pick_digit(default=picker.GOOD_DIGITS[3], models=())
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        name = run_picker.pick_model(
            "sparse", families=lab.FAMILIES, prefer=lab.FAMILIES, label=_("Sparse autoencoder")
        )
        with st.spinner(_("Opening the model")):
            of = lab.drawn_by(name)
        lab.show_metrics(of)
run = cached.run(name)
with figure:
    if problem := component.trouble([name], has_server_version=True):
        st.caption(problem)
        image_sheets.show(
            np.stack([digit, cached.applied(run, "reconstruct", digit[None])[0]]), 2, alt=_("A digit and its units")
        )
    else:
        lab.one_digit(name, of, digit)
lab.fewer()
if not problem:
    lab.penalty(name, of)
template.end(
    notice=[
        _("Each unit draws a stroke or a curve; a digit is the sum of some of them. Few digits use the same units."),
        _(
            "If many units may be active, each draws a dot or a piece of a stroke. If few may be active, each draws a "
            "whole digit, because it must explain more."
        ),
        _(
            "The KL penalises inactive units and units that are always active: ρ̂ = 0 has a cost, and ρ̂ = 1 too. L1 "
            "only makes activations smaller."
        ),
    ],
    tries=[
        Try(_("Remove units from the digit one by one, down to 3. Which stroke disappears last?"), {"units_kept": 3}),
        Try(_("Go from k = 70 to k = 10 and watch strokes become digits."), {"allowed": "70"}),
        Try(
            _(
                "Allow only 10 units *from the first step*. Units that are never among the 10 largest never learn: "
                "count the dead units."
            ),
            {"allowed": "10-cold"},
            breaks=True,
        ),
    ],
    formula=r"\min\ -\log p(x\mid h)+\lambda\sum_j|h_j|\quad\text{or}\quad"
    r"+\,\beta\sum_j\mathrm{KL}(\rho\,\Vert\,\hat\rho_j)\quad\text{or}\quad h=\mathrm{top}_k(W^\top x+b)",
    numbers=lab.in_numbers(run, of),
    more=_(
        "**L1** is the negative logarithm of a Laplace prior on h. It has a loophole: make every $h_j$ a hundred "
        "times smaller and every column of the decoder a hundred times larger. The image is the same, and the penalty "
        "is almost 0. Therefore the columns keep the length 1.\n\n"
        "**KL** compares ρ̂, the mean of a unit over a batch, with ρ. The estimate needs large batches. The penalty "
        "limits the mean, not the number of units that a digit uses: here many small values, below 0.5, make up most "
        "of a digit.\n\n"
        "**k-sparse** needs no penalty weight: the k largest activations stay, the others become 0 and get no "
        "gradient. Therefore training starts with many units and reduces their number to k.\n\n"
        "The five networks under *From 70 units to 10* were trained on 4,000 digits, with 200 units each."
    ),
    sources="Olshausen & Field 1996 · Ng 2011 · Makhzani & Frey 2014",
)
