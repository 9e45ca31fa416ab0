"""Converts plotly figures to static SVG without a browser, and to CSV.

Supports lines, points and bars over linear and category axes, which this package's figures use.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from aevae.figures.layout import GRID, LINE
from aevae.figures.palette import FALLBACK
from aevae.figures.rates import bound_values

DASHES = {"dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3", "longdash": "11 4"}
INK = "#1D232B"
LEFT, RIGHT, TOP, BOTTOM, ROW, LETTER = 62, 14, 14, 48, 20, 7.0  # pixels: margins, height of a legend row, letter width
SHAPES = {
    "square": "M-{r} -{r}H{r}V{r}H-{r}Z",
    "diamond": "M0 -{r}L{r} 0L0 {r}L-{r} 0Z",
    "triangle-up": "M0 -{r}L{r} {r}L-{r} {r}Z",
    "cross": "M-{r} 0H{r}M0 -{r}V{r}",
    "x": "M-{r} -{r}L{r} {r}M{r} -{r}L-{r} {r}",
}


def to_csv(figure: go.Figure) -> str:
    """CSV with a row per point of the named curves: name, x and y; the header has the axis titles."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["series", figure.layout.xaxis.title.text or "x", figure.layout.yaxis.title.text or "y"])
    for trace in figure.data:
        pairs = zip(_list(trace.x), _list(trace.y), strict=True)
        named = trace.name or len(figure.data) == 1  # auxiliary lines have no name
        rows.writerows([safe(_plain(trace.name)), safe(x), y] for x, y in pairs if named)
    return out.getvalue()


