"""Films of a training: read from the run folder, compressed, and played by `film.js`.

Codes are sent as points of one fixed plane, so a film of a hundred frames takes a few megabytes. During a training the
whole film is sent from time to time, and the newest frame (now.safetensors) separately; the browser joins the two.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.browser.blob import class_numbers
from aevae.config import TrainConfig
from aevae.figures import palette
from aevae.latent.sampling import prior_name
from aevae.run_config import RunConfig
from aevae.store import files
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, run_picker

ROLL_SHAPE = (16, 28, 28)
READABLE_DIGIT = 10  # of the followed images of mnist-5k: a clear 3, in `digit.picker.GOOD_DIGITS`
MAX_HALF = 6e4  # just below the largest number in half precision
RESEND_GROWTH = 1.25  # during training the film is sent again when it has grown by this factor


# -- reading ---------------------------------------------------------------------------------------------------------


def read(info: RunInfo, file: str = "film.safetensors") -> dict[str, np.ndarray] | None:
    """The arrays of `aevae.training.film.Film`, float32 for float16; None without a valid film.

    A film of an older version has no times (frames are counted instead), no sigma and no terms.
    """
    path = info.path / file
    try:
        stat = path.stat()
        expected = info.state.get("checksums", {}).get(file) if info.status == "finished" else None
        return _read(str(path), stat.st_mtime_ns, stat.st_size, _counted(info), expected)
    except OSError:
        return None


def _counted(info: RunInfo) -> tuple[int, ...]:
    """Epochs of the frames of a film without times."""
    epochs = info.option("epochs")
    return TrainConfig(epochs).film_epochs if epochs else ()


@st.cache_resource(max_entries=12, show_spinner=False)
def _read(
    path: str, stamp: int, size: int, epochs: tuple[int, ...], expected: str | None
) -> dict[str, np.ndarray] | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if expected and expected != files.checksum(Path(path)):
            return None
        arrays = load_file(path)
        frames = len(arrays["recon"])
        if "epoch" not in arrays:
            times = epochs[:frames] if frames <= len(epochs) else range(frames)
            arrays["epoch"] = np.array(times, np.float32)
        return checked(arrays)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, MemoryError):
        return None


def checked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that the player needs, with checked shapes and dtypes. Raises ValueError, KeyError."""
    epoch, codes = arrays["epoch"], arrays["codes"]
    frames = len(epoch)
    if not frames or epoch.ndim != 1 or not (np.diff(epoch) > 0).all() or not np.isfinite(epoch).all():
        raise ValueError("the times do not ascend")
    _, count, dim = codes.shape
    shapes = {
        "epoch": (frames,), "step": (frames,), "original": ROLL_SHAPE, "recon": (frames, *ROLL_SHAPE),
        "sample": (frames, *ROLL_SHAPE),
        "codes": (frames, count, dim), "labels": (count,), "std": (frames, 16, dim), "recon_nats": (frames, 16),
        "kl_nats": (frames, 16),
    }  # fmt: skip
    shapes |= {name: (frames,) for name in arrays if name.startswith("term.")}
    images = ("original", "recon", "sample")
    found = {}
    for name, shape in shapes.items():
        if name not in arrays and name in ("step", "std", "recon_nats", "kl_nats"):
            continue
        if arrays[name].shape != shape or (arrays[name].dtype == np.uint8) != (name in images):
            raise ValueError(f"{name} has another shape or type")
        kind = np.uint8 if name in images else np.float32
        array = np.nan_to_num(arrays[name].astype(kind, copy=False))
        found[name] = np.clip(array, -MAX_HALF, MAX_HALF) if name in ("codes", "std") else array
    if count < 16:
        raise ValueError("the followed images have no codes")
    return found


def untrained(info: RunInfo) -> tuple[RunInfo, dict[str, np.ndarray]] | None:
    """The run before its first step, with a film of one frame; None for models that `first_frame` does not show."""
    try:
        config = RunConfig.from_dict(info.config)
        found = _untrained(config.name, config)
    except (ValueError, OSError):  # the training says why
        return None
    if found is None:
        return None
    arrays, traits = found
    return dataclasses.replace(info, state={**info.state, "traits": traits}), arrays


@st.cache_resource(max_entries=24, show_spinner=False)
def _untrained(name: str, _config: RunConfig) -> tuple[dict[str, np.ndarray], dict] | None:
    from aevae.runs.preview import first_frame

    found = first_frame(_config)
    return found and (checked(found[0]), found[1])


# -- data for the browser --------------------------------------------------------------------------------------------


