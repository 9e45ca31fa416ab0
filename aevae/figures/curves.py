"""Training histories as curves."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from aevae.figures.layout import figure
from aevae.figures.palette import MARKERS, model_styles
from aevae.units import TERM_UNITS


def with_unit(term: str) -> str:
    """`recon` -> `recon (nats / image)`; a term without a known unit is unchanged."""
    return f"{term} ({TERM_UNITS[term]})" if term in TERM_UNITS else term


def loss_curves(
    histories: Mapping[str, Sequence[dict]], term: str, *, families: Mapping[str, str] | None = None, height: int = 360
) -> go.Figure:
    """A figure of one term over epochs: test solid, training dashed, one colour per family.

    histories: shown name -> records {"epoch", "train": {term: float}, "test": {term: float}}; epoch 0 has no "train".
    families: shown name -> family; by default the part of the name before the first hyphen. Models without the term are
    left out.
    """
    out = figure("epoch", with_unit(term), height)
    for name, (colour, number) in model_styles(histories, families).items():
        lines = histories[name]
        for part, dash in (("test", "solid"), ("train", "dash")):
            points = [(line["epoch"], line[part][term]) for line in lines if term in line.get(part, {})]
            if not points:
                continue
            epochs, values = zip(*points, strict=True)
            out.add_scatter(
                x=epochs,
                y=values,
                mode="lines+markers",
                name=f"{name}, {part}",
                legendgroup=name,
                line={"color": colour, "dash": dash, "width": 2 if part == "test" else 1.3},
                marker={"symbol": MARKERS[number % len(MARKERS)], "size": 6 if part == "test" else 4},
                hovertemplate="epoch %{x}: %{y:.4g}",
            )
    out.update_layout(hovermode="x unified")
    last = max((line["epoch"] for lines in histories.values() for line in lines), default=1)
    # "allow": at epoch 0 the only labels, 0 and 1, are at the edges. Plotly would hide both, and put the title at -inf.
    out.update_xaxes(rangemode="tozero", dtick=max(1, math.ceil(last / 8)), ticklabeloverflow="allow")
    return out
