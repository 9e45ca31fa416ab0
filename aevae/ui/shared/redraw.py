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
    """`st.fragment` for a function that keeps a run, or whose buttons call `whole`."""

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
    """For callbacks that change the page outside of their fragment: run the whole page."""
    st.session_state[_WHOLE] = True


def begin() -> None:
    """At the start of a run of the whole page."""
    st.session_state.pop(_WHOLE, None)


def end() -> None:
    """At the end of a run of the whole page."""
    st.session_state.pop(_MISSED, None)


def without(problem: NoSuchRun) -> None:
    """Run the page again without this run; if it is still missing, show a message."""
    cached.runs.clear()
    if st.session_state.get(_MISSED) == str(problem):
        st.error(markdown.escape(problem))
        return
    st.session_state[_MISSED] = str(problem)
    st.rerun()
