"""Parts of the Denoise page: the choice of noise, pictures with their errors, and the cached error curves."""

import math
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae.checkpoints import RunInfo
from aevae.metrics.reconstruction import psnr, sse
from aevae.ui import loaders, pictures
from aevae.ui.i18n import _
from aevae.ui.state import LEVEL, NOISE, SEED

LEVELS = tuple(round(0.1 * i, 1) for i in range(11))
DIGITS = 200  # test digits behind a point of the curve
SIDE = 112  # pixels on the screen: four for each of the picture's


def noise_titles() -> dict[str, str]:
    """Kind of noise -> what a person reads."""
    return {
        "gaussian": _("Gaussian"),
        "masking": _("masking"),
        "salt_and_pepper": _("salt and pepper"),
        "block": _("block"),
    }


def noise_help() -> dict[str, str]:
    """Kind of noise -> what its level means."""
    return {
        "gaussian": _("standard deviation of what is added to each pixel, in units of the pixel range"),
        "masking": _("share of the pixels set to black"),
        "salt_and_pepper": _("share of the pixels set to black or white, half each"),
        "block": _("share of the picture covered by one black square"),
    }


def pick_noise() -> tuple[str, float, int]:
    """Kind, level 0..1 and seed of the noise; all three are in the URL."""
    titles = noise_titles()
    asked = st.query_params.get(NOISE)
    if NOISE not in st.session_state and asked in titles:  # a link may name the kind itself, in any language
        st.session_state[NOISE] = asked
    kind = st.pills(
        _("Noise"), list(titles), default="gaussian", required=True, format_func=titles.get, key=NOISE, wrap=True,
        bind="query-params",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        level = st.slider(_("Level"), 0.0, 1.0, 0.5, 0.05, key=LEVEL, help=noise_help()[kind], bind="query-params")
        seed = st.number_input(
            _("Seed"), 0, 9999, 0, key=SEED, width=110, bind="query-params",
            help=_("The same seed draws the same noise again."),
        )  # fmt: skip
    return kind, float(level), int(seed)


def first_choice(runs: Sequence[RunInfo]) -> list[str]:
    """What to compare first: a denoising model, a plain AE with the same code size if there is one, and a VAE."""
    cleaner = next((run for run in runs if run.family == "denoising"), None)
    plain = [run for run in runs if run.family == "ae"]
    plain.sort(key=lambda run: cleaner is not None and run.latent_dim != cleaner.latent_dim)
    others = [run for run in runs if run.family == "vae"]
    return [run.name for run in (cleaner, *plain[:1], *others[:1]) if run] or [run.name for run in runs[:3]]


def errors(clean: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """SSE (squared error / image) and PSNR (dB) of one picture (1, 28, 28) against the clean one."""
    return float(sse(clean[None], image[None])[0]), float(psnr(clean[None], image[None])[0])


def errors_text(squared: float, decibel: float) -> str:
    """The two numbers, as they stand under a picture."""
    shown = f"{decibel:.1f}" if math.isfinite(decibel) else "∞"
    return f"SSE {squared:.1f}  \nPSNR {shown} dB"


def card(title: str, image: np.ndarray, note: str, alt: str) -> None:
    """One picture (1, 28, 28), its numbers and its name beneath."""
    with st.container(width=SIDE + 12, gap="xsmall"):
        st.image(pictures.sheet(image, 1, scale=8), width=SIDE, alt=alt, output_format="PNG")
        st.markdown(f"**{title}**  \n{note}")


def input_curve(kind: str, seed: int) -> np.ndarray:
    """Error of the noise itself at `LEVELS` (L,), squared error / image."""
    return _input_curve(kind, seed)


@st.cache_data(max_entries=64, show_spinner=False)
def _input_curve(kind: str, seed: int) -> np.ndarray:
    from aevae.metrics.denoising import error_by_level

    return error_by_level(lambda images: images, loaders.test_digits()[0][:DIGITS], kind, LEVELS, seed)


def model_curve(run, kind: str, seed: int) -> np.ndarray:
    """Error at `LEVELS` (L,) of what a run makes of spoilt test digits, squared error / image."""
    return _model_curve(run, str(run.path), run.info.state.get("checksums", {}).get("model.safetensors"), kind, seed)


@st.cache_data(max_entries=256, show_spinner=False)
def _model_curve(_run, path: str, checksum: str | None, kind: str, seed: int) -> np.ndarray:
    from aevae.metrics.denoising import error_by_level

    return error_by_level(_run.reconstruct, loaders.test_digits()[0][:DIGITS], kind, LEVELS, seed)
