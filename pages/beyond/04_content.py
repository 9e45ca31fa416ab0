"""Content and style: What is written, and how?

icon: style
"""

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import class_colour
from aevae.latent import groups
from aevae.ui import kept, lab, live, loaders, pictures, state
from aevae.ui.i18n import _

MOST, ACROSS = 16, 7  # pictures of a group at most; styles
COUNT = {"count": (1, 1, MOST)}


@st.cache_resource(max_entries=3, show_spinner=False)
def contents(name: str) -> dict[str, np.ndarray]:
    """Of ten groups, the digits of a class each: content after 1..MOST pictures, and these pictures."""
    run, (images, labels) = loaders.run(name), loaders.test_digits()
    members = [groups.group_of(labels, c, MOST) for c in range(10)]
    mu, variance = zip(*(groups.evidence(run, images[group]) for group in members), strict=True)
    return {
        "mu": np.stack(mu),
        "variance": np.stack(variance),
        "members": pictures.to_bytes(images[np.concatenate(members)][:, 0]),
        "eps": np.random.default_rng(0).standard_normal((10, mu[0].shape[1])).astype(np.float32),
    }


def styles(name: str, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Styles (ACROSS, style), and the pictures they are of: none where they are drawn."""
    chance, run, images = np.random.default_rng(seed), loaders.run(name), loaders.test_digits()[0]
    if kind == "drawn":
        drawn = run.model.prior_scale * chance.standard_normal((ACROSS, run.config.model.style_dim))
        return drawn.astype(np.float32), np.zeros((0, 28, 28), np.uint8)
    chosen = images[chance.choice(len(images), ACROSS, replace=False)]
    return groups.styles(run, chosen), pictures.to_bytes(chosen[:, 0])


def swap(name: str, kind: str, spread: bool, seed: int) -> None:
    """The grid: contents down, styles across."""
    shelf, (style, heads), n = contents(name), styles(name, kind, seed), kept.numbers(COUNT)["count"]
    if problem := live.trouble([name]):
        st.caption(problem)
        content = shelf["mu"][:, n - 1] + spread * np.sqrt(shelf["variance"][:, n - 1]) * shelf["eps"]
        z = groups.crossed(content, style).reshape(-1, loaders.run(name).latent_dim)
        pictures.show(loaders.run(name).decode(z), ACROSS, alt=_("Every content in every style"))
        return
    live.mount(
        "swap",
        "swap",
        {
            "key": f"{name} {kind} {seed}",
            "count": n,
            "spread": int(spread),
            "texts": {
                "slider": _("Pictures of each group"),
                "said": _("{count} looked at: content known to ±{spread}"),
                "grid": _("Ten contents down, styles across, each decoded"),
                "corner": _("content ↓ style →"),
            },
        },
        shelf | {"styles": style, "heads": heads},
        programs=[name],
        shape={"height": 650, "narrow": 440},
        on_send=kept.taker({"count": "count"}, COUNT),
    )


def accumulating(name: str):
    """How sure the content is, against the pictures looked at."""
    out = figure(_("pictures of the group looked at"), _("deviation of the content"), 340)
    spread = np.sqrt(contents(name)["variance"].mean(axis=2))  # (10, MOST)
    for c, line in enumerate(spread):
        out.add_scatter(
            x=np.arange(1, MOST + 1), y=line, name=str(c), mode="lines", line={"color": class_colour(c), "width": 2}
        )
    n = np.arange(1, MOST + 1)
    out.add_scatter(
        x=n, y=spread[:, 0].mean() / np.sqrt(n), name="1/√n", mode="lines", line={"color": "#888", "dash": "dot"}
    )
    out.update_yaxes(rangemode="tozero")
    return out


lab.begin(__doc__)
left, right = st.columns([1, 2], gap="large")
with left:
    name = state.pick_model("ml_vae", families=("ml_vae",))
    kinds = {"digits": _("of digits"), "drawn": _("from the prior")}
    kind = st.segmented_control(
        _("Styles"), list(kinds), default="digits", required=True, key="styles", bind="query-params",
        format_func=kinds.get,
    )  # fmt: skip
    ways = {"mean": _("its mean"), "drawn": _("one draw")}
    way = st.segmented_control(
        _("Content"), list(ways), default="mean", required=True, key="content", bind="query-params",
        format_func=ways.get,
    )  # fmt: skip
    seed = st.number_input(_("Seed"), 0, 9999, 0, key="styles_seed", width=130, bind="query-params")
with right, st.spinner(_("Looking at ten groups ...")):
    swap(name, kind, way == "drawn", int(seed))
st.subheader(_("Evidence adds up"), anchor=False)
st.plotly_chart(accumulating(name), key="evidence", config={"displayModeBar": False})
numbers = loaders.run(name).metrics.get("mnist-5k") or next(iter(loaders.run(name).metrics.values()))
lab.end(
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
