"""Generative classifier: Can ten densities classify ten digits, and what do they know that a classifier does not?

icon: stacked_bar_chart
"""

import numpy as np
import streamlit as st

from aevae.metrics import class_densities as densities
from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import classifier as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached

template.begin(__doc__)
kinds = {
    "digit": _("as it is"), "turned": _("rotated by 90°"), "negative": _("negative"), "two": _("two digits at once"),
    "stripes": _("stripes"), "noise": _("noise"), "black": _("black"),
}  # fmt: skip
images, _labels = cached.shown_digits()
figure, controls = st.container(), st.container()
with controls:
    kind = address.pick(
        st.pills, _("Image"), list(kinds), default="digit", required=True, key="picture_kind",
        format_func=kinds.get, wrap=True,
    )  # fmt: skip
    picked, _label, number = picker.pick_digit(default=picker.GOOD_DIGITS[4], models=())
x = densities.strange(kind, picked, images[((number or 0) + 1) % len(images)])
with figure, st.spinner(_("Computing ten densities of 1,000 digits")):
    measured = lab.judged()
    draws = lab.bars(x, measured)
net = lab.nets()[0]
found = densities.scores(net, x.reshape(1, -1), densities.noise(draws, net["wm"].shape[1]))[0]
best, second = np.argsort(-found)[:2]
template.end(
    notice=[
        _(
            "The longest bar wins, by tens of nats. So a probability of 100 % means little; the difference between the "
            "bars says more."
        ),
        _("Each density saw only one class. A new class needs one more model; the classifier must be trained again."),
        _(
            "The classifier must choose: it is as sure about a negative as about a digit. Ten short bars say: the "
            "image belongs to no class."
        ),
    ],
    tries=[
        Try(
            _(
                "Choose **negative**, then **rotated by 90°**: which model is sure, and which shows that it does not "
                "know?"
            ),
            {"picture_kind": "negative"},
        ),
        Try(
            _(
                "**Draw** a 4 and close it slowly into a 9. When do the bars cross, and when does the classifier "
                "change its answer?"
            )
        ),
        Try(
            _(
                "Choose **black**: it has a higher density than real digits. A high likelihood does not mean that an "
                "image is typical."
            ),
            {"picture_kind": "black"},
            breaks=True,
        ),
    ],
    formula=r"\begin{gathered}\hat c=\arg\max_c\,[\log p(x|c)+\log p(c)]\\"
    r"\log p(x|c)\ \ge\ \log\tfrac1R\sum_{r=1}^R\frac{p(x,z_r|c)}{q(z_r|x,c)}\end{gathered}",
    numbers=_(
        "This image, R = {}: best **{}** with **{:.1f}** nats, then {} with {:.1f}. Of {:,} test digits the densities "
        "classify **{:.1%}** correctly, the classifier **{:.1%}**."
    ).format(
        draws, best, found[best], second, found[second], measured["count"], measured["densities"], measured["net"]
    ),
    more=_(
        "A *discriminative* model learns p(c|x): where one class ends and the next begins. It learns nothing about "
        "images far from both. A *generative* model learns p(x|c), how digits of a class look, and gets p(c|x) with "
        "Bayes' rule. Here each density is a VAE with 24 hidden units and 8 latent dimensions, so we only have a "
        "lower bound of log p(x|c); more samples raise the bound. The classes are equally frequent, so p(c) does not "
        "matter.\n\n"
        "A density is not a test for unusual images: an image that is simpler than any digit, all black, may be more "
        "probable than every digit. An image that is *too* probable is unusual as well."
    ),
    sources="Ng & Jordan 2002; Kingma & Welling 2014; Burda et al. 2016; Nalisnick et al. 2019",
)
