"""The lab Content and style: posteriors of groups, and the data for `content.js`."""

import numpy as np
import streamlit as st

from aevae.figures.layout import figure
from aevae.figures.palette import class_colour
from aevae.latent import groups
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, url_values

MAX_GROUP, NUM_STYLES = 16, 7  # largest number of images in a group; number of styles
COUNT = {"count": (MAX_GROUP, 1, MAX_GROUP)}
STYLES = (671, 102, 388, 466, 779, 664, 375)  # test images with seven styles in which all ten digits stay readable


@st.cache_resource(max_entries=3, show_spinner=False)
def contents(name: str) -> dict[str, np.ndarray]:
    """Ten groups, one per class: posterior of the content after 1..MAX_GROUP images, and these images."""
    run, (images, labels) = cached.run(name), cached.shown_digits()
    members = [groups.group_of(labels, c, MAX_GROUP) for c in range(10)]
    mu, variance = zip(*(groups.evidence(run, images[group]) for group in members), strict=True)
    return {
        "mu": np.stack(mu),
        "variance": np.stack(variance),
        "members": image_sheets.to_bytes(images[np.concatenate(members)][:, 0]),
        "eps": np.random.default_rng(0).standard_normal((10, mu[0].shape[1])).astype(np.float32),
    }


def styles(name: str, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(styles (NUM_STYLES, style), their images; no images for sampled styles). Seed 0 gives the styles of STYLES."""
    chance, run, images = np.random.default_rng(seed), cached.run(name), cached.shown_digits()[0]
    if kind == "drawn":
        drawn = run.model.prior_scale * chance.standard_normal((NUM_STYLES, run.config.model.style_dim))
        return drawn.astype(np.float32), np.zeros((0, 28, 28), np.uint8)
    chosen = images[chance.choice(len(images), NUM_STYLES, replace=False) if seed else list(STYLES)]
    return cached.computed(groups.styles, run, chosen), image_sheets.to_bytes(chosen[:, 0])


def swap(name: str, kind: str, spread: bool, seed: int) -> None:
    """Show the grid of decoded combinations: a row per content, a column per style."""
    shelf, (style, heads), n = contents(name), styles(name, kind, seed), url_values.numbers(COUNT)["count"]
    if problem := component.trouble([name], has_server_version=True):
        st.caption(problem)
        content = shelf["mu"][:, n - 1] + spread * np.sqrt(shelf["variance"][:, n - 1]) * shelf["eps"]
        z = groups.crossed(content, style).reshape(-1, cached.run(name).latent_dim)
        decoded = cached.applied(cached.run(name), "decode", z)
        image_sheets.show(decoded, NUM_STYLES, alt=_("Every content with every style"))
        return
    component.mount(
        "content",
        "swap",
        {
            "key": f"{name} {kind} {seed}",
            "count": n,
            "spread": int(spread),
            "texts": {
                "slider": _("Images of each group"),
                "said": _("Images seen: {count}. Standard deviation of the content: {spread}"),
                "grid": _("Rows: ten contents. Columns: styles. Each pair is decoded."),
                "corner": _("content ↓ ± its σ, style →"),
            },
        },
        shelf | {"styles": style, "heads": heads},
        programs=[name],
        shape={"height": 560, "narrow": 440},
        on_send=url_values.number_handler({"count": "count"}, COUNT),
    )


def accumulating(name: str):
    """A figure of the content's posterior standard deviation over the number of images."""
    out = figure(_("images of the group seen"), _("standard deviation of the content"), 340)
    spread = np.sqrt(contents(name)["variance"].mean(axis=2))  # (10, MAX_GROUP)
    for c, line in enumerate(spread):
        out.add_scatter(
            x=np.arange(1, MAX_GROUP + 1),
            y=line,
            name=str(c),
            mode="lines",
            line={"color": class_colour(c), "width": 2},
        )
    n = np.arange(1, MAX_GROUP + 1)
    out.add_scatter(
        x=n, y=spread[:, 0].mean() / np.sqrt(n), name="1/√n", mode="lines", line={"color": "#888", "dash": "dot"}
    )
    out.update_yaxes(rangemode="tozero")
    return out
