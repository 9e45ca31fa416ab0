"""Codebook: What if a picture were written in words?

icon: grid_view
"""

import math

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import codebook as lab
from aevae.ui.labs import template
from aevae.ui.shared import cached, run_picker

template.begin(__doc__)
left, right = st.columns([2, 3], gap="large")
with left:
    name = run_picker.pick_model("codebook", families=("vq_vae",))
    image, _label, number = picker.pick_digit(default=5, models=[])
with right, st.spinner(_("Reading the codebook ...")):
    lab.editor(name, image)
run = cached.run(name)
shelf = lab.known(name)
st.header(_("How often each vector is used"), anchor=False)
st.plotly_chart(lab.usage(name), key="usage", config={"displayModeBar": False})
lab.samples(name)
if cached.finished(("vq_vae2",)):
    lab.levels(5 if number is None else number)
numbers = cached.shown_numbers(name)
count, cells = len(shelf["vectors"]), sum(side * side for side in run.config.model.sides)
template.end(
    notice=[
        _("A digit is {} numbers, each one of {} words. The most used words paint black.").format(cells, count),
        _("A vector is no tile that is pasted: the decoder sees neighbours, and joins their strokes."),
        _("Words need a grammar: only numbers drawn one after another, each told those before it, make digits."),
    ],
    tries=[
        _("Open a 9 or a 0: choose a cell on its stroke and put the first vector of the codebook there."),
        _("Choose one cell in the black and try vectors along the codebook. How far does one cell reach?"),
        _("The known failure: new maps with **each cell for itself**: the right words as often as ever, no digit."),
    ],
    formula=r"\mathcal L=-\log p(x\mid z_q)+\lVert \mathrm{sg}[z_e]-e_k\rVert^2+b\,\lVert z_e-\mathrm{sg}[e_k]\rVert^2,"
    r"\qquad k=\arg\min_j\lVert z_e-e_j\rVert,\quad z_q=e_k",
    numbers=_(
        "This run: reconstruction **{:.1f}** nats / image. {} cells of log₂ {} bits: {:.0f} bits if nothing is known, "
        "**{:.0f}** bits with the learnt prior. {} vectors used, perplexity **{:.0f}**."
    ).format(
        numbers["recon"], cells, count, cells * math.log2(count), numbers["prior_bits"], numbers["codes_used"],
        numbers["perplexity"],
    ),
    more=_(
        "The encoder gives a vector $z_e$ for each cell; the nearest of $K$ vectors takes its place. Choosing "
        "has no slope, so the gradient of $z_q$ is handed to $z_e$ as it is (*straight through*). Each vector follows "
        "the mean of what chose it; the term with $b$ keeps the encoder near its choices; sg lets no gradient pass. "
        "*Perplexity* is $e^H$ of how often vectors are used: 1 if it is always one, $K$ if all are used alike. "
        "Without restarts of unused vectors a large codebook may collapse to a few of them. The prior $p(k)$ is a "
        "PixelCNN: in raster order, each number given those before it."
    ),
    sources="van den Oord et al. 2017; Razavi et al. 2019",
)  # fmt: skip
