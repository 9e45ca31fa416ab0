"""The live sliders (`latent_code.js`) and plane (`latent_plane.js`): their data, and the checks of their messages."""

import math
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.browser.blob import class_numbers
from aevae.figures.palette import family_colour
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, redraw, run_picker
from aevae.ui.shared.message import SEQUENCE_NUMBER, ListOf, Number, valid_fields
from aevae.ui.shared.run_picker import DIGIT
from aevae.ui.sliders import latent_code, server_view
from aevae.ui.sliders.latent_code import LatentSpace

BESIDE, PLANE, BEHIND, THREE = "beside", "plane", "behind", ("corner_a", "corner_b", "corner_c")
SIZE = "code_size"
LAST_MESSAGES = "z_read"  # session: component -> sequence number of its last message
MAX_CODE = 1e30  # largest absolute value in a code; fits into float32
GRID_SIDE = 15  # images per side of the manifold
FIRST_CORNERS = (0, 1, 7)  # default classes of the three digits of a plane
COMFORT_STDS = 2.0
MAX_BESIDE = 3
NUM_COLUMNS = 3  # of sliders on a wide screen
GAUGE_QUANTILES = (0.05, 0.95)  # quantiles of the norm that the gauge shows


def first_choice() -> str | None:
    """Name of the VAE with the smallest plane: two dimensions if there is one. None without a VAE."""
    runs = [run for run in cached.finished() if run.family == "vae" and run.latent_dim > 1]
    return min(runs, key=lambda run: run.latent_dim).name if runs else None


def shipped_vaes() -> dict[int, str]:
    """Code size -> name of the shipped VAE with a plain network."""
    runs = [run for run in cached.finished() if run.shipped and run.family == "vae" and run.latent_dim > 1]
    return {run.latent_dim: run.name for run in runs if run.option("network") == "mlp"}


def pick_size(space: LatentSpace) -> None:
    """Show a switch between the shipped VAEs by the size of their codes, if there are several."""
    sizes = dict(sorted(shipped_vaes().items()))
    if len(sizes) < 2:
        return
    if sizes.get(space.latent_dim) == space.name:
        st.session_state[SIZE] = space.latent_dim
    else:
        st.session_state.pop(SIZE, None)
    st.segmented_control(
        _("VAE with a code of"), list(sizes), format_func=lambda dim: _("{} numbers").format(dim), key=SIZE,
        label_visibility="collapsed", on_change=_size_chosen, args=(sizes,),
    )  # fmt: skip


def _size_chosen(sizes: dict[int, str]) -> None:
    """Choose the model of the size (a callback)."""
    if st.session_state[SIZE]:
        st.session_state[run_picker.MODEL] = sizes[st.session_state[SIZE]]
    redraw.whole()


def pick_beside(space: LatentSpace) -> list[str]:
    """Names of at most MAX_BESIDE other runs that encode and decode the shown image again; in the URL."""
    names = [run.name for run in cached.finished() if run.traits["has_encoder"] and run.name != space.name]
    return run_picker.pick_run(
        st.multiselect,
        _("The same digit, by another model"),
        names,
        key=BESIDE,
        max_selections=MAX_BESIDE,
        disabled=not names,
        placeholder=_("no other model") if names else _("there is no other model"),
        help=_("The other model encodes the shown image and decodes it again."),
        wrap=True,
    )


def sliders(space: LatentSpace, z: np.ndarray, beside: list[str]) -> None:
    """Show the live sliders with the code z (D,), and the images if there is no plane that shows them."""
    has_images = space.latent_dim < 2
    middle, spread = comfort(space)
    spec = {
        "run": space.name,
        "key": DIGIT,
        "models": _models([space.name, *beside]),
        "images": has_images,
        "names": [f"z{d}" for d in range(space.latent_dim)],
        "amounts": [space.amount(d) for d in range(space.latent_dim)],
        "alive": len(space.alive),
        "gauge": gauge(space),
        "read": st.session_state.get(LAST_MESSAGES, {}),
        "texts": _slider_texts(space),
    }
    arrays = {
        "order": np.array([*space.alive, *space.dead]),
        "z": z,
        "home": latent_code.clip(latent_code.digit_code(space), space),
        "low": space.low,
        "high": space.high,
        "step": np.array([space.step(d) for d in range(space.latent_dim)]),
        "soft_low": middle - spread,
        "soft_high": middle + spread,
    }
    kinds = {name: array.astype(np.int32 if name == "order" else np.float32) for name, array in arrays.items()}
    component.mount(
        "latent_code", "latent_code_live", spec, kinds, programs=[space.name, *(beside if has_images else [])],
        shape=_room(space, has_images),
        on_send=lambda payload: receive(payload, space, "latent_code"),
    )  # fmt: skip


