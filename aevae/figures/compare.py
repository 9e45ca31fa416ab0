"""Rate-distortion plot of several runs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from aevae.figures.curves import with_unit
from aevae.figures.layout import figure
from aevae.figures.palette import MARKERS, model_styles
from aevae.figures.rates import bounds
from aevae.figures.tradeoff import lower_hull

QUIET = "#8E929A"
HULL = "#7A7F87"


class Point(NamedTuple):
    """A run: rate (KL in nats / image), distortion, and the series of its curve (runs that differ only in beta)."""

    name: str
    family: str
    rate: float
    distortion: float
    beta: float = 1.0
    series: str = ""
    chosen: bool = True


def trade_off(  # titles and names of the lines are all optional, hence more than eight parameters
    points: Sequence[Point],
    y_title: str,
    x_title: str = with_unit("kl"),
    *,
    elbo: bool = True,
    bound: tuple[np.ndarray, np.ndarray] | None = None,
    bound_name: str = "",
    hull_name: str = "best of these runs",
    others_name: str = "other runs",
    height: int = 460,
) -> go.Figure:
    """A figure of distortion over rate: chosen runs in family colours, others grey, series connected.

    The dashed line is the lower convex hull of all runs, which is reached by using one run for a part of the images and
    another for the rest. elbo: draw lines of equal rate + distortion, if both are in nats. bound: (rates, distortions)
    of a curve in the background.
    """
    out = figure(x_title, y_title, height)
    points = [p for p in points if np.isfinite(p.rate) and np.isfinite(p.distortion)]
    if not points:
        return out
    rate, distortion = np.array([p.rate for p in points]), np.array([p.distortion for p in points])
    (x0, x1), (y0, y1) = _around(rate), _around(distortion)
    x0 = max(x0, 0.0)
    if elbo:
        bounds(out, x0, x1, y0, y1)
    if bound is not None:
        out.add_scatter(
            x=bound[0].tolist(), y=bound[1].tolist(), mode="lines", name=bound_name, hoverinfo="skip",
            line={"color": HULL, "width": 1.4, "dash": "dot"},
        )  # fmt: skip
    _hull(out, rate, distortion, hull_name)
    styles = model_styles([p.name for p in points if p.chosen], {p.name: p.family for p in points})
    for series in dict.fromkeys(p.series for p in points if p.series):
        mine = sorted((p for p in points if p.series == series), key=lambda p: p.rate)
        if len(mine) > 1:
            colour = next((styles[p.name][0] for p in mine if p.chosen), QUIET)
            out.add_scatter(
                x=[p.rate for p in mine], y=[p.distortion for p in mine], mode="lines", showlegend=False,
                hoverinfo="skip", opacity=0.6, line={"color": colour, "width": 1.5},
            )  # fmt: skip
    others = [p for p in points if not p.chosen]
    if others:
        _dots(out, others, others_name, {"color": QUIET, "size": 7, "symbol": "circle"})
    for point in points:
        if point.chosen:
            colour, number = styles[point.name]
            look = {"color": colour, "size": 12, "symbol": MARKERS[number % len(MARKERS)]}
            _dots(out, [point], point.name, look)
    out.update_layout(showlegend=True, hovermode="closest")
    out.update_xaxes(range=[x0, x1])
    out.update_yaxes(range=[y0, y1])
    return out


def _hull(out: go.Figure, rate: np.ndarray, distortion: np.ndarray, name: str) -> None:
    """Add the lower hull, with the slope as hover text in the middle of each segment."""
    rows = lower_hull(rate, distortion)
    if len(rows) < 2:
        return
    x, y = rate[rows], distortion[rows]
    out.add_scatter(
        x=x.tolist(), y=y.tolist(), mode="lines", name=name, hoverinfo="skip",
        line={"color": HULL, "width": 1.6, "dash": "dash"},
    )  # fmt: skip
    slopes = -np.diff(y) / np.diff(x)
    out.add_scatter(
        x=((x[1:] + x[:-1]) / 2).tolist(), y=((y[1:] + y[:-1]) / 2).tolist(), mode="markers", showlegend=False,
        marker={"size": 14, "opacity": 0, "color": HULL}, customdata=slopes.tolist(),
        hovertemplate="per extra nat of code the reconstruction improves by %{customdata:.2f}<extra></extra>",
    )  # fmt: skip


def _dots(out: go.Figure, points: Sequence[Point], name: str, marker: dict) -> None:
    out.add_scatter(
        x=[p.rate for p in points], y=[p.distortion for p in points], mode="markers", name=name, marker=marker,
        customdata=[[p.name, p.beta] for p in points], cliponaxis=False,
        hovertemplate="%{customdata[0]}<br>%{x:.2f} → %{y:.2f}<br>β = %{customdata[1]:g}<extra></extra>",
    )  # fmt: skip


def _around(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    span = (high - low) or max(0.4 * abs(high), 1.0)
    return low - 0.12 * span, high + 0.14 * span
