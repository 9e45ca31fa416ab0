"""A vector field in the plane, over points coloured by class."""

import numpy as np
import plotly.graph_objects as go

from aevae.figures.layout import figure
from aevae.figures.palette import class_colour


def segments(places: np.ndarray, arrows: np.ndarray, head: float = 0.3) -> tuple[list, list]:
    """(x, y) of one polyline with gaps that draws every arrow (N, 2), with head, at its place (N, 2)."""
    ends = places + arrows
    across = np.stack([-arrows[:, 1], arrows[:, 0]], 1)
    wings = [ends - head * arrows + side * 0.5 * head * across for side in (1, -1)]
    gap = np.full_like(ends, np.nan)
    line = np.stack([places, ends, wings[0], ends, wings[1], gap], 1).reshape(-1, 2)
    x, y = ([None if np.isnan(v) else round(float(v), 3) for v in column] for column in line.T)
    return x, y


def quiver(
    places: np.ndarray,
    arrows: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, str, str],
    colour: str,
) -> go.Figure:
    """A figure of arrows over points (N, 2) coloured by class.

    Arrows are scaled such that the 80th percentile of their lengths equals the distance of the places; longer arrows
    are shortened to it. names: titles of both axes and of the arrows.
    """
    out = figure(names[0], names[1], 540)
    for label in np.unique(labels):
        mine = points[labels == label].round(2)
        out.add_scatter(
            x=mine[:, 0].tolist(), y=mine[:, 1].tolist(), mode="markers", name=str(label),
            marker={"size": 5, "opacity": 0.95, "color": class_colour(int(label))},
        )  # fmt: skip
    step = np.ptp(places[:, 0]) / (np.sqrt(len(places)) - 1)
    sizes = np.linalg.norm(arrows, axis=1)
    x, y = segments(places, arrows * (step / np.maximum(sizes, np.quantile(sizes, 0.8)))[:, None])
    out.add_scatter(x=x, y=y, mode="lines", name=names[2], line={"color": colour, "width": 2}, hoverinfo="skip")
    edge = 1.1 * np.abs(places).max()
    out.update_xaxes(range=[-edge, edge], constrain="domain")
    out.update_yaxes(range=[-edge, edge], scaleanchor="x", constrain="domain")
    return out
