"""PCA and the linear AE: What does a network without bends find?

icon: 360
"""

import numpy as np
import streamlit as st

from aevae.figures.palette import CLASS_COLOURS, family_colour
from aevae.latent import components, rotation
from aevae.ui import kept, lab, live, loaders, pictures, state
from aevae.ui.i18n import _

BASES = ("pca", "linear_ae")
OUTLIERS = 12
CLOUD = {"outliers": (8, 0, OUTLIERS), "far_x": (-3.2, -4.6, 4.6), "far_y": (2.2, -2.8, 2.8)}


@st.cache_resource(max_entries=4, show_spinner=False)
def affine(name: str, d: int) -> dict:
    """Both bases of a run's size: offset, columns (D, P), codes of the test digits; and how their planes lie."""
    from aevae.metrics import linear

    train = loaders.dataset().train.images
    found = components.fit(train.reshape(len(train), -1) / 255, d)
    offset, columns = linear.columns(loaders.run(name).model)
    x = loaders.test_digits()[0].reshape(-1, 784)
    return {
        "pca": (found.mean, found.axes, found.codes(x)),
        "linear_ae": (offset, columns, loaders.codes(name)),
        "angles": linear.angles(columns, found.axes),
        "errors": found.errors(x),
    }


def turning(both: dict, basis: str, d: int, ranges: dict) -> dict:
    """Directions and digits, turned in the browser. The numbers of `rotation.moments`."""
    images, labels = loaders.test_digits()
    ten = [int(np.flatnonzero(labels == c)[0]) for c in range(10)]
    offset, columns, codes = both[basis]
    parts = rotation.moments(images.reshape(-1, 784), offset, columns, codes)
    found = kept.numbers(ranges)
    live.mount(
        "rotate",
        "rotate",
        {
            "key": f"{basis}-{d}",
            "d": d,
            "count": 10,
            "labels": list(range(10)),
            "turn": found["pca_turn"],
            "keep": found["pca_keep"],
            "chosen": found["pca_digit"],
            "full": parts["full"],
            "texts": {
                "turn": _("Turn the code"),
                "keep": _("Numbers kept"),
                "of": _("{k} of {d}"),
                "directions": _(
                    "What each number adds to the picture (orange: ink, blue: less), and how much of it the framed "
                    "digit has"
                ),
                "choose": _("Show the code of the {digit}"),
                "nothing": _("Squared error {error} per test digit, at every angle: turning loses nothing."),
                "lost": _("Squared error {error} with the first {k} numbers; not turned it is {straight}."),
            },
        },
        {
            "offset": offset.astype(np.float32),
            "columns": columns.astype(np.float32),
            "codes": codes[ten].astype(np.float32),
            "digits": images[ten].reshape(-1),
            "skew": rotation.skew(d).astype(np.float32).ravel(),
            **{name: parts[name].astype(np.float32).ravel() for name in ("second", "gram", "cross")},
        },
        shape={"height": 400, "narrow": 640},
        on_send=kept.taker({"turn": "pca_turn", "keep": "pca_keep", "chosen": "pca_digit"}, ranges),
    )
    return found | parts


def absolute() -> None:
    """Two lines through points with outliers."""
    st.subheader(_("Squared error against absolute error"), anchor=False)
    st.markdown(
        _(
            "A linear code of **one** number for points of the plane is a line. Drag the cloud of outliers (or use the "
            "arrow keys): only one of the two lines follows."
        )
    )
    draw = np.random.default_rng(3)
    turn = np.deg2rad(20)
    offsets = draw.normal(0, 0.2, (OUTLIERS, 2))
    points = draw.normal(size=(60, 2)) * [1.7, 0.28] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    found = kept.numbers(CLOUD)
    live.mount(
        "outliers",
        "cloud",
        {
            "at": {"count": found["outliers"], "x": found["far_x"], "y": found["far_y"]},
            "colours": {
                "outlier": CLASS_COLOURS[4], "squared": family_colour("linear_ae"), "absolute": family_colour("vae")
            },
            "texts": {
                "outliers": _("Outliers"),
                "of": _("{n} of {all} points"),
                "squared": _("squared error = PCA: {degrees}° from the line without outliers"),
                "absolute": _("absolute error: {degrees}°"),
                "plane": _("Points, outliers and two lines; arrow keys move the outliers"),
            },
        },
        {"points": points.astype(np.float32).ravel(), "offsets": offsets.astype(np.float32).ravel()},
        shape={"height": 590, "narrow": 370},
        on_send=kept.taker({"count": "outliers", "x": "far_x", "y": "far_y"}, CLOUD),
    )  # fmt: skip


