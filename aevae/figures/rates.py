"""Figures of a sweep: curves over epochs, and rate-distortion points."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import plotly.graph_objects as go

from aevae.figures.curves import with_unit
from aevae.figures.layout import figure
from aevae.figures.palette import MARKERS

RAMP = ("#2A78C8", "#7B64D2", "#BE4C9C", "#D6592E", "#A47A08")  # contrast of at least 3:1 in both themes
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
ELBO_LINE_COLOUR = "rgba(127, 127, 127, 0.35)"
MAX_NAMED_CURVES = 10  # curves named in the legend
MIN_LABEL_DISTANCE = 0.05  # share of the plot; labels closer than this overlap
MAX_ELBO_LINES = 8  # lines of equal ELBO


class Curve(NamedTuple):
    """The history of a run; runs of one name differ only in the seed. `colour` 0..1, `dash` 0, 1, ..."""

    name: str
    colour: float
    dash: int
    history: Sequence[dict]


class Outcome(NamedTuple):
    """Final values of a run. Runs with equal `line` are connected; `label` is equal for all seeds."""

    line: str
    label: str
    x: float  # KL in nats / image, or the value of an option
    recon: float  # nats / image


def ramp(part: float) -> str:
    """Colour at the position `part` (0..1) of the colour scale."""
    place = min(max(part, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(place), len(RAMP) - 2)
    low, high = (tuple(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in RAMP[i : i + 2])
    return "#" + "".join(f"{round(a + (b - a) * (place - i)):02X}" for a, b in zip(low, high, strict=True))


def curve_family(curves: Sequence[Curve], term: str, height: int = 380) -> go.Figure:
    """A figure of one test term over epochs: a thin line per run, a thick line for the mean over seeds."""
    out = figure("epoch", with_unit(term), height)
    names = list(dict.fromkeys(curve.name for curve in curves))
    for name in names:
        points = [found for curve in curves if curve.name == name and (found := _points(curve.history, term))]
        look = next(curve for curve in curves if curve.name == name)
        line = {"color": ramp(look.colour), "dash": DASHES[look.dash % len(DASHES)]}
        for found in points if len(points) > 1 else ():
            _line(out, name, found, {**line, "width": 1}, opacity=0.45, hoverinfo="skip", showlegend=False)
        common = (
            [{e: fmean(p[e] for p in points) for e in sorted(set.intersection(*map(set, points)))}] if points else []
        )
        for found in common:
            _line(out, name, found, {**line, "width": 2.2}, hovertemplate="%{y:.4g}")
    last = max((line.get("epoch", 0) for curve in curves for line in curve.history), default=1)
    out.update_layout(hovermode="x unified", showlegend=1 < len(names) <= MAX_NAMED_CURVES)
    out.update_xaxes(range=[0, 1.02 * max(last, 1)], dtick=max(1, math.ceil(last / 8)))
    return out


def _points(history: Sequence[dict], term: str) -> dict[int, float]:
    return {line["epoch"]: line["test"][term] for line in history if term in line.get("test", {})}


def _line(out: go.Figure, name: str, points: dict, line: dict, **more) -> None:
    out.add_scatter(
        x=list(points), y=list(points.values()), mode="lines", name=name, legendgroup=name, line=line, **more
    )


def rate_distortion(outcomes: Sequence[Outcome], x_title: str = "", height: int = 460) -> go.Figure:
    """A figure of recon over the KL, or over an option (`x_title`): one curve per `line`, faint points for seeds.

    Over the KL, lines of equal ELBO are in the background: -(recon + KL) is larger towards the lower left.
    """
    rated = not x_title
    out = figure(with_unit("kl") if rated else x_title, with_unit("recon"), height)
    if not outcomes:
        return out
    (x0, x1), (y0, y1) = (_around([o.x for o in outcomes], 0.22), _around([o.recon for o in outcomes]))
    if rated:
        x0 = max(x0, 0.0)
        bounds(out, x0, x1, y0, y1)
    named: list[tuple[str, float, float]] = []
    lines = list(dict.fromkeys(outcome.line for outcome in outcomes))
    for i, line in enumerate(lines):
        mine = [outcome for outcome in outcomes if outcome.line == line]
        labels = list(dict.fromkeys(outcome.label for outcome in mine))
        seeds = {label: [o for o in mine if o.label == label] for label in labels}
        colour, symbol = ramp(i / max(len(lines) - 1, 1)), MARKERS[i % len(MARKERS)]
        if len(mine) > len(labels):
            out.add_scatter(
                x=[o.x for o in mine], y=[o.recon for o in mine], mode="markers", showlegend=False, opacity=0.4,
                marker={"color": colour, "symbol": symbol, "size": 5}, hoverinfo="skip", legendgroup=line,
            )  # fmt: skip
        at = [(fmean(o.x for o in found), fmean(o.recon for o in found)) for found in seeds.values()]
        places = [((x - x0) / (x1 - x0), (y - y0) / (y1 - y0)) for x, y in at]
        texts = [_once(named, label, *place) for label, place in zip(labels, places, strict=True)] if rated else None
        hover = "recon %{y:.2f}, " + ("KL %{x:.2f}" if rated else f"{x_title} %{{x:g}}")
        out.add_scatter(
            x=[x for x, _ in at], y=[y for _, y in at], mode="lines+markers+text", name=line, legendgroup=line,
            line={"color": colour, "width": 2}, marker={"color": colour, "symbol": symbol, "size": 9},
            text=texts, textposition="top right", cliponaxis=False,
            customdata=labels, hovertemplate=f"%{{customdata}}<br>{hover}<extra>{line}</extra>",
        )  # fmt: skip
    out.update_layout(showlegend=len(lines) > 1, hovermode="closest")
    return out


def _once(named: list[tuple[str, float, float]], label: str, x: float, y: float) -> str:
    """The label, or "" if the same label is already nearby; x, y: position in the plot, 0..1."""
    if any(label == other and max(abs(x - u), abs(y - v)) < MIN_LABEL_DISTANCE for other, u, v in named):
        return ""
    named.append((label, x, y))
    return label


def bounds(out: go.Figure, x0: float, x1: float, y0: float, y1: float) -> None:
    """Add faint lines recon + KL = constant, labelled at their right end."""
    for total in bound_values(x0 + y0, x1 + y1):
        left, right = max(x0, total - y1), min(x1, total - y0)
        out.add_scatter(
            x=[left, right], y=[total - left, total - right], mode="lines", showlegend=False, hoverinfo="skip",
            line={"color": ELBO_LINE_COLOUR, "width": 1, "dash": "dot"},
        )  # fmt: skip
        out.add_annotation(
            x=right, y=total - right, text=f"ELBO −{total:g}", showarrow=False, font={"size": 12, "color": "#7A7F87"},
            xanchor="right" if right == x1 else "center", yanchor="bottom",
        )  # fmt: skip
    out.update_xaxes(range=[x0, x1])
    out.update_yaxes(range=[y0, y1])


def bound_values(low: float, high: float) -> list[float]:
    """About MAX_ELBO_LINES round numbers strictly between two numbers."""
    if not high > low:
        return []
    rough = (high - low) / MAX_ELBO_LINES
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * 0.999)
    first = math.floor(low / step) + 1
    return [round(i * step, 10) for i in range(first, math.ceil(high / step))]


def _around(values: Sequence[float], above: float = 0.14) -> tuple[float, float]:
    """The range of the values with margins; the upper one leaves room for labels."""
    low, high = min(values), max(values)
    span = (high - low) or max(0.4 * abs(high), 1.0)
    return low - 0.14 * span, high + above * span
