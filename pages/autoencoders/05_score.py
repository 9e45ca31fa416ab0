"""Score field: Why does a denoiser know where the data are?

icon: airwave
"""

import streamlit as st

from aevae.ui.i18n import _
from aevae.ui.labs import score as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import address

template.begin(__doc__)
with st.container(horizontal=True):
    name = address.pick(
        st.segmented_control, _("Density"), ("three", "ring", "moons", "spiral"), default="ring", required=True,
        key="toy",
        format_func={"three": _("three heaps"), "ring": _("ring"), "moons": _("moons"), "spiral": _("spiral")}.get,
    )  # fmt: skip
    follow = address.pick(
        st.segmented_control, _("Walkers follow"), ("learnt", "true"), default="learnt", required=True, key="follow",
        format_func={"learnt": _("the learnt field"), "true": _("the true score")}.get,
    )  # fmt: skip
with st.spinner(_("Opening the network")):
    of = lab.toy(name)
left, right = st.columns([1.5, 1], gap="large")
with left:
    if problem := component.trouble([], has_server_version=False):
        st.caption(problem)
    else:
        lab.field(name, follow, of)
with right:
    st.markdown(
        _(
            "A small autoencoder saw points with Gaussian noise of size σ and had to return them clean. Where it "
            "points from x is where the data are: its **arrow** is the slope of the log density, times σ² (drawn: σ)."
        )
    )
    lab.chart(name)
    st.markdown(
        _(
            "A **walker** steps along the arrow and adds noise (Langevin): in the long run walkers are spread like "
            "$p_σ$. The network never saw the density, only points."
        )
    )
lab.pictures_too()
template.end(
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
