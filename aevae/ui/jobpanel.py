"""The queue and one run being watched: progress, curves and pictures, live while something trains.

All of it is read from the queue and from run folders that another process is writing. Whatever is missing, half there
or foreign is left out; nothing here raises for it.
"""

import math
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from aevae import checkpoints, datasets, jobs, paths
from aevae.checkpoints import NAME, RunInfo
from aevae.config import RunConfig
from aevae.figures.curves import loss_curves
from aevae.figures.palette import family_title
from aevae.queuefile import Job, QueueBroken, set_aside, store_problem
from aevae.ui import address, costs, filming, forms, gate, live, loaders, pictures, redraw, state
from aevae.ui.i18n import _
from aevae.ui.watch import beat

LISTED = 500  # jobs looked at
ROWS = 12  # active jobs listed
STEP_WAIT = 0.7  # seconds that a press of One step waits for the worker
EARLIER = 20  # ended jobs listed
COLUMNS = 12  # pictures in a row of the sheet
JOB = "job"  # in the URL: name of the watched run
SWEEP = "sweep"  # in the URL: fingerprints of the runs that are watched together
SWEEP_LINK = re.compile(r"[0-9a-f]{12}(-[0-9a-f]{12}){0,199}")
_WATCHED, _TOGETHER, _ACTIVE, _PRESSED = "train_job", "train_together", "train_active", "train_pressed"  # session
LABS = {"sequence": "pages/beyond/02_time.py", "pair": "pages/beyond/05_flow.py"}  # input -> where it is shown
SIGNS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_circle:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}


# -- what the Train page asks ----------------------------------------------------------------------------------------


def start_button(title: str, configs: RunConfig | Sequence[RunConfig], device: str) -> None:
    """Train what the form says now.

    A callback's arguments are those of the form before a field that the press left, so it only notes the press; and
    a press that is not noted is lost where the queue draws the page anew before this button is reached.
    """
    if problem := store_problem():
        st.warning(state.literal(problem))
    st.button(title, key="train_start", type="primary", icon=":material/play_arrow:", width="stretch", on_click=_press)
    if refused := gate.may_train(1 if isinstance(configs, RunConfig) else len(configs)):
        st.info(refused)
    if pressed():
        submit(configs, device)
        st.rerun()


def _press() -> None:
    st.session_state[_PRESSED] = True


def pressed() -> bool:
    """Was Train pressed, and not answered yet? It is now."""
    return st.session_state.pop(_PRESSED, False)


def submit(configs: RunConfig | Sequence[RunConfig], device: str, resume: bool = False) -> None:
    """Queue a run, or several as one sweep, and watch it. A queue that cannot be used is told on the page.

    resume: go on with those that diverged, too, as with a single run.
    """
    several = [configs] if isinstance(configs, RunConfig) else list(configs)
    try:
        refused = next(filter(None, (gate.may_read(config.data.name) for config in several)), "")
        if problem := refused or gate.may_train(len(several)):
            st.session_state["train_problem"] = problem
            return
        began = time.time()
        for config in several if resume or len(several) == 1 else ():
            checkpoints.reopen(config.name)
        queued = jobs.submit_all(several, device, costs.expected(several, device))
        gate.remember(job for job in queued if job.created >= began)
        jobs.ensure_worker()
    except (QueueBroken, OSError) as problem:
        st.session_state["train_problem"] = str(problem)
        return
    if len(several) == 1:
        watch(several[0].name)
    else:
        watch_together([config.fingerprint for config in several])


def resumes_at(info: RunInfo) -> str:
    """What Resume does with a run that diverged."""
    if not info.epochs:
        return _("Resume begins anew, at the same learning rate.")
    return _("Resume goes on after epoch {}, at the same learning rate.").format(info.epochs)


def standing(config: RunConfig) -> tuple[str, RunInfo | Job | None]:
    """Where this very run is: `finished`, `active` (queued or running), `unfinished`, `diverged`, or `new`."""
    finished = checkpoints.finished_run(config.name)
    if finished:
        return "finished", finished
    try:
        job = jobs.active(config.fingerprint)
    except QueueBroken:
        job = None
    if job:
        return "active", job
    info = look(config.name)
    begun = info and info.status in ("unfinished", "diverged") and info.state
    return (info.status, info) if begun else ("new", None)


