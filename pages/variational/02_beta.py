"""β-VAE: What does a larger weight on the KL improve, and what does it cost?

icon: exposure
"""

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import beta as lab
from aevae.ui.labs import template

template.begin(__doc__)
figure, controls = st.container(), st.container()
with controls:
    x, label, number = picker.pick_digit(default=picker.GOOD_DIGITS[3], models=())
with figure, st.spinner(_("Opening seven models")):
    now = lab.drawn(x)
st.header(_("Rate and distortion"), anchor=False)
lab.rates(now)
member = lab.sweep()[now][0]
beta, recon, kl = float(member.name), member.numbers["recon"], member.numbers["kl"]
template.end(
    notice=[
        _("From left to right, each row changes one dimension of the code; the bar is the KL of this dimension."),
        _("As β rises, dimensions switch off one by one: their rows stop changing, and the digit becomes blurred."),
        _("The curve bends: the first nats of code improve the image a lot, the last ones hardly. Its slope is −β."),
    ],
    tries=[
        Try(
            _("Go to β = 16. All digits become one image, and their code says almost nothing (posterior collapse)."),
            {"beta_at": 6},
            breaks=True,
        ),
        Try(
            _(
                "Go to β = 0.1. The image is at its sharpest, but the ELBO is worse than at 1, because the code costs "
                "many nats."
            ),
            {"beta_at": 0},
        ),
        Try(_("Find the smallest β at which one of the rows no longer moves. How long is its bar?"), {"beta_at": 3}),
    ],
    formula=r"\begin{gathered}\min\ \mathbb E_q[-\log p(x|z)]+\beta\,\mathrm{KL}(q(z|x)\Vert p(z))\\"
    r"\frac{\mathrm d\,\text{recon}}{\mathrm d\,\mathrm{KL}}=-\beta\end{gathered}",
    numbers=_("β = {:g}: {:.1f} + {:g} · {:.1f} = **{:.1f}** nats; the ELBO, with weight 1: **−{:.1f}**.").format(
        beta, recon, beta, kl, recon + beta * kl, recon + kl
    ),
    more=_(
        "The KL is a **rate**: the nats that the code spends on an image. The reconstruction is the **distortion**. β "
        "is the price of a nat, so an optimal model lies where the slope of the curve is −β. At β = 1 the sum is the "
        "negative ELBO, and the curve touches the dotted line with the best ELBO. Above 1, each nat is more "
        "expensive: the model keeps the directions that explain most. It puts them into separate dimensions, because "
        "q has no correlations. Below 1, the model becomes like a plain autoencoder: good images, but its codes no "
        "longer follow the prior."
    ),
    sources="Higgins et al. 2017; Burgess et al. 2018; Alemi et al. 2018",
)
