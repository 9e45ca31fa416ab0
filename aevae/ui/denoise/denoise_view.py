"""Parts of the Denoise page: the choice of noise, the live view, pictures with their errors, cached error curves."""

import base64
import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_colour
from aevae.metrics.denoising import apply_again, corrupt_images, draws, error_by_level, lay_over
from aevae.metrics.reconstruction import psnr, sse
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker, url_values
from aevae.ui.shared.run_picker import DIGIT, LEVEL, NOISE, SEED

LEVELS = tuple(round(0.1 * i, 1) for i in range(11))
DIGITS = 200  # test digits behind a point of the curve
SIDE = 112  # pixels on the screen: four for each of the picture's
MOST = 10  # applications
MOST_SEED = 2**31 - 1
TIMES, LAYER, LETTER = "times", "noise_layer", "noise_letter"  # session: strokes; number of the last letter read
LAYER_CHARS = 4 * -(-2 * 784 // 3)  # of base64
UNSEEN = "noise_unseen"


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
        "block": _("share of the image covered by one black square"),
    }


@dataclass(frozen=True)
class Spoiling:
    """What is done to the digit, and how often the models are applied."""

    kind: str
    level: float  # 0..1
    seed: int
    times: int
    layer: np.ndarray | None  # uint8 (2, 28, 28), see metrics.denoising.lay_over

    def spoil(self, clean: np.ndarray) -> np.ndarray:
        """The noisy picture (1, 28, 28) of a clean one, strokes included."""
        noisy = corrupt_images(clean[None], self.kind, self.level, self.seed)
        return (noisy if self.layer is None else lay_over(noisy, self.layer))[0]


def pick_noise(seen: bool = True) -> Spoiling:
    """Kind, level, seed of the noise and the number of applications from Streamlit's own controls; all in the URL.

    Not `seen`: they are on the page without being shown, and hold what the live view sends: ranges, the URL and the
    way over pages have one mechanism.
    """
    titles = noise_titles()
    with st.container(key="noise_controls" if seen else UNSEEN, gap="small"):
        if not seen:
            st.html(f"<style>.st-key-{UNSEEN} {{ display: none; }}</style>")
        kind = address.pick(
            st.pills, _("Noise"), list(titles), default="gaussian", required=True, format_func=titles.get, key=NOISE,
            wrap=True,
        )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="bottom"):
            level = st.slider(_("Level"), 0.0, 1.0, 0.5, 0.01, key=LEVEL, help=noise_help()[kind], bind="query-params")
            seed = url_values.field(
                st.number_input, _("Seed"), 0, MOST_SEED, 0, key=SEED, width=110,
                help=_("The same seed draws the same noise again."),
            )  # fmt: skip
        times = st.slider(
            _("Times applied"), 1, MOST, 1, key=TIMES, bind="query-params",
            help=_("What comes out goes in again: how often?"),
        )  # fmt: skip
        layer = st.session_state.get(LAYER)
        if seen and layer is not None:
            st.button(_("Remove the strokes"), key="layer_clear", on_click=st.session_state.pop, args=(LAYER,))
    return Spoiling(kind, float(level), int(seed), int(times), layer)


# -- the live view ---------------------------------------------------------------------------------------------------


def show_live(runs: Sequence, clean: np.ndarray, name: str, spoiling: Spoiling) -> None:
    """The clean digit (1, 28, 28), the noisy one and what each run makes of it, following every move in the browser.

    name: what the clean digit is.
    """
    titles, helps = noise_titles(), noise_help()
    families = {run.name: run.info.family for run in runs}
    labels = {run.name: run_picker.label_of(run.name) for run in runs}
    spec = {
        "kinds": [{"id": kind, "title": titles[kind], "help": helps[kind]} for kind in titles],
        "kind": spoiling.kind,
        "level": spoiling.level,
        "seed": spoiling.seed,
        "times": spoiling.times,
        "most": MOST,
        "most_seed": MOST_SEED,
        "n": st.session_state.get(LETTER, 0),
        "key": DIGIT,
        "clean": name,
        "models": [
            {
                "run": run.name,
                "title": labels[run.name],
                "alt": _("What {} makes of it").format(labels[run.name]),
                "colour": family_colour(families[run.name]),
            }
            for run in runs
        ],
        "texts": _texts(),
    }
    arrays = {"clean": np.asarray(clean, np.float32).reshape(-1), **_draws(spoiling.seed)}
    if spoiling.layer is not None:
        arrays |= dict(zip(("cover", "ink"), spoiling.layer.reshape(2, -1), strict=True))
    component.mount("noise", "noise_live", spec, arrays, programs=[run.name for run in runs], height=480, on_send=hear)


