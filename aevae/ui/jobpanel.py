"""The queue and one run being watched: progress, curves and pictures, live while something trains.

All of it is read from the queue and from run folders that another process is writing. Whatever is missing, half there
or foreign is left out; nothing here raises for it.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from aevae import checkpoints, jobs, paths
from aevae.checkpoints import NAME, RunInfo
from aevae.config import RunConfig, TrainConfig
from aevae.figures.curves import loss_curves
from aevae.figures.palette import family_title
from aevae.jobs import Job, QueueBroken
from aevae.ui import forms, loaders, pictures, state
from aevae.ui.i18n import _

BEAT = 1.0  # seconds between two looks while something trains
ROWS = 12  # active jobs listed
EARLIER = 20  # ended jobs listed
COLUMNS = 12  # pictures in a row of the sheet
JOB = "job"  # in the URL: name of the watched run
_WATCHED, _ACTIVE = "train_job", "train_active"  # session
SIGNS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_circle:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}


# -- what the Train page asks ----------------------------------------------------------------------------------------


def submit(config: RunConfig, device: str) -> None:
    """Queue a run and watch it (a callback). A queue that cannot be used is told on the page."""
    try:
        jobs.submit(config, device)
        jobs.ensure_worker()
    except (QueueBroken, OSError) as problem:
        st.session_state["train_problem"] = str(problem)
        return
    watch(config.name)


def standing(config: RunConfig) -> tuple[str, RunInfo | Job | None]:
    """Where this very run is: `finished`, `active` (queued or running), `unfinished`, or `new`."""
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
    return ("unfinished", info) if info and info.status == "unfinished" and info.state else ("new", None)


def watch(name: str) -> None:
    """Watch this run, and say so in the URL."""
    st.session_state[_WATCHED] = name
    st.query_params[JOB] = name


def watched() -> str | None:
    """Name of the watched run: from the URL, else the last one of this session. A wrong one gets a sentence."""
    asked = st.query_params.get(JOB)
    if asked is not None and not NAME.fullmatch(asked):
        st.warning(_("The link asks for a job that cannot be: a name looks like vae-mnist-0123456789ab."))
        del st.query_params[JOB]
        asked = None
    name = asked or st.session_state.get(_WATCHED)
    if name:
        watch(name)
    return name


def open_in(page: str, name: str) -> None:
    """Go to an exploring page with this run chosen, in the session and in the address."""
    loaders.runs.clear()
    others = [n for n in st.session_state.get(state.MODELS) or [] if n != name]
    names = [name, *others][:4]
    st.session_state[state.MODEL], st.session_state[state.MODELS] = name, names
    address = {state.MODEL: state.label_of(name), state.MODELS: [state.label_of(n) for n in names]}
    st.switch_page(page, query_params=address)


def open_buttons(name: str, key: str) -> None:
    """Buttons that lead to the exploring pages with this run."""
    with st.container(horizontal=True, gap="small"):
        for page, title, icon in (
            ("sliders", _("Open in Latent sliders"), ":material/tune:"),
            ("denoise", _("Open in Denoise"), ":material/blur_off:"),
        ):
            if st.button(title, key=f"{key}_{page}", icon=icon):
                open_in(f"pages/explore/{page}.py", name)


# -- the panel -------------------------------------------------------------------------------------------------------


def panel() -> None:
    """Draw it. It looks again every second while a job waits or runs, and runs the page once when one ends."""
    if problem := st.session_state.pop("train_problem", None):
        st.error(problem)
    watched()
    try:
        active = _active(jobs.jobs())
    except QueueBroken as problem:
        st.error(str(problem))
        return
    st.session_state[_ACTIVE] = active
    st.fragment(_live, run_every=BEAT if active else None)()


def _active(listing: list[Job]) -> list[int]:
    return sorted(job.id for job in listing if job.active)


def _live() -> None:
    try:
        jobs.ensure_worker()
        listing = jobs.jobs()
    except (QueueBroken, OSError) as problem:
        st.error(str(problem))
        return
    if _active(listing) != st.session_state.get(_ACTIVE):
        loaders.runs.clear()
        st.rerun()
    active = [job for job in listing if job.active]
    name = st.session_state.get(_WATCHED) or (active[0].run if active else None)
    if name is None:
        st.info(_("Nothing is being trained. Choose on the left, then press Train."))
    else:
        job = next((job for job in listing if job.run == name), None)
        _detail(name, job, look(name))
    _queue(listing, name)


def _queue(listing: list[Job], shown: str | None) -> None:
    active = [job for job in listing if job.active]
    if active:
        st.subheader(_("Queue"), anchor=False)
        for job in active[:ROWS]:
            _row(job, job.run == shown)
        if len(active) > ROWS:
            st.caption(_("and {} more").format(len(active) - ROWS))
    ended = [job for job in listing if not job.active and job.run != shown][:EARLIER]
    if ended:
        with st.expander(_("Earlier jobs"), key="train_earlier"):
            for job in ended:
                _row(job, False)


def _row(job: Job, shown: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{SIGNS.get(job.state, '')} **{label(job)}** · {state_text(job)}", width="stretch")
        if not shown:
            st.button(_("Watch"), key=f"train_watch_{job.id}", on_click=watch, args=(job.run,), type="tertiary")
        if job.active and not shown:
            _cancel_button(job, f"train_cancel_{job.id}")


def label(job: Job) -> str:
    """What a person reads of a job: the label of its run and the seed."""
    text = state.run_label(RunInfo(job.run, Path(), job.state, config=job.config))
    return f"{text} · {_('seed')} {job.config.get('seed', 0)}"


def state_text(job: Job) -> str:
    """Where a job is, in words."""
    if job.state == "queued":
        return _("waits, number {} in the queue").format(job.position)
    if job.state == "running":
        if job.cancel:
            return _("is being stopped")
        steps = job.progress.get("steps") or 0
        return _("running, {:.0%}").format(job.progress.get("step", 0) / steps) if steps else _("starting")
    return {"done": _("done"), "failed": _("failed"), "cancelled": _("cancelled")}.get(job.state, job.state)


def _cancel_button(job: Job, key: str) -> None:
    st.button(
        _("Cancel"), key=key, icon=":material/stop:", on_click=_tell, args=(jobs.cancel, job.id), disabled=job.cancel,
        help=_("Stops between two steps; what is learnt so far is kept, and Resume goes on from there."),
    )  # fmt: skip


def _tell(action, number: int) -> None:
    """Cancel or resume a job (a callback)."""
    try:
        action(number)
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
    st.subheader(label(job) if job else state.run_label(info) if info else name, anchor=False)
    st.caption(name)
    if job is None and info is None:
        st.info(_("There is no such run here, and no job for it."))
        return
    if job is None or job.state == "done":
        _ended(name, info)
    elif job.active:
        _progress(job)
    else:
        _stopped(job, info)
    if info is None:
        return
    history = lines(info.path)
    if history:
        curves({family_title(info.family): history}, {family_title(info.family): info.family}, f"train_{name}")
    film(info, live=bool(job and job.active))


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
        _cancel_button(job, "train_cancel")


def _pace_text(job: Job) -> str:
    now = job.progress
    epochs = job.config.get("train", {}).get("epochs", 0)
    parts = [_("epoch {} of {}").format(min(int(now.get("epoch", 0)), epochs), epochs)]
    if now.get("images_per_s"):
        parts.append(_("{:,.0f} images / s").format(now["images_per_s"]))
    if now.get("seconds_left") is not None:
        parts.append(_("{} left").format(forms.duration(now["seconds_left"])))
    return " · ".join([*parts, state_text(job)] if job.cancel else parts)


def _ended(name: str, info: RunInfo | None) -> None:
    if info is None:
        st.warning(_("This run was trained, but its folder is gone."))
    elif info.status == "finished":
        st.success(_("Finished: {} epochs in {}.").format(info.epochs, forms.duration(info.state.get("seconds", 0))))
        open_buttons(name, "train_open")
    else:
        reason = f": {info.reason}" if info.reason else ""
        st.warning(_("This run is {}{}.").format(info.status, reason))


def _stopped(job: Job, info: RunInfo | None) -> None:
    epochs = info.epochs if info else 0
    if job.state == "failed":
        st.error(_("Failed: {}").format(job.error))
        if job.trace:
            with st.expander(_("Details for whoever mends it"), key="train_trace"):
                st.code(job.trace, language=None)
        if "mnist-5k" in job.error:
            st.button(_("Take mnist-5k"), key="train_take_5k_failed", on_click=forms.take_embedded)
    else:
        st.info(_("Cancelled after {} epochs; what was learnt is kept.").format(epochs))
    title = _("Resume") if info and info.state else _("Try again")
    st.button(title, key="train_resume", icon=":material/resume:", on_click=_tell, args=(jobs.resume, job.id))


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
            chart = loss_curves(histories, term, families=families, height=260)
            column.plotly_chart(chart, key=f"{key}_{term}", config={"displayModeBar": False})


# -- the sheet of pictures -------------------------------------------------------------------------------------------


def film(info: RunInfo, *, live: bool = False, key: str = "train") -> None:
    """Originals, reconstructions and samples after an epoch: the newest while training, afterwards the chosen one."""
    path = info.path / "film.safetensors"
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return
    frames = _frames(str(path), stamp)
    if not frames:
        return
    epochs = _filmed(info, frames)
    epoch = epochs[-1]
    if not live and frames > 1:
        epoch = st.select_slider(_("Epoch shown"), epochs, epoch, key=f"{key}_epoch_{info.name}_{frames}")
    sheet = _sheet(str(path), stamp, epochs.index(epoch))
    if sheet is None:
        return
    pictures.show(
        sheet, scale=3, gap=4, width="content",
        alt=_("Test pictures, their reconstructions and decoded random codes after epoch {}").format(epoch),
    )  # fmt: skip
    st.caption(
        _("After epoch {}. Above: test pictures. Middle: what the model makes of them. Below: random codes, decoded.")
        .format(epoch)
    )  # fmt: skip


def _filmed(info: RunInfo, frames: int) -> Sequence[int]:
    """The epoch of each frame; of a damaged config: counted."""
    try:
        epochs = TrainConfig(info.config["train"]["epochs"]).film_epochs[:frames]
    except (KeyError, TypeError, ValueError):
        epochs = ()
    return epochs if len(epochs) == frames else range(frames)


@st.cache_data(max_entries=100, show_spinner=False)
def _frames(path: str, stamp: int) -> int:
    """Epochs filmed; 0 where the file cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return min(file.get_slice(name).get_shape()[0] for name in ("recon", "sample"))
    except (OSError, SafetensorError, IndexError, ValueError):
        return 0


@st.cache_data(max_entries=200, show_spinner=False)
def _sheet(path: str, stamp: int, epoch: int) -> np.ndarray | None:
    """uint8 (3, COLUMNS, 28, 28): originals, reconstructions, samples; only this frame is read from the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            rows = [file.get_tensor("original"), *(file.get_slice(n)[epoch] for n in ("recon", "sample"))]
        sheet = np.stack([row[:COLUMNS] for row in rows])
    except (OSError, SafetensorError, IndexError, ValueError, TypeError):
        return None
    return sheet if sheet.dtype == np.uint8 and sheet.shape == (3, COLUMNS, 28, 28) else None