lab.begin(__doc__)
left, right = st.columns([1, 1], vertical_alignment="bottom")
with left:
    name = state.pick_model("linear", families=("linear_ae",), label=_("Linear autoencoder"))
d = loaders.run(name).latent_dim
with st.spinner(_("Principal components of 4,000 digits")):
    both = affine(name, d)
with right:
    basis = st.segmented_control(
        _("Directions of"), BASES, default="pca", required=True, key="basis", bind="query-params",
        format_func={"pca": _("PCA"), "linear_ae": _("the trained network")}.get,
    )  # fmt: skip
if problem := live.trouble([]):
    st.caption(problem)
    shown = both[basis][1]
    pictures.show(0.5 + shown.reshape(-1, 28, 28) / (2 * np.abs(shown).max()), 10, alt=_("The directions"))
    found = {"full": rotation.moments(loaders.test_digits()[0].reshape(-1, 784), *both[basis])["full"]}
else:
    found = turning(both, basis, d, {"pca_turn": (0, 0, 90), "pca_keep": (d, 1, d), "pca_digit": (3, 0, 9)})
    absolute()
lab.end(
    notice=[
        _("The network's directions look like nothing in particular, PCA's like strokes: yet both span one plane."),
        _("With all numbers kept the digits do not change by a pixel while the code turns: no basis is *the* basis."),
        _("PCA's own basis is special only in its order: its first k numbers are the best k. Turned ones are not."),
    ],
    tries=[
        _("Keep all numbers and turn. Then keep 4, turn again, and watch the error."),
        _("Switch to the trained network and keep 4 of its numbers: why is it so much worse than PCA's 4?"),
        _(
            "The known failure: *a linear decoder with absolute error is PCA*. Drag the outliers about, or "
            "take more of them: the line of the absolute error is another one."
        ),
    ],
    formula=r"\begin{gathered}\min\ \frac1N\sum_i\lVert x_i-W_d(W_ex_i+b_e)-b_d\rVert^2=\sum_{j>d}\lambda_j\\"
    r"W_d\,z=(W_dQ)(Q^{-1}z)\end{gathered}",
    numbers=_(
        "With d = {}, on 1,000 test digits: PCA **{:.2f}**, this network **{:.2f}**. The angles between the two planes "
        "go from {:.0f}° to {:.0f}°: the last direction is the one whose eigenvalue has a near neighbour."
    ).format(
        d, both["errors"][d],
        rotation.moments(loaders.test_digits()[0].reshape(-1, 784), *both["linear_ae"])["full"],
        both["angles"][0], both["angles"][-1],
    ),
    more=_(
        "Of all planes of dimension d the one through the mean along the d directions of largest variance leaves the "
        "least squared error (Eckart & Young). A linear autoencoder can do no better, has no bad minima, and reaches "
        "it; but its loss does not see the basis, so it stops at any $W_dQ$. Only the *decoder* need be linear: for a "
        "plane the best code is the projection, which is linear too.\n\n"
        "It is the **squared** error that makes it PCA. The absolute error asks for a median where the square asks for "
        "a mean, and a median does not care how far away a few points are.\n\n"
        "PCA is fitted here to 4,000 digits, the network saw 65,000; on digits that neither saw either may be ahead by "
        "a little."
    ),
    sources="Eckart & Young 1936 · Baldi & Hornik 1989",
)  # fmt: skip
