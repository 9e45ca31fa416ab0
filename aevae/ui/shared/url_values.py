"""Numbers and texts that change in the browser and that Python only keeps: in the session, and in the address.

Streamlit binds its own widgets to the address by itself; these are for what a live module sends, and for what several
pages share.
"""

import math
from collections.abc import Callable, Mapping

import streamlit as st

from aevae.ui.shared import address

Range = tuple[float, float, float]  # default, least, most; all whole: whole numbers only


def numbers(ranges: Mapping[str, Range]) -> dict[str, float]:
    """Key -> number, from the session, else from the address, else the default; the address is told."""
    found = {}
    for key, bounds in ranges.items():
        if (said := address.asked(key)) is not None or key not in st.session_state:
            st.session_state[key] = _read(said[-1] if said else "", bounds)
        found[key] = _within(st.session_state[key], bounds)
        address.tell(key, *([f"{found[key]:.10g}"] if found[key] != bounds[0] else []))
    return found


def field(widget: Callable, label: str, low, high, default, *more, key: str, **rest):
    """`widget(label, low, high, default, ...)`, a field for a number or a slider of Streamlit, kept like these.

    For a key that several pages have: Streamlit's own binding takes it for the other page's on the way back.
    """
    bounds = (default, low, high)
    if (said := address.asked(key)) is not None:
        st.session_state[key] = _read(said[-1] if said else "", bounds)
    if (known := st.session_state.get(key)) is not None and known != _within(known, bounds):
        st.session_state[key] = _within(known, bounds)
    value = widget(label, low, high, default, *more, key=key, persist_state="session", **rest)
    address.tell(key, *([f"{value:.10g}"] if value != default else []))
    return value


def text(key: str, fits: Callable[[str], bool]) -> str:
    """A text, from the session, else from the address if it fits there, else ""; the address is told."""
    if (said := address.asked(key)) is not None or key not in st.session_state:
        st.session_state[key] = said[-1] if said and fits(said[-1]) else ""
    address.tell(key, *filter(None, [st.session_state[key]]))
    return st.session_state[key]


def taker(names: Mapping[str, str], ranges: Mapping[str, Range]) -> Callable[[dict], None]:
    """What `live.mount` calls with a payload: its numbers go into the session, if all are there and in range.

    names: name in the payload -> key in the session.
    """

    def take(payload: dict) -> None:
        came = {key: payload.get(name) for name, key in names.items()}
        if all(_fits(value, ranges[key]) for key, value in came.items()):
            st.session_state.update({key: _within(value, ranges[key]) for key, value in came.items()})

    return take


def _is_whole(bounds: Range) -> bool:
    return all(isinstance(v, int) for v in bounds)


def _fits(value, bounds: Range) -> bool:
    kinds = (int,) if _is_whole(bounds) else (int, float)
    return type(value) in kinds and math.isfinite(value) and bounds[1] <= value <= bounds[2]


def _within(value: float, bounds: Range) -> float:
    """Another run may allow less than the one before."""
    return min(max(value, bounds[1]), bounds[2])


def _read(text: str, bounds: Range) -> float:
    try:
        value = int(text) if _is_whole(bounds) else float(text)
    except ValueError:
        return bounds[0]
    return value if _fits(value, bounds) else bounds[0]
