"""ELBO: What does a VAE maximise, and why does it have two terms?

icon: balance
"""

import numpy as np
import streamlit as st

from aevae.metrics.bound import NUM_SAMPLES
from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import elbo as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets

template.begin(__doc__)
figure, controls = st.container(), st.container()
with controls:
    x, label, number = picker.pick_digit(default=picker.GOOD_DIGITS[3], models=())
    name = lab.choose()
with figure, st.spinner(_("Opening the model")):
    if problem := component.trouble([name], has_server_version=True):
        st.caption(problem)
        decoded = cached.applied(cached.run(name), "reconstruct", x[None])
        image_sheets.show(
            np.concatenate([x[None], decoded]), 2, scale=6, alt=_("The digit, and the image decoded from its mean")
        )
    else:
        lab.posterior(name, x)
lab.divergence()
with st.spinner(_("Sampling from q")):
    found = lab.numbers(name, np.ascontiguousarray(x, np.float32).tobytes())
likelihood, kl, joint, entropy, log_p, gap, closed, drawn, effective = found
template.end(
    notice=[
        _(
            "Move q away from the circle (the encoder's q): the decoded digit gets worse, and the reconstruction cost "
            "grows. Shrink σ, and the KL grows."
        ),
        _(
            "The noise ε does not change, so each code follows μ and σ smoothly. Therefore a gradient can pass "
            "(reparameterization trick)."
        ),
        _(
            "KL(p‖q) makes q cover both modes and the gap between them. KL(q‖p), which a VAE uses, makes q choose one "
            "mode."
        ),
    ],
    tries=[
        Try(
            _("Drag q to the middle of the plane: the KL is near its minimum, and the digit is lost."),
            lab.to_the_middle(name, x),
        ),
        Try(
            _(
                "Shrink σ to × 0.01, as a plain AE does. There is almost no noise, but the image is hardly better, and "
                "the KL grows without limit."
            ),
            {"q_a": 0.0, "q_b": 0.0, "q_spread": 0.01},
            breaks=True,
        ),
        Try(
            _(
                "Set p = N(0, 0.01²) and move μ to 0.08. With N(0, 1) this costs almost nothing, here more than 30 "
                "nats."
            ),
            {"q_a": 0.0, "q_b": 0.0, "q_spread": 1.0, "target": "narrow", "m_narrow": 0.08, "s_narrow": 0.01},
        ),
    ],
    formula=r"\begin{aligned}\log p(x)\ge\mathrm{ELBO}&=\mathbb E_q\log p(x|z)-\mathrm{KL}(q(z|x)\Vert p(z))\\"
    r"&=\log p(x)-\mathrm{KL}(q(z|x)\Vert p(z|x))\\&=\mathbb E_q\log p(x,z)+H(q)\end{aligned}",
    numbers=_(
        "This digit, {draws} samples, in nats:\n\n"
        "| form | terms | ELBO |\n|:--|--:|--:|\n"
        "| 1: log-likelihood − KL | {a:.2f} − {b:.2f} | **{one:.2f}** |\n"
        "| 2: log p(x) − gap to the true posterior | {c:.2f} − {d:.2f} | **{two:.2f}** |\n"
        "| 3: log p(x, z) + entropy of q | {e:.2f} + ({f:.2f}) | **{three:.2f}** |\n\n"
        "The error of one sample is ± {s:.2f} with the KL in closed form (± {t:.2f} if everything is sampled); with R "
        "samples it is √R times smaller. The same samples estimate log p(x). Their effective number is {k:.0f}{few}."
    ).format(
        few="" if effective > 5 else _(", so few that log p(x) is only a guess, and too low"),
        draws=NUM_SAMPLES, a=likelihood, b=kl, one=likelihood - kl, c=log_p, d=gap, two=log_p - gap, e=joint, f=entropy,
        three=joint + entropy, s=closed, t=drawn, k=effective,
    ),
    more=_(
        "Training uses the **first** form: reconstruct the digit, and spend no more nats on the code than the code "
        "saves in the reconstruction. The **second** form gives the reason: the bound is below log p(x) by exactly the "
        "divergence of q from the true posterior. The **third** form is known from physics: low energy and high "
        "entropy. All three forms give the same number. In the table the last digits differ by chance, because terms "
        "without a closed form are means of samples. The mean of R logarithms is still an ELBO; the logarithm of a "
        "mean of weights would be the tighter bound of IWAE.\n\n"
        "Between Gaussians "
        "$\\mathrm{KL}=\\log\\frac{\\sigma_2}{\\sigma_1}"
        "+\\frac{\\sigma_1^2+(\\mu_1-\\mu_2)^2}{2\\sigma_2^2}-\\frac12$. "
        "To $N(0, 0.01^2)$ it is $5000\\,(\\mu^2+\\sigma^2)-\\log\\sigma-5.105$."
    ),
    sources="Kingma & Welling 2014; Burda et al. 2016",
)  # fmt: skip
