"""What a teacher decides for the class: the lock of the training, hidden pages, a new beginning."""

import streamlit as st

from aevae.queue import jobs
from aevae.store import checkpoints
from aevae.ui.frame import access, menu, visibility
from aevae.ui.i18n import _
from aevae.ui.shared import cached, markdown

_HIDDEN, _RESULT = "server_hidden", "server_result"


def show() -> None:
    """The controls; without a passcode only the new beginning, because then everybody is the teacher."""
    st.header(_("The class"), anchor=False)
    if access.passcode():
        access.lock_toggle("server_lock")
        titles = {page.url_path: _(page.title) for page in menu.all_pages()[1:]}
        st.session_state[_HIDDEN] = [name for name in titles if name in visibility.hidden()]
        st.multiselect(
            _("Hidden pages"), list(titles), key=_HIDDEN, format_func=titles.get, on_change=_hide,
            help=_("Students do not see these pages in the menu, and cannot open them with a link."),
        )  # fmt: skip
    else:
        st.caption(_("Set a passcode (AEVAE_PASSCODE) to lock the training or to hide pages."))
    runs, waiting = own_runs(), _active_jobs()
    with st.popover(_("Reset the class's runs"), icon=":material/delete_sweep:", key="server_reset"):
        st.markdown(
            _("This deletes {} runs with all their files and cancels {} jobs. You cannot undo this. Shipped models "
              "stay.").format(len(runs), len(waiting))
        )  # fmt: skip
        st.button(
            _("Delete the runs"), key="server_reset_now", type="primary", on_click=_reset,
            disabled=not runs and not waiting,
        )  # fmt: skip
    if result := st.session_state.pop(_RESULT, ""):
        st.info(markdown.escape(result))


def own_runs() -> list[checkpoints.RunInfo]:
    """The runs of the class: all that are not shipped."""
    return [run for run in checkpoints.list_runs() if not run.shipped]


def _active_jobs() -> list[int]:
    lanes = (jobs.TRAIN, jobs.TASKS_LANE)
    return [job.id for lane in lanes for job in jobs.jobs(jobs.MAX_ACTIVE_JOBS, lane) if job.active]


def _hide() -> None:
    if access.is_teacher():
        visibility.hide(st.session_state[_HIDDEN])


def _reset() -> None:
    """Cancel all jobs and delete the runs of the class (a callback)."""
    if not access.is_teacher():
        st.session_state[_RESULT] = access.refusal()
        return
    jobs.cancel(*_active_jobs())
    runs, left = own_runs(), 0
    for run in runs:
        try:
            checkpoints.delete_run(run)
        except (ValueError, OSError):
            left += 1
    jobs.prune(0)
    cached.runs.clear()
    result = _("{} runs are deleted.").format(len(runs) - left)
    if left:
        result += " " + _("{} runs are still in use. Try again in a few seconds.").format(left)
    st.session_state[_RESULT] = result
