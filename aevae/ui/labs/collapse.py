"""The lab Collapse: five models, their training, and the data for `collapse.js`."""

import zlib

import numpy as np
import streamlit as st

from aevae import schedules
from aevae.figures.chosen import chosen_curve
from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK
from aevae.latent import sampling
from aevae.metrics.units import THRESHOLD
from aevae.store import bundles
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import image_sheets, url_values

COLOURS = {"plain": FALLBACK, "warmup": "#0072B2", "cyclic": "#B0619A", "free_bits": "#A47A08", "skips": "#2F7D22"}
NUM_SAMPLES = 6
FROM = {"drawn_from": (0, 0, 100)}  # slider: 0 is the digit's posterior, 100 the prior


def titles() -> dict[str, str]:
    return {
        "plain": _("no remedy"),
        "warmup": _("KL annealing"),
        "cyclic": _("cyclic annealing"),
        "free_bits": _("free bits"),
        "skips": _("skips (Skip-VAE)"),
    }


@st.cache_resource(max_entries=1, show_spinner=False)
def members() -> dict[str, bundles.Member]:
    return bundles.load("collapse")


@st.cache_data(max_entries=64, show_spinner=False)
def samples_of(name: str, x: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """Decoded samples of posterior and prior."""
    return members()[name].posterior_and_prior(x, eps)


def drawn(chosen: str, x: np.ndarray) -> None:
    """Show decoded samples of posterior and prior, with and without the remedy, in the browser."""
    shown = list(dict.fromkeys(["plain", chosen]))
    width = members()[chosen].config.model.latent_dim
    eps, at = sampling.prior(NUM_SAMPLES, width, seed=1), url_values.numbers(FROM)
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        back = [samples_of(name, x, eps) for name in shown]
        image_sheets.show(
            np.concatenate(back), NUM_SAMPLES, alt=_("Row by row: samples from the posterior, and from the prior")
        )
        return
    component.mount(
        "collapse",
        "draws",
        {
            "key": f"{chosen}|{zlib.crc32(x.tobytes())}",
            "picker": "digit",
            "draws": NUM_SAMPLES,
            "titles": [titles()[name] for name in shown],
            "at": at["drawn_from"],
            "texts": {
                "digit": _("The digit"),
                "slider": _("Where z is sampled"),
                "way": _("{part} % of the way from the posterior to the prior"),
                "posterior": _("q(z|x): codes of this digit"),
                "prior": _("N(0, I): codes from the prior"),
                "says": _("six samples of z, decoded. KL of this digit: {kl} nats."),
                "images": _("{title}: samples of z, decoded"),
                "sample": _("sample {number}"),
            },
        },
        {"x": x.reshape(-1).astype(np.float32), "eps": eps},
        programs=[f"{component.LAB}collapse.{name}" for name in shown],
        shape={"height": 430, "narrow": 380},
        on_send=url_values.number_handler({"at": "drawn_from"}, FROM),
    )


def over_training(chosen: str, what: str):
    """A figure of one number of every remedy over the epochs, with the chosen one emphasised."""
    unit = {
        "active": _("active dimensions, of 8"),
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
    """A figure of the KL weight's schedule of the chosen remedy."""
    config = members()[chosen].config
    at, values = schedules.weights(config.model, config.train.epochs)
    out = figure(_("epoch"), _("weight of the KL"), 230)
    out.add_scatter(x=at, y=values, mode="lines", line={"color": COLOURS[chosen], "width": 2.5}, showlegend=False)
    return out.update_yaxes(range=[-0.05, 1.1])
