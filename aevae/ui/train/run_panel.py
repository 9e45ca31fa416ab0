"""The panel of the watched run: progress, curves and film, live during the training; the queue below.

The panel reads the queue and run folders while another process writes them. It skips missing, partial or foreign
content and raises nothing for it.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.curves import loss_curves
from aevae.figures.palette import family_title
from aevae.queue import jobs
from aevae.queue.queuefile import Job, QueueBroken, set_aside
from aevae.run_config import RunConfig, option_value
from aevae.store import checkpoints
from aevae.store.checkpoints import RunInfo
from aevae.ui.film import film_view
from aevae.ui.frame import access
from aevae.ui.frame.monitoring import beat
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, markdown, redraw, run_picker
from aevae.ui.train import costs, data_set, naming
from aevae.ui.train.jobs import (
    MAX_JOBS,
    PROBLEM,
    WATCHED,
    apply_action,
    cancel_button,
    job_facts,
    job_label,
    read_folder,
    resume_without_job,
    resumes_at,
    run_of,
    state_text,
    together,
    watched,
)
from aevae.ui.train.queue_panel import queue_list

STEP_WAIT_SECONDS = 0.7  # seconds that a press of One step waits for the worker
IMAGES_PER_ROW = 12  # images in a row of the sheet
LABS = {"sequence": "pages/beyond/02_time.py", "pair": "pages/beyond/05_flow.py"}  # input -> where it is shown
NEW_SECONDS, FIRST_BEAT_SECONDS = 8, 0.5  # for so long after a press, the page looks for images more often
_ACTIVE = "train_active"  # session: `_active` at the last look


def open_in(page: str, name: str) -> None:
    """Go to a page with this run chosen, in the session and in the address."""
    cached.runs.clear()
    others = [n for n in st.session_state.get(run_picker.MODELS) or [] if n != name]
    names = [name, *others][:4]
    st.session_state[run_picker.MODEL], st.session_state[run_picker.MODELS] = name, names
    st.switch_page(page, query_params={run_picker.MODEL: name, run_picker.MODELS: names})


def open_buttons(info: RunInfo, key: str) -> None:
    """Buttons that open this run on other pages; its lab if its input is not a single image."""
    lab = LABS.get(info.traits["input"])
    if lab:
        st.page_link(lab, label=_("Open its lab"), icon=":material/science:")
        return
    with st.container(horizontal=True, gap="small", width="content"):
        for page, title, icon in (
            ("sliders", _("Open in Latent sliders"), ":material/tune:"),
            ("denoise", _("Open in Denoise"), ":material/blur_off:"),
        ):
            if st.button(title, key=f"{key}_{page}", icon=icon):
                open_in(f"pages/explore/{page}.py", info.name)


def has_something_to_show() -> bool:
    """Whether there is a run to show: a watched one, or one that waits or runs."""
    try:
        return bool(watched() or together() or any(job.active for job in jobs.jobs(MAX_JOBS)))
    except QueueBroken:
        return False


def problems() -> None:
    """Show why the last request failed, and whether a damaged queue was set aside."""
    if problem := st.session_state.pop(PROBLEM, None):
        st.error(markdown.escape(problem))
    if aside := set_aside():
        st.warning(markdown.escape(aside))


def panel(detail: Callable[[list[Job]], set[str]] | None = None) -> None:
    """Draw the panel. It polls (`monitoring.beat`) while a job waits or runs, and reruns the page when one ends.

    detail: draws the watched runs above the queue and returns their names; by default one run.
    """
    watched()
    try:
        active = _active(jobs.jobs(MAX_JOBS))
    except QueueBroken as problem:
        st.error(markdown.escape(problem))
        return
    st.session_state[_ACTIVE] = active
    each = beat(FIRST_BEAT_SECONDS) if True in active.values() else beat() if active else None
    redraw.fragment(_live, run_every=each)(detail or _watched_run)


def _active(listing: list[Job]) -> dict[int, bool]:
    """Number of each active job -> whether it is new, so that its first images are expected soon."""
    now = time.time()
    return {job.id: now - job.created < NEW_SECONDS for job in sorted(listing, key=lambda job: job.id) if job.active}


def _live(detail: Callable[[list[Job]], set[str]]) -> None:
    try:
        jobs.ensure_worker()
    except QueueBroken as problem:  # existing runs can still be shown
        st.error(markdown.escape(problem))
    try:
        listing = jobs.jobs(MAX_JOBS)
    except QueueBroken as problem:
        st.error(markdown.escape(problem))
        return
    if _active(listing) != st.session_state.get(_ACTIVE):
        cached.runs.clear()
        st.rerun()
    queue_list(listing, detail(listing))


def _watched_run(listing: list[Job]) -> set[str]:
    """Show the watched run, else the one that is being trained; returns its name."""
    active = [job for job in listing if job.active]
    name = st.session_state.get(WATCHED) or (active[0].run if active else None)
    if name is not None:
        job = next((job for job in listing if job.run == name), None)
        _detail(name, job, read_folder(name))
    return {name} if name else set()


def _detail(name: str, job: Job | None, info: RunInfo | None) -> None:
    st.header(markdown.strip(job_label(job) if job else run_picker.run_label(info) if info else name), anchor=False)
    st.caption(" · ".join([*([job_facts(job)] if job else [run_picker.about(info)] if info else []), f"`{name}`"]))
    if job and job.active and not access.owns(name):
        st.info(
            _(
                "Somebody else started this run, or you did before you reloaded the page. To train your own, open "
                "**Train another model** above."
            ),
            icon=":material/group:",
        )
    if job is None and info is None:
        st.info(
            _(
                "This run is not on this computer, and no job trains it. Choose a model and a data set, then press "
                "Train."
            )
        )
        return
    with st.container():  # always one element, so that the film below does not move
        if job is None or job.state == "done":
            _ended(name, info)
            if info and info.status == "diverged":
                st.button(
                    _("Resume"), key="train_resume", icon=":material/resume:", on_click=resume_without_job, args=(info,)
                )
        elif job.active:
            _progress(job)
        else:
            _stopped(job, info)
        if job and job.progress.get("begun_anew"):
            st.warning(markdown.escape(str(job.progress["begun_anew"])))
    running = bool(job and job.active)
    if info or running:
        film(info or run_of(job), running=running)
    if info:
        curves(info, f"train_{name}")


def _progress(job: Job) -> None:
    now = job.progress
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            if job.state == "queued":
                st.progress(0.0, state_text(job))
            elif now.get("loading"):
                st.progress(min(max(float(now.get("part", 0)), 0.0), 1.0), str(now["loading"]))
            elif now.get("steps"):
                st.progress(min(now["step"] / now["steps"], 1.0), _pace_text(job))
            else:
                st.progress(0.0, _("The training starts in a few seconds ..."))
        cancel_button([job.id], "train_cancel", job.cancel)
    if now.get("note"):
        st.caption(markdown.escape(str(now["note"])))
    _pace_buttons(job)


def _pace_buttons(job: Job) -> None:
    """Buttons for the pace of a job and for single steps. The current pace is filled."""
    paces = {"pause": _("Pause"), "crawl": _("1 step / s"), "slow": "5 / s", "brisk": "20 / s", "go": _("Full speed")}
    signs = {"pause": ":material/pause:", "go": ":material/fast_forward:"}
    with st.container(horizontal=True, gap="small", key="train_reins"):
        closed = not access.may_handle([job.id])
        for name, title in paces.items():
            st.button(
                title, disabled=closed, key=f"train_pace_{name}", icon=signs.get(name), on_click=apply_action,
                args=(partial(jobs.pace, name=name), job.id), type="primary" if job.pace == name else "secondary",
            )  # fmt: skip
            if name == "pause":
                for by, words in (("step", _("One step")), ("epoch", _("One epoch"))):
                    st.button(
                        words, disabled=closed, key=f"train_advance_{by}", icon=":material/skip_next:",
                        on_click=apply_action, args=(partial(_advance, by=by), job.id),
                        help=_("Trains one step or one epoch, then pauses."),
                    )  # fmt: skip
    st.markdown(_pace_note(job))


def _pace_note(job: Job) -> str:
    """The pace of a job in words, and that a pause ends by itself."""
    now = job.progress
    begun = bool(now.get("steps"))
    if job.pace == "go":
        return _("The run trains at full speed.") if begun else _("The run will train at full speed.")
    after = _("The run continues at full speed {} minutes after your last press.").format(
        jobs.PAUSE_LIMIT_SECONDS // 60
    )
    if job.pace == "pause":
        stands = _("**Paused.**") if now.get("held") else _("The run trains until the next pause.")
        return (stands if begun else _("The run will pause before its first step.")) + " " + after
    return (_("**The run is slowed down.**") if begun else _("The run will train slowly.")) + " " + after


def _advance(number: int, by: str) -> None:
    """Let the job train one step or epoch; wait for a step, so that the page shows it at once."""
    job = jobs.get(number)
    before = job.progress.get("step") if job else None
    jobs.advance(number, by)
    end = time.monotonic() + STEP_WAIT_SECONDS
    while by == "step" and job and job.pace == "pause" and time.monotonic() < end:
        time.sleep(0.05)
        job = jobs.get(number)
        if job and job.progress.get("step") != before and job.progress.get("held"):
            return


def _pace_text(job: Job) -> str:
    now = job.progress
    epochs = option_value(job.config, "epochs")
    parts = [_("epoch {:.2f} of {}").format(epochs * now["step"] / now["steps"], epochs)]
    if job.pace != "go":  # the buttons count steps
        parts.append(_("step {:,} of {:,}").format(now["step"], now["steps"]))
    if now.get("images_per_s"):
        parts.append(_("{:,.0f} images / s").format(now["images_per_s"]))
    if now.get("seconds_left") is not None and job.pace == "go":
        parts.append(_("{} left").format(costs.duration(now["seconds_left"])))
    return " · ".join([*parts, state_text(job)] if job.cancel else parts)


def _ended(name: str, info: RunInfo | None) -> None:
    if info is None:
        st.warning(_("This run was trained, but its folder was deleted. Train the run again to use it."))
    elif info.status == "finished":
        st.success(_("Finished: {} epochs in {}.").format(info.epochs, costs.duration(info.state.get("seconds", 0))))
        if info.warning:
            st.warning(_("Warning: {}").format(markdown.escape(info.warning)))
        with st.container(horizontal=True, gap="small"):
            open_buttons(info, "train_open")
            naming.name_form(info, "train_name")
    elif info.status == "diverged":
        st.warning(_("Training diverged: {}.").format(markdown.escape(info.reason)) + " " + resumes_at(info))
    else:
        reason = f": {markdown.escape(info.reason)}" if info.reason else ""
        st.warning(_("This run is {}{}.").format(info.status, reason))


def _stopped(job: Job, info: RunInfo | None) -> None:
    epochs = info.epochs if info else 0
    if job.state == "failed":
        st.error(_("Failed: {}").format(markdown.escape(job.error)))
        if job.trace:
            with st.expander(_("Details for developers"), key="train_trace"):
                st.code(job.trace, language=None)
        if datasets.EMBEDDED in job.error:
            st.button(_("Use {}").format(datasets.EMBEDDED), key="train_take_5k_failed", on_click=_take_embedded)
    else:
        st.info(_("Cancelled after {} epochs. The progress is saved.").format(epochs))
    title = _("Resume") if info and info.state else _("Try again")
    st.button(title, key="train_resume", icon=":material/resume:", on_click=apply_action, args=(jobs.resume, job.id))


def _take_embedded() -> None:
    """Choose mnist-5k, which is always there; the form lies outside of this panel (a callback)."""
    data_set.take_embedded()
    redraw.whole()


def read_history(folder: Path) -> list[dict]:
    """The well-formed lines of a run's history; [] without any, or if the file cannot be read."""
    try:
        history = checkpoints.read_history(folder)
    except checkpoints.DamagedRun:
        return []
    return [
        {"epoch": line["epoch"]} | {part: _numbers(line.get(part)) for part in ("train", "test") if part in line}
        for line in history
        if isinstance(line.get("epoch"), int)
    ]


