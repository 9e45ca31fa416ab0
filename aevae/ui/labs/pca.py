"""The lab PCA and the linear AE: both bases, and the data for `pca.js` and `pca_outliers.js`."""

import numpy as np
import streamlit as st

from aevae.figures.palette import family_colour
from aevae.latent import rotation
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, url_values

BASES = ("pca", "linear_ae")
MAX_OUTLIERS = 12
CLOUD = {"outliers": (8, 0, MAX_OUTLIERS), "far_x": (-3.2, -4.6, 4.6), "far_y": (2.2, -2.8, 2.8)}


@st.cache_resource(max_entries=4, show_spinner=False)
def affine(name: str, d: int) -> dict:
    """The bases of a linear run and of PCA with equal size: offset, columns (D, P), codes of the test digits.

    angles (D,): principal angles in degrees; errors (D + 1,): squared error on the test digits of PCA with 0..D
    components, fitted to the training digits of mnist-5k, without clipping.
    """
    from aevae.metrics import linear

    found = cached.principal(d)
    offset, columns = linear.columns(cached.run(name).model)
    x = cached.shown_digits()[0].reshape(-1, 784)
    return {
        "pca": (found.mean, found.axes, found.codes(x)),
        "linear_ae": (offset, columns, cached.codes(name)),
        "angles": linear.angles(columns, found.axes),
        "errors": found.errors(x),
    }


def turning(both: dict, basis: str, d: int, ranges: dict) -> dict:
    """Show directions and digits under a rotation of the code, in the browser. Returns `rotation.moments`."""
    images, labels = cached.shown_digits()
    ten = [int(np.flatnonzero(labels == c)[0]) for c in range(10)]
    offset, columns, codes = both[basis]
    parts = rotation.moments(images.reshape(-1, 784), offset, columns, codes)
    found = url_values.numbers(ranges)
    component.mount(
        "pca",
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
                "turn": _("Rotate the code"),
                "keep": _("Dimensions kept"),
                "of": _("{k} of {d}"),
                "directions": _(
                    "What each dimension adds to the image (orange: ink, blue: less ink), and how much of this the "
                    "digit in the frame has"
                ),
                "choose": _("Show the code of the {digit}"),
                "pairs": _("Ten digits; below each, the image decoded from its code"),
                "nothing": _("Squared error {error} per test digit, at every angle: a rotation loses nothing."),
                "lost": _("Squared error {error} with the first {k} dimensions; without rotation it is {straight}."),
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
        on_send=url_values.number_handler({"turn": "pca_turn", "keep": "pca_keep", "chosen": "pca_digit"}, ranges),
    )
    return found | parts


def absolute() -> None:
    """Show two optimal lines through points with outliers."""
    st.header(_("Squared error and absolute error"), anchor=False)
    st.markdown(
        _(
            "For points of a plane, a linear code with **one** dimension is a line. Drag the cloud of outliers, or "
            "use the arrow keys: only one of the two lines follows the cloud."
        )
    )
    draw = np.random.default_rng(3)
    turn = np.deg2rad(20)
    offsets = draw.normal(0, 0.2, (MAX_OUTLIERS, 2))
    points = draw.normal(size=(60, 2)) * [1.7, 0.28] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    found = url_values.numbers(CLOUD)
    component.mount(
        "pca_outliers",
        "cloud",
        {
            "at": {"count": found["outliers"], "x": found["far_x"], "y": found["far_y"]},
            "colours": {
                "outlier": family_colour("auto_decoder"),
                "squared": family_colour("linear_ae"),
                "absolute": family_colour("vae"),
            },
            "texts": {
                "outliers": _("Outliers"),
                "of": _("{n} of {all} points"),
                "squared": _("solid: least squared error (PCA), rotated {degrees}° by the outliers"),
                "absolute": _("dashed: least absolute error, rotated {degrees}°"),
                "outlier": _("outliers"),
                "plane": _("Points, outliers and two lines; arrow keys move the outliers"),
            },
        },
        {"points": points.astype(np.float32).ravel(), "offsets": offsets.astype(np.float32).ravel()},
        shape={"height": 590, "narrow": 370},
        on_send=url_values.number_handler({"count": "outliers", "x": "far_x", "y": "far_y"}, CLOUD),
    )  # fmt: skip
