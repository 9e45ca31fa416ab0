"""The queue: active jobs, ended jobs, and the progress of jobs on other pages."""

import streamlit as st

from aevae.queue.queuefile import Job
from aevae.ui.i18n import _
from aevae.ui.train.jobs import (
    cancel_button,
    counts,
    job_label,
    state_text,
    sweep_label,
    watch,
    watch_together,
)

MAX_ACTIVE_ROWS = 12  # active jobs listed
MAX_ENDED_ROWS = 20  # ended jobs listed
SIGNS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_circle:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}


def queue_list(listing: list[Job], shown: set[str]) -> None:
    """Active jobs, then ended ones; the jobs of one sweep share a row."""
    sets: dict[str, list[Job]] = {}
    for job in listing:
        sets.setdefault(job.sweep or str(job.id), []).append(job)
    active = [rows for rows in sets.values() if any(job.active for job in rows)]
    if active:
        st.header(_("Queue"), anchor=False)
        for rows in active[:MAX_ACTIVE_ROWS]:
            _job_rows(rows, shown)
        if len(active) > MAX_ACTIVE_ROWS:
            st.caption(_("and {} more").format(len(active) - MAX_ACTIVE_ROWS))
    ended = [rows for rows in sets.values() if rows not in active and not {job.run for job in rows} <= shown]
    if ended:
        with st.expander(_("Earlier jobs"), key="train_earlier"):
            for rows in ended[:MAX_ENDED_ROWS]:
                _job_rows(rows, set())


def _job_rows(rows: list[Job], shown: set[str]) -> None:
    """The row of one job, or of several jobs of a sweep."""
    if len(rows) == 1:
        return _job_row(rows[0], rows[0].run in shown)
    first, inside = min(rows, key=lambda job: job.id), {job.run for job in rows} <= shown
    active = [job.id for job in rows if job.active]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        sign = SIGNS["running" if active else rows[0].state]
        st.markdown(f"{sign} **{sweep_label([job.config for job in rows])}** · {counts(rows)}", width="stretch")
        if not inside:
            prints = list(dict.fromkeys(job.fingerprint for job in sorted(rows, key=lambda job: job.id)))
            st.button(
                _("Watch"), key=f"train_watch_{first.id}", on_click=watch_together, args=(prints,), type="tertiary"
            )
        if active and not inside:
            cancel_button(active, f"train_cancel_{first.id}")


def _job_row(job: Job, shown: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{SIGNS.get(job.state, '')} **{job_label(job)}** · {state_text(job)}", width="stretch")
        if not shown:
            st.button(_("Watch"), key=f"train_watch_{job.id}", on_click=watch, args=(job.run,), type="tertiary")
        if job.active and not shown:
            cancel_button([job.id], f"train_cancel_{job.id}", job.cancel)
