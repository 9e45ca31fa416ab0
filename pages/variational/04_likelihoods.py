"""Likelihoods: What does a decoder say of a pixel, and why does MSE + KL hide a β?

icon: blur_on
"""

import math

import numpy as np
import streamlit as st

from aevae import bundles
from aevae.latent import components, linear_vae, pixels, sampling
from aevae.ui import digits, kept, lab, live, loaders, pictures
from aevae.ui.i18n import _

DRAWS = 4
WIDEST = math.sqrt(0.5)  # a deviation that is shown white
MEAN_MSE = math.sqrt(392)  # sigma at which SSE / (2 sigma^2) is SSE / 784
SIGMAS = (0.05, 0.1, 0.2, 0.3, 0.5, math.sqrt(0.5), 1.0, 1.4, 1.8, 2.2, 2.5, MEAN_MSE)
HALF = 5  # which of them is the square root of 1/2
DIRECTIONS = 300


def titles() -> dict[str, str]:
    return {
        "bernoulli": _("Bernoulli"),
        "continuous_bernoulli": _("continuous Bernoulli"),
        "gaussian": _("Gaussian, σ² = 1/2"),
        "gaussian_learned": _("Gaussian, σ learnt"),
        "categorical": _("categorical, 4 levels"),
    }


FORMULAS = {
    "bernoulli": r"-\log p(x|z)=-\sum_i x_i\log p_i+(1-x_i)\log(1-p_i)",
    "continuous_bernoulli": r"-\log p(x|z)=-\sum_i x_i\log p_i+(1-x_i)\log(1-p_i)+\log C(p_i)",
    "gaussian": r"-\log p(x|z)=\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+392\log 2\pi\sigma^2\\\sigma^2=\tfrac12",
    "gaussian_learned": r"-\log p(x|z)=\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+392\log 2\pi\sigma^2"
    r"\\\hat\sigma^2=\tfrac{\mathrm{SSE}}{784}",
    "categorical": r"-\log p(x|z)=-\sum_i\log\operatorname{softmax}(\ell_i)_{k(x_i)}",
}


@st.cache_resource(max_entries=1, show_spinner=False)
def decoders() -> dict[str, tuple[bundles.Member, object]]:
    """One encoder, five decoders."""
    return {name: (member, member.model()) for name, member in bundles.load("likelihoods").items()}


@st.cache_resource(max_entries=1, show_spinner=False)
def principal() -> components.Components:
    train = loaders.dataset().train.images
    return components.fit(train.reshape(len(train), -1) / 255, DIRECTIONS)


def nats(model, x: np.ndarray, z: np.ndarray) -> tuple[float, float]:
    """-log p(x|z) of the digit in nats, and the squared error of the mean (a Gaussian's as it is, not cut to 0..1)."""
    import torch

    with torch.inference_mode():
        params, picture = model.params(torch.tensor(z)), torch.tensor(x[None])
        mean = params if model.config.likelihood.startswith("gaussian") else model.mean(params)
        return float(model.nll(picture, params)[0]), float((mean - picture).square().sum())


def rows(x: np.ndarray, z: np.ndarray, chosen: str) -> None:
    """Of the chosen decoder, or of all: the mean, draws of the pixels, and how far each pixel strays."""
    shown = decoders() if chosen == "all" else {chosen: decoders()[chosen]}
    for name, (_member, model) in shown.items():
        mean, stray = decoded(model, z), pixels.strays(model, z)
        draws = np.clip(pixels.drawn(model, np.repeat(z, DRAWS, 0), seed=1), 0, 1)
        cost, error = nats(model, x, z)
        st.markdown(
            _("**{}** · mean, {} draws, deviation · {:.0f} nats = {:.2f} bits a pixel · squared error {:.1f}").format(
                titles()[name], DRAWS, cost, cost / 784 / math.log(2), error
            )
        )
        pictures.show(
            np.concatenate([mean, draws, np.minimum(stray / WIDEST, 1)]), DRAWS + 2, scale=3, width="stretch",
            alt=_("{}: mean picture, draws of the pixels, standard deviation of each pixel").format(titles()[name]),
        )  # fmt: skip


def encoded(x: np.ndarray) -> np.ndarray:
    """The code (1, 8) that all five decoders read."""
    import torch

    with torch.inference_mode():
        return decoders()["bernoulli"][1].encode(torch.tensor(x[None])).numpy()


