"""Line chart of an error over noise levels."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from aevae.figures.layout import figure
from aevae.figures.palette import MARKERS, model_styles


def error_curve(
    levels: Sequence[float],
    values: Mapping[str, Sequence[float]],
    unit: str,
    *,
    level_name: str = "noise level",
    families: Mapping[str, str] | None = None,
    mark: float | None = None,
    height: int = 360,
) -> go.Figure:
    """A figure of the error over the noise level.

    levels (L,); values: shown name -> (L,); unit: axis title, for example "squared error / image"; mark: level with a
    vertical line. families as in `loss_curves`; a name without family ("input") is grey and dotted.
    """
    out = figure(level_name, unit, height)
    for name, (colour, number) in model_styles(values, families).items():
        known = families is None or name in families
        out.add_scatter(
            x=list(levels),
            y=list(values[name]),
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2, "dash": "solid" if known else "dot"},
            marker={"symbol": MARKERS[number % len(MARKERS)], "size": 6},
            hovertemplate="%{y:.4g}",
        )
    if mark is not None:
        out.add_vline(x=mark, line={"color": "rgba(127,127,127,0.7)", "width": 1})
    out.update_layout(hovermode="x unified", showlegend=True)
    out.update_yaxes(rangemode="tozero")
    return out
