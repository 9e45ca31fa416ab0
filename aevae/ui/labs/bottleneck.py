"""The lab Bottleneck: components, errors, and the data for `bottleneck.js` and the live plane."""

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour, family_title
from aevae.latent import components, sampling
from aevae.metrics.reconstruction import sse
from aevae.store import bundles
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, run_picker, url_values
from aevae.ui.sliders import latent_code, live_view

SIZES = (1, 2, 4, 8, 16, 32, 64)  # latent dimensions of the lab's AEs
KEPT = {"kept": (2, 1, SIZES[-1])}
FAMILIES = ("ae", "deep_ae")  # deterministic codes without a penalty
NUM_SAMPLES = 40


def kept() -> int:
    """The chosen number of dimensions; the next smaller one of SIZES for another number in a link."""
    return max(size for size in SIZES if size <= url_values.numbers(KEPT)["kept"])


@st.cache_resource(max_entries=1, show_spinner=False)
def autoencoders() -> tuple[np.ndarray, list[float]]:
    """Reconstructions (7, 10, 784) of ten digits by the lab's AEs, and the squared error of each on the test digits."""
    import torch

    images = cached.shown_digits()[0]
    ten, errors = [], []
    for member in bundles.load("bottleneck").values():
        model = member.model()
        with torch.inference_mode():
            back = model.decode(model.encode(torch.tensor(images))).numpy()
        ten.append(back[list(picker.GOOD_DIGITS)].reshape(10, -1))
        errors.append(float(sse(images, back).mean()))
    return np.stack(ten), errors


@st.cache_data(max_entries=64, show_spinner=False)
def error_of(name: str) -> float:
    """Squared error per test image of a run."""
    images = cached.shown_digits()[0]
    return float(sse(images, cached.run(name).reconstruct(images)).mean())


def chart(left: np.ndarray, k: int):
    """A figure of the error over the code size: lines for PCA and the lab's AEs, a point for each run."""
    out = figure(_("latent dimensions"), _("squared error / image"), 360)
    for name, sizes, errors, colour in (
        ("PCA", range(1, len(left)), left[1:].tolist(), FALLBACK),
        (_("the AEs above"), SIZES, autoencoders()[1], family_colour("ae")),
    ):
        out.add_scatter(x=list(sizes), y=errors, name=name, mode="lines", line={"color": colour, "width": 2})
    runs = [run for run in cached.finished(FAMILIES) if run.dataset in datasets.DIGITS]
    for family in dict.fromkeys(run.family for run in runs):
        points = [(run.latent_dim, error_of(run.name)) for run in runs if run.family == family]
        out.add_scatter(
            x=[d for d, _error in points], y=[error for _d, error in points], mode="markers",
            name=_("{}, larger network").format(family_title(family)),
            marker={"size": 11, "color": family_colour(family)}, hovertemplate="%{x}: %{y:.1f}",
        )  # fmt: skip
    out.add_vline(x=k, line={"color": FALLBACK, "width": 1, "dash": "dot"})
    out.update_xaxes(type="log", tickvals=list(SIZES))
    out.update_yaxes(rangemode="tozero")
    return out


def through(found: components.Components, left: np.ndarray) -> None:
    """Show ten digits reconstructed with the code size of the slider, in the browser."""
    digits = cached.shown_digits()[0][list(picker.GOOD_DIGITS)].reshape(10, -1)
    back, errors = autoencoders()
    component.mount(
        "bottleneck",
        "bottleneck",
        {
            "k": kept(),
            "left": left.tolist(),
            "sizes": SIZES,
            "errors": errors,
            "texts": {
                "slider": _("Dimensions of the code"),
                "kept": _("{k} dimensions"),
                "one": _("1 dimension"),
                "clean": _("Ten digits, 784 pixels each"),
                "pca": _("PCA, {size}: squared error {error}"),
                "ae": _("Autoencoder, {size}: squared error {error}"),
            },
        },
        {
            "mean": found.mean.astype(np.float32),
            "axes": found.axes.astype(np.float32),
            "coefficients": found.codes(digits).astype(np.float32),
            "digits": digits.ravel(),
            "images": back.astype(np.float32).ravel(),
        },
        height=350,
        on_send=url_values.number_handler({"k": "kept"}, KEPT),
    )


def plane(name: str) -> None:
    """Show the plane of a two-dimensional code, decoded at the pointer."""
    space = latent_code.open_latent_space(name)
    middle = space.codes.mean(0)
    ranges = {
        key: (float(middle[i]), float(space.low[i]), float(space.high[i])) for i, key in enumerate(("hole_x", "hole_y"))
    }
    store_place = url_values.number_handler({key: key for key in ranges}, ranges)

    def on_send(payload: dict) -> None:
        z = live_view.receive_code(payload, 2, "latent_plane")
        if z is not None:
            store_place(dict(zip(ranges, map(float, latent_code.clip(z, space)), strict=True)))

    live_view.plane_alone(space, np.array(list(url_values.numbers(ranges).values())), on_send)


def holes() -> None:
    """Show decoded points between codes: in the plane, and at random codes."""
    st.header(_("Holes"), anchor=False)
    name = run_picker.pick_model("holes", families=(*FAMILIES, "vae"), prefer=("ae",), label=_("Codes of"))
    run, codes = cached.run(name), cached.codes(name)
    if run.latent_dim == 2 and not component.trouble([name], has_server_version=False):
        plane(name)
    where = address.pick(
        st.segmented_control, _("Random codes from"), ["prior", "box"], default="box", required=True, key="holes_from",
        format_func={"prior": "N(0, I)", "box": _("a box around all codes")}.get,
    )  # fmt: skip
    if where == "prior":
        z = sampling.prior(NUM_SAMPLES, run.latent_dim)
    else:
        low, high = codes.min(0), codes.max(0)
        z = (low + np.random.default_rng(0).random((NUM_SAMPLES, run.latent_dim)) * (high - low)).astype(np.float32)
    image_sheets.show(
        cached.applied(run, "decode", z),
        columns=20,
        width="stretch",
        alt=_("Decoded random codes: some are digits, others are not"),
    )
