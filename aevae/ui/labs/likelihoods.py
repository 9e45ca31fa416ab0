"""The lab Likelihoods: one encoder with five decoders, and the data for `likelihoods.js` and `beta.js`."""

import math
import zlib

import numpy as np
import streamlit as st

from aevae.latent import linear_vae, pixels, sampling
from aevae.metrics.reconstruction import sse
from aevae.store import bundles
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, url_values

NUM_SAMPLES, MAX_MOVED_DIMS, MAX_STEP = 4, 3, 6.0  # sampled images; dimensions that sliders move; range of the sliders
STEPS = {f"step{i}": (0.0, -MAX_STEP, MAX_STEP) for i in range(MAX_MOVED_DIMS)}
WHITE_DEVIATION = 1.0  # standard deviation that is shown as white
MEAN_MSE = math.sqrt(392)  # sigma at which SSE / (2 sigma^2) is SSE / 784
SIGMAS = (0.05, 0.1, 0.2, 0.3, 0.5, math.sqrt(0.5), 1.0, 1.4, 1.8, 2.2, 2.5, MEAN_MSE)
HALF_INDEX = 5  # which of them is the square root of 1/2
NUM_DIRECTIONS = 300  # principal directions of the linear VAE


def titles() -> dict[str, str]:
    return {
        "bernoulli": _("Bernoulli"),
        "continuous_bernoulli": _("continuous Bernoulli"),
        "gaussian": _("Gaussian, σ² = 1/2"),
        "gaussian_learned": _("Gaussian, σ learnt"),
        "categorical": _("categorical, 4 levels"),
    }


@st.cache_resource(max_entries=1, show_spinner=False)
def decoders() -> dict:
    """Name -> torch model of the five decoders, which share one encoder."""
    return {name: member.model() for name, member in bundles.load("likelihoods").items()}


@st.cache_resource(max_entries=1, show_spinner=False)
def strongest() -> list[int]:
    """The most used latent dimensions on 1,000 test digits."""
    import torch

    from aevae.metrics.evidence import posterior

    _mu, kl = posterior(decoders()["bernoulli"], torch.tensor(cached.shown_digits()[0]))
    return np.argsort(-kl.mean(0).numpy(), kind="stable")[:MAX_MOVED_DIMS].tolist()


@st.cache_data(max_entries=256, show_spinner=False)
def numbers_of(kind: str, x: np.ndarray, z: np.ndarray) -> dict[str, float]:
    """Numbers of a decoder: -log p(x|z) of the digit in nats, squared error of the mean, and a Gaussian's sigma^2."""
    import torch

    model = decoders()[kind]
    with torch.inference_mode():
        params, image = model.params(torch.tensor(z)), torch.tensor(x[None])
        mean = params if kind.startswith("gaussian") else model.mean(params)  # not clipped for Gaussians
        log = model.pixel_variance_log() if kind.startswith("gaussian") else 0.0
        error = float(sse(x[None], mean.numpy())[0])
        return {"nats": float(model.nll(image, params)[0]), "error": error, "variance": math.exp(float(log))}


@st.cache_data(max_entries=256, show_spinner=False)
def encoded(x: np.ndarray) -> np.ndarray:
    """The code (1, 8) of a digit for all decoders."""
    import torch

    with torch.inference_mode():
        return decoders()["bernoulli"].encode(torch.tensor(x[None])).numpy()


def code(x: np.ndarray) -> np.ndarray:
    """The code (1, 8) for all decoders: the digit's code, moved by the sliders."""
    z = encoded(x)
    z[0, strongest()] += np.array(list(url_values.numbers(STEPS).values()), np.float32)
    return z


@st.cache_data(max_entries=64, show_spinner=False)
def row(name: str, z: np.ndarray) -> np.ndarray:
    """Mean, pixel samples and standard deviation of a decoder, (NUM_SAMPLES + 2, 1, 28, 28)."""
    model, (uniform, normal) = decoders()[name], pixels.noise(NUM_SAMPLES, seed=1)
    drawn = pixels.sample_pixels(model, np.repeat(z, NUM_SAMPLES, 0), uniform, normal)
    stray = np.minimum(pixels.strays(model, z) / WHITE_DEVIATION, 1)
    return np.concatenate([pixels.means(model, z), np.clip(drawn, 0, 1), stray])


def rows(x: np.ndarray, z: np.ndarray, chosen: str) -> None:
    """Show mean, pixel samples and standard deviations of the chosen decoder or of all, in the browser."""
    names = list(titles())
    shown = names if chosen == "all" else [chosen]
    uniform, normal = pixels.noise(NUM_SAMPLES, seed=1)
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        for name in shown:
            image_sheets.show(
                row(name, z),
                NUM_SAMPLES + 2,
                alt=_("{}: mean, samples of the pixels, standard deviation").format(titles()[name]),
            )
        return
    models = [
        {
            "title": titles()[name],
            "kind": "gaussian" if name.startswith("gaussian") else name,
            "variance": numbers_of(name, x, z)["variance"],
            "count": decoders()[name].config.channels,
        }
        for name in names
    ]
    component.mount(
        "likelihoods",
        "decoders",
        {
            "key": f"{chosen}|{zlib.crc32(x.tobytes())}",
            "picker": "digit",
            "models": models,
            "shown": [names.index(name) for name in shown],
            "draws": NUM_SAMPLES,
            "dims": strongest(),
            "steps": list(url_values.numbers(STEPS).values()),
            "reach": MAX_STEP,
            "widest": WHITE_DEVIATION,
            "texts": {
                "number": _("dimension {number}"),
                "back": _("Reset to the code of the digit"),
                "mean": _("mean of each pixel"),
                "draw": _("sample {number}"),
                "stray": _("standard deviation of each pixel (black 0, white 1)"),
                "flat": _("standard deviation: {std} in every pixel"),
                "says": _("{nats} nats = {bits} bits per pixel · squared error {error}"),
                "images": _("{title}: mean image, samples of the pixels, standard deviation of each pixel"),
            },
        },
        {"x": x.reshape(-1).astype(np.float32), "uniform": uniform.ravel(), "normal": normal.ravel()},
        programs=[f"{component.LAB}likelihoods.{name}" for name in names],
        shape={"height": 190 * len(shown) + 60, "narrow": 120 * len(shown) + 200},
        on_send=url_values.number_handler({name: name for name in STEPS}, STEPS),
    )


def show_hidden_beta() -> float:
    """Show the best linear VAE of each sigma under one slider; returns the chosen sigma."""
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
        return SIGMAS[now]
    texts = {
        "slider": _("σ of the decoder"),
        "images": _("Ten digits, the reconstructions of the best linear VAE, and its samples"),
    }
    spec = {"key": "sigma", "frame": now, "frames": frames, "texts": texts}
    on_send = url_values.number_handler({"frame": "sigma_at"}, at)
    component.mount("beta", "sigmas", spec, {"images": shown}, height=240, on_send=on_send)
    return SIGMAS[now]
