"""The maps of the chosen panes beside each other: taken from where they are kept, or made by the queue meanwhile.

The component (`web/atlas.js`) shows the same points in all panes; pictures, codes and programs follow by channels.
What is chosen and brushed there is kept in the session under "atlas", the chosen point also in the link (`?point=`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import checkpoints, embeddings, jobs
from aevae.figures.palette import class_colour, text_on
from aevae.metrics import neighbours
from aevae.ui import live, loaders, pictures, state
from aevae.ui.i18n import _
from aevae.ui.panes import Choice, request_of, title_of

BEAT = 0.7  # seconds between two looks at a map that is being made
QUICK = {"latent", "pca"}  # made at once, as long as there are few points
FEW = 1000
NEAREST = 10
SHADES = ("#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725")
_STATE = "atlas"  # session: what is brushed
_JOBS, _STOPPED = "atlas_jobs", "atlas_stopped"  # session: request's key -> number of its job; keys cancelled here


@dataclass(frozen=True, eq=False)
class Look:
    """A pane as it is now. state: "ready" (map is there), "making" (part: 0..1 or None), "stopped" (note says why;
    `again`: it may be asked for again). xy (N, 2) or None; map: its numbers, once it is ready."""

    choice: Choice
    request: object = None
    state: str = "stopped"
    note: str = ""
    part: float | None = None
    again: bool = False
    xy: np.ndarray | None = None
    map: object = None


# -- the points ------------------------------------------------------------------------------------------------------


def images(dataset: str, n: int) -> np.ndarray:
    """The first n test pictures, uint8 (n, 1, 28, 28)."""
    return loaders.dataset(dataset).test.images[:n]


def labels(dataset: str, n: int) -> np.ndarray:
    return loaders.dataset(dataset).test.labels[:n]


def codes(look: Look) -> np.ndarray:
    """(N, D): the points of a pane in the space that was mapped; computed once."""
    return _codes(look.request.space, look.request.checksum, look.request.dataset, look.request.n, look.request)


@st.cache_resource(max_entries=16, show_spinner=False)
def _codes(space: str, checksum: str, dataset: str, n: int, _request) -> np.ndarray:
    return embeddings.codes_of(_request)


# -- maps ------------------------------------------------------------------------------------------------------------


def look_at(choice: Choice, dataset: str, n: int) -> Look:
    """The pane's map: kept, quickly made, or on its way."""
    try:
        request = request_of(choice, dataset, n)
        kept = embeddings.kept(request)
        if kept is None and request.method in QUICK and n <= FEW:
            kept = embeddings.make(request, lambda news: None, lambda: False)
    except ValueError as problem:
        return Look(choice, note=str(problem))
    if kept is not None:
        return Look(choice, request, "ready", xy=kept.xy, map=kept)
    try:
        return _on_its_way(choice, request)
    except (jobs.QueueBroken, OSError) as problem:
        return Look(choice, request, note=str(problem))


def _on_its_way(choice: Choice, request) -> Look:
    numbers = st.session_state.setdefault(_JOBS, {})
    job = jobs.get(numbers[request.key]) if request.key in numbers else None
    elsewhere = job and job.state == "cancelled" and request.key not in st.session_state.get(_STOPPED, ())
    if job is None or elsewhere:  # somebody who no longer wanted it has cancelled it
        job = jobs.submit_task("map", f"{title_of(choice.space)}: {choice.settings}", request.to_dict())
        numbers[request.key] = job.id
    jobs.ensure_worker(jobs.TASKS_LANE)
    frame = embeddings.frame(request)
    xy = None if frame is None else np.asarray(frame.xy, np.float32)
    if not job.active:
        return Look(choice, request, note=_ended(job), again=True)
    if job.state == "queued":
        ahead = job.position - 1
        note = _("Waiting: {} before it").format(ahead) if ahead > 0 else _("Next in the queue")
        return Look(choice, request, "making", note, xy=xy)
    if frame is None:
        return Look(choice, request, "making", _("Preparing …"))
    note = _("Step {:,} of {:,}").format(frame.iteration, frame.of)
    return Look(choice, request, "making", note, frame.iteration / max(frame.of, 1), xy=xy)


def _ended(job: jobs.Job) -> str:
    """Why there is no map although its job has ended."""
    if job.state == "cancelled":
        return _("Cancelled.")
    return job.error or _("The map was made, but could not be kept on this disk.")


def keep_looking(desk, choices: Sequence[Choice], dataset: str, n: int, *rest) -> None:
    """desk(choices, dataset, n, ...) as a fragment, which runs again and again while one of the maps is being made."""
    looks = [look_at(choice, dataset, n) for choice in choices]
    _forget_others(looks)
    waits = waiting(looks)
    st.session_state["atlas_waits"] = waits
    st.fragment(desk, run_every=BEAT if waits else None)(choices, dataset, n, *rest)


