"""Parts of the Interpolate page: the choice of digits and the live view of one position in all spaces."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.latent.interpolation import bilinear, lerp, path, slerp
from aevae.store.checkpoints import RunInfo
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.interpolate.spaces import NUM_WALKS, Space, routes, ways
from aevae.ui.interpolate.steps_view import FULL_BAR_SPACINGS, show_steps
from aevae.ui.live import component
from aevae.ui.shared import cached, redraw
from aevae.ui.shared.message import SEQUENCE_NUMBER, ListOf, Number, valid_fields

CORNERS = ("a", "b", "c", "d")
NUM_DIGITS = {"two": 2, "four": 4, "sum": 3}  # type of path -> number of digits
# The first digits of each type of path. From this 4 to this 9 the AE crosses a larger hole than the VAE; the sum is a
# slanted 1 minus an upright 1 plus an upright 7.
FIRST_DIGITS = {"two": (829, 848), "four": (829, 848, *picker.GOOD_DIGITS[7:9]), "sum": (291, 888, 854)}
OFFERED = "corners_offered"  # session: key -> number, the digits with which the page began
SUM_LATENT_DIM = 20  # smallest code in which slant is a direction
NUM_PATH_POINTS = 41  # points of a path at which the live view has distances
SHEET_SIDE = 15  # points on each side of a sheet at which the live view has distances
PLACE = {2: ("t",), 4: ("across", "down")}  # number of digits -> state keys of the position between them; in the URL
PATH_FUNCTIONS = {"linear": lerp, "spherical": slerp}
LAST_MESSAGE = "scrub_letter"  # session: sequence number of the last message
UNSEEN = "place_unseen"


def first_choice(runs: Sequence[RunInfo], mode: str = "two") -> list[str]:
    """Default models: an AE and a VAE with equal code size, the smallest (where holes are largest).

    For a sum of codes: the VAE with the smallest code of at least SUM_LATENT_DIM dimensions, if there is one.
    """
    large = [run for run in runs if run.family == "vae" and run.latent_dim >= SUM_LATENT_DIM]
    if mode == "sum" and large:
        return [min(large, key=lambda run: run.latent_dim).name]
    pairs = [(a, v) for a in runs for v in runs if (a.family, v.family) == ("ae", "vae")]
    pairs.sort(key=lambda pair: (pair[0].latent_dim != pair[1].latent_dim, pair[0].latent_dim))
    return [run.name for run in pairs[0]] if pairs else [run.name for run in runs[:2]]


def first_digits(mode: str, dataset: str) -> tuple[int, ...]:
    """Default numbers of the digits: FIRST_DIGITS, or in another data set one image of each class."""
    wanted = FIRST_DIGITS[mode]
    if dataset == datasets.EMBEDDED:
        return wanted
    labels = cached.shown_digits(dataset)[1]
    return tuple(picker.first_of(labels, range(len(wanted))))


def pick_corners(mode: str, dataset: str = datasets.EMBEDDED) -> np.ndarray:
    """The digits (count, 1, 28, 28) of a type of path, chosen in pickers; their numbers are in the URL as digit_a ...

    Popovers are not used, because those of Streamlit 1.67 close at once if they are the first to need a widget.
    """
    first = {f"digit_{letter}": n for letter, n in zip(CORNERS, first_digits(mode, dataset), strict=False)}
    _offer(first)
    images = []
    with st.expander(_("Choose the digits"), icon=":material/apps:", key="corners"):
        for row in range(0, len(first), 2):
            columns = st.columns(2, gap="large")
            for column, (key, number) in zip(columns, list(first.items())[row : row + 2], strict=False):
                with column:
                    label = _("Digit {}").format(key[-1])
                    images.append(picker.pick_digit(key, default=number, label=label, models=(), dataset=dataset)[0])
    return np.stack(images)


def _offer(first: dict[str, int]) -> None:
    """Replace the digits with which another type of path began, if nobody has changed them."""
    state, before = st.session_state, st.session_state.get(OFFERED)
    if before and before != first and all(state.get(key, number) == number for key, number in before.items()):
        state.update(first)
    state[OFFERED] = first


# -- the live view ---------------------------------------------------------------------------------------------------


def pick_place(count: int, seen: bool) -> list[float]:
    """The position between 2 digits, [t], or between 4, [across, down], each in 0..1; in the URL.

    seen: False if the live view is shown. The hidden sliders then store what it sends.
    """
    titles = {"t": _("Position between a and b"), "across": _("Across"), "down": _("Down")}
    with st.container(key="place" if seen else UNSEEN, horizontal=True):
        if not seen:
            st.html(f"<style>.st-key-{UNSEEN} {{ display: none; }}</style>")
        return [st.slider(titles[key], 0.0, 1.0, 0.5, 0.01, key=key, bind="query-params") for key in PLACE[count]]


def scrub(images: np.ndarray, spaces: Sequence[Space], kinds: Sequence[str]) -> None:
    """Show one position between 2 or 4 digits (count, 1, 28, 28) in all spaces, live or decoded by the server."""
    runs = [space.run for space in spaces if space.run]
    problem = component.trouble(runs, has_server_version=True)
    if problem:
        _scrub_on_server(images, spaces, kinds, problem)
    else:
        spec, arrays = scrub_data(images, spaces, kinds)
        _scrub_live(spec, arrays, runs)


@redraw.fragment
def _scrub_live(spec: dict, arrays: dict[str, np.ndarray], runs: list[str]) -> None:
    at = pick_place(len(spec["keys"]), seen=False)
    spec = {**spec, "at": at, "n": st.session_state.get(LAST_MESSAGE, 0)}
    component.mount("scrub", "scrub_live", spec, arrays, programs=runs, height=340, on_send=receive)
    st.caption(
        _(
            "The curve shows how far each step is from the nearest real digit's code. Below the dashed line: among "
            "real codes. Dark above it: a hole. Unit: the typical spacing between real codes. Red bar at the right: "
            "the largest distance, as a mean over {} walks between random digits."
        ).format(NUM_WALKS)
        if len(at) == 1
        else _(
            "Below each image: a map of all positions between the four digits. Light: among real codes. Dark: farther "
            "than one typical spacing from all real codes, a hole."
        )
    )


@redraw.fragment
def _scrub_on_server(images: np.ndarray, spaces: Sequence[Space], kinds: Sequence[str], problem: str) -> None:
    st.caption(problem)
    at = pick_place(len(images), seen=True)
    for title, space, kind in routes(spaces, kinds):
        show_steps(space.steps(_code_at(kind, space.encode(images), at)), titles=[title])


def _code_at(kind: str, codes: np.ndarray, at: Sequence[float]) -> np.ndarray:
    """The code (1, D) at [t] between two codes, or at [across, down] between four (in reading order)."""
    walk = PATH_FUNCTIONS[kind]
    if len(codes) == 2:
        return walk(codes[0], codes[1], at[0])[None]
    return walk(walk(codes[0], codes[2], at[1]), walk(codes[1], codes[3], at[1]), at[0])[None]


def scrub_data(images: np.ndarray, spaces: Sequence[Space], kinds: Sequence[str]) -> tuple[dict, dict[str, np.ndarray]]:
    """(spec without the position, arrays) of the live view.

    images: (2 or 4, 1, 28, 28). arrays: ends (C, 784); for each model codes_<space> (C, D); for each route through the
    codes of a model holes_<route> float32, at `NUM_PATH_POINTS` places along it, or at `SHEET_SIDE` x `SHEET_SIDE` of
    the sheet.
    """
    titles, models = ways(), [space.run for space in spaces if space.run]
    shown = routes(spaces, kinds)
    arrays = {"ends": images.reshape(len(images), -1).astype(np.float32)}
    for s, space in enumerate(spaces):
        if space.run:
            arrays[f"codes_{s}"] = space.encode(images)
    for r, (_title, space, kind) in enumerate(shown):
        if space.run:
            arrays[f"holes_{r}"] = space.holes(_places(space.encode(images), kind))[0]
    where = {id(space): s for s, space in enumerate(spaces)}
    means = [space.mean_largest(kind) if space.run else 0.0 for _title, space, kind in shown]
    spec = {
        "keys": [f"digit_{letter}" for letter in CORNERS[: len(images)]],
        "spaces": [
            {"title": space.title, "program": models.index(space.run) if space.run else -1, "colour": space.colour}
            for space in spaces
        ],
        "routes": [
            {
                "title": title,
                "way": titles[kind] if min(len(kinds), len(space.kinds)) > 1 else "",
                "kind": kind,
                "space": where[id(space)],
                "mean": mean if np.isfinite(mean) else 0.0,
            }
            for (title, space, kind), mean in zip(shown, means, strict=True)
        ],
        "cap": _top([arrays[name] for name in arrays if name.startswith("holes_")], means),
        "texts": _texts(),
    }  # fmt: skip
    return spec, arrays


def _top(holes: Sequence[np.ndarray], means: Sequence[float]) -> float:
    """Upper end of the axis of all profiles, in spacings: the largest distance, at least FULL_BAR_SPACINGS."""
    known = np.concatenate([*holes, means])
    return float(max(FULL_BAR_SPACINGS, known[np.isfinite(known)].max(initial=0)))


def _places(codes: np.ndarray, kind: str) -> np.ndarray:
    """Codes (P, D) along the path between two codes, or over the sheet between four."""
    if len(codes) == 2:
        return path(*codes, NUM_PATH_POINTS, kind)
    return bilinear(codes, SHEET_SIDE, kind).reshape(SHEET_SIDE * SHEET_SIDE, -1)


def _texts() -> dict[str, str]:
    return {
        "part": _("Position between a and b"),
        "across": _("Across"),
        "down": _("Down"),
        "play": _("Play"),
        "pause": _("Pause"),
        "speed": _("Speed"),
        "slow": _("slow"),
        "normal": _("normal"),
        "fast": _("fast"),
        "digit": _("Digit {letter}"),
        "here": _("{hole} spacings from a real code"),
        "largest": _("largest {largest} (mean of {count} walks: {mean})"),
        "blend": _("one image laid over the other"),
        "walks": NUM_WALKS,
    }


def receive(payload: dict) -> None:
    """Handle a message of the browser, {at: position between the digits, n: sequence number}."""
    found = valid_fields(payload, {"at": ListOf(Number(0, 1), 1, 2), "n": SEQUENCE_NUMBER})
    at = found.get("at", [])
    for key, value in zip(PLACE.get(2 * len(at), ()), at, strict=True):
        st.session_state[key] = round(float(value), 2)
    if "n" in found:
        st.session_state[LAST_MESSAGE] = found["n"]
