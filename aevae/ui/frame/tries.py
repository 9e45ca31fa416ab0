"""Things to try on a page: a sentence each, with a button that brings the page into the state it speaks of.

The mode *Present* (`present.js`) steps through the sentences and presses their buttons.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from aevae.ui.i18n import _
from aevae.ui.live import component


@dataclass(frozen=True)
class Try:
    """One thing to try.

    text: translated Markdown. state: session key -> value, which *Set it up* stores before the page runs again; keys
    are those of the page's fields, which are also the names in its address. breaks: the model fails here. about: key of
    the `st.container` with the figure that the text is about; *Set it up* scrolls to it. Empty: the first figure.
    """

    text: str
    state: Mapping[str, object] = field(default_factory=dict)
    breaks: bool = False
    about: str = ""


def show(tries: Sequence[Try | str], title: str) -> None:
    """A numbered list in a frame; a Try with a state has a button beside its sentence."""
    with st.container(border=True, key="tries", gap="xsmall"):
        st.markdown(f"**{title}**")
        for i, each in enumerate(tries, 1):
            each = each if isinstance(each, Try) else Try(each)
            words = f"**{_('Break it:')}** {each.text}" if each.breaks else each.text
            key = f"try_line_{i}" + (f"__{each.about}" if each.about else "")  # read by present.js
            with st.container(horizontal=True, wrap=False, gap="small", key=key):
                st.markdown(f"{i}. {words}", width="stretch")
                if each.state:
                    st.button(_("Set it up"), key=f"try_{i}", on_click=set_up, args=(each.state,))


def set_up(state: Mapping[str, object]) -> None:
    """Store the values, and let all modules begin again from them (a callback). A digit replaces an own image."""
    for key, value in state.items():
        st.session_state[key] = value
        st.session_state.pop(f"{key}_own", None)
    component.restart()