def _numbers(terms) -> dict[str, float]:
    if not isinstance(terms, dict):
        return {}
    return {k: v for k, v in terms.items() if isinstance(v, int | float) and math.isfinite(v)}


def terms(histories: dict[str, list[dict]]) -> list[str]:
    """The loss terms of these histories, in the order of their first line."""
    return list(dict.fromkeys(t for history in histories.values() for line in history for t in line.get("test", ())))


def curves(info: RunInfo, key: str) -> None:
    """A chart with test and train curves for every loss term of a run, folded if its film shows the terms."""
    history, title = read_history(info.path), family_title(info.family)
    if not history:
        return
    in_film = component.trouble([], has_server_version=False) is None and film_view.has_terms(info)
    with st.expander(_("Curves of training and test images"), key=f"{key}_curves", expanded=not in_film):
        found = terms({title: history})
        for row in range(0, len(found), 2):
            for column, term in zip(st.columns(2), found[row : row + 2], strict=False):
                chart = cached.figure(loss_curves, {title: history}, term, families={title: info.family}, height=260)
                column.plotly_chart(chart, key=f"{key}_{term}", config={"displayModeBar": False})


def film(info: RunInfo, *, running: bool = False, key: str = "train") -> None:
    """The film of this run, with a second run beside it if the reader chooses one."""
    screen = st.container()
    other = (
        film_view.pick_other(info, f"{key}_beside")
        if film_view.read(info) and not component.trouble([], has_server_version=False)
        else None
    )
    with screen:
        play([info, other] if other else [info], key, running=running)