def plane(space: LatentSpace, image: np.ndarray, label: int | None, beside: list[str], place) -> None:
    """Show the options of the live plane here, and the plane with the decoded images in the container `place`.

    image (1, 28, 28), float in [0, 1]: the chosen digit, of class `label`.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        mode = _choice(_("Plane"), PLANE, {"dims": _("of two dimensions"), "digits": _("through three digits")})
        dims = latent_code.choose_dims(space) if mode == "dims" else (0, 0)
        behind = _choice(_("Background"), BEHIND, {"codes": _("codes of test images"), "pictures": _("decoded images")})
        even = mode != "dims" or behind != "pictures" or not space.prior or not choose_grid_lines()
    corners = _corners(space) if mode == "digits" else np.zeros((0, 1, 28, 28))
    arrays = {"image": image_sheets.to_bytes(image).ravel()}
    if mode == "dims":
        arrays["xs"], arrays["ys"] = server_view.grid_lines(space, dims, GRID_SIDE, not even)
    else:
        arrays["three"] = cached.applied(cached.run(space.name), "encode", corners)
        arrays["three_images"] = image_sheets.to_bytes(corners)[:, 0]
    choice = {
        "mode": mode,
        "dims": list(dims),
        "three": [zlib.crc32(image.tobytes()) for image in corners],
        "behind": behind,
        "posterior": _posterior(space, label),
    }
    with place:
        _mount_plane(space, choice, arrays, beside, lambda payload: receive(payload, space, "latent_plane"))


def plane_alone(space: LatentSpace, z: np.ndarray, on_send: Callable[[dict], None]) -> None:
    """Show the live plane of a two-dimensional code alone, at z (2,); on_send gets {z, n}."""
    behind = _choice(_("Background"), BEHIND, {"codes": _("codes of test images"), "pictures": _("decoded images")})
    xs, ys = server_view.grid_lines(space, (0, 1), GRID_SIDE, False)
    choice = {"mode": "dims", "dims": [0, 1], "three": [], "behind": behind, "posterior": ""}
    arrays = {"image": np.zeros(0, np.uint8), "xs": xs, "ys": ys, "z": z.astype(np.float32)}
    _mount_plane(space, choice, arrays, [], on_send)


def _mount_plane(
    space: LatentSpace, choice: dict, arrays: dict, beside: list[str], on_send: Callable[[dict], None]
) -> None:
    names = list(cached.class_names(space.dataset))
    spec = {
        "run": space.name,
        "key": DIGIT,
        "models": _models([space.name, *beside]),
        "grid": GRID_SIDE,
        "classes": names if len(names) <= picker.MAX_PILLS else [],
        "read": {"latent_plane": st.session_state.get(LAST_MESSAGES, {}).get("latent_plane", 0)},
        "texts": _plane_texts(space),
    }
    arrays |= {
        "codes": _light(space.codes),
        "labels": class_numbers(space.labels),
        "low": space.low.astype(np.float32),
        "high": space.high.astype(np.float32),
    }
    component.mount(
        "latent_plane", "latent_plane_live", spec | choice, arrays, programs=[space.name, *beside],
        shape={"height": 345, "narrow": 540}, on_send=on_send,
    )  # fmt: skip


# -- messages --------------------------------------------------------------------------------------------------------


def receive(payload: dict, space: LatentSpace, component_name: str) -> None:
    """Handle a message of the browser, {z: D numbers, n: sequence number}; fields that do not fit are ignored."""
    z = receive_code(payload, space.latent_dim, component_name)
    if z is not None:
        latent_code.set_code(z, space)


def receive_code(payload: dict, latent_dim: int, component_name: str) -> np.ndarray | None:
    """The code (D,) float32 in a message, or None; stores the message's sequence number in the session."""
    z = ListOf(Number(-MAX_CODE, MAX_CODE), latent_dim, latent_dim)
    found = valid_fields(payload, {"z": z, "n": SEQUENCE_NUMBER})
    if "n" in found:
        st.session_state[LAST_MESSAGES] = {**st.session_state.get(LAST_MESSAGES, {}), component_name: found["n"]}
    return np.array(found["z"], np.float32) if "z" in found else None


# -- numbers ---------------------------------------------------------------------------------------------------------


def comfort(space: LatentSpace) -> tuple[np.ndarray, np.ndarray]:
    """(centre (D,), half width (D,)) of the typical range: COMFORT_STDS of the prior, else of the codes."""
    if space.prior:
        return np.zeros(space.latent_dim), np.full(space.latent_dim, COMFORT_STDS * space.prior)
    return space.codes.mean(0, dtype=np.float64), COMFORT_STDS * space.codes.std(0, dtype=np.float64)


def gauge(space: LatentSpace) -> dict:
    """Ranges of the norm with 90 % of the codes, and with 90 % of the prior (None without a prior)."""
    from scipy.special import gammaincinv

    codes = np.quantile(np.linalg.norm(space.codes, axis=1), GAUGE_QUANTILES).tolist()
    prior = space.prior * np.sqrt(2 * gammaincinv(space.latent_dim / 2, GAUGE_QUANTILES))  # chi distribution
    end = 1.5 * max(codes[1], prior[1], 1e-6)
    return {"codes": codes, "prior": prior.tolist() if space.prior else None, "std": space.prior, "end": end}


