"""Collapse: When does a decoder ignore its code, and what helps?

icon: compress
"""

import numpy as np
import streamlit as st

from aevae.metrics.units import THRESHOLD
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import collapse as lab
from aevae.ui.labs import template
from aevae.ui.shared import address

template.begin(__doc__)
chosen = address.pick(
    st.segmented_control, _("Remedy"), list(lab.COLOURS), default="plain", required=True, key="remedy",
    format_func=lab.titles().get, wrap=True,
)  # fmt: skip
left, right = st.columns([2, 5], gap="medium")
with left:
    x, _label, _number = picker.pick_digit(default=7, models=())
with right, st.spinner(_("Opening five models")):
    lab.drawn(chosen, x)
what = address.pick(
    st.segmented_control, _("Over training"), ["active", "kl", "recon"], default="active", required=True, key="over",
    format_func={"active": _("numbers used"), "kl": "KL", "recon": _("reconstruction")}.get,
)  # fmt: skip
wide, narrow = st.columns([5, 3], gap="medium")
member = lab.members()[chosen]
model = member.config.model
wide.plotly_chart(lab.over_training(chosen, what), key="training", config={"displayModeBar": False})
with narrow:
    st.plotly_chart(lab.weight(chosen), key="weight", config={"displayModeBar": False})
    told = _("The decoder has {} layers; ").format(model.depth)
    told += _("each of them sees z. ") if model.skips else _("only the first sees z. ")
    if model.free_bits:
        told += _("A KL below {:g} nats per number costs no more than {:g}.").format(model.free_bits, model.free_bits)
    st.caption(told)
kl_per_dim = member.history["kl_per_dim"][-1]
used = int((member.history["variance"][-1] > THRESHOLD).sum())
template.end(
    notice=[
        _("Without a remedy the KL is 0 from the first epoch on: eight layers bury z in noise, so it is dropped."),
        _("Annealing lets the decoder learn to listen while listening is free. The price comes later."),
        _("Skips change no objective: a short way from z to the pixels is enough, and it is the best of the five."),
    ],
    tries=[
        _("The known failure: take **nothing**, move the slider, change the digit. Does any picture change?"),
        _("Take **cyclic annealing**: the second cycle wakes seven numbers, and the full weight leaves one of them."),
        _("Compare reconstruction and KL of **free bits** and **skips**: who pays for a full code, who uses it?"),
    ],
    formula=r"\begin{gathered}\mathrm{KL}(q(z|x)\Vert p(z))=0\ \text{for all }x\\"
    r"\mathrm{AU}=\#\{j:\mathrm{Var}_x(\mathbb E_q[z_j|x])>0.01\}\end{gathered}",
    numbers=_("**{}**: AU = **{}** of {}; KL = {} = **{:.2f}** nats; reconstruction {:.1f}, ELBO **−{:.1f}**.").format(
        lab.titles()[chosen], used, len(kl_per_dim), " + ".join(f"{v:.2f}" for v in np.sort(kl_per_dim)[::-1]),
        float(kl_per_dim.sum()), member.numbers["recon"], -member.numbers["elbo"],
    ),
    more=_(
        "Early in training z is noise to the decoder, and the KL charges for each nat of it. If the decoder gains less "
        "than the charge, the encoder learns to send nothing, and then there is nothing to listen to: the collapse "
        "feeds itself. It happens where the decoder is deep, as here, where it is strong enough to do without (a "
        "PixelCNN), or where the KL weighs too much. That the *average* of all posteriors looks like the prior is "
        "wanted; that *every* posterior does is the collapse.\n\n"
        "On its way to the prior q keeps its noise ε: the mean goes to 0, the deviation to 1.\n\n"
        "These are five small models of the same depth, seed and data; only the remedy differs. Linear theory agrees: "
        "a direction of the data is coded only if its variance exceeds the noise of the pixels (Lucas et al. 2019)."
    ),
    sources="Bowman et al. 2016; Kingma et al. 2016; Fu et al. 2019; Dieng et al. 2019; Burda et al. 2016",
)  # fmt: skip
