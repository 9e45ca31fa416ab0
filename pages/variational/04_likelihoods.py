"""Likelihoods: What does a decoder say about a pixel, and why does MSE + KL hide a β?

icon: blur_on
"""

import math

import streamlit as st

from aevae.latent import linear_vae
from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import likelihoods as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached

BINARY = r"-\log p(x|z)=-\sum_i x_i\log p_i+(1-x_i)\log(1-p_i)"
GAUSSIAN = r"-\log p(x|z)=\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+392\log 2\pi\sigma^2\\"
FORMULAS = {
    "bernoulli": BINARY,
    "continuous_bernoulli": BINARY + r"+\log C(p_i)",
    "gaussian": GAUSSIAN + r"\sigma^2=\tfrac12",
    "gaussian_learned": GAUSSIAN + r"\hat\sigma^2=\tfrac{\mathrm{SSE}}{784}",
    "categorical": r"-\log p(x|z)=-\sum_i\log\operatorname{softmax}(\ell_i)_{k(x_i)}",
}

template.begin(__doc__)
titles = lab.titles()
figure, controls = st.container(), st.container()
with controls:
    chosen = address.pick(
        st.segmented_control, _("Likelihood"), [*titles, "all"], default="bernoulli", required=True, key="likelihood",
        format_func=lambda name: titles.get(name, _("all five")), wrap=True,
    )  # fmt: skip
    x, _label, _number = picker.pick_digit(default=picker.GOOD_DIGITS[3], models=())
with figure, st.spinner(_("Opening five decoders")):
    z = lab.code(x)
    lab.rows(x, z, chosen)
sigma = lab.show_hidden_beta()
name = "bernoulli" if chosen == "all" else chosen
numbers, s2, found = lab.numbers_of(name, x, z), sigma**2, cached.principal(lab.NUM_DIRECTIONS)
text = _("This digit, {}: **{:.1f}** nats, squared error {:.2f}.").format(
    titles[name], numbers["nats"], numbers["error"]
)
if name.startswith("gaussian"):
    own, error = numbers["variance"], numbers["error"]
    text += " " + _("{:.2f} / (2 · {:.4f}) + 392 log(2π · {:.4f}) = {:.1f}.").format(
        error, own, own, error / (2 * own) + 392 * math.log(2 * math.pi * own)
    )
template.end(
    notice=[
        _("One code, five decoders: their means are very similar, but their samples are not."),
        _("A sample adds independent noise to each pixel. Papers usually show the mean as the sample of a VAE."),
        _(
            "Nats of a density (Gaussian, continuous) may be negative and can only be compared with nats of the same "
            "density."
        ),
    ],
    tries=[
        Try(
            _(
                "Show all five and change a dimension of the code: all means turn into another digit together. For "
                "which decoder do the nats rise fastest?"
            ),
            {"likelihood": "all", "step0": 3.0},
        ),
        Try(
            _(
                "Choose the Gaussian with σ² = 1/2, which is plain squared error: how noisy are digits in this model? "
                "Then choose the learnt σ: the same squared error, and hundreds of nats better."
            ),
            {"likelihood": "gaussian", "step0": 0.0},
        ),
        Try(
            _(
                "Move **The β in σ** to its end, MSE per pixel + KL. Every direction costs more than it explains, and "
                "all digits become one."
            ),
            {"sigma_at": len(lab.SIGMAS) - 1},
            breaks=True,
        ),
    ],
    formula=r"\begin{gathered}" + FORMULAS[name] + r"\\\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+\mathrm{KL}\ \propto\ "
    r"\mathrm{SSE}+\underbrace{2\sigma^2}_{\beta}\,\mathrm{KL}\end{gathered}",
    numbers=text + "\n\n" + _(
        "σ = {:.3g}: β = **{:.3g}**; of the directions with variance {:.2f}, {:.2f}, {:.2f}, … the model uses those "
        "above σ² = {:.3g}: **{}**."
    ).format(sigma, 2 * s2, *found.variance[:3], s2, int(linear_vae.active(found.variance, s2).sum())),
    more=_(
        "*VAE loss = MSE + KL* is a Gaussian decoder with an implicit variance. The sum over pixels means σ² = 1/2. "
        "The mean over pixels means σ² = 392, or β = 784 on top of the sum: then losing all details of the image "
        "costs less than one nat of code, and the posterior collapses. The slider shows this without any training: "
        "for a *linear* VAE the optimum is known, and it keeps exactly the principal directions whose variance is "
        "larger than σ².\n\n"
        "The five decoders use the same frozen encoder (8 dimensions), so only the likelihood differs. The noise of "
        "the samples stays the same while the code changes. For grey pixels, the Bernoulli is only a "
        "pseudo-likelihood: its smallest cost is not 0 but the entropy of the grey values."
    ),
    sources="Kingma & Welling 2014; Loaiza-Ganem & Cunningham 2019; Rybkin et al. 2021; Lucas et al. 2019",
)  # fmt: skip