def safe(cell) -> Any:
    """The cell, escaped if a spreadsheet would read it as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def to_svg(figure: go.Figure, width: int = 760) -> str:
    """The figure as one `<svg>` element; text has the surrounding colour. Raises ValueError for unsupported traces."""
    for trace in figure.data:
        if trace.type not in ("scatter", "scattergl", "bar"):
            raise ValueError(f"only lines, points and bars can be drawn, got {trace.type}")
    return _Drawing(figure, width).svg()


class _Drawing:
    def __init__(self, figure: go.Figure, width: int):
        self.layout, self.traces = figure.layout, figure.data
        bars = [str(x) for trace in self.traces if trace.type == "bar" for x in _list(trace.x)]
        self.categories = list(dict.fromkeys(bars))
        self.width, self.height = width, int(self.layout.height or 360)
        self.legend = self._legend() if self.layout.showlegend is not False else []
        self.top = TOP + ROW * (1 + max((row for row, *_ in self.legend), default=-1))
        self.x0, self.x1 = self._range("x")
        self.y0, self.y1 = self._range("y")

    # -- scales

    def _range(self, axis: str) -> tuple[float, float]:
        if axis == "x" and self.categories:
            return -0.5, len(self.categories) - 0.5
        given = self.layout[f"{axis}axis"].range
        values = [float(v) for trace in self.traces for v in _list(trace[axis]) if _finite(v)]
        low, high = (float(v) for v in given) if given else (min(values, default=0.0), max(values, default=1.0))
        if given:
            return low, high
        if self.layout[f"{axis}axis"].rangemode == "tozero":
            low, high = min(low, 0.0), max(high, 0.0)
        room = 0.05 * ((high - low) or abs(high) or 1)
        return low - (room if low else 0), high + (room if high else 0)

    def _x(self, value) -> float:
        place = self.categories.index(str(value)) if self.categories else float(value)
        return LEFT + (place - self.x0) / ((self.x1 - self.x0) or 1) * (self.width - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return self.height - BOTTOM - (value - self.y0) / ((self.y1 - self.y0) or 1) * (self.height - BOTTOM - self.top)

    # -- parts

    def svg(self) -> str:
        title = _text(self.layout.yaxis.title.text) + " over " + _text(self.layout.xaxis.title.text)
        clip = f"clip-{self.width}-{self.height}-{self.top}"
        parts = [*self._axes(), f'<g clip-path="url(#{clip})">']
        for trace in self.traces:
            parts += self._bars(trace) if trace.type == "bar" else self._curve(trace)
        parts += ["</g>", *map(self._note, self.layout.annotations), *self._legend_parts()]
        wide, high = self.width - LEFT - RIGHT, self.height - BOTTOM - self.top
        frame = f'x="{LEFT}" y="{self.top}" width="{wide}" height="{high}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" color="{INK}" font-family="sans-serif" font-size="13" role="img">'
            f'<title>{title}</title><clipPath id="{clip}"><rect {frame}/></clipPath>{"".join(parts)}</svg>'
        )

    def _axes(self) -> list[str]:
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        parts = []
        for value in bound_values(self.y0 - 1e-9, self.y1 + 1e-9):
            y = self._y(value)
            parts += [_line(LEFT, y, right, y, GRID), _label(LEFT - 7, y + 4, f"{value:g}", "end")]
        for value, name in self._x_ticks():
            x = self._x(value)
            parts += [_line(x, bottom, x, bottom + 5, LINE), _label(x, bottom + 19, name, "middle")]
        parts += [_line(LEFT, self.top, LEFT, bottom, LINE), _line(LEFT, bottom, right, bottom, LINE)]
        middle = (self.top + bottom) / 2
        x_title, y_title = (_text(self.layout[f"{axis}axis"].title.text) for axis in "xy")
        parts.append(_label((LEFT + right) / 2, self.height - 8, x_title, "middle", escaped=True))
        turned = f'transform="rotate(-90 15 {middle:.1f})"'
        return [*parts, _label(15, middle, y_title, "middle", turned, escaped=True)]

    def _x_ticks(self) -> list[tuple[object, str]]:
        if not self.categories:
            return [(v, f"{v:g}") for v in bound_values(self.x0 - 1e-9, self.x1 + 1e-9)]
        every = -(-len(self.categories) * 40 // (self.width - LEFT - RIGHT)) or 1
        return [(name, name) for name in self.categories[::every]]

    def _bars(self, trace) -> list[str]:
        half = 0.4 * (self.width - LEFT - RIGHT) / max(len(self.categories), 1)
        colours = trace.marker.color if isinstance(trace.marker.color, (list, tuple)) else None
        parts = []
        for i, (x, y) in enumerate(zip(_list(trace.x), _list(trace.y), strict=True)):
            if _finite(y):
                top, bottom = sorted((self._y(float(y)), self._y(0.0)))
                colour = colours[i] if colours else trace.marker.color or FALLBACK
                place = f'x="{self._x(x) - half:.1f}" y="{top:.1f}" width="{2 * half:.1f}" height="{bottom - top:.1f}"'
                parts.append(f'<rect {place} fill="{escape(colour)}"/>')
        return parts

    def _curve(self, trace) -> list[str]:
        mode, parts = trace.mode or "lines", []
        colour = escape(str(trace.line.color or trace.marker.color or FALLBACK))
        pairs = zip(_list(trace.x), _list(trace.y), strict=True)
        points = [(self._x(x), self._y(float(y))) for x, y in pairs if _finite(x) and _finite(y)]
        if "lines" in mode and points:
            where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dash = f' stroke-dasharray="{DASHES[trace.line.dash]}"' if trace.line.dash in DASHES else ""
            look = f'stroke="{colour}" stroke-width="{trace.line.width or 2:g}"{dash}'
            parts.append(f'<polyline points="{where}" fill="none" {look}/>')
        if "markers" in mode and trace.marker.opacity != 0:
            size = trace.marker.size if isinstance(trace.marker.size, int | float) else 7
            fill = escape(str(trace.marker.color or colour))
            parts += [_marker(x, y, size / 2, trace.marker.symbol, fill) for x, y in points]
        faint = f' opacity="{trace.opacity:g}"' if trace.opacity is not None else ""
        return [f"<g{faint}>{''.join(parts)}</g>"]

    def _note(self, note) -> str:
        anchor = {"left": "start", "right": "end"}.get(note.xanchor, "middle")
        y = self._y(float(note.y)) - 4
        return _label(self._x(note.x), y, _text(note.text), anchor, 'font-size="11" opacity="0.7"', escaped=True)

    # -- legend

    def _legend(self) -> list[tuple[int, float, Any, str]]:
        """(row, x, trace, name) of the named traces."""
        named = [(t, _plain(t.name)) for t in self.traces if t.name and t.showlegend is not False]
        placed, row, x = [], 0, float(LEFT)
        for trace, name in named if len(named) > 1 or self.layout.showlegend else ():
            wide = 34 + LETTER * len(name)
            if x > LEFT and x + wide > self.width - RIGHT:
                row, x = row + 1, float(LEFT)
            placed.append((row, x, trace, name))
            x += wide
        return placed

    def _legend_parts(self) -> list[str]:
        parts = []
        for row, x, trace, name in self.legend:
            y = TOP + ROW * row
            colour = escape(str((trace.line.color if trace.type != "bar" else None) or trace.marker.color or FALLBACK))
            if "lines" in (trace.mode or "lines"):
                dash = f' stroke-dasharray="{DASHES[trace.line.dash]}"' if trace.line.dash in DASHES else ""
                parts.append(_line(x, y - 4, x + 20, y - 4, colour, f'stroke-width="2"{dash}'))
            if "markers" in (trace.mode or ""):
                parts.append(_marker(x + 10, y - 4, 4, trace.marker.symbol, colour))
            parts.append(_label(x + 26, y, name, "start"))
        return parts


def _marker(x: float, y: float, r: float, symbol: str | None, colour: str) -> str:
    if symbol in SHAPES:
        path = SHAPES[symbol].format(r=f"{r:g}")
        look = f'fill="{colour}" stroke="{colour}" stroke-width="2"'
        return f'<path transform="translate({x:.1f} {y:.1f})" d="{path}" {look}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" fill="{colour}"/>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" {more}/>'


def _label(x: float, y: float, text: str, anchor: str, more: str = "", escaped: bool = False) -> str:
    text = text if escaped else escape(text)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" {more}>{text}</text>'


def _plain(text: str | None) -> str:
    """The text without plotly's markup (`<b>`, `<br>`)."""
    return re.sub(r"</?(b|i|br|sub|sup|span)\b[^>]*>", "", str(text or ""))


def _text(text: str | None) -> str:
    return escape(_plain(text))


def _list(values: Sequence | None) -> list:
    return [] if values is None else np.asarray(values).tolist() if isinstance(values, np.ndarray) else list(values)


def _finite(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