def untrained(config: RunConfig) -> None:
    """The plane, reconstructions and samples of this run before its first step."""
    if component.trouble([], has_server_version=False) is None:
        run = RunInfo(config.name, Path(), "new", config=config.to_dict())
        film_view.player([run], key="train_start_film", running=True)


def play(runs: Sequence[RunInfo], key: str, *, running: bool = False) -> None:
    """The films of one or two runs, synchronised; a sheet of images of each if the browser cannot play them."""
    problem = component.trouble([], has_server_version=False)
    if problem is None:
        film_view.player(runs, key=f"{key}_film", running=running)
        return
    st.caption(problem)
    for info in runs:
        frames = film_view.read(info)
        if frames is not None:
            _sheet(info, frames, running, key)


def _sheet(info: RunInfo, frames: dict[str, np.ndarray], running: bool, key: str) -> None:
    """Originals, reconstructions and samples of one frame: the newest during training, afterwards the chosen one."""
    names = [f"{epoch:.4g}" for epoch in frames["epoch"]]
    name = names[-1]
    if not running and len(names) > 1:
        name = st.select_slider(_("Epoch shown"), names, name, key=f"{key}_epoch_{info.name}_{len(names)}")
    rows = (frames["original"], *(frames[part][names.index(name)] for part in ("recon", "sample")))
    image_sheets.show(
        np.stack([row[:IMAGES_PER_ROW] for row in rows]), scale=3, gap=4, width="content",
        alt=_("Test images, their reconstructions and decoded random codes after epoch {}").format(name),
    )  # fmt: skip
    st.caption(
        _("After epoch {}. Top: test images. Middle: their reconstructions. Bottom: decoded random codes.")
        .format(name)
    )  # fmt: skip
