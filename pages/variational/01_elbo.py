"""ELBO: What does a VAE maximise, and why two terms?

icon: balance
"""

import numpy as np
import streamlit as st

from aevae.metrics.bound import NUM_SAMPLES
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import elbo as parts
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets

template.begin(__doc__)
left, right = st.columns([2, 5], gap="medium")
with left:
    name = parts.choose()
    x, label, number = picker.pick_digit(default=7, models=())
with right, st.spinner(_("Opening the model")):
    if problem := component.trouble([name]):
        st.caption(problem)
        image_sheets.show(cached.run(name).reconstruct(x[None]), 1, scale=6, alt=_("The digit, decoded from its mean"))
    else:
        parts.posterior(name, x)
parts.divergence()
with st.spinner(_("Drawing from q")):
    found = parts.numbers(name, np.ascontiguousarray(x, np.float32).tobytes())
likelihood, kl, joint, entropy, log_p, gap, closed, drawn, effective = found
template.end(
    notice=[
        _("Move q away from the circle and the digit is drawn badly: reconstruction grows. Shrink σ and KL grows."),
        _("The noise ε does not move, so each code follows μ and σ smoothly: that is why a gradient can pass."),
        _("KL(p‖q) makes q cover both bumps and the void between; KL(q‖p), which a VAE uses, makes it choose one."),
    ],
    tries=[
        _("Drag q into the middle of the plane: KL is near its least, and the digit is lost."),
        _(
            "The known failure: shrink σ to × 0.01, as a plain AE does. No noise, hardly a better picture, and a KL "
            "that grows without end."
        ),
        _("Take p = N(0, 0.01²) and pull μ to 0.08, which N(0, 1) would not notice: more than 30 nats."),
    ],
    formula=r"\begin{aligned}\log p(x)\ge\mathrm{ELBO}&=\mathbb E_q\log p(x|z)-\mathrm{KL}(q(z|x)\Vert p(z))\\"
    r"&=\log p(x)-\mathrm{KL}(q(z|x)\Vert p(z|x))\\&=\mathbb E_q\log p(x,z)+H(q)\end{aligned}",
    numbers=_(
        "This digit, {draws} draws, in nats:\n\n"
        "| form | terms | ELBO |\n|:--|--:|--:|\n"
        "| 1: log-likelihood − KL | {a:.2f} − {b:.2f} | **{one:.2f}** |\n"
        "| 2: log p(x) − gap to the true posterior | {c:.2f} − {d:.2f} | **{two:.2f}** |\n"
        "| 3: log p(x, z) + entropy of q | {e:.2f} + ({f:.2f}) | **{three:.2f}** |\n\n"
        "One draw is off by ± {s:.2f} with the KL in closed form (± {t:.2f} with everything drawn); R draws by that "
        "/ √R. log p(x) is itself estimated from the same draws, of which {k:.0f} count{few}."
    ).format(
        few="" if effective > 5 else _(": so few that it is a guess, and too low"),
        draws=NUM_SAMPLES, a=likelihood, b=kl, one=likelihood - kl, c=log_p, d=gap, two=log_p - gap, e=joint, f=entropy,
        three=joint + entropy, s=closed, t=drawn, k=effective,
    ),
    more=_(
        "The **first** form is what is trained: draw the digit again, and do not spend more nats on the code than it "
        "is worth. The **second** says why: the bound falls short of log p(x) by exactly the divergence of q from the "
        "true posterior. The **third** is physics: low energy and high entropy. They are one number; that the table's "
        "differ in the last digits is chance, since what has no closed form is a mean of draws. The mean of R "
        "logarithms stays an ELBO; the logarithm of a mean of weights would be the tighter bound of IWAE.\n\n"
        r"Between Gaussians $\mathrm{KL}=\log\frac{\sigma_2}{\sigma_1}+\frac{\sigma_1^2+(\mu_1-\mu_2)^2}{2\sigma_2^2}"
        r"-\frac12$. To $N(0, 0.01^2)$ it is $5000\,(\mu^2+\sigma^2)-\log\sigma-5.105$."
    ),
    sources="Kingma & Welling 2014; Burda et al. 2016",
)  # fmt: skip