def watch(name: str) -> None:
    """Watch this run (a callback); the sweep it belongs to stays at hand."""
    together = st.session_state.get(_TOGETHER) or []
    _point(name, together if name.rpartition("-")[2] in together else [])
    redraw.whole()


def watch_together(fingerprints: Sequence[str]) -> None:
    """Watch these runs as one (a callback)."""
    _point(None, list(fingerprints))
    redraw.whole()


def _point(name: str | None, together: list[str]) -> None:
    st.session_state[_WATCHED], st.session_state[_TOGETHER] = name, together


def watched() -> str | None:
    """Name of the watched run: as the address asks, else the last one of this session; the address is told. A wrong
    one gets a sentence."""
    asked = {key: address.asked(key) for key in (JOB, SWEEP)}
    name, together = (said[-1] if said else None for said in asked.values())
    if name is not None and not NAME.fullmatch(name):
        st.warning(_("The link asks for a job that cannot be: a name looks like vae-mnist-0123456789ab."))
        name = None
    if together is not None and not SWEEP_LINK.fullmatch(together):
        st.warning(_("The link asks for a sweep that cannot be: it is a row of fingerprints of runs."))
        together = None
    if name or together or [] in asked.values():
        _point(name, together.split("-") if together else [])
    else:
        _point(st.session_state.get(_WATCHED), st.session_state.get(_TOGETHER) or [])
    name, several = st.session_state[_WATCHED], st.session_state[_TOGETHER]
    for key, value in ((JOB, name), (SWEEP, "-".join(several))):
        address.tell(key, *filter(None, [value]))
    return name


def together() -> list[str]:
    """Fingerprints of the runs watched as one, or of the sweep that the watched run was chosen from."""
    watched()
    return st.session_state[_TOGETHER]


def open_in(page: str, name: str) -> None:
    """Go to an exploring page with this run chosen, in the session and in the address."""
    loaders.runs.clear()
    others = [n for n in st.session_state.get(state.MODELS) or [] if n != name]
    names = [name, *others][:4]
    st.session_state[state.MODEL], st.session_state[state.MODELS] = name, names
    st.switch_page(page, query_params={state.MODEL: name, state.MODELS: names})


def open_buttons(name: str, key: str) -> None:
    """Buttons that lead to the exploring pages with this run; to its lab where it takes no single pictures."""
    lab = LABS.get(checkpoints.find_run(name).traits["input"])
    if lab:
        st.page_link(lab, label=_("Open its lab"), icon=":material/science:")
        return
    with st.container(horizontal=True, gap="small", width="content"):
        for page, title, icon in (
            ("sliders", _("Open in Latent sliders"), ":material/tune:"),
            ("denoise", _("Open in Denoise"), ":material/blur_off:"),
        ):
            if st.button(title, key=f"{key}_{page}", icon=icon):
                open_in(f"pages/explore/{page}.py", name)


# -- jobs on other pages ---------------------------------------------------------------------------------------------


def under_way(mine: Callable[[Job], bool]) -> bool:
    """Are there jobs of this kind? Then their progress is drawn, and the page anew when one has ended."""
    numbers = [job.id for job in _waiting(mine)]
    if numbers:
        redraw.fragment(_under_way, run_every=beat())(mine, numbers)
    return bool(numbers)


def _waiting(mine: Callable[[Job], bool]) -> list[Job]:
    try:
        return sorted((job for job in jobs.jobs(LISTED) if job.active and mine(job)), key=lambda job: job.id)
    except QueueBroken:
        return []


def _under_way(mine: Callable[[Job], bool], numbers: list[int]) -> None:
    active = _waiting(mine)
    if [job.id for job in active] != numbers:
        loaders.runs.clear()
        st.rerun()
    for job in active:
        now = job.progress
        part = min(now["step"] / now["steps"], 1.0) if now.get("steps") else 0.0
        st.progress(part, f"{label(job)} · {state_text(job)}")
    st.page_link("pages/lab/train.py", label=_("They train on the page Train"), icon=":material/model_training:")


