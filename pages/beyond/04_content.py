"""Content and style: Which digit is it, and in which style?

icon: style
"""

import streamlit as st

from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import content as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached, run_picker

template.begin(__doc__)
figure, controls = st.container(), st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
with controls:
    kinds = {"digits": _("of digits"), "drawn": _("from the prior")}
    kind = address.pick(
        st.segmented_control, _("Styles"), list(kinds), default="digits", required=True, key="styles",
        format_func=kinds.get,
    )  # fmt: skip
    ways = {"mean": _("its mean"), "drawn": _("one sample")}
    way = address.pick(
        st.segmented_control, _("Content"), list(ways), default="mean", required=True, key="content",
        format_func=ways.get,
    )  # fmt: skip
    seed = st.number_input(_("Seed"), 0, 9999, 0, key="styles_seed", width=130, bind="query-params")
    name = run_picker.pick_model("ml_vae", families=("ml_vae",))
with figure, st.spinner(_("Encoding ten groups ...")):
    lab.swap(name, kind, way == "drawn", int(seed))
st.header(_("Evidence adds up"), anchor=False)
st.plotly_chart(lab.accumulating(name), key="evidence", config={"displayModeBar": False})
numbers = cached.shown_numbers(name)
template.end(
    notice=[
        _("A row keeps its digit, a column keeps its style. A very unusual style can hide the digit."),
        _(
            "Each further image makes the content more certain, because precisions (1/σ²) add up. One image may be "
            "unusual; sixteen images together rarely are."
        ),
        _("No label says what is content and what is style. The model only knows which images belong together."),
    ],
    tries=[
        Try(
            _("Now go down to **1** image: find a row that is wrong. How many images make it right?"),
            {"count": 1, "content": "mean"},
        ),
        Try(
            _("Set **Content** to one sample and move the slider from 1 to 16: the rows become stable."),
            {"count": 1, "content": "drawn"},
        ),
        Try(
            _(
                "Sample the styles from the prior. A column that changes the digit shows that the class has leaked "
                "into the style."
            ),
            {"styles": "drawn"},
            breaks=True,
        ),
    ],
    formula=r"q(c\mid x_1\dots x_n)\ \propto\ \prod_{i=1}^n \mathcal N(c;\mu_i,\sigma_i^2)\quad\Rightarrow\quad "
    r"\frac1{\sigma^2}=\sum_i\frac1{\sigma_i^2},\qquad \mu=\sigma^2\sum_i\frac{\mu_i}{\sigma_i^2}",
    numbers=_(
        "This run: a linear classifier finds the class in the content of **{:.0%}** of single images, in the style of "
        "**{:.0%}** (guessing: 10 %). KL of the style {:.1f} nats, of the content {:.2f} nats / image."
    ).format(numbers["class_from_content"], numbers["class_from_style"], numbers["kl_style"], numbers["kl_content"]),
    more=_(
        "In the *multi-level VAE* the images of one group (here: of one class) share one content $c$. Each image has "
        "its own style $s_i$. The posterior of $c$ for a group is the product of the posteriors of its images. If "
        "every image had the standard deviation $\\sigma_1$, the group would have $\\sigma_1/\\sqrt n$: the dotted "
        "line. The KL of the content is paid once per group, so shared information is cheaper there. A larger weight "
        "on the KL of the style keeps most of the class out of the style."
    ),
    sources="Bouchacourt et al. 2018",
)