def _forget_others(looks: Sequence[Look]) -> None:
    """Maps that this session has asked for and no longer shows are made for nobody; who wants them asks again."""
    numbers = st.session_state.get(_JOBS, {})
    for key in set(numbers) - {look.request.key for look in looks if look.request}:
        jobs.cancel(numbers.pop(key))


def waiting(looks: Sequence[Look]) -> bool:
    """Is any of these still on its way?"""
    return any(look.state == "making" for look in looks)


# -- what is brushed -------------------------------------------------------------------------------------------------


@dataclass
class Brush:
    """points: data set and number of digits it belongs to; selected: rows, rising; point: the chosen row or -1;
    n: number of the browser's last letter."""

    points: str
    selected: np.ndarray
    point: int = -1
    n: int = 0


def brush(dataset: str, n: int) -> Brush:
    """What is brushed among these points; nothing, but for the point of the link, where they are others."""
    points, known = f"{dataset}:{n}", st.session_state.get(_STATE)
    if known is None or known.points != points:
        asked = st.query_params.get("point", "") if known is None else ""
        point = int(asked) if asked.isdecimal() and len(asked) < 9 and int(asked) < n else -1
        known = Brush(points, np.zeros(0, np.int32), point, known.n if known else 0)
        st.session_state[_STATE] = known
    if known.point < 0:
        st.query_params.pop("point", None)
    elif st.query_params.get("point") != str(known.point):
        st.query_params["point"] = str(known.point)
    return known


def heard(payload: dict, looks: Sequence[Look], dataset: str, n: int) -> None:
    """What the component sends; it comes from outside, and what is none of this is ignored."""
    now = brush(dataset, n)
    chosen, point, letter = payload.get("selected"), payload.get("point"), payload.get("n")
    if isinstance(chosen, list) and len(chosen) <= n and all(type(i) is int and 0 <= i < n for i in chosen):
        now.selected = np.unique(np.array(chosen, np.int32))
    if type(point) is int and -1 <= point < n:
        now.point = point
    if type(letter) is int and letter >= 0:
        now.n = letter
    for what in ("cancel", "make"):
        number = payload.get(what)
        if type(number) is not int or not 0 <= number < len(looks) or looks[number].request is None:
            continue
        key = looks[number].request.key
        numbers, stopped = st.session_state.setdefault(_JOBS, {}), st.session_state.setdefault(_STOPPED, set())
        if what == "cancel" and key in numbers:
            stopped.add(key)
            jobs.cancel(numbers[key])
        elif what == "make":
            stopped.discard(key)
            numbers.pop(key, None)


# -- colours ---------------------------------------------------------------------------------------------------------


def shades(choices: Sequence[Choice]) -> dict[str, str]:
    """Name -> title of what the points can be coloured by."""
    found = {"class": _("class")}
    for i in range(len(choices)):
        for j in range(i + 1, len(choices)):
            found[f"changed-{i + 1}-{j + 1}"] = _("neighbours changed between maps {} and {}").format(i + 1, j + 1)
    names = list(dict.fromkeys(c.run for c in choices if c.run))
    traits = {run.name: run.traits for run in loaders.finished()}
    found |= {f"error-{name}": _("reconstruction error: {}").format(title_of(name)) for name in names}
    return found | {
        f"kl-{name}": _("KL: {}").format(title_of(name)) for name in names if traits.get(name, {}).get("generative")
    }


def shade(name: str, looks: Sequence[Look], dataset: str, n: int) -> tuple[np.ndarray, str] | None:
    """Values (N,) and their unit; None for the class, and where a map it needs is not there yet.

    Raises ValueError, in one sentence, where the model has no such number.
    """
    kind, _dash, which = name.partition("-")
    if kind == "class":
        return None
    if kind == "changed":
        pair = [looks[int(i) - 1] for i in which.split("-")]
        if any(look.map is None for look in pair):
            return None
        near = [_near(look.request.key, look.map.xy) for look in pair]
        kept = (near[0][:, :, None] == near[1][:, None, :]).any(2).sum(1)
        return (NEAREST - kept).astype(np.float32), _("of {} neighbours").format(NEAREST)
    checksum = checkpoints.find_run(which).state.get("checksums", {}).get("model.safetensors", "")
    if kind == "error":
        return _errors(which, checksum, dataset, n), _("nats")
    return _kl(which, checksum, dataset, n), _("nats")


@st.cache_resource(max_entries=24, show_spinner=False)
def _near(key: str, _xy: np.ndarray) -> np.ndarray:
    return neighbours.nearest(_xy, _xy, NEAREST, own=np.arange(len(_xy)))[1]


