"""Parts of the Denoise page: the choice of noise, the live view, images with their errors, cached error curves."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_colour
from aevae.metrics.denoising import apply_again, corrupt_images, draws, error_by_level, lay_over
from aevae.metrics.reconstruction import sse
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker, url_values
from aevae.ui.shared.message import SEQUENCE_NUMBER, AnyOf, Integer, Null, Number, OneOf, Text, valid_fields
from aevae.ui.shared.run_picker import DIGIT, LEVEL, NOISE, SEED

LEVELS = tuple(round(0.1 * i, 1) for i in range(11))
# Kind of noise -> level at which a reader can just read most digits: strong noise, but not another image.
FITTING_LEVELS = {"gaussian": 0.5, "masking": 0.5, "salt_and_pepper": 0.3, "block": 0.2}
FIRST_KIND = "gaussian"
NUM_CURVE_IMAGES = 200  # test digits behind a point of the curve
DISPLAY_PIXELS = 112  # pixels on the screen: four for each of the image's
MAX_TIMES = 10  # applications
MAX_SEED = 2**31 - 1
TIMES, LAYER, LAST_MESSAGE = "times", "noise_layer", "noise_letter"  # session; strokes; sequence number
LAYER_CHARS = 4 * -(-2 * 784 // 3)  # base64 characters; the last one is padding
LAYER_TEXT = AnyOf((Null(), Text(f"[A-Za-z0-9+/]{{{LAYER_CHARS - 1}}}=", LAYER_CHARS)))
UNSEEN = "noise_unseen"


def noise_titles() -> dict[str, str]:
    """Kind of noise -> its title."""
    return {
        "gaussian": _("Gaussian"),
        "masking": _("masking"),
        "salt_and_pepper": _("salt and pepper"),
        "block": _("block"),
    }


def noise_help() -> dict[str, str]:
    """Kind of noise -> the meaning of its level."""
    return {
        "gaussian": _("standard deviation of the noise that is added to each pixel, in units of the pixel range"),
        "masking": _("fraction of the pixels that become black"),
        "salt_and_pepper": _("fraction of the pixels that become black or white, half each"),
        "block": _("fraction of the image that one black square covers"),
    }


@dataclass(frozen=True)
class Corruption:
    """The corruption of the digit, and how often the models are applied."""

    kind: str
    level: float  # 0..1
    seed: int
    times: int
    layer: np.ndarray | None  # uint8 (2, 28, 28), see metrics.denoising.lay_over

    def apply(self, clean: np.ndarray) -> np.ndarray:
        """The noisy image (1, 28, 28) of a clean one, strokes included."""
        noisy = corrupt_images(clean[None], self.kind, self.level, self.seed)
        return (noisy if self.layer is None else lay_over(noisy, self.layer))[0]


def pick_noise(seen: bool = True) -> Corruption:
    """The Corruption from Streamlit's controls (kind, level, seed, number of applications), which are in the URL.

    seen: False if the live view is shown. The hidden controls then store what it sends, so that ranges, URL and page
    changes are handled in the same way.
    """
    titles = noise_titles()
    with st.container(key="noise_controls" if seen else UNSEEN, gap="small"):
        if not seen:
            st.html(f"<style>.st-key-{UNSEEN} {{ display: none; }}</style>")
        kind = address.pick(
            st.pills, _("Noise"), list(titles), default=FIRST_KIND, required=True, format_func=titles.get, key=NOISE,
            wrap=True, on_change=_kind_chosen,
        )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="bottom"):
            level = st.slider(
                _("Noise level"),
                0.0,
                1.0,
                FITTING_LEVELS[FIRST_KIND],
                0.01,
                key=LEVEL,
                help=noise_help()[kind],
                bind="query-params",
            )
            seed = url_values.field(
                st.number_input, _("Seed"), 0, MAX_SEED, 0, key=SEED, width=110,
                help=_("The same seed gives the same noise again."),
            )  # fmt: skip
        times = st.slider(
            _("Times applied"), 1, MAX_TIMES, 1, key=TIMES, bind="query-params",
            help=_("How often the model is applied: each output is the next input."),
        )  # fmt: skip
        layer = st.session_state.get(LAYER)
        if seen and layer is not None:
            st.button(_("Remove your strokes"), key="layer_clear", on_click=st.session_state.pop, args=(LAYER,))
    return Corruption(kind, float(level), int(seed), int(times), layer)


def _kind_chosen() -> None:
    """Set the level that fits the chosen kind (a callback)."""
    st.session_state[LEVEL] = FITTING_LEVELS[st.session_state[NOISE]]


# -- the live view ---------------------------------------------------------------------------------------------------


def show_live(runs: Sequence, clean: np.ndarray, name: str, corruption: Corruption) -> None:
    """Show the clean digit (1, 28, 28), the noisy one and each run's output, updated in the browser during each move.

    name: description of the clean digit.
    """
    titles, helps = noise_titles(), noise_help()
    families = {run.name: run.info.family for run in runs}
    labels = {run.name: run_picker.label_of(run.name) for run in runs}
    spec = {
        "kinds": [
            {"id": kind, "title": titles[kind], "help": helps[kind], "level": FITTING_LEVELS[kind]} for kind in titles
        ],
        "kind": corruption.kind,
        "level": corruption.level,
        "seed": corruption.seed,
        "times": corruption.times,
        "most": MAX_TIMES,
        "most_seed": MAX_SEED,
        "n": st.session_state.get(LAST_MESSAGE, 0),
        "key": DIGIT,
        "clean": name,
        "models": [
            {
                "run": run.name,
                "title": labels[run.name],
                "alt": _("Output of {}").format(labels[run.name]),
                "colour": family_colour(families[run.name]),
            }
            for run in runs
        ],
        "texts": _texts(),
    }
    arrays = {"clean": np.asarray(clean, np.float32).reshape(-1), **_draws(corruption.seed)}
    if corruption.layer is not None:
        arrays |= dict(zip(("cover", "ink"), corruption.layer.reshape(2, -1), strict=True))
    component.mount(
        "noise", "noise_live", spec, arrays, programs=[run.info for run in runs], height=425, on_send=receive
    )


def _texts() -> dict[str, str]:
    return {
        "kind": _("Noise"),
        "level": _("Noise level"),
        "times": _("Times applied"),
        "seed": _("Seed"),
        "again": _("New noise"),
        "clean": _("clean"),
        "own": _("your image"),
        "noisy": _("noisy"),
        "board": _("The noisy image; you can draw on it. Arrow keys move the pen, Space sets it down or lifts it."),
        "scribble": _("Draw on the noisy image"),
        "ink": _("Ink"),
        "white": _("white"),
        "black": _("black"),
        "size": _("Pen"),
        "undo": _("Undo"),
        "clear": _("Clear"),
        "more": _("Seed and PSNR"),
        "show_psnr": _("Show the PSNR"),
        "error": _("squared error {sse}"),
        "psnr": "PSNR {psnr} dB",
    }  # fmt: skip


@st.cache_data(max_entries=64, show_spinner=False)
def _draws(seed: int) -> dict[str, np.ndarray]:
    return draws(seed)


def receive(payload: dict) -> None:
    """Handle a message of the browser: each field that fits goes into the session."""
    st.session_state.update(state_of(payload))


def state_of(payload: dict) -> dict:
    """State key -> value of the fields of a message that fit."""
    schema = {
        "kind": OneOf(tuple(noise_titles())), "level": Number(0, 1), "seed": Integer(0, MAX_SEED),
        "times": Integer(1, MAX_TIMES), "layer": LAYER_TEXT, "n": SEQUENCE_NUMBER,
    }  # fmt: skip
    keys = {"kind": NOISE, "level": LEVEL, "seed": SEED, "times": TIMES, "layer": LAYER, "n": LAST_MESSAGE}
    found = {keys[name]: value for name, value in valid_fields(payload, schema).items()}
    if LEVEL in found:
        found[LEVEL] = round(float(found[LEVEL]), 2)
    if LAYER in found:
        found[LAYER] = read_layer(found[LAYER])
    return found


def read_layer(text: str | None) -> np.ndarray | None:
    """Strokes (2, 28, 28) uint8 from base64 of cover and ink, which fits LAYER_TEXT; None for none."""
    if text is None:
        return None
    cover, ink = np.frombuffer(base64.b64decode(text), np.uint8).reshape(2, 28, 28)
    return np.stack([cover, np.minimum(cover, ink)]) if cover.any() else None


# -- images and errors ---------------------------------------------------------------------------------------------


def first_choice(runs: Sequence[RunInfo]) -> list[str]:
    """The models to compare first: a denoising model, a plain AE with the same code size if there is one, and a VAE."""
    cleaner = next((run for run in runs if run.family == "denoising"), None)
    plain = [run for run in runs if run.family == "ae"]
    plain.sort(key=lambda run: cleaner is not None and run.latent_dim != cleaner.latent_dim)
    others = [run for run in runs if run.family == "vae"]
    return [run.name for run in (cleaner, *plain[:1], *others[:1]) if run] or [run.name for run in runs[:3]]


def error(clean: np.ndarray, image: np.ndarray) -> float:
    """Squared error of one image (1, 28, 28) against the clean one, summed over the pixels."""
    return float(sse(clean[None], image[None])[0])


def error_text(squared: float) -> str:
    """The squared error as the text under an image."""
    return _("squared error {sse}").format(sse=f"{squared:.1f}")


def walk(run, noisy: np.ndarray) -> np.ndarray:
    """The noisy image, then the output of a run after 1 to `MAX_TIMES` applications; cached for all sessions.

    noisy: (1, 28, 28). Returns (MAX_TIMES + 1, 1, 28, 28).
    """
    return apply_again(lambda images: cached.applied(run, "reconstruct", images), noisy[None], MAX_TIMES)[:, 0]


def card(title: str, image: np.ndarray, note: str, alt: str) -> None:
    """Draw one image (1, 28, 28) between its name and its number."""
    with st.container(width=DISPLAY_PIXELS + 12, gap="xsmall"):
        st.markdown(f"**{title}**")
        st.image(image_sheets.sheet(image, 1, scale=8), width=DISPLAY_PIXELS, alt=alt, output_format="PNG")
        st.caption(note)


def input_curve(kind: str, seed: int, dataset: str = datasets.EMBEDDED) -> np.ndarray:
    """Error of the noise itself at `LEVELS` (L,), squared error / image."""
    return _input_curve(kind, seed, dataset)


@st.cache_data(max_entries=64, show_spinner=False)
def _input_curve(kind: str, seed: int, dataset: str) -> np.ndarray:
    return error_by_level(lambda images: images, cached.shown_digits(dataset)[0][:NUM_CURVE_IMAGES], kind, LEVELS, seed)


def model_curve(run, kind: str, seed: int, dataset: str = datasets.EMBEDDED) -> np.ndarray:
    """Squared error / image of a run's outputs for corrupted test images, at each of `LEVELS` (L,)."""
    checksum = run.info.weights_checksum
    return _model_curve(run, str(run.path), checksum, kind, seed, dataset)


@st.cache_data(max_entries=256, show_spinner=False)
def _model_curve(_run, path: str, checksum: str | None, kind: str, seed: int, dataset: str) -> np.ndarray:
    return error_by_level(_run.reconstruct, cached.shown_digits(dataset)[0][:NUM_CURVE_IMAGES], kind, LEVELS, seed)
