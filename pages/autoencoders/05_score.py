"""Score field: Why does a denoiser know where the data are?

icon: airwave
"""

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.figures.quiver import quiver
from aevae.latent import components, slices
from aevae.ui import kept, lab, live, loaders, state
from aevae.ui.i18n import _

RANGE = {"score_sigma": (55, 0, 100)}  # of the slider: 0 the least, 100 the most


@st.cache_resource(max_entries=8, show_spinner=False)
def toy(name: str) -> dict:
    """A density, and the network that was trained on it."""
    from aevae.metrics import toys

    p = toys.mixture(name)
    parts = np.concatenate([p.means.numpy(), p.stds.numpy()[:, None], p.weights.numpy()[:, None]], 1)
    same = {"half": toys.HALF, "finer": toys.FINER, "sigmas": toys.SIGMAS}
    return same | {"parts": parts.astype(np.float32), "weights": toys.weights(name)}


@st.cache_data(max_entries=8, show_spinner=False)
def curve(name: str) -> dict[str, list]:
    """Relative error and cosine of the learnt field over sigma."""
    from aevae.metrics import toys

    sigmas = np.geomspace(*toys.SIGMAS, 13)
    found = [toys.fidelity(name, float(sigma)) for sigma in sigmas]
    return {"sigma": sigmas.tolist()} | {key: [one[key] for one in found] for key in found[0]}


def field(name: str, follow: str, of: dict) -> None:
    """Density, arrows and walkers, in the browser."""
    live.mount(
        "score",
        "score",
        {
            "key": name,
            "follow": follow,
            "half": of["half"],
            "finer": of["finer"],
            "sigmas": list(of["sigmas"]),
            "sigma": kept.numbers(RANGE)["score_sigma"],
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
                "picture": _("Density, arrows of the learnt and of the true score, and walkers"),
                "agree": _(
                    "Learnt against true: {near} % off where the data are (cosine {cosine}), {far} % off elsewhere."
                ),
                "shares": _("Walkers nearest to the three: {walkers} %; the density has {truth} %."),
            },
        },
        {"parts": of["parts"].ravel(), **{key: value.ravel() for key, value in of["weights"].items()}},
        shape={"height": 760, "narrow": 640},
        on_send=kept.taker({"sigma": "score_sigma"}, RANGE),
    )


def chart(name: str) -> None:
    """How wrong the learnt field is, where the data are and elsewhere."""
    found = curve(name)
    out = figure(_("σ"), _("error of the learnt field (%)"), 320)
    for key, title, colour in (
        ("near", _("where the data are"), family_colour("denoising")),
        ("far", _("elsewhere"), FALLBACK),
    ):
        out.add_scatter(
            x=found["sigma"], y=[100 * v for v in found[f"{key}_error"]], name=title, mode="lines+markers",
            line={"color": colour, "width": 2},
        )  # fmt: skip
    out.update_xaxes(type="log", tickvals=[0.15, 0.3, 0.5, 1.0])
    out.update_yaxes(rangemode="tozero")
    st.plotly_chart(out, key="fidelity", config={"displayModeBar": False})


@st.cache_resource(max_entries=4, show_spinner=False)
def cut(name: str) -> tuple:
    """The plane of the two largest principal components: places, where a run pulls them, and test digits on it."""
    train = loaders.dataset().train.images
    plane = components.fit(train.reshape(len(train), -1) / 255, 2)
    run = loaders.run(name)

    def reconstruct(x: np.ndarray) -> np.ndarray:
        return run.reconstruct(x.reshape(-1, 1, 28, 28)).reshape(-1, 784)

    images, labels = loaders.test_digits()
    on_plane = plane.codes(images[:400].reshape(-1, 784))
    return *slices.pulled(reconstruct, plane.mean, plane.axes, 7.0, 17), on_plane, labels[:400]