def _room(space: LatentSpace, has_images: bool) -> dict[str, int]:
    """Shape of the sliders in pixels (sliders/latent_code.css), which is reserved while they load."""
    n, more = len(space.alive), 150 + (40 if space.dead else 0) + (300 if has_images else 0)
    return {"height": 65 * math.ceil(n / NUM_COLUMNS) + more, "narrow": 65 * n + more + 60}


def _light(codes: np.ndarray) -> np.ndarray:
    """Codes in half precision if they fit, which is finer than a pixel on the screen."""
    return codes.astype(np.float16 if np.abs(codes).max() < 60_000 else np.float32)


# -- choices ---------------------------------------------------------------------------------------------------------


def _choice(label: str, key: str, options: dict[str, str]) -> str:
    return address.pick(
        st.segmented_control, label, list(options), default=next(iter(options)), required=True, key=key,
        format_func=options.get,
    )  # fmt: skip


def choose_grid_lines() -> bool:
    """The control of the grid lines: True for lines with equal prior probability, False for evenly spaced ones."""
    spacing = st.segmented_control(
        _("Grid lines"),
        ["even", "prior"],
        default="even",
        required=True,
        format_func={"even": _("evenly spaced"), "prior": _("equal prior probability")}.get,
        key="spacing",
        persist_state="session",
    )
    return spacing == "prior"


def _corners(space: LatentSpace) -> np.ndarray:
    """The three corner images (3, 1, 28, 28); by default of different classes and with different codes, if possible."""
    usable = np.unique(space.codes, axis=0, return_index=True)[1]
    first = picker.first_of(cached.shown_digits(space.dataset)[1], FIRST_CORNERS, usable)
    with st.expander(_("The three digits"), icon=":material/grid_view:", key="corners"):
        pick = partial(picker.pick_digit, dataset=space.dataset, models=())
        chosen = []
        for column, key, number, title in zip(st.columns(3), THREE, first, _three_titles(), strict=True):
            with column:
                chosen.append(pick(key, default=number, label=title)[0])
    return np.stack(chosen)


def _three_titles() -> list[str]:
    return [_("First"), _("Second"), _("Third")]


# -- texts -----------------------------------------------------------------------------------------------------------


def _models(names: list[str]) -> list[dict]:
    families = {run.name: run.family for run in cached.finished()}
    labels = run_picker.run_labels(cached.finished())
    return [{"run": n, "label": labels.get(n, n), "colour": family_colour(families.get(n, ""))} for n in names]


def _posterior(space: LatentSpace, label: int | None) -> str:
    names = cached.class_names(space.dataset)
    whose = _("your image") if label is None else _("the chosen {}").format(names[label])
    return _("q(z|x) of {}: 1 and 2 σ").format(whose) if space.prior else ""


def _slider_texts(space: LatentSpace) -> dict:
    codes = _("digits") if space.dataset in datasets.DIGITS else _("images")
    return {
        "row": _("Double click: back to the value of the chosen image"),
        "outside": _("outside the usual range"),
        "none": _("No dimension of this code carries information: the decoder ignores the code."),
        "dead": _("{} dead dimensions: the image hardly changes with them").format(len(space.dead)),
        "help": _(
            "Double click, or Delete, resets a dimension to the chosen image (▴). The line below is the usual range, "
            "two standard deviations of {}. Arrow keys, Home and End move the slider in focus."
        ).format(_("the prior") if space.prior else _("the codes")),
        "image": _("Image by {model}"),
        "nats": _("nats"),
        "draws": _("samples of the prior"),
        "codes": _("codes of {}").format(codes),
        "gauge": _("Each bar covers nine of ten codes. ‖z‖ is the distance of the code from 0."),
        "verdict": [
            _("nearer to 0 than 19 of 20 {}").format(codes),
            _("as far from 0 as real {}").format(codes),
            _("farther from 0 than 19 of 20 {}").format(codes),
        ],
    }


def _plane_texts(space: LatentSpace) -> dict:
    return {
        "label": _("A plane of the latent space. Arrows move, Enter pins an image, P plays the path."),
        "help": _("Move to decode. Click to pin an image, click it again to unpin. Press and drag to draw a path."),
        "fade": _("Points fade with their distance from the plane."),
        "flat": _("Choose three different digits.")
        if len(np.unique(space.codes, axis=0)) > 2
        else _("There is no plane: the test images have fewer than three different codes. Choose another model."),
        "image": _("Image by {model}"),
        "path": _("Path and pins"),
        "play": _("▶ Play"),
        "pause": _("❚❚ Pause"),
        "speed": _("Speed"),
        "loop": _("Loop"),
        "no_path": _("Clear path"),
        "no_pins": _("Clear pins"),
        "pinned": _("pinned"),
    }
