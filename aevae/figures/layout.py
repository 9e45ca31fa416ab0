"""The common template of all figures: transparent, thin lines, readable in light and dark themes."""

import plotly.graph_objects as go

GRID = "rgba(127, 127, 127, 0.18)"
LINE = "rgba(127, 127, 127, 0.55)"
_AXIS = {
    "gridcolor": GRID,
    "linecolor": LINE,
    "zerolinecolor": LINE,
    "showline": True,
    "ticks": "outside",
    "tickcolor": LINE,
}
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 13},
        "margin": {"l": 56, "r": 12, "t": 40, "b": 48},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        "hoverlabel": {"namelength": -1},
        "modebar": {"bgcolor": "rgba(0,0,0,0)"},
    }
)


def figure(x_title: str, y_title: str, height: int = 360, title: str = "") -> go.Figure:
    """An empty figure with the common template. Axis titles contain the unit in brackets."""
    out = go.Figure(layout={"template": TEMPLATE, "height": height, "xaxis_title": x_title, "yaxis_title": y_title})
    if title:
        out.update_layout(title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}})
    return out
