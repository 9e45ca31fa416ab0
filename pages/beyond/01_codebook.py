"""Codebook: Can an image be a list of words?

icon: grid_view
"""

import math

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import codebook as lab
from aevae.ui.labs import template
from aevae.ui.shared import cached, run_picker

template.begin(__doc__)
figure, controls = st.container(), st.container()
with controls:
    image, _label, number = picker.pick_digit(default=picker.GOOD_DIGITS[9], models=[])
    name = run_picker.pick_model("codebook", families=("vq_vae",))
with figure, st.spinner(_("Reading the codebook ...")):
    lab.editor(name, image)
run = cached.run(name)
shelf = lab.known(name)
st.header(_("How often each vector is used"), anchor=False)
st.plotly_chart(lab.usage(name), key="usage", config={"displayModeBar": False})
lab.samples(name)
if cached.finished(("vq_vae2",)):
    lab.levels(picker.GOOD_DIGITS[9] if number is None else number)
numbers = cached.shown_numbers(name)
count, cells = len(shelf["vectors"]), sum(side * side for side in run.config.model.sides)
template.end(
    notice=[
        _(
            "A digit is a list of {} indices; each stands for one of {} vectors. The most used vectors decode to black."
        ).format(cells, count),
        _("The decoder does not paste one tile per vector: it also uses the neighbouring vectors and joins their "
          "strokes."),
        _(
            "Like words, vectors need a grammar: indices make digits only if each is sampled given those before it."
        ),
    ],
    tries=[
        Try(
            _("Choose a cell on the stroke of this 0 and put the first vector of the codebook there."),
            {"digit": picker.GOOD_DIGITS[0]},
        ),
        Try(
            _(
                "Choose one cell in the black area and try the vectors of the codebook. How many pixels does one cell "
                "change?"
            )
        ),
        Try(
            _(
                "Sample new maps with **each cell independently**. Every vector is as frequent as before, but no digit "
                "appears."
            ),
            {"numbers": "use"},
            breaks=True,
        ),
    ],
    formula=r"\mathcal L=-\log p(x\mid z_q)+\lVert \mathrm{sg}[z_e]-e_k\rVert^2+b\,\lVert z_e-\mathrm{sg}[e_k]\rVert^2,"
    r"\qquad k=\arg\min_j\lVert z_e-e_j\rVert,\quad z_q=e_k",
    numbers=_(
        "This run: reconstruction **{:.1f}** nats / image. {} cells of log₂ {} bits make {:.0f} bits without a prior, "
        "**{:.0f}** bits with the learnt prior. {} vectors used, perplexity **{:.0f}**."
    ).format(
        numbers["recon"], cells, count, cells * math.log2(count), numbers["prior_bits"], numbers["codes_used"],
        numbers["perplexity"],
    ),
    more=_(
        "The encoder gives a vector $z_e$ for each cell, and the nearest of $K$ codebook vectors replaces it. This "
        "choice has no gradient, so the gradient of $z_q$ is copied to $z_e$ (*straight-through estimator*). Each "
        "codebook vector follows the mean of the $z_e$ that chose it. The term with $b$ keeps the encoder near its "
        "choices; sg (stop gradient) lets no gradient pass. *Perplexity* is $e^H$, where $H$ is the entropy of the "
        "frequencies of the vectors: 1 if one vector is always used, $K$ if all are used equally. If unused vectors "
        "are not restarted, a large codebook may collapse to a few vectors. The prior $p(k)$ is a PixelCNN: it "
        "samples the indices row by row, each given those before it."
    ),
    sources="van den Oord et al. 2017; Razavi et al. 2019",
)  # fmt: skip