# -- the panel -------------------------------------------------------------------------------------------------------


def stage() -> bool:
    """Is there a run to be shown: one that is watched, or one that waits or runs?"""
    try:
        return bool(watched() or together() or _active(jobs.jobs(LISTED)))
    except QueueBroken:
        return False


def panel(detail: Callable[[list[Job]], set[str]] | None = None) -> None:
    """Draw it. It looks again (`watch.beat`) while a job waits or runs, and runs the page once when one ends.

    detail: draws what is watched, above the queue, and returns the names of its runs; by default one run.
    """
    if problem := st.session_state.pop("train_problem", None):
        st.error(state.literal(problem))
    if aside := set_aside():
        st.warning(state.literal(aside))
    watched()
    try:
        active = _active(jobs.jobs(LISTED))
    except QueueBroken as problem:
        st.error(state.literal(problem))
        return
    st.session_state[_ACTIVE] = active
    redraw.fragment(_live, run_every=beat() if active else None)(detail or _one)


def _active(listing: list[Job]) -> list[int]:
    return sorted(job.id for job in listing if job.active)


def _live(detail: Callable[[list[Job]], set[str]]) -> None:
    try:
        jobs.ensure_worker()
    except QueueBroken as problem:  # which may still be looked at
        st.error(state.literal(problem))
    try:
        listing = jobs.jobs(LISTED)
    except QueueBroken as problem:
        st.error(state.literal(problem))
        return
    if _active(listing) != st.session_state.get(_ACTIVE):
        loaders.runs.clear()
        st.rerun()
    _queue(listing, detail(listing))


def _one(listing: list[Job]) -> set[str]:
    """The watched run, else the one that is being trained."""
    active = [job for job in listing if job.active]
    name = st.session_state.get(_WATCHED) or (active[0].run if active else None)
    if name is None:
        st.info(_("Nothing is being trained. Choose what shall learn, then press Train."))
    else:
        job = next((job for job in listing if job.run == name), None)
        _detail(name, job, look(name))
    return {name} if name else set()


def _queue(listing: list[Job], shown: set[str]) -> None:
    """What waits and runs, then what has ended; jobs of one sweep in one row."""
    sets: dict[str, list[Job]] = {}
    for job in listing:
        sets.setdefault(job.sweep or str(job.id), []).append(job)
    active = [rows for rows in sets.values() if any(job.active for job in rows)]
    if active:
        st.header(_("Queue"), anchor=False)
        for rows in active[:ROWS]:
            _rows(rows, shown)
        if len(active) > ROWS:
            st.caption(_("and {} more").format(len(active) - ROWS))
    ended = [rows for rows in sets.values() if rows not in active and not {job.run for job in rows} <= shown]
    if ended:
        with st.expander(_("Earlier jobs"), key="train_earlier"):
            for rows in ended[:EARLIER]:
                _rows(rows, set())


def _rows(rows: list[Job], shown: set[str]) -> None:
    """One job, or several of a sweep as one."""
    if len(rows) == 1:
        return _row(rows[0], rows[0].run in shown)
    first, inside = min(rows, key=lambda job: job.id), {job.run for job in rows} <= shown
    active = [job.id for job in rows if job.active]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        sign = SIGNS["running" if active else rows[0].state]
        st.markdown(f"{sign} **{set_label([job.config for job in rows])}** · {counts(rows)}", width="stretch")
        if not inside:
            prints = list(dict.fromkeys(job.fingerprint for job in sorted(rows, key=lambda job: job.id)))
            st.button(
                _("Watch"), key=f"train_watch_{first.id}", on_click=watch_together, args=(prints,), type="tertiary"
            )
        if active and not inside:
            cancel_button(active, f"train_cancel_{first.id}")


