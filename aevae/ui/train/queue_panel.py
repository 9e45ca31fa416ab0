"""The queue: active jobs, ended jobs, and the progress of jobs on other pages."""

import streamlit as st

from aevae.queue.queuefile import Job
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import markdown, run_picker
from aevae.ui.train.jobs import (
    cancel_button,
    counts,
    run_of,
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
        labels = labels_of([rows[0] for rows in active[:MAX_ACTIVE_ROWS] if len(rows) == 1])
        for rows in active[:MAX_ACTIVE_ROWS]:
            _job_rows(rows, shown, labels)
        if len(active) > MAX_ACTIVE_ROWS:
            st.caption(_("and {} more").format(len(active) - MAX_ACTIVE_ROWS))
    ended = [rows for rows in sets.values() if rows not in active and not {job.run for job in rows} <= shown]
    if ended:
        with st.expander(_("Earlier jobs"), key="train_earlier"):
            labels = labels_of([rows[0] for rows in ended[:MAX_ENDED_ROWS] if len(rows) == 1])
            for rows in ended[:MAX_ENDED_ROWS]:
                _job_rows(rows, set(), labels)


def labels_of(rows: list[Job]) -> dict[str, str]:
    """Run name -> label of these jobs, with what tells them apart."""
    return run_picker.run_labels([run_of(job) for job in rows])


def _when(job: Job) -> str:
    """When a job ended, or began to wait."""
    return run_picker.when_text(job.ended or job.created)


def _job_rows(rows: list[Job], shown: set[str], labels: dict[str, str]) -> None:
    """The row of one job, or of several jobs of a sweep."""
    if len(rows) == 1:
        return _job_row(rows[0], rows[0].run in shown, labels[rows[0].run])
    first, inside = min(rows, key=lambda job: job.id), {job.run for job in rows} <= shown
    active = [job.id for job in rows if job.active]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        sign = SIGNS["running" if active else rows[0].state]
        label = sweep_label([job.config for job in rows])
        st.markdown(f"{sign} **{label}** · {counts(rows)} · {_when(rows[0])}", width="stretch")
        if not inside:
            prints = list(dict.fromkeys(job.fingerprint for job in sorted(rows, key=lambda job: job.id)))
            st.button(
                _("Watch"), key=f"train_watch_{first.id}", on_click=watch_together, args=(prints,), type="tertiary"
            )
        if active and not inside:
            cancel_button(active, f"train_cancel_{first.id}")


def _job_row(job: Job, shown: bool, label: str) -> None:
    owner = f" · {_('yours')}" if access.owns(job.run) else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        text = f"{SIGNS.get(job.state, '')} **{markdown.strip(label)}** · {state_text(job)} · {_when(job)}{owner}"
        st.markdown(text, width="stretch")
        if not shown:
            st.button(_("Watch"), key=f"train_watch_{job.id}", on_click=watch, args=(job.run,), type="tertiary")
        if job.active and not shown:
            cancel_button([job.id], f"train_cancel_{job.id}", job.cancel)