def _texts() -> dict[str, str]:
    return {
        "kind": _("Noise"),
        "level": _("Level"),
        "times": _("Times applied"),
        "seed": _("Seed"),
        "again": _("Draw the noise again, with the next seed"),
        "clean": _("clean"),
        "own": _("own picture"),
        "noisy": _("noisy"),
        "board": _("The noisy picture, to draw on. Keys: arrows move the brush, the space bar sets it down or up."),
        "scribble": _("Scribble on it"),
        "ink": _("Ink"),
        "white": _("white"),
        "black": _("black"),
        "size": _("Brush"),
        "undo": _("Undo"),
        "clear": _("Clear"),
        "errors": "SSE {sse}\nPSNR {psnr} dB",
    }  # fmt: skip


@st.cache_data(max_entries=64, show_spinner=False)
def _draws(seed: int) -> dict[str, np.ndarray]:
    return draws(seed)


def hear(payload: dict) -> None:
    """Take over what the browser sent, as far as it makes sense; each field stands for itself."""
    for key, value in heard(payload).items():
        st.session_state[key] = value


def heard(payload: dict) -> dict:
    """State key -> value of the fields of a payload that are what they should be."""
    out = {}
    if payload.get("kind") in tuple(noise_titles()):
        out[NOISE] = payload["kind"]
    level = payload.get("level")
    if _number(level) and 0 <= level <= 1:
        out[LEVEL] = round(float(level), 2)
    for field, key, low, high in (("seed", SEED, 0, MOST_SEED), ("times", TIMES, 1, MOST), ("n", LETTER, 0, 2**53)):
        value = payload.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            out[key] = value
    if "layer" in payload:
        with contextlib.suppress(ValueError):
            out[LAYER] = read_layer(payload["layer"])
    return out


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_layer(text: str | None) -> np.ndarray | None:
    """Strokes (2, 28, 28) uint8 from base64 of cover and ink; None for none. Raises ValueError for anything else."""
    if text is None:
        return None
    if not isinstance(text, str) or len(text) != LAYER_CHARS:
        raise ValueError("a layer of strokes is a text of fixed length")
    layer = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(layer) != 2 * 784:
        raise ValueError(f"a layer of strokes has {2 * 784} numbers, got {len(layer)}")
    cover, ink = layer.reshape(2, 28, 28)
    return np.stack([cover, np.minimum(cover, ink)]) if cover.any() else None


# -- pictures and errors ---------------------------------------------------------------------------------------------


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
    return "SSE {:.1f}  \nPSNR {} dB".format(*errors_shown(squared, decibel))


def errors_shown(squared: float, decibel: float) -> tuple[float, str]:
    """SSE, and PSNR as a text: ∞ for equal images."""
    return squared, f"{decibel:.1f}" if math.isfinite(decibel) else "∞"


def walk(run, noisy: np.ndarray) -> np.ndarray:
    """The noisy image (1, 28, 28), then what a run makes of it, applied 1 to `MOST` times: (MOST + 1, 1, 28, 28).

    Computed once for all who look at it.
    """
    return apply_again(lambda images: cached.applied(run, "reconstruct", images), noisy[None], MOST)[:, 0]


def card(title: str, image: np.ndarray, note: str, alt: str) -> None:
    """One picture (1, 28, 28), its numbers and its name beneath."""
    with st.container(width=SIDE + 12, gap="xsmall"):
        st.image(image_sheets.sheet(image, 1, scale=8), width=SIDE, alt=alt, output_format="PNG")
        st.markdown(f"**{title}**  \n{note}")


def input_curve(kind: str, seed: int, dataset: str = datasets.EMBEDDED) -> np.ndarray:
    """Error of the noise itself at `LEVELS` (L,), squared error / image."""
    return _input_curve(kind, seed, dataset)


@st.cache_data(max_entries=64, show_spinner=False)
def _input_curve(kind: str, seed: int, dataset: str) -> np.ndarray:
    return error_by_level(lambda images: images, cached.test_digits(dataset)[0][:DIGITS], kind, LEVELS, seed)


def model_curve(run, kind: str, seed: int, dataset: str = datasets.EMBEDDED) -> np.ndarray:
    """Error at `LEVELS` (L,) of what a run makes of spoilt test pictures, squared error / image."""
    checksum = run.info.state.get("checksums", {}).get("model.safetensors")
    return _model_curve(run, str(run.path), checksum, kind, seed, dataset)


@st.cache_data(max_entries=256, show_spinner=False)
def _model_curve(_run, path: str, checksum: str | None, kind: str, seed: int, dataset: str) -> np.ndarray:
    return error_by_level(_run.reconstruct, cached.test_digits(dataset)[0][:DIGITS], kind, LEVELS, seed)
