"""Numbers and texts that change in the browser and that Python only stores, in the session and in the address.

Streamlit binds its own widgets to the address. This module is for values of live modules and of several pages.
"""

from collections.abc import Callable, Mapping

import streamlit as st

from aevae.ui.shared import address
from aevae.ui.shared.message import Integer, Number, valid_fields

Range = tuple[float, float, float]  # (default, minimum, maximum); if all are integers, values are integers


def numbers(ranges: Mapping[str, Range]) -> dict[str, float]:
    """Key -> number, from the session, else from the address, else the default; updates the address."""
    found = {}
    for key, bounds in ranges.items():
        if (said := address.read_new(key)) is not None or key not in st.session_state:
            st.session_state[key] = _read(said[-1] if said else "", bounds)
        found[key] = _within(st.session_state[key], bounds)
        address.write(key, *([f"{found[key]:.10g}"] if found[key] != bounds[0] else []))
    return found


def field(widget: Callable, label: str, low, high, default, *more, key: str, **rest):
    """The value of `widget(label, low, high, default, ...)`, one of Streamlit's number fields or sliders.

    For a key that several pages share: Streamlit's own binding confuses the pages after Back.
    """
    bounds = (default, low, high)
    if (said := address.read_new(key)) is not None:
        st.session_state[key] = _read(said[-1] if said else "", bounds)
    if (known := st.session_state.get(key)) is not None and known != _within(known, bounds):
        st.session_state[key] = _within(known, bounds)
    value = widget(label, low, high, default, *more, key=key, persist_state="session", **rest)
    address.write(key, *([f"{value:.10g}"] if value != default else []))
    return value


def text(key: str, fits: Callable[[str], bool]) -> str:
    """A text from the session, else from the address if it fits, else ""; updates the address."""
    if (said := address.read_new(key)) is not None or key not in st.session_state:
        st.session_state[key] = said[-1] if said and fits(said[-1]) else ""
    address.write(key, *filter(None, [st.session_state[key]]))
    return st.session_state[key]


def number_handler(names: Mapping[str, str], ranges: Mapping[str, Range]) -> Callable[[dict], None]:
    """A handler for `component.mount`: stores the message's numbers in the session if all are there and in range.

    names: name in the message -> key in the session.
    """

    def store_numbers(payload: dict) -> None:
        found = valid_fields(payload, {name: _kind(ranges[key]) for name, key in names.items()})
        if len(found) == len(names):
            st.session_state.update({names[name]: value for name, value in found.items()})

    return store_numbers


def _is_whole(bounds: Range) -> bool:
    return all(isinstance(v, int) for v in bounds)


def _kind(bounds: Range) -> Integer | Number:
    return Integer(*bounds[1:]) if _is_whole(bounds) else Number(*bounds[1:])


def _within(value: float, bounds: Range) -> float:
    """The value clipped to the bounds, which may differ between runs."""
    return min(max(value, bounds[1]), bounds[2])


def _read(text: str, bounds: Range) -> float:
    try:
        value = int(text) if _is_whole(bounds) else float(text)
    except ValueError:
        return bounds[0]
    return value if _kind(bounds).fits(value) else bounds[0]
