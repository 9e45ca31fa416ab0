"""Collapse: When does a decoder ignore its code, and what helps?

icon: unfold_less
"""

import numpy as np
import streamlit as st

from aevae.metrics.units import THRESHOLD
from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import collapse as lab
from aevae.ui.labs import template
from aevae.ui.shared import address

template.begin(__doc__)
figure, controls = st.container(), st.container()
with controls:
    chosen = address.pick(
        st.segmented_control, _("Remedy"), list(lab.COLOURS), default="skips", required=True, key="remedy",
        format_func=lab.titles().get, wrap=True,
    )  # fmt: skip
    x, _label, _number = picker.pick_digit(default=picker.GOOD_DIGITS[3], models=())
with figure, st.spinner(_("Opening five models")):
    lab.drawn(chosen, x)
what = address.pick(
    st.segmented_control, _(
        "During the training"
    ), ["active", "kl", "recon"], default="active", required=True, key="over",
    format_func={"active": _("active dimensions"), "kl": "KL", "recon": _("reconstruction")}.get,
)  # fmt: skip
wide, narrow = st.columns([5, 3], gap="medium")
member = lab.members()[chosen]
model = member.config.model
wide.plotly_chart(lab.over_training(chosen, what), key="training", config={"displayModeBar": False})
with narrow:
    st.plotly_chart(lab.weight(chosen), key="weight", config={"displayModeBar": False})
    each = _("The decoder has {} layers. Each of them gets z as input.")
    first = _("The decoder has {} layers. Only the first gets z as input.")
    note = (each if model.skips else first).format(model.depth)
    if model.free_bits:
        note += " " + _("In each dimension, a KL below {:g} nats costs the same as {:g} nats.").format(
            model.free_bits, model.free_bits
        )
    st.caption(note)
kl_per_dim = member.history["kl_per_dim"][-1]
used = int((member.history["variance"][-1] > THRESHOLD).sum())
template.end(
    notice=[
        _(
            "Without a remedy the KL is 0 from the first epoch on: through eight layers z is only noise, so the "
            "decoder ignores it."
        ),
        _("Annealing lets the decoder learn to use z while the KL costs nothing. The price comes later."),
        _(
            "Skips do not change the objective: a short path from z to the pixels is enough, and this remedy is the "
            "best of the four."
        ),
    ],
    tries=[
        Try(
            _(
                "Choose **cyclic annealing**: the second cycle activates seven dimensions, and the full weight "
                "switches all but one of them off."
            ),
            {"remedy": "cyclic", "over": "active"},
        ),
        Try(
            _(
                "Compare reconstruction and KL of **free bits** and **skips**: which of them only pays for its code, "
                "and which also uses it?"
            ),
            {"remedy": "free_bits", "over": "recon"},
        ),
        Try(
            _("Choose **no remedy**, move the slider, change the digit. Does any image change?"),
            {"remedy": "plain", "drawn_from": 100},
            breaks=True,
        ),
    ],
    formula=r"\begin{gathered}\mathrm{KL}(q(z|x)\Vert p(z))=0\ \text{for all }x\\"
    r"\mathrm{AU}=\#\{j:\mathrm{Var}_x(\mathbb E_q[z_j|x])>0.01\}\end{gathered}",
    numbers=_("**{}**: AU = **{}** of {}; KL = {} = **{:.2f}** nats; reconstruction {:.1f}, ELBO **−{:.1f}**.").format(
        lab.titles()[chosen], used, len(kl_per_dim), " + ".join(f"{v:.2f}" for v in np.sort(kl_per_dim)[::-1]),
        float(kl_per_dim.sum()), member.numbers["recon"], -member.numbers["elbo"],
    ),
    more=_(
        "Early in training z is noise for the decoder, and the KL makes each nat of z cost something. If z improves "
        "the reconstruction by less than this cost, the encoder learns to send nothing. Then the decoder has nothing "
        "to use: the collapse reinforces itself. It happens if the decoder is deep, as here, if it is strong enough "
        "without z (a PixelCNN), or if the KL has a large weight. The *average* of all posteriors should look like "
        "the prior. If *every* posterior looks like the prior, the posterior has collapsed.\n\n"
        "The slider moves q to the prior, with the same noise ε: the mean goes to 0, the standard deviation to 1.\n\n"
        "These five small models have the same depth, seed and data; only the remedy differs. Linear theory agrees: a "
        "direction of the data is coded only if its variance is larger than the noise of the pixels (Lucas et al. "
        "2019)."
    ),
    sources="Bowman et al. 2016; Kingma et al. 2016; Fu et al. 2019; Dieng et al. 2019; Burda et al. 2016",
)  # fmt: skip
