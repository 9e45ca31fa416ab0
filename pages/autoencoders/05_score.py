"""Score field: Why does a denoiser know where the data are?

icon: airwave
"""

import streamlit as st

from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import score as lab
from aevae.ui.labs import template
from aevae.ui.live import component
from aevae.ui.shared import address

template.begin(__doc__)
figure, controls = st.container(), st.container(horizontal=True)
with controls:
    name = address.pick(
        st.segmented_control, _("Density"), ("three", "ring", "moons", "spiral"), default="ring", required=True,
        key="toy",
        format_func={"three": _("three clusters"), "ring": _("ring"), "moons": _("moons"), "spiral": _("spiral")}.get,
    )  # fmt: skip
    follow = address.pick(
        st.segmented_control, _("Walkers follow"), ("learnt", "true"), default="learnt", required=True, key="follow",
        format_func={"learnt": _("the learnt score"), "true": _("the true score")}.get,
    )  # fmt: skip
with figure, st.spinner(_("Opening the network")):
    if problem := component.trouble([], has_server_version=False):
        st.caption(problem)
    else:
        lab.field(name, follow, lab.toy(name))
left, right = st.columns(2, gap="large")
with left:
    st.markdown(
        _(
            "A small autoencoder received points with Gaussian noise of size σ and learnt to return the clean points. "
            "Its output for x lies nearer to the data. The **arrow** from x to the output is the gradient of the log "
            "density (the score), times σ² (shown divided by σ, so that arrows stay visible)."
        )
    )
    st.markdown(
        _(
            "A **walker** steps along the arrow and adds noise (Langevin sampling): in the long run the walkers have "
            "the density $p_σ$. The network never saw the density, only points."
        )
    )
with right:
    lab.chart(name)
lab.images_too()
template.end(
    notice=[
        _(
            "From everywhere, arrows point to the data. They are shortest at the data: there is no noise left to "
            "remove."
        ),
        _(
            "With much noise, all arrows point to one blurred cluster. With little noise, each arrow points to the "
            "nearest data."
        ),
        _("The learnt and the true score agree near the training points, and differ where no training point was."),
    ],
    tries=[
        Try(
            _("Press **Walk** at σ = 0.3, then move the slider: the walkers spread out and come together."),
            {"score_sigma": 37},
        ),
        Try(
            _("Press **Anneal**: start with much noise, end with little. Every walker finds the data."),
            {"toy": "spiral"},
        ),
        Try(
            _(
                "Choose *three clusters* and the least noise, then **Scatter** and **Walk**. Between the clusters the "
                "arrows tell nothing, so each cluster gets a wrong share of the walkers. Then anneal, and compare the "
                "shares again."
            ),
            {"toy": "three", "score_sigma": 0},
            breaks=True,
        ),
    ],
    formula=r"\begin{gathered}r^*(\tilde x)-\tilde x=\sigma^2\,\nabla\log p_\sigma(\tilde x)\\"
    r"p_\sigma=p*\mathcal N(0,\sigma^2I),\qquad r=g\circ f\end{gathered}",
    more=_(
        "The best denoiser returns E[x | x̃]: the mean of all clean points that could belong to the noisy point. "
        "Tweedie's formula says that this mean is x̃ + σ² ∇ log p_σ(x̃), exactly, for every σ. So squared error and "
        "noise are enough to learn the score of a density.\n\n"
        "*Near the data* means: p_σ is above 5 % of its maximum. The clean densities are mixtures of Gaussians, so "
        "the true score is known in closed form. There is one network per density, with 2 × 64 hidden units; its "
        "inputs are x and log σ, and its output is x + σ g(f(x, log σ)).\n\n"
        "The walk: x ← x + (ε/2) ∇ log p_σ(x) + √ε n with √ε = 0.35 σ. Annealing lowers σ from 1 to 0.15; diffusion "
        "models use the same idea. Clipping noisy pixels to 0..1, as is common for images, breaks the identity."
    ),
    sources="Vincent 2011 · Alain & Bengio 2014 · Song & Ermon 2019",
)
