"""Several curves, of which one is emphasised and drawn on top."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from aevae.figures.layout import figure


def chosen_curve(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    chosen: str,
    colours: Mapping[str, str],
    x_title: str,
    y_title: str,
    *,
    marks: bool = False,
    only: bool = False,
    height: int = 330,
) -> go.Figure:
    """A figure of these curves. curves: shown name -> (x, y), each (N,). marks: show the points. only: label only the
    chosen curve."""
    out = figure(x_title, y_title, height)
    for name in sorted(curves, key=lambda name: name == chosen):  # stable: the chosen one comes last
        x, y = curves[name]
        strong = name == chosen
        out.add_scatter(
            x=np.asarray(x).tolist(), y=np.asarray(y).tolist(), name=name, mode="lines+markers" if marks else "lines",
            line={"color": colours[name], "width": 3.5 if strong else 1.5}, marker={"size": 8 if strong else 4},
            opacity=1 if strong else 0.65, showlegend=strong or not only,
        )  # fmt: skip
    out.update_yaxes(rangemode="tozero")
    return out