def plane_of(codes: np.ndarray) -> np.ndarray:
    """Orthonormal axes (D, 2) for codes (N, D): both dimensions if D = 2, else the two principal directions."""
    dim = codes.shape[1]
    if dim <= 2:
        return np.eye(dim, 2, dtype=np.float32)
    _, vectors = np.linalg.eigh(np.cov(codes.astype(np.float64), rowvar=False))
    axes = vectors[:, :-3:-1]  # of the two largest eigenvalues
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), (0, 1)])
    return (axes * signs).astype(np.float32)


def parcel(film: dict[str, np.ndarray], plane: np.ndarray, before: str = "0.") -> dict[str, np.ndarray]:
    """Arrays of a film for the browser: xy (E, N, 2) on `plane`, mu (E, 16, D), images, terms (E, T)."""
    names = terms(film)
    columns = [film[f"term.{name}"] for name in names]
    out = {k: film[k] for k in ("epoch", "original", "recon", "sample", "recon_nats", "kl_nats") if k in film}
    out |= {
        "xy": np.clip(film["codes"] @ plane, -MAX_HALF, MAX_HALF).astype(np.float16),
        "mu": np.ascontiguousarray(film["codes"][:, :16]).astype(np.float16),
        "labels": class_numbers(film["labels"]),
        "plane": plane,
        "terms": np.stack(columns, axis=1) if columns else np.zeros((len(film["epoch"]), 0), np.float32),
    }
    if "std" in film:
        out["std"] = film["std"].astype(np.float16)
    if "step" in film:
        out["step"] = film["step"].astype(np.int32)
    return {before + name: array for name, array in out.items()}


def terms(film: dict[str, np.ndarray]) -> list[str]:
    """Names of the loss terms of a film."""
    order = ("objective", "recon", "kl", "elbo")
    names = [name.removeprefix("term.") for name in film if name.startswith("term.")]
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def shown_frames(frames: int) -> int:
    """Number of frames to send of a growing film of `frames` frames: 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, ..."""
    count = 1
    while (longer := max(count + 1, int(count * RESEND_GROWTH))) <= frames:
        count = longer
    return count


def cut(film: dict[str, np.ndarray], frames: int) -> dict[str, np.ndarray]:
    """The first frames of a film."""
    return {name: array if name in ("original", "labels") else array[:frames] for name, array in film.items()}


