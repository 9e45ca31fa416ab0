"""The lab Bottleneck: components, errors, and the data for `bottleneck.js` and the live plane."""

import numpy as np
import streamlit as st

from aevae.config import DataConfig, preset
from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour, family_title
from aevae.latent import components, sampling
from aevae.metrics.reconstruction import sse
from aevae.run_config import RunConfig
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, image_sheets, markdown, run_picker, url_values
from aevae.ui.sliders import latent_code, live_view
from aevae.ui.train import jobs, queue_panel

MAX_COMPONENTS = 64
KEPT = {"kept": (2, 1, MAX_COMPONENTS)}  # the code size of the smallest shipped AE
FAMILIES = ("ae", "deep_ae")  # deterministic codes without a penalty
SIZES = (2, 4, 8, 16, 32)
NUM_SAMPLES = 40


@st.cache_data(max_entries=64, show_spinner=False)
def error_of(name: str) -> float:
    """Squared error per test image of a run."""
    images = cached.shown_digits()[0]
    return float(sse(images, cached.run(name).reconstruct(images)).mean())


def chart(runs: list, left: np.ndarray, k: int):
    """A figure of the error over the code size: a line for PCA, a point for each run."""
    out = figure(_("latent dimensions"), _("squared error / image"), 360)
    out.add_scatter(
        x=list(range(1, len(left))), y=left[1:].tolist(), name="PCA", mode="lines", line={"color": FALLBACK, "width": 2}
    )
    for family in dict.fromkeys(run.family for run in runs):
        points = [(run.latent_dim, error_of(run.name)) for run in runs if run.family == family]
        out.add_scatter(
            x=[d for d, _error in points], y=[error for _d, error in points], name=family_title(family), mode="markers",
            marker={"size": 11, "color": family_colour(family)}, hovertemplate="%{x}: %{y:.1f}",
        )  # fmt: skip
    out.add_vline(x=k, line={"color": FALLBACK, "width": 1, "dash": "dot"})
    out.update_xaxes(type="log", tickvals=[1, 2, 4, 8, 16, 32, 64])
    out.update_yaxes(rangemode="tozero")
    return out


def through(runs: list, found: components.Components, left: np.ndarray, k: int) -> None:
    """Show ten digits reconstructed with the code size of the slider, in the browser."""
    images, labels = cached.shown_digits()
    chosen = [int(np.flatnonzero(labels == c)[0]) for c in range(10)]
    best = {run.latent_dim: run for run in sorted(runs, key=lambda run: -error_of(run.name))}  # smallest error wins
    sizes = sorted(best)
    names = [best[d].name for d in sizes]
    back = [cached.applied(cached.run(name), "reconstruct", images[chosen]).reshape(-1) for name in names]
    codes = found.codes(images[chosen].reshape(10, -1))

    component.mount(
        "bottleneck",
        "bottleneck",
        {
            "key": "|".join(names),
            "k": k,
            "left": left.tolist(),
            "sizes": sizes,
            "names": [_("{}: squared error {:.1f}").format(run_picker.label_of(n), error_of(n)) for n in names],
            "texts": {
                "slider": _("Dimensions kept"),
                "kept": _("{k} dimensions"),
                "clean": _("Ten digits"),
                "pca": _("PCA: squared error {error}"),
                "none": _("There is no trained model with so few dimensions"),
            },
        },
        {
            "mean": found.mean.astype(np.float32),
            "axes": found.axes.astype(np.float32),
            "coefficients": codes.astype(np.float32),
            "digits": images[chosen].reshape(-1),
            "images": np.concatenate([*back, np.zeros(0)]).astype(np.float32),
        },
        height=330,
        on_send=url_values.number_handler({"k": "kept"}, KEPT),
    )  # fmt: skip


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


def train(sizes: list[int]) -> None:
    """Queue an AE of each size (a callback)."""
    from aevae.models import family_class  # torch

    config, data = family_class("ae").Config, DataConfig()
    recipe = preset("fast", data, config)
    jobs.submit([RunConfig(data, config(latent_dim=d), recipe) for d in sizes], "auto")


def _is_ae_of(run: RunInfo, sizes: list[int]) -> bool:
    return run.family == "ae" and run.latent_dim in sizes


def missing(runs: list) -> None:
    """Offer to train the missing sizes."""
    have = {run.latent_dim for run in runs if run.family == "ae"}
    wanted = [d for d in SIZES if d not in have]
    if queue_panel.under_way(lambda job: _is_ae_of(jobs.run_of(job), wanted)):
        return
    if wanted:
        st.button(
            _("Train an AE with latent dimension {}").format(", ".join(map(str, wanted))), key="train_sizes",
            icon=":material/model_training:", help=_("Training uses the 4,000 digits that come with aevae."),
            on_click=train, args=(wanted,),
        )  # fmt: skip
    if problem := st.session_state.pop(jobs.PROBLEM, None):
        st.error(markdown.escape(problem))
