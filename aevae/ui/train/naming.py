"""A form in which people name a run. The name is shown instead of the run's label, on all pages."""

import streamlit as st

from aevae.queue import errors
from aevae.queue.queuefile import store_problem
from aevae.store import titles
from aevae.store.checkpoints import RunInfo
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import cached, markdown

MAX_TYPED = 200  # characters that the field takes; a name has at most `titles.MAX_CHARACTERS`


def name_form(run: RunInfo, key: str) -> None:
    """A button that opens the form; for a run that keeps its name, it says why."""
    with st.popover(_("Name"), icon=":material/edit_note:", key=f"name_{key}"):
        if why := _why_not(run):
            st.info(markdown.escape(why))
            return
        field = f"{key}_{run.name}"
        st.text_input(
            _("Name of this run"), run.title, key=field, max_chars=MAX_TYPED, placeholder=_("for example: blurry twos"),
            help=_("Everybody sees the name, on all pages. It changes nothing in the run."),
        )  # fmt: skip
        if problem := st.session_state.pop(f"{field}_problem", ""):
            st.error(problem)
        with st.container(horizontal=True, gap="small"):
            st.button(_("Save the name"), key=f"{key}_save", type="primary", on_click=_save, args=(run, field))
            if run.title:
                st.button(_("Remove the name"), key=f"{key}_remove", on_click=_save, args=(run, field, True))


def _why_not(run: RunInfo) -> str:
    """Why this session may not name the run; "" if it may."""
    if run.shipped:
        return _("This run is shipped with aevae and keeps its name.")
    if problem := store_problem():
        return problem
    if not access.is_teacher() and not access.owns(run.name):
        return _("Only the teacher and the person who started this run may name it.")
    return ""


def _save(run: RunInfo, field: str, remove: bool = False) -> None:
    """Store or remove the name (a callback)."""
    try:
        if problem := _why_not(run):
            raise ValueError(problem)
        text = "" if remove else titles.checked(st.session_state.get(field, ""))
        st.session_state[field] = titles.write(run, text)
    except (ValueError, OSError) as problem:
        sentence = markdown.escape(errors.user_message(problem))
        st.session_state[f"{field}_problem"] = _("The name was not saved: {}.").format(sentence.rstrip("."))
    cached.runs.clear()