def pictures_too() -> None:
    """The same arrows among pictures, on a plane through them."""
    st.subheader(_("A slice of MNIST"), anchor=False)
    name = state.pick_model("slice", families=("denoising", "ae"), prefer=("denoising",), label=_("Reconstructed by"))
    with st.spinner(_("Reconstructing the plane")):
        found = cut(name)
    family = loaders.run(name).config.model.family
    names = (_("first principal component"), _("second principal component"), _("g(f(x)) − x"))
    st.plotly_chart(quiver(*found, names, family_colour(family)), key="slice_plot", config={"displayModeBar": False})
    st.caption(
        _(
            "Arrows: what of g(f(x)) − x lies in the plane through the mean digit; points: 400 test digits, projected. "
            "784 dimensions have no room for a true score here, and clipped noise keeps the identity only roughly."
        )
    )


lab.begin(__doc__)
with st.container(horizontal=True):
    name = st.segmented_control(
        _("Density"), ("three", "ring", "moons", "spiral"), default="ring", required=True, key="toy",
        bind="query-params",
        format_func={"three": _("three heaps"), "ring": _("ring"), "moons": _("moons"), "spiral": _("spiral")}.get,
    )  # fmt: skip
    follow = st.segmented_control(
        _("Walkers follow"), ("learnt", "true"), default="learnt", required=True, key="follow", bind="query-params",
        format_func={"learnt": _("the learnt field"), "true": _("the true score")}.get,
    )  # fmt: skip
with st.spinner(_("Opening the network")):
    of = toy(name)
left, right = st.columns([1.5, 1], gap="large")
with left:
    if problem := live.trouble([]):
        st.caption(problem)
    else:
        field(name, follow, of)
with right:
    st.markdown(
        _(
            "A small autoencoder saw points with Gaussian noise of size σ and had to return them clean. Where it "
            "points from x is where the data are: its **arrow** is the slope of the log density, times σ² (drawn: σ)."
        )
    )
    chart(name)
    st.markdown(
        _(
            "A **walker** steps along the arrow and adds noise (Langevin): in the long run walkers are spread like "
            "p_σ. The network never saw the density, only points."
        )
    )
    found = curve(name)
pictures_too()
at = int(np.argmin(np.abs(np.log(found["sigma"]) - np.log(0.2))))
lab.end(
    notice=[
        _("Arrows point to the data from everywhere, and are shortest on them: there is nothing left to clean."),
        _("With much noise the arrows see one blurred heap; with little, each place sees only its nearest data."),
        _("Learnt and true agree where training points were, and drift apart where none ever came."),
    ],
    tries=[
        _("Press **Walk** at σ = 0.3, then move the slider while they walk: the walkers spread and gather."),
        _("Press **Anneal**: begin with much noise, end with little. Every walker finds the data."),
        _(
            "The known failure: take *three heaps*, the least noise, **Scatter** and **Walk**. Between heaps there is "
            "no signal, and their shares come out wrong. Then anneal, and compare the shares again."
        ),
    ],
    formula=r"\begin{gathered}r^*(\tilde x)-\tilde x=\sigma^2\,\nabla\log p_\sigma(\tilde x)\\"
    r"p_\sigma=p*\mathcal N(0,\sigma^2I),\qquad r=g\circ f\end{gathered}",
    numbers=_(
        "On this density, at σ = {:.2f}: the learnt field is **{:.0f} %** off where the data are (cosine {:.3f}), and "
        "{:.0f} % elsewhere."
    ).format(found["sigma"][at], 100 * found["near_error"][at], found["near_cosine"][at], 100 * found["far_error"][at]),
    more=_(
        "The best denoiser answers with the mean of all clean points that could have given the noisy one, E[x | x̃]; "
        "Tweedie's formula says that this is x̃ + σ² ∇ log p_σ(x̃), exactly, for every σ. So squared error and noise "
        "are enough to learn a density's slope.\n\n"
        "*Where the data are*: where p_σ is above 5 % of its maximum. The clean densities are mixtures "
        "of Gaussians, so that the true score is known in closed form. One "
        "network per density, of 2 × 64 hidden units, is told log σ and answers x + σ g(f(x, log σ)).\n\n"
        "The walk: x ← x + (ε/2) ∇ log p_σ(x) + √ε n with √ε = 0.35 σ. Annealing lets σ fall from 1 to 0.15; it is the "
        "seed of diffusion models. Clipping noisy pixels to 0..1, as denoising pictures often do, breaks the identity."
    ),
    sources="Vincent 2011 · Alain & Bengio 2014 · Song & Ermon 2019",
)
