"""Fragments that can run the whole page again.

A fragment keeps its arguments, but a run among them may be deleted elsewhere. A button in a fragment may change
something outside of it. In both cases the fragment ends and the whole page runs.
"""

import functools
from collections.abc import Callable

import streamlit as st

from aevae.store.checkpoints import NoSuchRun
from aevae.ui.shared import cached, markdown

_WHOLE, _MISSED = "redraw_whole", "redraw_missed"  # session: run the whole page next; the last missing run


def fragment(draw: Callable, run_every: float | None = None) -> Callable:
    """`st.fragment` of `draw`, whose arguments may contain a run, and whose buttons may call `whole`."""

    @functools.wraps(draw)
    def guarded(*args, **options) -> None:
        if st.session_state.pop(_WHOLE, False):
            st.rerun()
        try:
            draw(*args, **options)
        except NoSuchRun as problem:
            without(problem)

    return st.fragment(guarded, run_every=run_every)


def whole() -> None:
    """Run the whole page; for callbacks that change the page outside of their fragment."""
    st.session_state[_WHOLE] = True


def begin() -> None:
    """Call before the whole page runs."""
    st.session_state.pop(_WHOLE, None)


def end() -> None:
    """Call after the whole page has run."""
    st.session_state.pop(_MISSED, None)


def without(problem: NoSuchRun) -> None:
    """Run the page again without this run; if it is still missing, show a message."""
    cached.runs.clear()
    if st.session_state.get(_MISSED) == str(problem):
        st.error(markdown.escape(problem))
        return
    st.session_state[_MISSED] = str(problem)
    st.rerun()