@st.cache_resource(max_entries=24, show_spinner=False)
def _errors(name: str, checksum: str, dataset: str, n: int) -> np.ndarray:
    from aevae.metrics import reconstruction

    x = images(dataset, n).astype(np.float32) / 255
    return np.asarray(reconstruction.bce(x, loaders.run(name).reconstruct(x)), np.float32)


@st.cache_resource(max_entries=24, show_spinner=False)
def _kl(name: str, checksum: str, dataset: str, n: int) -> np.ndarray:
    from torch import from_numpy

    from aevae.metrics import evidence

    _mu, kl = evidence.posterior(loaders.run(name).model, from_numpy(images(dataset, n).astype(np.float32) / 255))
    if kl is None:
        raise ValueError(_("The code of {} is a point: it has no KL.").format(title_of(name)))
    return kl.sum(1).numpy()


# -- on the page -----------------------------------------------------------------------------------------------------


def frame_of(xy: np.ndarray) -> list[float]:
    """Middle and half the side of the square around points (N, 2)."""
    fine = xy[np.isfinite(xy).all(1)]
    if not len(fine):
        return [0.0, 0.0, 1.0]
    low, high = fine.min(0), fine.max(0)
    return [*((low + high) / 2).tolist(), float((high - low).max() / 2) or 1.0]


def aligned(looks: Sequence[Look]) -> list[np.ndarray | None]:
    """The maps turned onto the first one that is there: rotated, mirrored, scaled and shifted, never stretched."""
    first = next((look.xy for look in looks if look.xy is not None), None)
    fit = lambda xy: xy if xy is first or xy is None else embeddings.procrustes(xy, first)  # noqa: E731
    return [fit(look.xy) for look in looks]


def show(
    looks: Sequence[Look], dataset: str, n: int, *, colour: str, align: bool, own: np.ndarray | None, places: list
) -> None:
    """The component. own: a picture (1, 28, 28) of the reader's, `places`: where it lies in each map, or None."""
    now = brush(dataset, n)
    maps = aligned(looks) if align else [look.xy for look in looks]
    shared = frame_of(np.concatenate([xy for xy in maps if xy is not None] or [np.zeros((1, 2))])) if align else None
    arrays = {"labels": labels(dataset, n).astype(np.uint8), "selected": now.selected}
    arrays |= {f"xy{i}": xy.astype(np.float32) for i, xy in enumerate(maps) if xy is not None}
    for i, look in enumerate(looks):
        if (flat := _flat(look, maps[i])) is not None:
            arrays[f"lift{i}"] = flat
    if own is not None:
        arrays["own"] = pictures.to_bytes(own).ravel()
    scale, problem = None, None
    try:
        found = shade(colour, looks, dataset, n)
    except ValueError as reason:
        found, problem = None, str(reason)
    if found is not None:
        values, unit = found
        low, high = float(values.min()), max(float(np.quantile(values, 0.98)), float(values.min()) + 1e-6)
        arrays["shade"] = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        title = shades([look.choice for look in looks])[colour]
        scale = {"title": title, "unit": unit, "low": low, "high": high, "ramp": list(SHADES)}
    panes = []
    for look, xy, place in zip(looks, maps, places, strict=True):
        if place is not None and align and look.xy is not None:
            place = _carried(look.xy, xy, place)
        panes.append(_pane_spec(look, dataset) | {
            "frame": shared or frame_of(xy if xy is not None else np.zeros((1, 2))),
            "own": None if place is None else [float(v) for v in place],
        })  # fmt: skip
    classes = loaders.dataset(dataset).classes
    live.mount(
        "atlas",
        "atlas_view",
        {
            "key": "atlas",
            "points": now.points,
            "panes": panes,
            "classes": list(classes),
            "colours": [{"back": class_colour(c), "text": text_on(class_colour(c))} for c in range(len(classes))],
            "shade": scale,
            "pictures": f"pictures:{now.points}",
            "point": now.point,
            "n": now.n,
            "texts": _texts(),
        },
        arrays,
        shape={"height": {2: 640, 3: 520}.get(len(looks), 1240), "narrow": 480 * len(looks)},
        on_send=lambda payload: heard(payload, looks, dataset, n),
    )
    if problem:
        st.caption(problem)


def send_sheets(looks: Sequence[Look], dataset: str, n: int) -> None:
    """Pictures, codes and programs, after the maps: the page does not wait for them."""
    with st.container(gap=None):
        _send_sheets(looks, dataset, n)