def set_label(configs: Sequence[dict]) -> str:
    """What a person reads of several runs: `β-VAE · mnist · 12 runs`."""
    families = {family_title(config.get("model", {}).get("family", "")) for config in configs}
    data = {str(config.get("data", {}).get("name", "")).split(":")[0] for config in configs}
    return f"{', '.join(sorted(families))} · {', '.join(sorted(data))} · {_('{} runs').format(len(configs))}"


def counts(rows: Sequence[Job]) -> str:
    """How many of these jobs are where: `3 running, 1 done`."""
    words = {"running": _("running"), "queued": _("waiting"), "done": _("done"), "failed": _("failed")}
    words["cancelled"] = _("cancelled")
    found = {word: sum(job.state == name for job in rows) for name, word in words.items()}
    return ", ".join(f"{count} {word}" for word, count in found.items() if count)


def _row(job: Job, shown: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{SIGNS.get(job.state, '')} **{label(job)}** · {state_text(job)}", width="stretch")
        if not shown:
            st.button(_("Watch"), key=f"train_watch_{job.id}", on_click=watch, args=(job.run,), type="tertiary")
        if job.active and not shown:
            cancel_button([job.id], f"train_cancel_{job.id}", job.cancel)


def label(job: Job) -> str:
    """What a person reads of a job: the label of its run and the seed."""
    text = state.run_label(RunInfo(job.run, Path(), job.state, config=job.config))
    return f"{text} · {_('seed')} {job.config.get('seed', 0)}"


def state_text(job: Job) -> str:
    """Where a job is, in words."""
    if job.state == "queued":
        place = _("waits, number {} in the queue").format(job.position)
        return place if job.starts_in is None else _("{}, begins in {}").format(place, forms.duration(job.starts_in))
    if job.state == "running":
        if job.cancel:
            return _("is being stopped")
        steps = job.progress.get("steps") or 0
        if job.pace == "pause" and steps:
            return _("paused at {:.0%}").format(job.progress.get("step", 0) / steps)
        return _("running, {:.0%}").format(job.progress.get("step", 0) / steps) if steps else _("starting")
    return {"done": _("done"), "failed": _("failed"), "cancelled": _("cancelled")}.get(job.state, job.state)


def _again(info: RunInfo) -> None:
    """Go on with a run that has no job here (a callback)."""
    try:
        submit(RunConfig.from_dict(info.config), "auto")
    except ValueError as problem:
        st.session_state["train_problem"] = str(problem)


def cancel_button(numbers: Sequence[int], key: str, stopping: bool = False, title: str = "") -> None:
    """Cancels these jobs. stopping: they are being stopped already."""
    st.button(
        title or _("Cancel"), key=key, icon=":material/stop:", on_click=_tell, args=(jobs.cancel, *numbers),
        disabled=stopping or not gate.may_handle(numbers),
        help=_("Stops between two steps; what is learnt so far is kept, and Resume goes on from there."),
    )  # fmt: skip


def _tell(action, *numbers: int) -> None:
    """Cancel, resume, pace or advance jobs (a callback)."""
    try:
        refused = gate.may_train(1) if action is jobs.resume else "" if gate.may_handle(numbers) else gate.refusal()
        if refused:
            raise ValueError(refused)
        began, done = time.time(), action(*numbers)
        if isinstance(done, Job) and done.created >= began:
            gate.remember([done])
        jobs.ensure_worker()
    except (QueueBroken, ValueError, OSError) as problem:
        st.session_state["train_problem"] = str(problem)


# -- the watched run -------------------------------------------------------------------------------------------------


def look(name: str) -> RunInfo | None:
    """The folder of a run as it is now, in whatever state; None before there is one."""
    finished = checkpoints.finished_run(name)
    folder = paths.runs_dir() / name
    return finished or (checkpoints.read_run(folder) if (folder / "config.json").exists() else None)


def _detail(name: str, job: Job | None, info: RunInfo | None) -> None:
    st.header(label(job) if job else state.run_label(info) if info else name, anchor=False)
    st.caption(name)
    if job is None and info is None:
        st.info(_("There is no such run here, and no job for it."))
        return
    with st.container():  # one element whatever it says, so that the film beneath stays where it is
        if job is None or job.state == "done":
            _ended(name, info)
            if info and info.status == "diverged":
                st.button(_("Resume"), key="train_resume", icon=":material/resume:", on_click=_again, args=(info,))
        elif job.active:
            _progress(job)
        else:
            _stopped(job, info)
        if job and job.progress.get("begun_anew"):
            st.warning(state.literal(str(job.progress["begun_anew"])))
    if info is None:
        return
    film(info, running=bool(job and job.active))
    history = lines(info.path)
    if history:
        curves({family_title(info.family): history}, {family_title(info.family): info.family}, f"train_{name}")


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
                st.progress(0.0, _("The worker is getting ready ..."))
        cancel_button([job.id], "train_cancel", job.cancel)
    if now.get("note"):
        st.caption(state.literal(str(now["note"])))
    _reins(job)


def _reins(job: Job) -> None:
    """The hand on a job: how fast, or how far. What is on is filled."""
    paces = {"pause": _("Pause"), "crawl": _("1 step / s"), "slow": "5 / s", "brisk": "20 / s", "go": _("Full speed")}
    signs = {"pause": ":material/pause:", "go": ":material/fast_forward:"}
    with st.container(horizontal=True, gap="small", key="train_reins"):
        closed = not gate.may_handle([job.id])
        for name, title in paces.items():
            st.button(
                title, disabled=closed, key=f"train_pace_{name}", icon=signs.get(name), on_click=_tell,
                args=(partial(jobs.pace, name=name), job.id), type="primary" if job.pace == name else "secondary",
            )  # fmt: skip
            if name == "pause":
                for by, words in (("step", _("One step")), ("epoch", _("One epoch"))):
                    st.button(
                        words, disabled=closed, key=f"train_advance_{by}", icon=":material/skip_next:", on_click=_tell,
                        args=(partial(_advance, by=by), job.id),
                        help=_("Goes so far, and pauses there."),
                    )  # fmt: skip
    st.markdown(_reins_text(job))


def _reins_text(job: Job) -> str:
    """How it runs, and that a pause ends by itself; where it is, the progress bar says alone."""
    now = job.progress
    begun = bool(now.get("steps"))
    if job.pace == "go":
        return _("Runs at full speed.") if begun else _("It will run at full speed.")
    after = _("{} minutes after the last press it goes on at full speed.").format(jobs.PATIENCE // 60)
    if job.pace == "pause":
        stands = _("**Paused.**") if now.get("held") else _("On its way to where it pauses.")
        return (stands if begun else _("It will wait before its first step.")) + " " + after
    return (_("**Slowed down.**") if begun else _("It will run slowly.")) + " " + after


def _advance(number: int, by: str) -> None:
    """Let the job go so far; a step is waited for, so that the page shows it at once."""
    job = jobs.get(number)
    before = job.progress.get("step") if job else None
    jobs.advance(number, by)
    end = time.monotonic() + STEP_WAIT
    while by == "step" and job and job.pace == "pause" and time.monotonic() < end:
        time.sleep(0.05)
        job = jobs.get(number)
        if job and job.progress.get("step") != before and job.progress.get("held"):
            return


def _pace_text(job: Job) -> str:
    now = job.progress
    epochs = job.config.get("train", {}).get("epochs", 0)
    parts = [_("{:.2f} of {} epochs").format(epochs * now["step"] / now["steps"], epochs)]
    parts.append(_("step {:,} of {:,}").format(now["step"], now["steps"]))
    if now.get("images_per_s"):
        parts.append(_("{:,.0f} images / s").format(now["images_per_s"]))
    if now.get("seconds_left") is not None and job.pace == "go":
        parts.append(_("{} left").format(forms.duration(now["seconds_left"])))
    return " · ".join([*parts, state_text(job)] if job.cancel else parts)


def _ended(name: str, info: RunInfo | None) -> None:
    if info is None:
        st.warning(_("This run was trained, but its folder is gone."))
    elif info.status == "finished":
        st.success(_("Finished: {} epochs in {}.").format(info.epochs, forms.duration(info.state.get("seconds", 0))))
        if info.warning:
            st.warning(_("But {}").format(state.literal(info.warning)))
        open_buttons(name, "train_open")
    elif info.status == "diverged":
        st.warning(_("Training diverged: {}.").format(state.literal(info.reason)) + " " + resumes_at(info))
    else:
        reason = f": {state.literal(info.reason)}" if info.reason else ""
        st.warning(_("This run is {}{}.").format(info.status, reason))


def _stopped(job: Job, info: RunInfo | None) -> None:
    epochs = info.epochs if info else 0
    if job.state == "failed":
        st.error(_("Failed: {}").format(state.literal(job.error)))
        if job.trace:
            with st.expander(_("Details for whoever mends it"), key="train_trace"):
                st.code(job.trace, language=None)
        if datasets.EMBEDDED in job.error:
            st.button(_("Take {}").format(datasets.EMBEDDED), key="train_take_5k_failed", on_click=_take_embedded)
    else:
        st.info(_("Cancelled after {} epochs; what was learnt is kept.").format(epochs))
    title = _("Resume") if info and info.state else _("Try again")
    st.button(title, key="train_resume", icon=":material/resume:", on_click=_tell, args=(jobs.resume, job.id))


def _take_embedded() -> None:
    """Choose the data set that is always there; the form lies outside of this panel (a callback)."""
    forms.take_embedded()
    redraw.whole()


def lines(folder: Path) -> list[dict]:
    """The well-formed lines of a run's history; [] where there are none or the file cannot be read."""
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
    """The loss terms that any of these histories has, in the order of their first line."""
    return list(dict.fromkeys(t for history in histories.values() for line in history for t in line.get("test", ())))


def curves(histories: dict[str, list[dict]], families: dict[str, str], key: str) -> None:
    """A chart for every loss term that these histories have, test and train."""
    found = terms(histories)
    for row in range(0, len(found), 2):
        for column, term in zip(st.columns(2), found[row : row + 2], strict=False):
            chart = loaders.drawn(loss_curves, histories, term, families=families, height=260)
            column.plotly_chart(chart, key=f"{key}_{term}", config={"displayModeBar": False})


# -- the film --------------------------------------------------------------------------------------------------------


def film(info: RunInfo, *, running: bool = False, key: str = "train") -> None:
    """How this run learnt, or learns, with another run beside it if asked for."""
    screen = st.container()
    other = filming.pick_other(info, f"{key}_beside") if filming.read(info) and not live.trouble([]) else None
    with screen:
        play([info, other] if other else [info], key, running=running)


def play(runs: Sequence[RunInfo], key: str, *, running: bool = False) -> None:
    """The films of one or two runs in step; in a browser that cannot, a sheet of pictures of each."""
    problem = live.trouble([], has_server_version=False)
    if problem is None:
        filming.player(runs, key=f"{key}_film", running=running)
        return
    st.caption(problem)
    for info in runs:
        frames = filming.read(info)
        if frames is not None:
            _sheet(info, frames, running, key)


def _sheet(info: RunInfo, frames: dict[str, np.ndarray], running: bool, key: str) -> None:
    """Originals, reconstructions and samples of one frame: the newest while training, afterwards the chosen one."""
    names = [f"{epoch:.4g}" for epoch in frames["epoch"]]
    name = names[-1]
    if not running and len(names) > 1:
        name = st.select_slider(_("Epoch shown"), names, name, key=f"{key}_epoch_{info.name}_{len(names)}")
    rows = (frames["original"], *(frames[part][names.index(name)] for part in ("recon", "sample")))
    pictures.show(
        np.stack([row[:COLUMNS] for row in rows]), scale=3, gap=4, width="content",
        alt=_("Test pictures, their reconstructions and decoded random codes after epoch {}").format(name),
    )  # fmt: skip
    st.caption(
        _("After epoch {}. Above: test pictures. Middle: what the model makes of them. Below: random codes, decoded.")
        .format(name)
    )  # fmt: skip
