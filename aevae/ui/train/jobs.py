"""Submitting, watching and cancelling runs, and the state of each job as text."""

import contextlib
import re
import time
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from aevae import paths
from aevae.figures.palette import family_title
from aevae.queue import jobs
from aevae.queue.queuefile import Job, QueueBroken, store_problem
from aevae.run_config import RunConfig
from aevae.store import checkpoints, titles
from aevae.store.checkpoints import NAME, RunInfo
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import address, markdown, redraw, run_picker
from aevae.ui.shared.option_words import option_text
from aevae.ui.train import costs

MAX_JOBS = 500  # jobs that are read from the queue
JOB = "job"  # in the URL: name of the watched run
SWEEP = "sweep"  # in the URL: fingerprints of the runs that are watched together
SWEEP_LINK = re.compile(r"[0-9a-f]{12}(-[0-9a-f]{12}){0,199}")
WATCHED, _TOGETHER, _PRESSED = "train_job", "train_together", "train_pressed"  # session
PROBLEM = "train_problem"  # session: why the last request failed


def start_button(title: str, configs: RunConfig | Sequence[RunConfig], device: str) -> None:
    """The Train button, which submits the form's current configs.

    The callback only notes the click, for two reasons: its arguments are older than a field that lost focus by this
    click, and without the note the click is lost if the queue reruns the page before this line.
    """
    if problem := store_problem():
        st.warning(markdown.escape(problem))
    st.button(title, key="train_start", type="primary", icon=":material/play_arrow:", width="stretch", on_click=_press)
    if refused := access.may_train(1 if isinstance(configs, RunConfig) else len(configs)):
        st.info(refused)
    if pressed():
        submit(configs, device)
        st.rerun()


def _press() -> None:
    st.session_state[_PRESSED] = True


def pressed() -> bool:
    """Whether Train was clicked since the last call."""
    return st.session_state.pop(_PRESSED, False)


def submit(configs: RunConfig | Sequence[RunConfig], device: str, resume: bool = False) -> None:
    """Queue a run, or several as one sweep, and watch it. If the queue cannot be used, the page shows the problem.

    resume: continue diverged runs, too, as for a single run.
    """
    several = [configs] if isinstance(configs, RunConfig) else list(configs)
    try:
        refused = next(filter(None, (access.may_read(config.data.name) for config in several)), "")
        if problem := refused or access.may_train(len(several)):
            st.session_state[PROBLEM] = problem
            return
        began = time.time()
        for config in several if resume or len(several) == 1 else ():
            checkpoints.reopen(config.name)
        queued = jobs.submit_all(several, device, costs.expected(several, device))
        access.remember(job for job in queued if job.created >= began)
        jobs.ensure_worker()
    except (QueueBroken, OSError) as problem:
        st.session_state[PROBLEM] = str(problem)
        return
    if len(several) == 1:
        watch(several[0].name)
    else:
        watch_together([config.fingerprint for config in several])


def resumes_at(info: RunInfo) -> str:
    """The effect of Resume on a run that diverged."""
    if not info.epochs:
        start = _("Resume starts again from the beginning, with the same learning rate.")
    else:
        start = _("Resume continues after epoch {}, with the same learning rate.").format(info.epochs)
    return start + " " + _("It will probably diverge again.")


def training_state(config: RunConfig) -> tuple[str, RunInfo | Job | None]:
    """The state of this run: `finished`, `active` (queued or running), `unfinished`, `diverged`, or `new`."""
    finished = checkpoints.finished_run(config.name)
    if finished:
        return "finished", finished
    try:
        job = jobs.active(config.fingerprint)
    except QueueBroken:
        job = None
    if job:
        return "active", job
    info = read_folder(config.name)
    begun = info and info.status in ("unfinished", "diverged") and info.state
    return (info.status, info) if begun else ("new", None)


def watch(name: str) -> None:
    """Watch this run (a callback); its sweep stays available."""
    together = st.session_state.get(_TOGETHER) or []
    _point(name, together if name.rpartition("-")[2] in together else [])
    redraw.whole()


def watch_together(fingerprints: Sequence[str]) -> None:
    """Watch these runs together (a callback)."""
    _point(None, list(fingerprints))
    redraw.whole()


def _point(name: str | None, together: list[str]) -> None:
    st.session_state[WATCHED], st.session_state[_TOGETHER] = name, together