def _send_sheets(looks: Sequence[Look], dataset: str, n: int) -> None:
    points = f"{dataset}:{n}"
    live.mount(
        "sheet", "atlas_pictures", {"channel": f"pictures:{points}"},
        {"pictures": images(dataset, n).reshape(n, -1)},
    )  # fmt: skip
    for look in {look.choice.run: look for look in looks if look.choice.run and look.request}.values():
        name = look.choice.run
        if live.trouble([name]):
            continue
        live.mount(
            "sheet", f"atlas_codes_{name}", {"channel": f"codes:{name}"},
            {"codes": codes(look).astype(np.float16)}, programs=[name],
        )  # fmt: skip


def _pane_spec(look: Look, dataset: str) -> dict:
    note = state.seen_note(checkpoints.find_run(look.choice.run), dataset) if look.choice.run else None
    return {
        "title": title_of(look.choice.space),
        "sub": look.choice.settings,
        "run": look.choice.run,
        "state": "stopped" if look.state == "stopped" else look.state,
        "again": look.again,
        "note": look.note,
        "part": look.part,
        "numbers": numbers(look.map) if look.map is not None else [],
        "warnings": [note] if note else [],
    }


def numbers(kept) -> list[list[str]]:
    """Name, value and meaning of the numbers under a map."""
    q = kept.quality
    found = [
        (_("10-NN accuracy"), "knn_accuracy", "{:.1%}", _("the ten nearest points vote for the right class")),
        (_("before mapping"), "knn_accuracy_space", "{:.1%}", _("the same vote in the space that was mapped")),
        (_("trustworthiness"), "trustworthiness", "{:.3f}", _("1: every neighbour in the map is one in the space")),
        (_("continuity"), "continuity", "{:.3f}", _("1: every neighbour in the space is one in the map")),
        (_("neighbours kept"), "neighbourhood_preservation", "{:.1%}", _("of the ten nearest, in the mean")),
    ]
    shown = [[name, form.format(q[key]), help] for name, key, form, help in found if q.get(key) is not None]
    return [*shown, [_("made in"), _("{:.1f} s").format(kept.seconds), _("on the machine that made it")]]


@st.cache_resource(max_entries=64, show_spinner=False)
def _exact(key: str, _look: Look) -> np.ndarray | None:
    """Codes (3, D) at (0, 0), (1, 0), (0, 1) of a map that decodes exactly, else None."""
    corners = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    try:
        found, how = embeddings.inverse(_look.request, corners, codes(_look))
    except ValueError:
        return None
    return np.asarray(found, np.float32) if how == "exact" else None


def _flat(look: Look, xy: np.ndarray | None) -> np.ndarray | None:
    """Origin and both directions (3, D) float32 of the plane of codes that a map shows, in the units of `xy`."""
    if look.map is None or not look.choice.run or look.request.method not in QUICK:
        return None
    corners = _exact(look.request.key, look)
    if corners is None:
        return None
    back = _affine(xy, look.map.xy)  # shown place -> place of the map
    origin, u, v = corners[0], corners[1] - corners[0], corners[2] - corners[0]
    plane = back @ np.stack([u, v])  # (3, D)
    plane[2] += origin
    return plane[[2, 0, 1]].astype(np.float32)


def _affine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 2): [x y 1] of `a` times it is `b`, in the sense of least squares."""
    if a is b:
        return np.array([[1, 0], [0, 1], [0, 0]], np.float64)
    return np.linalg.lstsq(np.column_stack([a, np.ones(len(a))]).astype(np.float64), b, rcond=None)[0]


def _carried(a: np.ndarray, b: np.ndarray, place) -> np.ndarray:
    """A place among points `a` where `a` was turned into `b`."""
    return np.append(place, 1.0) @ _affine(a, b)


def _texts() -> dict:
    return {
        "pane": _("Map {number}: {title}, {sub}. Arrow keys go from point to point, Enter chooses, Shift+Enter "
                  "selects, plus and minus zoom, 0 shows all, Escape clears."),
        "point": _("{class}, number {number}"),
        "exact": _("decoded here, exactly"),
        "nearest": _("decoded from the nearest code"),
        "selected": _("{count} selected:"),
        "hint": _("Draw around points to select them in every map, or click a class; Shift adds. Click a point for its "
                  "neighbours. Where there is none, the decoder shows what lives there."),
        "columns": [_("number"), _("class")],
        "classes": _("Classes"),
        "class_help": _("Select this class; with Shift beside the others"),
        "lasso": _("Lasso"),
        "lasso_help": _("Drag to select; with Alt or the right button to move"),
        "move": _("Move"),
        "move_help": _("Drag to move; the wheel zooms"),
        "clear": _("Clear"),
        "png": _("PNG"),
        "png_help": _("Download the maps as they are seen"),
        "morph": _("Go over into the next map: who moves?"),
        "shows": _("Map {number}: {title}"),
        "closer": _("Closer"),
        "wider": _("Farther"),
        "whole": _("All of it"),
        "make": _("Make it"),
        "cancel": _("Cancel"),
    }  # fmt: skip
