"""Content and style: What is written, and how?

icon: style
"""

import streamlit as st

from aevae.ui.i18n import _
from aevae.ui.labs import content as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached, run_picker

template.begin(__doc__)
left, right = st.columns([1, 2], gap="large")
with left:
    name = run_picker.pick_model("ml_vae", families=("ml_vae",))
    kinds = {"digits": _("of digits"), "drawn": _("from the prior")}
    kind = address.pick(
        st.segmented_control, _("Styles"), list(kinds), default="digits", required=True, key="styles",
        format_func=kinds.get,
    )  # fmt: skip
    ways = {"mean": _("its mean"), "drawn": _("one draw")}
    way = address.pick(
        st.segmented_control, _("Content"), list(ways), default="mean", required=True, key="content",
        format_func=ways.get,
    )  # fmt: skip
    seed = st.number_input(_("Seed"), 0, 9999, 0, key="styles_seed", width=130, bind="query-params")
with right, st.spinner(_("Looking at ten groups ...")):
    lab.swap(name, kind, way == "drawn", int(seed))
st.header(_("Evidence adds up"), anchor=False)
st.plotly_chart(lab.accumulating(name), key="evidence", config={"displayModeBar": False})
numbers = cached.shown_numbers(name)
template.end(
    notice=[
        _("A row keeps its digit, a column its hand; but a strong hand (that of a bold 0) can drown the digit."),
        _("Each further picture makes the content surer: precisions add up, so one picture may be odd, sixteen not."),
        _("Nobody said what is content and what style, only which pictures belong together."),
    ],
    tries=[
        _("Set **Content** to one draw and move the slider from 1 to 16: the rows come to rest."),
        _("With one picture find a row that is wrong. How many pictures does it take to mend it?"),
        _("The known failure: draw styles from the prior. A column that changes the digit: class leaked into style."),
    ],
    formula=r"q(c\mid x_1\dots x_n)\ \propto\ \prod_{i=1}^n \mathcal N(c;\mu_i,\sigma_i^2)\quad\Rightarrow\quad "
    r"\frac1{\sigma^2}=\sum_i\frac1{\sigma_i^2},\qquad \mu=\sigma^2\sum_i\frac{\mu_i}{\sigma_i^2}",
    numbers=_(
        "This run: a linear reader finds the class in the content of **{:.0%}** of single pictures, in the style of "
        "**{:.0%}** (10 % is chance). KL of the style {:.1f} nats, of the content {:.2f} nats / picture."
    ).format(numbers["class_from_content"], numbers["class_from_style"], numbers["kl_style"], numbers["kl_content"]),
    more=_(
        "In the *multi-level VAE* the pictures of one group (here: of one class) share one content $c$; each has its "
        "own style $s_i$. A group's posterior of $c$ is the product of what its pictures say. Equal pictures of "
        "deviation $\\sigma_1$ would give $\\sigma_1/\\sqrt n$, the dotted line. The content is paid for once a "
        "group, so it is cheap to put there what is shared; a larger weight on the style's KL keeps the class out of "
        "the style, though not wholly."
    ),
    sources="Bouchacourt et al. 2018",
)
