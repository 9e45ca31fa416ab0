"""When a part of a page is not enough: the page is drawn anew.

A fragment keeps its arguments, and meanwhile a run among them may be deleted elsewhere; a press in a fragment may
change what lies outside of it. Both end the fragment and begin the whole page.
"""

import functools
from collections.abc import Callable

import streamlit as st

from aevae.store.checkpoints import NoSuchRun
from aevae.ui.shared import cached, markdown

_WHOLE, _MISSED = "redraw_whole", "redraw_missed"  # session: a press asked for it; the run that was missed last


def fragment(draw: Callable, run_every: float | None = None) -> Callable:
    """`st.fragment` for all that may keep a run, or whose buttons may call `whole`."""

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
    """For callbacks: what was pressed changes the page outside of its fragment."""
    st.session_state[_WHOLE] = True


def begin() -> None:
    """The whole page is being drawn."""
    st.session_state.pop(_WHOLE, None)


def end() -> None:
    """It has been drawn."""
    st.session_state.pop(_MISSED, None)


def without(problem: NoSuchRun) -> None:
    """Run the page again without this run; if it is still missing, show a message."""
    cached.runs.clear()
    if st.session_state.get(_MISSED) == str(problem):
        st.error(markdown.escape(problem))
        return
    st.session_state[_MISSED] = str(problem)
    st.rerun()
