"""Bar chart of the use of latent dimensions."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour


def latent_bars(
    score: np.ndarray,
    names: Sequence[str],
    *,
    unit: str = "KL (nats)",
    active: np.ndarray | None = None,
    family: str = "",
    height: int = 260,
) -> go.Figure:
    """A figure with a bar per latent dimension, in the given order.

    score (D,); names: D labels; unit: axis title; active (D,) bool: inactive dimensions are grey; family: its colour.
    """
    score = np.asarray(score, dtype=float)
    alive = np.ones(len(score), bool) if active is None else np.asarray(active, bool)
    colours = [family_colour(family) if a else FALLBACK for a in alive]
    out = figure("latent dimension", unit, height)
    out.add_bar(
        x=list(names),
        y=score.tolist(),
        marker={"color": colours, "opacity": np.where(alive, 1.0, 0.5).tolist()},
        customdata=["active" if a else "not used" for a in alive],
        hovertemplate="%{x}: %{y:.3g}<br>%{customdata}<extra></extra>",
    )
    out.update_layout(showlegend=False, bargap=0.25)
    out.update_xaxes(type="category")
    out.update_yaxes(rangemode="tozero")
    return out