def watched() -> str | None:
    """Name of the watched run: from the address, else the last one of this session; updates the address.

    A wrong name in the address gives a message.
    """
    linked = {key: address.read_new(key) for key in (JOB, SWEEP)}
    name, together = (said[-1] if said else None for said in linked.values())
    if name is not None and not NAME.fullmatch(name):
        st.warning(_("The link has no valid run. The name of a run looks like vae-mnist-0123456789ab."))
        name = None
    if together is not None and not SWEEP_LINK.fullmatch(together):
        st.warning(
            _(
                "The link has no valid sweep. A sweep is a list of fingerprints (the last 12 characters of the "
                "names of runs)."
            )
        )
        together = None
    if name or together or [] in linked.values():
        _point(name, together.split("-") if together else [])
    else:
        _point(st.session_state.get(WATCHED), st.session_state.get(_TOGETHER) or [])
    name, several = st.session_state[WATCHED], st.session_state[_TOGETHER]
    for key, value in ((JOB, name), (SWEEP, "-".join(several))):
        address.write(key, *filter(None, [value]))
    return name


def together() -> list[str]:
    """Fingerprints of the runs watched together, or of the sweep of the watched run."""
    watched()
    return st.session_state[_TOGETHER]


def sweep_label(configs: Sequence[dict]) -> str:
    """The label of several runs: `β-VAE · mnist · 12 runs`."""
    runs = [RunInfo("", Path(), "", config=config) for config in configs]
    families = {family_title(run.family) for run in runs}
    data = {run.dataset.split(":")[0] for run in runs}
    return f"{', '.join(sorted(families))} · {', '.join(sorted(data))} · {_('{} runs').format(len(configs))}"


def counts(rows: Sequence[Job]) -> str:
    """The number of jobs in each state: `3 running, 1 done`."""
    words = {"running": _("running"), "queued": _("waiting"), "done": _("done"), "failed": _("failed")}
    words["cancelled"] = _("cancelled")
    found = {word: sum(job.state == name for job in rows) for name, word in words.items()}
    return ", ".join(f"{count} {word}" for word, count in found.items() if count)


def run_of(job: Job) -> RunInfo:
    """The run of a job, as its config describes it; its folder may not exist yet."""
    folder = paths.runs_dir() / job.run
    return RunInfo(job.run, folder, job.state, config=job.config, title=titles.read(folder))


def job_label(job: Job) -> str:
    """The label of a job: that of its run."""
    return run_picker.run_label(run_of(job))


def job_facts(job: Job) -> str:
    """What the label of a job leaves out: data set, epochs, seed."""
    names, values = ("name", "epochs", "seed"), run_picker.options_of(run_of(job))
    return " · ".join(option_text(name, values[name]) for name in names if values.get(name) is not None)


def wake_worker() -> None:
    """Start the worker when the page opens, so that it is ready at the first press of Train."""
    with contextlib.suppress(QueueBroken, OSError):  # a press shows the problem
        jobs.wake_worker()


def state_text(job: Job) -> str:
    """The state of a job in words."""
    if job.state == "queued":
        place = _("waiting, number {} in the queue").format(job.position)
        return place if job.starts_in is None else _("{}, starts in {}").format(place, costs.duration(job.starts_in))
    if job.state == "running":
        if job.cancel:
            return _("stopping")
        steps = job.progress.get("steps") or 0
        if job.pace == "pause" and steps:
            return _("paused at {:.0%}").format(job.progress.get("step", 0) / steps)
        return _("running, {:.0%}").format(job.progress.get("step", 0) / steps) if steps else _("starting")
    return {"done": _("done"), "failed": _("failed"), "cancelled": _("cancelled")}.get(job.state, job.state)


def resume_without_job(info: RunInfo) -> None:
    """Resume a run that has no job here (a callback)."""
    try:
        submit(RunConfig.from_dict(info.config), "auto")
    except ValueError as problem:
        st.session_state[PROBLEM] = str(problem)


def cancel_button(numbers: Sequence[int], key: str, stopping: bool = False, title: str = "") -> None:
    """A button that cancels these jobs. stopping: they are already stopping."""
    st.button(
        title or _("Cancel"), key=key, icon=":material/stop:", on_click=apply_action, args=(jobs.cancel, *numbers),
        disabled=stopping or not access.may_handle(numbers),
        help=_("Stops the run after the current step. The progress is saved, and Resume continues from there."),
    )  # fmt: skip


def apply_action(action, *numbers: int) -> None:
    """Cancel, resume, pace or advance jobs (a callback)."""
    try:
        refused = (
            access.may_train(1) if action is jobs.resume else "" if access.may_handle(numbers) else access.refusal()
        )
        if refused:
            raise ValueError(refused)
        began, done = time.time(), action(*numbers)
        if isinstance(done, Job) and done.created >= began:
            access.remember([done])
        jobs.ensure_worker()
    except (QueueBroken, ValueError, OSError) as problem:
        st.session_state[PROBLEM] = str(problem)


def read_folder(name: str) -> RunInfo | None:
    """The stored run in its current state; None before it has a folder."""
    finished = checkpoints.finished_run(name)
    folder = paths.runs_dir() / name
    return finished or (checkpoints.read_run(folder) if (folder / "config.json").exists() else None)
