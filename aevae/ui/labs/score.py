"""The lab Score field: densities, learned fields, and the data for `score.js`."""

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.figures.quiver import quiver
from aevae.latent import slices
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, run_picker, url_values

RANGE = {"score_sigma": (55, 0, 100)}  # slider: 0 is the smallest sigma, 100 the largest


@st.cache_resource(max_entries=8, show_spinner=False)
def toy(name: str) -> dict:
    """Parameters of a toy density, and weights of the network trained on it."""
    from aevae.metrics import toys

    p = toys.mixture(name)
    parts = np.concatenate([p.means.numpy(), p.stds.numpy()[:, None], p.weights.numpy()[:, None]], 1)
    same = {"half": toys.HALF, "finer": toys.FINER, "sigmas": toys.SIGMAS}
    return same | {"parts": parts.astype(np.float32), "weights": toys.weights(name)}


@st.cache_data(max_entries=8, show_spinner=False)
def curve(name: str) -> dict[str, list]:
    """Relative error and cosine of the learned field over sigma."""
    from aevae.metrics import toys

    sigmas = np.geomspace(*toys.SIGMAS, 13)
    found = [toys.fidelity(name, float(sigma)) for sigma in sigmas]
    return {"sigma": sigmas.tolist()} | {key: [one[key] for one in found] for key in found[0]}


def field(name: str, follow: str, of: dict) -> None:
    """Show density, arrows and walkers, in the browser."""
    component.mount(
        "score",
        "score",
        {
            "key": name,
            "follow": follow,
            "half": of["half"],
            "finer": of["finer"],
            "sigmas": list(of["sigmas"]),
            "curve": curve(name),
            "sigma": url_values.numbers(RANGE)["score_sigma"],
            "modes": name == "three",
            "colour": family_colour("denoising"),
            "texts": {
                "sigma": _("Noise"),
                "walk": _("Walk"),
                "pause": _("Pause"),
                "anneal": _("Anneal from much noise"),
                "scatter": _("Scatter"),
                "learnt": _("learnt: (r(x) − x) / σ"),
                "truth": _("true: σ ∇ log p_σ(x)"),
                "walkers": _("walkers"),
                "density": _("density of the noisy data"),
                "image": _("Density, arrows of the learnt and of the true score, and walkers"),
                "agree": _(
                    "The learnt score differs from the true score by {near} % near the data (cosine {cosine}), and by "
                    "{far} % elsewhere."
                ),
                "shares": _(
                    "Share of walkers near each of the three clusters: {walkers} %; the density has {truth} %."
                ),
            },
        },
        {"parts": of["parts"].ravel(), **{key: value.ravel() for key, value in of["weights"].items()}},
        shape={"height": 420, "narrow": 640},
        on_send=url_values.number_handler({"sigma": "score_sigma"}, RANGE),
    )


def chart(name: str) -> None:
    """Show the error of the learned field near the data and elsewhere, and the sigma of the slider."""
    from aevae.metrics import toys

    found, (low, high) = curve(name), toys.SIGMAS
    sigma = high * (low / high) ** (1 - url_values.numbers(RANGE)["score_sigma"] / 100)
    out = figure(_("σ"), _("error of the learnt score (%)"), 320)
    for key, title, colour in (
        ("near", _("near the data"), family_colour("denoising")),
        ("far", _("elsewhere"), FALLBACK),
    ):
        out.add_scatter(
            x=found["sigma"], y=[100 * v for v in found[f"{key}_error"]], name=title, mode="lines+markers",
            line={"color": colour, "width": 2},
        )  # fmt: skip
    out.add_vline(x=sigma, line={"color": FALLBACK, "width": 1, "dash": "dot"})
    out.update_xaxes(type="log", tickvals=[0.15, 0.3, 0.5, 1.0])
    out.update_yaxes(rangemode="tozero")
    st.plotly_chart(out, key="fidelity", config={"displayModeBar": False})


@st.cache_resource(max_entries=4, show_spinner=False)
def cut(name: str) -> tuple:
    """The plane of the two largest principal components: points, r(x) - x at them, and projected test digits."""
    plane = cached.principal(2)
    run = cached.run(name)

    def reconstruct(x: np.ndarray) -> np.ndarray:
        return run.reconstruct(x.reshape(-1, 1, 28, 28)).reshape(-1, 784)

    images, labels = cached.shown_digits()
    on_plane = plane.codes(images[:400].reshape(-1, 784))
    return *slices.pulled(reconstruct, plane.mean, plane.axes, 7.0, 17), on_plane, labels[:400]


def images_too() -> None:
    """Show the field r(x) - x of a run on a plane in image space."""
    st.header(_("A slice of MNIST"), anchor=False)
    name = run_picker.pick_model(
        "slice", families=("denoising", "ae"), prefer=("denoising",), label=_("Reconstructed by")
    )
    with st.spinner(_("Reconstructing the plane")):
        found = cut(name)
    family = cached.run(name).config.model.family
    names = (_("first principal component"), _("second principal component"), _("g(f(x)) − x"))
    st.plotly_chart(quiver(*found, names, family_colour(family)), key="slice_plot", config={"displayModeBar": False})
    st.caption(
        _(
            "Arrows: the part of g(f(x)) − x that lies in the plane through the mean digit. Points: 400 test digits, "
            "projected. In 784 dimensions the true score is not known. Because the noise is clipped, the identity "
            "holds only roughly."
        )
    )
