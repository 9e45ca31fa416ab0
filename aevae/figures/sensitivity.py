"""Sensitivity of codes to the image: spectra of Jacobians, and distances that codes move."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from aevae.figures.layout import figure
from aevae.figures.palette import family_colour, family_title

LOG10_RANGE = [-4, 1.6]  # powers of ten


def spectra(values: Mapping[str, np.ndarray], x_title: str, y_title: str) -> go.Figure:
    """A figure of the singular values (D,), descending, of the encoder of each family."""
    out = figure(x_title, y_title, 330)
    for family, s in values.items():
        out.add_scatter(
            x=list(range(1, len(s) + 1)), y=s.tolist(), name=family_title(family), mode="lines+markers",
            marker={"size": 4}, line={"color": family_colour(family), "width": 2},
        )  # fmt: skip
    return _powers(out)


def moved(steps: np.ndarray, ways: Mapping[str, Mapping[str, np.ndarray]], x_title: str, y_title: str) -> go.Figure:
    """A figure of the codes' distances (S,) after image steps (S,). ways: family -> "sensitive"/"null" -> distances."""
    out = figure(x_title, y_title, 330)
    for family, distances in ways.items():
        for way, dash in (("sensitive", "solid"), ("null", "dot")):
            out.add_scatter(
                x=steps.tolist(), y=distances[way].tolist(), mode="lines+markers", name=family_title(family),
                showlegend=way == "sensitive", line={"color": family_colour(family), "width": 2, "dash": dash},
                marker={"size": 5},
            )  # fmt: skip
    return _powers(out)


def _powers(out: go.Figure) -> go.Figure:
    """Give the figure a logarithmic y axis; values that are not positive have no place on it and become gaps."""
    for line in out.data:
        line.y = [value if value > 0 else None for value in line.y]
    return out.update_yaxes(type="log", dtick=1, range=LOG10_RANGE, exponentformat="power")