def decoded(model, z: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return model.decode(torch.tensor(z)).numpy()


def hidden_beta() -> int:
    """The best linear VAE at every sigma, under one slider; returns where it rests."""
    st.subheader(_("The β in σ"), anchor=False)
    found, (images, labels) = principal(), loaders.test_digits()
    x = images[[int(np.flatnonzero(labels == c)[0]) for c in range(10)]].reshape(10, -1)
    noise = sampling.prior(10, DIRECTIONS, seed=3)
    frames, said = [], []
    for sigma in SIGMAS:
        s2 = sigma**2
        fit = (found.mean, found.axes, found.variance, s2)
        frames.append(np.stack([x, linear_vae.reconstructed(x, *fit), linear_vae.sampled(noise, *fit)]))
        used, cost = int(linear_vae.active(found.variance, s2).sum()), linear_vae.rate(found.variance, s2)
        said.append(
            {
                "label": f"σ = {sigma:.3g}",
                "note": _("SSE + {:.3g} · KL: directions used {}, {:.1f} nats").format(2 * s2, used, cost),
                "rows": [
                    {"name": _("digits"), "bar": 0},
                    {"name": _("back"), "bar": used / DIRECTIONS},
                    {"name": _("drawn"), "bar": 0},
                ],
            }
        )
    at = {"sigma_at": (HALF, 0, len(SIGMAS) - 1)}
    now = int(kept.numbers(at)["sigma_at"])
    bytes_ = np.rint(np.clip(np.stack(frames), 0, 1) * 255).astype(np.uint8)
    if problem := live.trouble([]):
        st.caption(problem)
        pictures.show(bytes_[now].reshape(-1, 28, 28), 10, alt=_("Digits, reconstructions and draws of a linear VAE"))
        return now
    texts = {"slider": "σ", "pictures": _("Ten digits, what the best linear VAE gives back, and what it draws")}
    spec = {"key": "sigma", "frame": now, "frames": said, "texts": texts}
    live.mount(
        "frames", "sigmas", spec, {"pictures": bytes_}, height=240, on_send=kept.taker({"frame": "sigma_at"}, at)
    )
    return now


lab.begin(__doc__)
left, right = st.columns([2, 5], gap="medium")
with left:
    chosen = st.selectbox(
        _("Likelihood"), ["all", *titles()], key="likelihood", bind="query-params",
        format_func=lambda name: titles().get(name, _("all five")),
    )  # fmt: skip
    x, _label, _number = digits.pick_digit(default=7, upload=False)
with right, st.spinner(_("Opening five decoders")):
    z = encoded(x)
    rows(x, z, chosen)
now = hidden_beta()
name = "gaussian" if chosen == "all" else chosen
model = decoders()[name][1]
cost, error = nats(model, x, z)
s2, found = SIGMAS[now] ** 2, principal()
told = _("This digit, {}: **{:.1f}** nats, squared error {:.2f}.").format(titles()[name], cost, error)
if name.startswith("gaussian"):
    own = math.exp(float(model.pixel_variance_log()))
    told += " " + _("{:.2f} / (2 · {:.4f}) + 392 log(2π · {:.4f}) = {:.1f}.").format(
        error, own, own, error / (2 * own) + 392 * math.log(2 * math.pi * own)
    )
lab.end(
    notice=[
        _("One code, five decoders: the means are much alike, what they call a *picture* is not."),
        _("A draw adds the pixels' own noise, each for itself. What is called a VAE's sample is mostly the mean."),
        _("Nats of a density (Gaussian, continuous) may be negative and compare with no others."),
    ],
    tries=[
        _("Take the Gaussian with σ² = 1/2, which is plain squared error: how noisy does it believe digits are?"),
        _("Let σ be learnt instead: the same squared error, and hundreds of nats better."),
        _("Push **The β in σ** to its end, MSE a pixel + KL: every direction is dearer than what it explains."),
    ],
    formula=r"\begin{gathered}" + FORMULAS[name] + r"\\\tfrac{1}{2\sigma^2}\,\mathrm{SSE}+\mathrm{KL}\ \propto\ "
    r"\mathrm{SSE}+\underbrace{2\sigma^2}_{\beta}\,\mathrm{KL}\end{gathered}",
    numbers=told + "\n\n" + _(
        "σ = {:.3g}: β = **{:.3g}**; of the directions with variance {:.2f}, {:.2f}, {:.2f}, … those above σ² = {:.3g} "
        "are used: **{}**."
    ).format(math.sqrt(s2), 2 * s2, *found.variance[:3], s2, int(linear_vae.active(found.variance, s2).sum())),
    more=_(
        "*VAE loss = MSE + KL* is a Gaussian decoder with a variance that nobody chose. Summed over pixels it means "
        "σ² = 1/2. Averaged over them it means σ² = 392, or β = 784 on top of the sum: for a digit the loss of all "
        "detail is then cheaper than one nat of code, and the posterior collapses. The slider shows it without any "
        "training: of a *linear* VAE the optimum is known, and it keeps exactly the principal directions whose "
        "variance exceeds σ².\n\nThe five decoders read the same, frozen encoder (8 numbers), so that only the "
        "likelihood differs. "
        "A grey pixel under a Bernoulli is a pseudo-likelihood: its best is not 0 but the entropy of the greys."
    ),
    sources="Kingma & Welling 2014; Loaiza-Ganem & Cunningham 2019; Rybkin et al. 2021; Lucas et al. 2019",
)  # fmt: skip
