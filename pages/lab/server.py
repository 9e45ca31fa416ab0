"""Server: how the class is doing, for the teacher. The numbers are those of `/metrics`."""

import statistics

import streamlit as st

from aevae.queue import jobs
from aevae.ui import internals
from aevae.ui.frame import access, class_panel, layout, monitoring
from aevae.ui.i18n import _
from aevae.ui.shared import markdown, redraw
from aevae.ui.train.jobs import MAX_JOBS, job_label, state_text
from aevae.ui.train.queue_panel import MAX_ACTIVE_ROWS

POLL_SECONDS = 5.0  # seconds between two looks
MEGABYTE = 1 << 20


def numbers() -> None:
    """Numbers of this process, now and in the last minutes."""
    seconds = monitoring.counts.recent()
    with st.container(horizontal=True):
        st.metric(_("open sessions"), monitoring.counts.sessions, width="content")
        if internals.message_types():
            st.metric(_("interactions in five minutes"), len(seconds), width="content")
        if seconds:
            median, slow = statistics.median(seconds), seconds[int(0.95 * len(seconds))]
            st.metric(_("response time, median"), f"{median:.2f} s", width="content")
            st.metric(_("response time, 95th percentile"), f"{slow:.2f} s", width="content")
        st.metric(_("errors since the start"), monitoring.counts.errors, width="content")
        st.metric(_("memory of the server"), f"{monitoring.memory() / MEGABYTE:,.0f} MB", width="content")
        for number, (used, total) in enumerate(monitoring.gpus()):
            text = f"{used / MEGABYTE:,.0f} / {total / MEGABYTE:,.0f} MB"
            st.metric(_("memory of GPU {}").format(number), text, width="content")


def queue() -> None:
    """The jobs that run and wait, in both lanes."""
    st.header(_("Queue"), anchor=False)
    try:
        listing = [job for lane in (jobs.TRAIN, jobs.TASKS_LANE) for job in jobs.jobs(MAX_JOBS, lane)]
    except jobs.QueueBroken as problem:
        st.error(str(problem))
        return
    active = [job for job in listing if job.active]
    if not active:
        st.caption(_("No job runs and no job waits."))
        return
    lines = [f"| {_('job')} | {_('run or task')} | {_('state')} |", "|---:|:---|:---|"]
    for job in active[:MAX_ACTIVE_ROWS]:
        what = job_label(job) if job.kind == jobs.TRAIN else job.run
        lines.append(f"| {job.id} | {markdown.strip(what)} | {state_text(job)} |")
    st.markdown("\n".join(lines))
    if len(active) > MAX_ACTIVE_ROWS:
        st.caption(_("and {} more").format(len(active) - MAX_ACTIVE_ROWS))


def caches() -> None:
    """The caches that all sessions share."""
    lines = [f"| {_('cache')} | {_('size')} | {_('hits')} | {_('misses')} |", "|:---|---:|---:|---:|"]
    listing = monitoring.caches()
    if not listing:
        return
    for cache in listing:
        held = _("{:,} entries").format(cache["held"]) if cache["unit"] == "entries" else f"{cache['held']:,} B"
        lines.append(f"| `{cache['name']}` | {held} | {cache['hit']:,} | {cache['miss']:,} |")
    with st.expander(_("Caches"), key="server_caches"):
        st.markdown("\n".join(lines))


def look() -> None:
    numbers()
    queue()
    caches()


layout.page()
if not access.is_teacher():
    st.info(access.refusal())
    st.stop()
class_panel.show()
redraw.fragment(look, run_every=monitoring.beat(POLL_SECONDS))()
st.caption(
    _(
        "The numbers belong to this server process. The queue is common to all users. Prometheus reads the numbers at "
        "`/metrics`; `/_stcore/health` shows whether the server is alive."
    )
)
