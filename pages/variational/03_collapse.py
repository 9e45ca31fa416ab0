"""Collapse: When does a decoder ignore its code, and what helps?

icon: compress
"""

import zlib

import numpy as np
import streamlit as st

from aevae import bundles, schedules
from aevae.figures.chosen import chosen_curve
from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK
from aevae.latent import sampling
from aevae.metrics.units import THRESHOLD
from aevae.ui import digits, kept, lab, live, pictures
from aevae.ui.i18n import _

COLOURS = {"plain": FALLBACK, "warmup": "#0072B2", "cyclic": "#B0619A", "free_bits": "#A47A08", "skips": "#2F7D22"}
DRAWS = 6
FROM = {"drawn_from": (0, 0, 100)}  # of the slider: 0 the digit's posterior, 100 the prior


def titles() -> dict[str, str]:
    return {
        "plain": _("nothing"),
        "warmup": _("KL annealing"),
        "cyclic": _("cyclic annealing"),
        "free_bits": _("free bits"),
        "skips": _("skips (Skip-VAE)"),
    }


@st.cache_resource(max_entries=1, show_spinner=False)
def members() -> dict[str, bundles.Member]:
    return bundles.load("collapse")


def drawn(chosen: str, x: np.ndarray) -> None:
    """Codes of this digit and codes of no digit, decoded with the remedy and without, in the browser."""
    shown = list(dict.fromkeys(["plain", chosen]))
    width = members()[chosen].config.model.latent_dim
    eps, at = sampling.prior(DRAWS, width, seed=1), kept.numbers(FROM)
    if problem := live.trouble([]):
        st.caption(problem)
        back = [members()[name].posterior_and_prior(x, eps) for name in shown]
        pictures.show(np.concatenate(back), DRAWS, alt=_("Row by row: draws of the posterior, and of the prior"))
        return
    live.mount(
        "draws",
        "draws",
        {
            "key": f"{chosen}|{zlib.crc32(x.tobytes())}",
            "picker": "digit",
            "draws": DRAWS,
            "titles": [titles()[name] for name in shown],
            "at": at["drawn_from"],
            "texts": {
                "digit": _("The digit"),
                "slider": _("Where z is drawn"),
                "way": _("{part} % of the way from the posterior to the prior"),
                "posterior": _("q(z|x): codes of this digit"),
                "prior": _("N(0, I): codes of no digit"),
                "says": _("KL of this digit {kl} nats; pictures of both ends differ by {apart} a pixel"),
                "pictures": _("{title}: draws of z, decoded"),
            },
        },
        {"x": x.reshape(-1).astype(np.float32), "eps": eps},
        programs=[f"{live.LAB}collapse.{name}" for name in shown],
        shape={"height": 440, "narrow": 400},
        on_send=kept.taker({"at": "drawn_from"}, FROM),
    )


def over_training(chosen: str, what: str):
    """One number of every remedy over the epochs, the chosen one strong."""
    unit = {
        "active": _("numbers used, of 8"),
        "kl": _("KL (nats / image)"),
        "recon": _("reconstruction (nats / image)"),
    }
    curves = {}
    for name, member in members().items():
        history = member.history
        values = (history["variance"] > THRESHOLD).sum(1) if what == "active" else history[what]
        curves[titles()[name]] = history["epoch"], values
    colours = {titles()[name]: colour for name, colour in COLOURS.items()}
    return chosen_curve(curves, titles()[chosen], colours, _("epoch"), unit[what], marks=True)


def weight(chosen: str):
    """The schedule of the chosen remedy."""
    config = members()[chosen].config
    at, values = schedules.weights(config.model, config.train.epochs)
    out = figure(_("epoch"), _("weight of the KL"), 230)
    out.add_scatter(x=at, y=values, mode="lines", line={"color": COLOURS[chosen], "width": 2.5}, showlegend=False)
    return out.update_yaxes(range=[-0.05, 1.1])


lab.begin(__doc__)
chosen = st.segmented_control(
    _("Remedy"), list(COLOURS), default="plain", required=True, key="remedy", bind="query-params",
    format_func=titles().get, wrap=True,
)  # fmt: skip
left, right = st.columns([2, 5], gap="medium")
with left:
    x, _label, _number = digits.pick_digit(default=7, models=())
with right, st.spinner(_("Opening five models")):
    drawn(chosen, x)
what = st.segmented_control(
    _("Over training"), ["active", "kl", "recon"], default="active", required=True, key="over", bind="query-params",
    format_func={"active": _("numbers used"), "kl": "KL", "recon": _("reconstruction")}.get,
)  # fmt: skip
wide, narrow = st.columns([5, 3], gap="medium")
member = members()[chosen]
model = member.config.model
wide.plotly_chart(over_training(chosen, what), key="training", config={"displayModeBar": False})
with narrow:
    st.plotly_chart(weight(chosen), key="weight", config={"displayModeBar": False})
    told = _("The decoder has {} layers; ").format(model.depth)
    told += _("each of them sees z. ") if model.skips else _("only the first sees z. ")
    if model.free_bits:
        told += _("A KL below {:g} nats per number costs no more than {:g}.").format(model.free_bits, model.free_bits)
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
        _("The known failure: take **nothing**, move the slider, change the digit. Does any picture change?"),
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
        "On its way to the prior q keeps its noise ε: the mean goes to 0, the deviation to 1.\n\n"
        "These are five small models of the same depth, seed and data; only the remedy differs. Linear theory agrees: "
        "a direction of the data is coded only if its variance exceeds the noise of the pixels (Lucas et al. 2019)."
    ),
    sources="Bowman et al. 2016; Kingma et al. 2016; Fu et al. 2019; Dieng et al. 2019; Burda et al. 2016",
)  # fmt: skip
