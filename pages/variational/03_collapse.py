"""Collapse: When does a decoder ignore its code, and what helps?

icon: compress
"""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from aevae import bundles, schedules
from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK
from aevae.latent import sampling
from aevae.metrics.units import THRESHOLD
from aevae.ui import digits, lab, pictures
from aevae.ui.i18n import _

COLOURS = {"plain": FALLBACK, "warmup": "#0072B2", "cyclic": "#B0619A", "free_bits": "#A47A08", "skips": "#2F7D22"}
DRAWS = 12


def titles() -> dict[str, str]:
    return {
        "plain": _("nothing"),
        "warmup": _("KL annealing"),
        "cyclic": _("cyclic annealing"),
        "free_bits": _("free bits"),
        "skips": _("skips (Skip-VAE)"),
    }


@st.cache_resource(max_entries=1, show_spinner=False)
def family() -> dict[str, tuple[bundles.Member, object]]:
    return {name: (member, member.model()) for name, member in bundles.load("collapse").items()}


def schedule(config) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and the weight that the KL has there."""
    at = np.linspace(0, config.train.epochs, 200)
    model = config.model
    if model.anneal == "cyclic":
        return at, np.array([schedules.cyclic(e, model.warmup_epochs, model.cycles) for e in at])
    return at, np.array([schedules.warmup(e, model.warmup_epochs) for e in at])


def over_training(chosen: str, what: str) -> go.Figure:
    """One number of every remedy over the epochs, the chosen one strong."""
    unit = {
        "active": _("numbers used, of 8"),
        "kl": _("KL (nats / image)"),
        "recon": _("reconstruction (nats / image)"),
    }
    out = figure(_("epoch"), unit[what], 330)
    for name, (member, _model) in sorted(family().items(), key=lambda item: item[0] == chosen):
        history = member.history
        values = (history["variance"] > THRESHOLD).sum(1) if what == "active" else history[what]
        out.add_scatter(
            x=history["epoch"], y=values, name=titles()[name], mode="lines+markers",
            line={"color": COLOURS[name], "width": 3.5 if name == chosen else 1.5},
            marker={"size": 8 if name == chosen else 4}, opacity=1 if name == chosen else 0.65,
        )  # fmt: skip
    out.update_yaxes(rangemode="tozero")
    return out


def weight(chosen: str) -> go.Figure:
    """The schedule of the chosen remedy."""
    member = family()[chosen][0]
    at, values = schedule(member.config)
    out = figure(_("epoch"), _("weight of the KL"), 230)
    out.add_scatter(x=at, y=values, mode="lines", line={"color": COLOURS[chosen], "width": 2.5}, showlegend=False)
    out.update_yaxes(range=[-0.05, 1.1])
    return out


def both(chosen: str, x: np.ndarray) -> None:
    """What codes of this digit decode to, and codes of no digit at all."""
    import torch

    member, model = family()[chosen]
    width = member.config.model.latent_dim
    noise = torch.tensor(sampling.prior(DRAWS, width, seed=1))
    with torch.inference_mode():
        mu, logvar = model.posterior(torch.tensor(x[None]))
        posterior, prior = model.decode(mu + (0.5 * logvar).exp() * noise), model.decode(noise)
    apart = float((posterior.mean(0) - prior.mean(0)).abs().mean())
    with st.container(horizontal=True, vertical_alignment="center"):
        pictures.show(x, 1, scale=4, alt=_("The digit"))
        with st.container():
            st.caption(_("z from the posterior q(z|x) of this digit, decoded"))
            pictures.show(posterior.numpy(), DRAWS // 2, width="stretch", alt=_("Draws of the posterior, decoded"))
            st.caption(_("z from the prior N(0, I), decoded"))
            pictures.show(prior.numpy(), DRAWS // 2, width="stretch", alt=_("Draws of the prior, decoded"))
    kl = member.numbers["kl"]
    if kl < 0.1:
        told = _("The same: the decoder draws one picture whatever it is told, and the code carries {:.3f} nats.")
        st.info(told.format(kl))
    else:
        told = _("Different by {:.3f} a pixel in the mean: the code carries {:.1f} nats, and the decoder listens.")
        st.info(told.format(apart, kl))


lab.begin(__doc__)
chosen = st.segmented_control(
    _("Remedy"), list(COLOURS), default="plain", required=True, key="remedy", bind="query-params",
    format_func=titles().get, wrap=True,
)  # fmt: skip
with st.spinner(_("Opening five models")):
    family()
left, right = st.columns([2, 5], gap="medium")
with left:
    x, _label, _number = digits.pick_digit(default=7, upload=False)
with right:
    both(chosen, x)
what = st.segmented_control(
    _("Over training"), ["active", "kl", "recon"], default="active", required=True, key="over", bind="query-params",
    format_func={"active": _("numbers used"), "kl": "KL", "recon": _("reconstruction")}.get,
)  # fmt: skip
wide, narrow = st.columns([5, 3], gap="medium")
with wide:
    st.plotly_chart(over_training(chosen, what), key="training", config={"displayModeBar": False})
with narrow:
    st.plotly_chart(weight(chosen), key="weight", config={"displayModeBar": False})
    member = family()[chosen][0]
    free = member.config.model.free_bits
    told = _("The decoder has {} layers; ").format(member.config.model.depth)
    told += _("each of them sees z. ") if member.config.model.skips else _("only the first sees z. ")
    if free:
        told += _("A KL below {:g} nats per number costs no more than {:g}.").format(free, free)
    st.caption(told)
kl_per_dim = member.history["kl_per_dim"][-1]
used = int((member.history["variance"][-1] > THRESHOLD).sum())
lab.end(
    notice=[
        _("Without a remedy the KL is 0 from the first epoch on: eight layers bury z in noise, so it is dropped."),
        _("Annealing lets the decoder learn to listen while listening is free. The price comes later."),
        _("Skips change no objective: a short way from z to the pixels is enough, and it is the best of the five."),
    ],
    tries=[
        _("Take **nothing** and change the digit. Does any picture change?"),
        _("Take **cyclic annealing**: each new cycle wakes some numbers, the full weight puts them to sleep again."),
        _("Compare reconstruction and KL of **free bits** and **skips**: who pays for a full code, who uses it?"),
    ],
    formula=r"\begin{gathered}\mathrm{KL}(q(z|x)\Vert p(z))=0\ \text{for all }x\\"
    r"\mathrm{AU}=\#\{j:\mathrm{Var}_x(\mathbb E_q[z_j|x])>0.01\}\end{gathered}",
    numbers=_("**{}**: AU = **{}** of {}; KL = {} = **{:.2f}** nats; reconstruction {:.1f}, ELBO **−{:.1f}**.").format(
        titles()[chosen], used, len(kl_per_dim), " + ".join(f"{v:.2f}" for v in np.sort(kl_per_dim)[::-1]),
        float(kl_per_dim.sum()), member.numbers["recon"], -member.numbers["elbo"],
    ),
    more=_(
        "Early in training z is noise to the decoder, and the KL charges for each nat of it. If the decoder gains less "
        "than the charge, the encoder learns to send nothing, and then there is nothing to listen to: the collapse "
        "feeds itself. It happens where the decoder is deep, as here, where it is strong enough to do without (a "
        "PixelCNN), or where the KL weighs too much. That the *average* of all posteriors looks like the prior is "
        "wanted; that *every* posterior does is the collapse.\n\n"
        "These are five small models of the same depth, seed and data; only the remedy differs. Linear theory agrees: "
        "a direction of the data is coded only if its variance exceeds the noise of the pixels (Lucas et al. 2019)."
    ),
    sources="Bowman et al. 2016; Kingma et al. 2016; Fu et al. 2019; Dieng et al. 2019; Burda et al. 2016",
)  # fmt: skip
