"""Metrics of the chosen runs that do not exist yet: the queue computes them."""

import time
from collections.abc import Sequence

import streamlit as st

from aevae import metrics
from aevae.queue import jobs
from aevae.queue.queuefile import Job, QueueBroken
from aevae.reporting import comparison
from aevae.reporting.comparison import numbers_of
from aevae.store.checkpoints import RunInfo
from aevae.ui.compare.choice import FIRST
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import cached, markdown, redraw, run_picker

KIND = "evaluate"
POLL_SECONDS = 1.0  # interval of reading the queue
_ASKED, _SAID = "compare_asked", "compare_said"  # session: evaluations that were queued automatically; last problem


def gaps(chosen: Sequence[RunInfo], names: Sequence[str], dataset: str) -> dict[str, dict[str, list[str]]]:
    """Run -> cost ("quick", "slow") -> metrics that the run could have on this data set but lacks."""
    requested = [name for name in names if name in metrics.METRICS and name not in FIRST]  # FIRST: every run has them
    found: dict[str, dict[str, list[str]]] = {}
    for run in chosen:
        has = numbers_of(run, dataset)
        for name in metrics.missing(run, requested, dataset):
            if name not in has:
                found.setdefault(run.name, {}).setdefault(metrics.METRICS[name].cost, []).append(name)
    return found


def find_missing(chosen: Sequence[RunInfo], names: Sequence[str], dataset: str) -> None:
    """Queue quick evaluations at once, offer a button for slow ones, and show their progress."""
    lacking = gaps(chosen, names, dataset)
    requested = st.session_state.setdefault(_ASKED, set())
    quick = {run: costs["quick"] for run, costs in lacking.items() if "quick" in costs}
    new = {run: wanted for run, wanted in quick.items() if (run, dataset, *wanted) not in requested}
    if new:
        requested.update((run, dataset, *wanted) for run, wanted in new.items())
        ask(new, dataset)
    slow = {run: costs["slow"] for run, costs in lacking.items() if "slow" in costs}
    active = _tasks()
    if slow and not any(job.active for job in active):
        titles = dict.fromkeys(comparison.title(name) for wanted in slow.values() for name in wanted)
        with st.container(horizontal=True, vertical_alignment="center"):
            title = _("Compute {} for {} models").format(", ".join(titles), len(slow))
            if st.button(title, key="compare_compute", icon=":material/calculate:"):
                ask(slow, dataset)
                st.rerun()
            st.caption(_("This takes seconds to minutes. You can leave the page meanwhile."))
    if problem := st.session_state.pop(_SAID, ""):
        st.error(markdown.escape(problem))
    if any(job.active for job in active):
        redraw.fragment(_under_way, run_every=POLL_SECONDS)()
    shown = {run.name for run in chosen}
    for job in active:
        wanted = job.config.get("metrics", ())
        if job.state == "failed" and job.run in shown and set(wanted) & set(names):
            st.warning(f"{markdown.strip(run_picker.label_of(job.run))}: {markdown.strip(job.error)}")


def ask(wanted: dict[str, list[str]], dataset: str) -> None:
    """Queue the evaluation."""
    try:
        began = time.time()
        for run, names in wanted.items():
            job = jobs.submit_task(KIND, run, {"run": run, "metrics": names, "dataset": dataset})
            access.remember([job] if job.created >= began else [])
        jobs.ensure_worker(jobs.TASKS_LANE)
    except (QueueBroken, OSError) as problem:
        st.session_state[_SAID] = str(problem)


def _tasks() -> list[Job]:
    """The newest evaluation of each run that waits, runs, or failed recently."""
    try:
        listing = [job for job in jobs.jobs(lane=jobs.TASKS_LANE) if job.kind == KIND]
    except QueueBroken:
        return []
    newest = {job.run: job for job in sorted(listing, key=lambda job: job.id)}
    return [job for job in newest.values() if job.state in ("queued", "running", "failed")]


def _under_way() -> None:
    """Progress and Cancel of each evaluation; the page runs again after each finished one."""
    active = [job for job in _tasks() if job.active]
    before = st.session_state.get("compare_under_way")
    st.session_state["compare_under_way"] = len(active)
    if not active or (before is not None and len(active) < before):
        st.session_state.pop("compare_under_way", None)
        cached.runs.clear()
        st.rerun()
    try:
        jobs.ensure_worker(jobs.TASKS_LANE)
    except QueueBroken as problem:
        st.error(markdown.escape(problem))
    for job in active:
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                text = job.progress.get("text") or _("waiting")
                st.progress(
                    min(max(float(job.progress.get("fraction", 0)), 0.0), 1.0),
                    f"{markdown.strip(run_picker.label_of(job.run))}: {text}",
                )
            st.button(
                _("Cancel"), key=f"compare_cancel_{job.id}", icon=":material/stop:", on_click=_cancel, args=(job.id,),
                disabled=job.cancel or not access.may_handle([job.id]),
            )  # fmt: skip


def _cancel(number: int) -> None:
    try:
        if not access.may_handle([number]):
            raise ValueError(access.refusal())
        jobs.cancel(number)
    except (QueueBroken, OSError, ValueError) as problem:
        st.session_state[_SAID] = str(problem)