@st.cache_resource(max_entries=12, show_spinner=False)
def _reel(path: str, stamp: object, frames: int, _film: dict) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(arrays, plane) of the first `frames` frames, cached for all sessions. stamp: identity of the run."""
    film = cut(_film, frames)
    plane = plane_of(film["codes"][-1])
    return parcel(film, plane, ""), plane


# -- on the page -----------------------------------------------------------------------------------------------------


def player(runs: Sequence[RunInfo], *, key: str, running: bool = False) -> None:
    """Show the films of one or two runs in step. Draws nothing without a film.

    running: the first is, or will be, trained; until it has a film, its untrained model is shown.
    """
    films = [(info, film) for info in runs[:2] if (film := read(info)) is not None]
    if running and (not films or films[0][0] is not runs[0]) and (start := untrained(runs[0])):
        films.insert(0, start)
    if not films or films[0][0].name != runs[0].name:
        if runs[0].status == "finished" and (runs[0].path / "film.safetensors").exists():
            st.warning(
                _(
                    "The film of this run is damaged, but the model is complete. Train the run again to record a new "
                    "film."
                )
            )
        return
    arrays, specs, plane = {}, [], None
    styles = palette.model_styles([info.name for info, _film in films])
    for i, (info, film) in enumerate(films):
        growing = running and i == 0
        frames = shown_frames(len(film["epoch"])) if growing else len(film["epoch"])
        stamp = (info.name, info.created) if growing else (info.created, _stamp(info))
        found, axes = _reel(str(info.path), stamp, frames, film)
        arrays |= {f"{i}.{name}": array for name, array in found.items()}
        specs.append(_spec(info, film, growing, styles[info.name]))
        plane = axes if plane is None else plane
    spec = {"runs": specs, "texts": texts()}
    component.mount("film", key, spec, arrays, shape={"height": 900})
    newest = read(runs[0], "now.safetensors") if running else None
    if newest is not None and newest["codes"].shape[1:] == films[0][1]["codes"].shape[1:]:
        component.mount("filmnow", f"{key}_now", {"channel": specs[0]["channel"]}, parcel(newest, plane))


def _stamp(info: RunInfo) -> int:
    return (info.path / "film.safetensors").stat().st_mtime_ns


def _spec(info: RunInfo, film: dict[str, np.ndarray], growing: bool, style: tuple[str, int]) -> dict:
    colour, dash = style
    dim = film["codes"].shape[2]
    prior = _prior_std(info)
    return {
        "name": info.name,
        "label": run_picker.run_label(info),
        "colour": colour,
        "dash": dash,
        "channel": f"film:{info.name}",
        "classes": list(datasets.classes_of(datasets.data_of(info.config))),
        "live": growing,
        "prior": prior,
        "circles": _(
            "circles: 1 and 2 standard deviations of the prior {}; thick: posterior of the followed image, μ and 1 σ"
        ).format(prior_name(prior)),
        "plane": _plane_words(dim, growing),
        "terms": terms(film),
        "network": _network(info, dim),
        "chosen": _followed(info),
        "objective": _objective(info),
    }


def _followed(info: RunInfo) -> int:
    """Index of the followed image that is chosen at first: a readable one, where it is known."""
    is_shown = info.dataset == datasets.EMBEDDED and info.traits["has_encoder"]
    return READABLE_DIGIT if is_shown else 0


def has_terms(info: RunInfo) -> bool:
    """Whether the film of a run has its loss terms; films of older versions have none."""
    film = read(info)
    return film is not None and bool(terms(film))


def _plane_words(dim: int, growing: bool) -> str:
    if dim == 1:
        return _("the only latent dimension, from left to right")
    if dim == 2:
        return _("the two latent dimensions")
    if growing:
        return _(
            "{} latent dimensions, projected onto the plane in which the codes were spread most at the last update"
        ).format(dim)
    return _(
        "{} latent dimensions, projected onto the plane in which the codes are spread most in the last frame"
    ).format(dim)


def _network(info: RunInfo, dim: int) -> list[str]:
    """The layers of the encoder and of the decoder, as text."""
    network, widths, hidden = map(info.option, ("network", "widths", "hidden"))
    if info.traits["latent"] == "discrete" or network == "conv":
        return [_("convolutions"), _("convolutions")]
    layers = widths.split("-") if widths else [str(hidden)] if hidden and network in (None, "mlp") else []
    down = ["784", *layers, str(dim)]
    return [" → ".join(down), " → ".join(reversed(down))]


def _prior_std(info: RunInfo) -> float:
    """s0 of the prior N(0, s0^2 I) of the code; 0 for no prior or another prior."""
    if not info.traits["generative"] or info.traits["latent"] != "continuous":
        return 0.0
    value = info.option("prior_std")
    return 1.0 if value is None else float(value)


def _objective(info: RunInfo) -> str:
    """The objective of the family, with typographic symbols."""
    from aevae.models import FAMILIES, family_class

    if info.family not in FAMILIES:
        return ""
    text = family_class(info.family).objective
    for plain, printed in ((" - ", " − "), ("-log", "−log"), ("||", "‖"), (" | ", " | "), ("beta ", "β ")):
        text = text.replace(plain, printed)
    weight = info.option("beta")
    return f"{text},  β = {weight:g}" if weight is not None and "β" in text else text


def texts() -> dict[str, str]:
    """The texts of the player."""
    return {
        "epoch": _("epoch {number}"),
        "step": _("step {number}"),
        "untrained": _("before training"),
        "play": _("Play"),
        "pause": _("Stop"),
        "newest": _("Newest"),
        "now": _("now"),
        "following": _("shows the newest state"),
        "speed": _("Speed"),
        "time": _("Time"),
        "cloud": _("Codes of {count} test images, coloured by class"),
        "images": _("test images and their reconstructions"),
        "samples": _("decoded random codes"),
        "choose": _("Follow image {number}, class {name}"),
        "digit": _("image x"),
        "encoder": _("encoder"),
        "decoder": _("decoder"),
        "recon": _("reconstruction"),
        "mu": _("μ"),
        "sigma": _("σ"),
        "z": _("z"),
        "code": _("code z"),
        "drawn": _("z = μ + noise with standard deviation σ"),
        "dims": _("{count} latent dimensions"),
        "recon_nats": _("recon {value} nats"),
        "kl_nats": _("kl {value} nats"),
        "objective": _("Training minimises this:"),
        "unit": _("nats / image"),
        "model": _("The model as a diagram"),
    }


def pick_other(info: RunInfo, key: str) -> RunInfo | None:
    """The finished run that the user chooses to show beside this one, or None."""
    others = [run for run in cached.finished() if run.name != info.name]
    if not others:
        return None
    labels = run_picker.run_labels(others)
    name = st.selectbox(
        _("Second film"), [run.name for run in others], index=None, format_func=labels.get, key=key,
        placeholder=_("compare with another run"), persist_state="session",
    )  # fmt: skip
    return next((run for run in others if run.name == name), None)
