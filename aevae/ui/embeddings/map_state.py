"""The maps of the chosen panes: read from the cache, or computed by a task of the queue.

`map_view` shows them with `atlas.js`; `selection` keeps the points that a person chooses there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import embeddings
from aevae.queue import jobs
from aevae.ui.embeddings.panes import Choice, request_of, title_of
from aevae.ui.frame.monitoring import beat
from aevae.ui.i18n import _
from aevae.ui.shared import cached, redraw
from aevae.ui.shared.message import Integer, valid_fields

QUICK = {"latent", "pca"}  # methods that are computed at once for at most MAX_QUICK_POINTS points
MAX_QUICK_POINTS = 1000
NUM_NEIGHBOURS = 10
_JOBS, _STOPPED = "atlas_jobs", "atlas_stopped"  # session: key of a request -> job id; keys cancelled here


@dataclass(frozen=True, eq=False)
class Look:
    """The current state of a pane.

    state: "ready" (the map exists), "making" (part: the finished fraction, or None), "stopped" (note: the reason;
    again: it may be requested again). xy: (N, 2) or None. map: its numbers, once it is ready.
    """

    choice: Choice
    request: object = None
    state: str = "stopped"
    note: str = ""
    part: float | None = None
    again: bool = False
    xy: np.ndarray | None = None
    map: object = None

    @property
    def errand(self) -> embeddings.MapRequest:
        """The queue's task for this pane; aligned maps share the task of their first map."""
        return self.request.group[0]


# -- the points ------------------------------------------------------------------------------------------------------


def images(dataset: str, n: int) -> np.ndarray:
    """The first n test images, uint8 (n, 1, 28, 28)."""
    return cached.dataset(dataset).test.images[:n]


def labels(dataset: str, n: int) -> np.ndarray:
    return cached.dataset(dataset).test.labels[:n]


def codes(look: Look) -> np.ndarray:
    """(N, D): the points of a pane in the space that was mapped; computed once."""
    return _codes(look.request.space, look.request.checksum, look.request.dataset, look.request.n, look.request)


@st.cache_resource(max_entries=16, show_spinner=False)
def _codes(space: str, checksum: str, dataset: str, n: int, _request) -> np.ndarray:
    return embeddings.codes_of(_request)


# -- maps ------------------------------------------------------------------------------------------------------------


def look_at(choice: Choice, dataset: str, n: int) -> Look:
    """The map of a pane: from the cache, quickly computed, or queued."""
    try:
        request = request_of(choice, dataset, n)
        kept = embeddings.find_map(request)
        if kept is None and request.method in QUICK and n <= MAX_QUICK_POINTS:
            with st.spinner(_("Computing {} …").format(title_of(choice.space)), show_time=True):
                made = embeddings.make_map(request)
            kept = embeddings.find_map(request) or made  # the cached version, as in later runs of the page
    except ValueError as problem:
        return Look(choice, note=str(problem))
    if kept is not None:
        return Look(choice, request, "ready", xy=kept.xy, map=kept)
    try:
        return _on_its_way(choice, request)
    except (jobs.QueueBroken, OSError) as problem:
        return Look(choice, request, note=str(problem))


def _on_its_way(choice: Choice, request: embeddings.MapRequest) -> Look:
    look = Look(choice, request)
    numbers, key = st.session_state.setdefault(_JOBS, {}), look.errand.key
    job = jobs.get(numbers[key]) if key in numbers else None
    elsewhere = job and job.state == "cancelled" and key not in st.session_state.get(_STOPPED, ())
    if job is None or elsewhere:  # another session may have cancelled it
        job = jobs.submit_task("map", f"{title_of(choice.space)}: {choice.settings}", look.errand.to_dict())
        numbers[key] = job.id
    jobs.ensure_worker(jobs.TASKS_LANE)
    frame = embeddings.newest_frame(request)
    xy = None if frame is None else np.asarray(frame.xy, np.float32)
    if not job.active:
        return Look(choice, request, note=_ended(job), again=True)
    if job.state == "queued":
        ahead = job.position - 1
        note = _("Waiting: {} tasks before this one").format(ahead) if ahead > 0 else _("Next in the queue")
        return Look(choice, request, "making", note, xy=xy)
    aside = f" · {job.progress['note']}" if job.progress.get("note") else ""
    if frame is None:
        return Look(choice, request, "making", _("Preparing …") + aside)
    note = _("Step {:,} of {:,}").format(frame.iteration, frame.of) + aside
    return Look(choice, request, "making", note, frame.iteration / max(frame.of, 1), xy=xy)


def _ended(job: jobs.Job) -> str:
    """The reason why a finished job has left no map."""
    if job.state == "cancelled":
        return _("Cancelled.")
    return job.error or _("The map was computed, but it could not be saved on this disk.")


def show_and_poll(show, choices: Sequence[Choice], dataset: str, n: int, *rest) -> list[Look]:
    """Run show(looks, dataset, n, ...) as a fragment that polls while a map is being computed.

    Returns the current state of the panes.
    """
    looks = [look_at(choice, dataset, n) for choice in choices]
    first = [looks]  # the first run of the fragment reuses it

    def again() -> None:
        show(first.pop() if first else [look_at(choice, dataset, n) for choice in choices], dataset, n, *rest)

    _forget_others(looks)
    waits = waiting(looks)
    st.session_state["atlas_waits"] = waits
    redraw.fragment(again, run_every=beat() if waits else None)()
    return looks


def _forget_others(looks: Sequence[Look]) -> None:
    """Cancel the tasks of maps that this session no longer shows."""
    numbers = st.session_state.get(_JOBS, {})
    for key in set(numbers) - {look.errand.key for look in looks if look.request}:
        jobs.cancel(numbers.pop(key))


def waiting(looks: Sequence[Look]) -> bool:
    """Whether any of these maps is being computed."""
    return any(look.state == "making" for look in looks)


def answer(payload: dict, looks: Sequence[Look]) -> None:
    """Handle a message of the component: cancel a pane's map, or compute it after all."""
    numbers, stopped = st.session_state.setdefault(_JOBS, {}), st.session_state.setdefault(_STOPPED, set())
    pane = Integer(0, len(looks) - 1)
    for what, number in valid_fields(payload, {"cancel": pane, "make": pane}).items():
        if looks[number].request is None:
            continue
        key = looks[number].errand.key
        if what == "cancel" and key in numbers:
            stopped.add(key)
            jobs.cancel(numbers[key])
        elif what == "make":
            stopped.discard(key)
            numbers.pop(key, None)
