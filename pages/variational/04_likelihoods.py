"""Likelihoods: What does a decoder say about a pixel, and why does MSE + KL hide a β?

icon: blur_on
"""

import math

import numpy as np
import streamlit as st

from aevae.latent import linear_vae, sampling
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import likelihoods as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, url_values

MEAN_MSE = math.sqrt(392)  # sigma at which SSE / (2 sigma^2) is SSE / 784
SIGMAS = (0.05, 0.1, 0.2, 0.3, 0.5, math.sqrt(0.5), 1.0, 1.4, 1.8, 2.2, 2.5, MEAN_MSE)
HALF_INDEX = 5  # which of them is the square root of 1/2
NUM_DIRECTIONS = 300
BINARY = r"-\log p(x|z)=-\sum_i x_i\log p_i+(1-x_i)\log(1-p_i)"
GAUSSIAN = r"-\log p(x|z)=\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+392\log 2\pi\sigma^2\\"
FORMULAS = {
    "bernoulli": BINARY,
    "continuous_bernoulli": BINARY + r"+\log C(p_i)",
    "gaussian": GAUSSIAN + r"\sigma^2=\tfrac12",
    "gaussian_learned": GAUSSIAN + r"\hat\sigma^2=\tfrac{\mathrm{SSE}}{784}",
    "categorical": r"-\log p(x|z)=-\sum_i\log\operatorname{softmax}(\ell_i)_{k(x_i)}",
}


def hidden_beta() -> int:
    """The best linear VAE at every sigma, under one slider; returns where it rests."""
    st.header(_("The β in σ"), anchor=False)
    found, (images, labels) = cached.principal(NUM_DIRECTIONS), cached.shown_digits()
    x = images[[int(np.flatnonzero(labels == c)[0]) for c in range(10)]].reshape(10, -1)
    shown = linear_vae.ladder(x, sampling.prior(10, NUM_DIRECTIONS, seed=3), found, SIGMAS)
    frames = []
    for sigma in SIGMAS:
        used, cost = linear_vae.active(found.variance, sigma**2).sum(), linear_vae.rate(found.variance, sigma**2)
        names = {"digits": _("digits"), "back": _("reconstructed"), "drawn": _("sampled")}
        frames.append(
            {
                "label": f"σ = {sigma:.3g}",
                "note": _("SSE + {:.3g} · KL: {} directions used, {:.1f} nats").format(2 * sigma**2, used, cost),
                "rows": [{"name": n, "bar": float(used) / NUM_DIRECTIONS * (k == "back")} for k, n in names.items()],
            }
        )
    at = {"sigma_at": (HALF_INDEX, 0, len(SIGMAS) - 1)}
    now = int(url_values.numbers(at)["sigma_at"])
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        image_sheets.show(
            shown[now].reshape(-1, 28, 28), 10, alt=_("Digits, reconstructions and samples of a linear VAE")
        )
        return now
    texts = {"slider": "σ", "pictures": _("Ten digits, the reconstructions of the best linear VAE, and its samples")}
    spec = {"key": "sigma", "frame": now, "frames": frames, "texts": texts}
    take = url_values.number_handler({"frame": "sigma_at"}, at)
    component.mount("beta", "sigmas", spec, {"pictures": shown}, height=240, on_send=take)
    return now


template.begin(__doc__)
titles = lab.titles()
left, right = st.columns([2, 5], gap="medium")
with left:
    chosen = address.pick(
        st.selectbox, _("Likelihood"), ["all", *titles], key="likelihood",
        format_func=lambda name: titles.get(name, _("all five")),
    )  # fmt: skip
    x, _label, _number = picker.pick_digit(default=7, models=())
with right, st.spinner(_("Opening five decoders")):
    z = lab.code(x)
    lab.rows(x, z, chosen)
now = hidden_beta()
name = "gaussian" if chosen == "all" else chosen
numbers, s2, found = lab.numbers_of(name, x, z), SIGMAS[now] ** 2, cached.principal(NUM_DIRECTIONS)
told = _("This digit, {}: **{:.1f}** nats, squared error {:.2f}.").format(
    titles[name], numbers["nats"], numbers["error"]
)
if name.startswith("gaussian"):
    own, error = numbers["variance"], numbers["error"]
    told += " " + _("{:.2f} / (2 · {:.4f}) + 392 log(2π · {:.4f}) = {:.1f}.").format(
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
        _("Change a dimension of the code: all five means turn into another digit together. For which decoder do the "
          "nats rise fastest?"),
        _(
            "Choose the Gaussian with σ² = 1/2, which is plain squared error: how noisy are digits in this model? "
            "Then choose the learnt σ: the same squared error, and hundreds of nats better."
        ),
        _(
            "The known failure: move **The β in σ** to its end, MSE per pixel + KL. Every direction costs more than "
            "it explains, and all digits become one."
        ),
    ],
    formula=r"\begin{gathered}" + FORMULAS[name] + r"\\\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+\mathrm{KL}\ \propto\ "
    r"\mathrm{SSE}+\underbrace{2\sigma^2}_{\beta}\,\mathrm{KL}\end{gathered}",
    numbers=told + "\n\n" + _(
        "σ = {:.3g}: β = **{:.3g}**; of the directions with variance {:.2f}, {:.2f}, {:.2f}, … the model uses those "
        "above σ² = {:.3g}: **{}**."
    ).format(math.sqrt(s2), 2 * s2, *found.variance[:3], s2, int(linear_vae.active(found.variance, s2).sum())),
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
