"""Codes on a plane."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from aevae.figures.layout import figure
from aevae.figures.palette import class_colour, text_on

GL_FROM = 2000  # points; below, SVG is sharper and costs no WebGL context


def map_figure(
    xy: np.ndarray,
    labels: np.ndarray,
    title: str = "",
    *,
    classes: Sequence[str] | None = None,
    axes: tuple[str, str] = ("", ""),
    hover: Sequence[str] | None = None,
    height: int = 520,
) -> go.Figure:
    """Points coloured by class, the same scale on both axes, each class named at its median.

    xy (N, 2); labels (N,) ints; classes: names of the classes; axes: titles (a map of t-SNE or UMAP has no unit:
    leave them empty and the ticks go too); hover: N texts. `customdata` of a point is its row in xy.
    """
    xy, labels = np.asarray(xy, dtype=float), np.asarray(labels)
    trace = go.Scattergl if len(xy) >= GL_FROM else go.Scatter
    out = figure(*axes, height=height, title=title)
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        name = classes[label] if classes else str(label)
        texts = [hover[i] for i in rows] if hover else [f"{name}, number {i}" for i in rows]
        out.add_trace(
            trace(
                x=xy[rows, 0].tolist(),
                y=xy[rows, 1].tolist(),
                mode="markers",
                name=name,
                marker={"color": class_colour(label), "size": 5 if len(xy) < 5000 else 4, "opacity": 0.75},
                customdata=rows.tolist(),
                text=texts,
                hovertemplate="%{text}<extra></extra>",
            )
        )
        x, y = np.median(xy[rows], axis=0).tolist()
        out.add_annotation(
            x=x,
            y=y,
            text=f"<b>{name}</b>",
            showarrow=False,
            bgcolor=class_colour(label),
            borderpad=2,
            font={"size": 13, "color": text_on(class_colour(label))},
        )
    out.update_layout(
        dragmode="pan", legend={"itemsizing": "constant", "orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"}
    )
    out.update_yaxes(scaleanchor="x", scaleratio=1)
    if axes == ("", ""):
        out.update_xaxes(showticklabels=False, ticks="", zeroline=False)
        out.update_yaxes(showticklabels=False, ticks="", zeroline=False)
    return out
