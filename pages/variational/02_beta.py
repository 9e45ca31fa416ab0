"""β: What does a stricter KL buy, and what does it cost?

icon: tune
"""

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import beta as lab
from aevae.ui.labs import template

template.begin(__doc__)
left, right = st.columns([2, 5], gap="medium")
with left:
    x, label, number = picker.pick_digit(default=7, models=())
with right, st.spinner(_("Opening seven models")):
    now = lab.drawn(x)
st.header(_("Rate and distortion"), anchor=False)
lab.rates(now)
member = lab.sweep()[now][0]
beta, recon, kl = float(member.name), member.numbers["recon"], member.numbers["kl"]
template.end(
    notice=[
        _("From left to right each row changes one number of the code; the bar is what that number costs."),
        _("As β rises, numbers fall silent one by one: their rows stop changing, and the digit blurs."),
        _("The curve bends: the first nats of code save many of picture, the last ones hardly any. β is its slope."),
    ],
    tries=[
        _("The known failure: go to β = 16. Digits become one picture, their code says nearly nothing (collapse)."),
        _("Go to β = 0.1. The picture is at its sharpest, but the ELBO is worse than at 1: the code is dear."),
        _("Find the smallest β at which one of the rows no longer moves. How long is its bar?"),
    ],
    formula=r"\begin{gathered}\min\ \mathbb E_q[-\log p(x|z)]+\beta\,\mathrm{KL}(q(z|x)\Vert p(z))\\"
    r"\frac{\mathrm d\,\text{recon}}{\mathrm d\,\mathrm{KL}}=-\beta\end{gathered}",
    numbers=_("β = {:g}: {:.1f} + {:g} · {:.1f} = **{:.1f}** nats; the true bound, at weight 1: **−{:.1f}**.").format(
        beta, recon, beta, kl, recon + beta * kl, recon + kl
    ),
    more=_(
        "The KL is a **rate**: nats that the code spends on a picture. The reconstruction is the **distortion**. "
        "β is the price of a nat, so that an optimal model stands where the curve's slope is −β. At β = 1 the sum is "
        "the ELBO, and the curve touches the best of its lines. Above, the model is asked to be frugal: it keeps the "
        "directions that explain most and, since q has no correlations, likes them separate. Below, it nears a plain "
        "autoencoder: good pictures, and a code that no longer looks like the prior it is sampled from."
    ),
    sources="Higgins et al. 2017; Burgess et al. 2018; Alemi et al. 2018",
)
