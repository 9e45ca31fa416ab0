"""Parts of the Interpolate page: spaces, interpolated steps with their distance to real codes, and views."""

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_colour
from aevae.latent.interpolation import KINDS, bilinear, lerp, nearest_distance, path, slerp, typical_spacing
from aevae.metrics.neighbours import count_within
from aevae.store.checkpoints import RunInfo
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, redraw, run_picker
from aevae.ui.shared.message import SEQUENCE_NUMBER, ListOf, Number, valid_fields

CORNERS = ("a", "b", "c", "d")
DEFAULT_CLASSES = (1, 7, 0, 4)  # default classes of the four digits; the path from 1 to 7 crosses a hole
FULL_BAR_SPACINGS = 4.0  # distance of a full bar, in spacings
NUM_PATH_POINTS = 41  # points of a path at which the live view has distances
SHEET_SIDE = 15  # points on each side of a sheet at which the live view has distances
PLACE = {2: ("t",), 4: ("across", "down")}  # number of digits -> state keys of the position between them; in the URL
PATH_FUNCTIONS = {"linear": lerp, "spherical": slerp}
LAST_MESSAGE = "scrub_letter"  # session: sequence number of the last message
UNSEEN = "place_unseen"


@dataclass(frozen=True)
class Space:
    """A space for interpolation: the codes of a model, or pixels."""

    title: str
    encode: Callable[[np.ndarray], np.ndarray]  # (N, 1, 28, 28) -> (N, D)
    decode: Callable[[np.ndarray], np.ndarray]  # (N, D) -> (N, 1, 28, 28) in [0, 1]
    reference: np.ndarray  # (1000, D): codes of the test digits
    spacing: float  # median distance of a real code to its nearest other one
    kinds: tuple[str, ...] = KINDS  # kinds of paths that make sense in this space
    mark: tuple = ()  # identity of the reference codes, a cache key
    run: str = ""  # name of the run; "" for pixels
    colour: str = ""

    def steps(self, codes: np.ndarray) -> "Steps":
        """The Steps of codes (S, D): decoded images and distances to real codes."""
        holes, index = self.holes(codes)
        return Steps(self.decode(codes), holes, index)

    def holes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(distance of codes (S, D) to the nearest real code in spacings, float32 (S,), index of that code (S,))."""
        distance, index, _count = self._measured(codes)
        # If all codes are equal (a collapsed model), there is no scale.
        holes = distance / self.spacing if self.spacing > 0 else np.full(len(distance), np.nan)
        return holes.astype(np.float32), index

    def near(self, codes: np.ndarray) -> np.ndarray:
        """Number of real codes within one spacing of codes (S, D): uint16 (S,)."""
        return self._measured(codes)[2].astype(np.uint16)

    def _measured(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        codes = np.ascontiguousarray(codes, np.float32)
        return _measured(self.mark, self.spacing, codes.shape, codes.tobytes(), self.reference)


@st.cache_resource(max_entries=256, show_spinner=False)
def _measured(
    mark: tuple, spacing: float, shape: tuple, content: bytes, _reference: np.ndarray
) -> tuple[np.ndarray, ...]:
    """(distance to the nearest reference code, its index, number of codes within the spacing) of codes (S, D)."""
    codes = np.frombuffer(content, np.float32).reshape(shape)
    found = (*nearest_distance(codes, _reference), count_within(codes, _reference, spacing))
    for array in found:
        array.setflags(write=False)
    return found


@dataclass(frozen=True)
class Steps:
    """Images (S, 1, 28, 28), distance to the nearest real code in spacings (S,), and index of that code (S,)."""

    images: np.ndarray
    holes: np.ndarray
    nearest: np.ndarray


def pixel_space(dataset: str = datasets.EMBEDDED) -> Space:
    """Pixel space: the images are codes of 784 numbers, and interpolation is a linear blend."""
    reference = cached.shown_digits(dataset)[0].reshape(-1, 784)
    return Space(
        _("Pixel blend (no model)"),
        lambda images: images.reshape(len(images), -1),
        lambda codes: codes.clip(0, 1).reshape(-1, 1, 28, 28),
        reference,
        _pixel_spacing(dataset),
        ("linear",),
        ("pixels", dataset, len(reference)),
    )


def model_space(run, dataset: str = datasets.EMBEDDED) -> Space:
    """The codes of an opened run."""
    checksum = run.info.weights_checksum
    reference = cached.codes(run.info, dataset)
    spacing = _code_spacing(reference, str(run.path), checksum, dataset)
    return Space(
        run_picker.label_of(run.name), partial(cached.applied, run, "encode"), partial(cached.applied, run, "decode"),
        reference, spacing, mark=(str(run.path), checksum, dataset), run=run.name,
        colour=family_colour(run.info.family),
    )  # fmt: skip


@st.cache_data(max_entries=4, show_spinner=False)
def _pixel_spacing(dataset: str) -> float:
    return typical_spacing(cached.shown_digits(dataset)[0].reshape(-1, 784))


@st.cache_data(max_entries=64, show_spinner=False)
def _code_spacing(_reference: np.ndarray, path: str, checksum: str | None, dataset: str) -> float:
    return typical_spacing(_reference)


def ways() -> dict[str, str]:
    """Kind of path -> title."""
    return {"linear": _("linear"), "spherical": _("spherical")}


def routes(spaces: Sequence[Space], kinds: Sequence[str]) -> list[tuple[str, Space, str]]:
    """(title, space, kind) of every sensible combination of a space and a kind of path."""
    titles = ways()
    return [
        (f"{space.title} · {titles[kind]}" if len(space.kinds) > 1 else space.title, space, kind)
        for space in spaces
        for kind in (kinds if len(space.kinds) > 1 else space.kinds)
    ]


def first_choice(runs: Sequence[RunInfo]) -> list[str]:
    """Default models: an AE and a VAE with equal code size, the smallest (where holes are largest)."""
    pairs = [(a, v) for a in runs for v in runs if (a.family, v.family) == ("ae", "vae")]
    pairs.sort(key=lambda pair: (pair[0].latent_dim != pair[1].latent_dim, pair[0].latent_dim))
    return [run.name for run in pairs[0]] if pairs else [run.name for run in runs[:2]]


def pick_corners(count: int, dataset: str = datasets.EMBEDDED) -> np.ndarray:
    """`count` digits (count, 1, 28, 28), chosen in folded pickers, because the path is the main image of the page.

    Their indices are in the URL as digit_a .. digit_d. Popovers are not used, because those of Streamlit 1.67 close at
    once if they are the first to need a widget.
    """
    first = picker.first_of(cached.shown_digits(dataset)[1], DEFAULT_CLASSES[:count])
    images = []
    with st.expander(_("Choose the digits"), icon=":material/apps:", key="corners"):
        for row in range(0, count, 2):
            columns = st.columns(2, gap="large")
            for column, letter, default in zip(columns, CORNERS[row:count], first[row:count], strict=False):
                with column:
                    images.append(
                        picker.pick_digit(
                            f"digit_{letter}",
                            default=default,
                            label=_("Digit {}").format(letter),
                            models=(),
                            dataset=dataset,
                        )[0]
                    )
    return np.stack(images)


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
            "Below each image: the distance of its code to the nearest real code along the whole path, in typical "
            "spacings (square-root scale; the top is {:.0f}). Dashed line: one spacing. Strong colour: a hole "
            "(farther than one spacing from all real codes). The count “near”: how many of {:,} real codes lie within "
            "one spacing. The strip at the bottom is dark where this count is high."
        ).format(spec["cap"], spec["total"])
        if len(at) == 1
        else _(
            "Below each image: a map of all positions between the four digits. Strong colour: farther than one "
            "typical spacing from all real codes. The count “near”: how many of {:,} real codes lie within one "
            "spacing."
        ).format(spec["total"])
    )


@redraw.fragment
def _scrub_on_server(images: np.ndarray, spaces: Sequence[Space], kinds: Sequence[str], problem: str) -> None:
    st.caption(problem)
    at = pick_place(len(images), seen=True)
    shown = [
        (title, space.steps(_code_at(kind, space.encode(images), at))) for title, space, kind in routes(spaces, kinds)
    ]
    parts = [np.concatenate([getattr(s, name) for _t, s in shown]) for name in ("images", "holes", "nearest")]
    show_steps(Steps(*parts), titles=[title for title, _s in shown])


def _code_at(kind: str, codes: np.ndarray, at: Sequence[float]) -> np.ndarray:
    """The code (1, D) at [t] between two codes, or at [across, down] between four (in reading order)."""
    walk = PATH_FUNCTIONS[kind]
    if len(codes) == 2:
        return walk(codes[0], codes[1], at[0])[None]
    return walk(walk(codes[0], codes[2], at[1]), walk(codes[1], codes[3], at[1]), at[0])[None]


def scrub_data(images: np.ndarray, spaces: Sequence[Space], kinds: Sequence[str]) -> tuple[dict, dict[str, np.ndarray]]:
    """(spec without the position, arrays) of the live view.

    images: (2 or 4, 1, 28, 28). arrays: ends (C, 784); for each model codes_<space> (C, D); for each route
    holes_<route> float32 and near_<route> uint16, at `NUM_PATH_POINTS` places along it, or at
    `SHEET_SIDE` x `SHEET_SIDE` of the sheet.
    """
    titles, models = ways(), [space.run for space in spaces if space.run]
    shown = routes(spaces, kinds)
    arrays = {"ends": images.reshape(len(images), -1).astype(np.float32)}
    for s, space in enumerate(spaces):
        if space.run:
            arrays[f"codes_{s}"] = space.encode(images)
    for r, (_title, space, kind) in enumerate(shown):
        places = _places(space.encode(images), kind)
        arrays[f"holes_{r}"], arrays[f"near_{r}"] = space.holes(places)[0], space.near(places)
    where = {id(space): s for s, space in enumerate(spaces)}
    spec = {
        "keys": [f"digit_{letter}" for letter in CORNERS[: len(images)]],
        "spaces": [
            {"title": space.title, "program": models.index(space.run) if space.run else -1, "colour": space.colour}
            for space in spaces
        ],
        "routes": [
            {
                "title": title,
                "way": titles[kind] if len(space.kinds) > 1 else "",
                "kind": kind,
                "space": where[id(space)],
            }
            for title, space, kind in shown
        ],
        "cap": _top([arrays[f"holes_{r}"] for r in range(len(shown))]),
        "total": len(spaces[0].reference),
        "texts": _texts(),
    }  # fmt: skip
    return spec, arrays


def _top(holes: Sequence[np.ndarray]) -> float:
    """Upper end of the axis of all profiles, in spacings: the largest distance, at least FULL_BAR_SPACINGS."""
    known = np.concatenate(holes)
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
        "numbers": _("{hole} · {near} near"),
    }


def receive(payload: dict) -> None:
    """Handle a message of the browser, {at: position between the digits, n: sequence number}."""
    found = valid_fields(payload, {"at": ListOf(Number(0, 1), 1, 2), "n": SEQUENCE_NUMBER})
    at = found.get("at", [])
    for key, value in zip(PLACE.get(2 * len(at), ()), at, strict=True):
        st.session_state[key] = round(float(value), 2)
    if "n" in found:
        st.session_state[LAST_MESSAGE] = found["n"]


# -- steps on the page -----------------------------------------------------------------------------------------------

_STYLE = """<style>
.steps { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 5.2rem)); gap: 0.55rem 0.2rem; }
.steps figure { margin: 0; text-align: center; font-size: 0.75rem; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.steps img { width: 100%; display: block; image-rendering: pixelated; border-radius: 0; }
.steps .bar { position: relative; height: 1.6rem; margin-top: 2px; border-bottom: 1px solid rgba(127, 127, 127, 0.6); }
.steps .bar i { position: absolute; bottom: 0; left: 30%; width: 40%; background: currentColor; opacity: 0.3; }
.steps .bar i.far { opacity: 0.85; }
.steps .bar b { position: absolute; left: 0; right: 0; border-top: 1px dashed rgba(127, 127, 127, 0.8); }
.steps.sheet { row-gap: 0.3rem; } .steps.sheet .bar { height: 0.7rem; }
@media (max-width: 640px) { .steps.wrap { grid-template-columns: repeat(min(6, var(--columns)), minmax(0, 1fr)); }
  .steps figure { font-size: 0.68rem; } .steps { gap: 0.5rem 0.1rem; } }
</style>"""


def show_steps(steps: Steps, columns: int | None = None, titles: Sequence[str] = ()) -> None:
    """Show images in a wrapping row, or in a sheet with `columns`, each with a bar of its distance below.

    Full height: FULL_BAR_SPACINGS; dashed line: one spacing; a strong colour: above one spacing. titles: a text under
    each number.
    """
    st.html(steps_html(steps, columns, titles))


def steps_html(steps: Steps, columns: int | None = None, titles: Sequence[str] = ()) -> str:
    """Self-contained HTML of the steps; see `show_steps`."""
    cells = [
        _cell(image, float(hole), int(near), titles[i] if i < len(titles) else "")
        for i, (image, hole, near) in enumerate(zip(steps.images, steps.holes, steps.nearest, strict=True))
    ]
    shape = " sheet" if columns else " wrap"
    return f'{_STYLE}<div class="steps{shape}" style="--columns: {columns or len(cells)}">{"".join(cells)}</div>'


def _cell(image: np.ndarray, hole: float, near: int, title: str) -> str:
    png = base64.b64encode(image_sheets.raw_sheet(image, 1)).decode()
    known = np.isfinite(hole)
    number = f"{hole:.1f}" if known else "–"
    height = 100 * min(hole, FULL_BAR_SPACINGS) / FULL_BAR_SPACINGS if known else 0
    spoken = html.escape(_("{} spacings from the nearest real code, which is a digit {}").format(number, near))
    far = ' class="far"' if known and hole > 1 else ""
    below = f"<div>{html.escape(title)}</div>" if title else ""
    one = 100 / FULL_BAR_SPACINGS  # % of the bar: one spacing
    return (
        f'<figure title="{spoken}"><img src="data:image/png;base64,{png}" alt="{spoken}">'
        f'<div class="bar"><i{far} style="height: {height:.0f}%"></i><b style="bottom: {one:.0f}%"></b></div>'
        f"<div>{number}</div>{below}</figure>"
    )


def side_by_side(walks: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """Paths of images (S, 1, 28, 28) of equal length, joined side by side into frames (S, 28, width)."""
    black = np.zeros((len(walks[0]), 28, gap), np.float32)
    parts = [part for walk in walks for part in (black, walk[:, 0])][1:]
    return np.concatenate(parts, axis=2)


def show_sum(row: Steps, result: Steps, dataset: str = datasets.EMBEDDED) -> None:
    """Show the images a, b, c and a - b + c of one space, and the real digit nearest to the result."""
    test = cached.dataset(dataset)
    images = np.concatenate([row.images, result.images])
    holes = np.concatenate([row.holes, result.holes])
    nearest = np.concatenate([row.nearest, result.nearest])
    near = _("= near a {}").format(test.classes[test.test.labels[result.nearest[0]]])
    show_steps(Steps(images, holes, nearest), titles=["a", "− b", "+ c", near])


def legend() -> None:
    """Show the legend of bars and numbers under the images."""
    st.caption(
        _(
            "Below each image: the distance of its code to the nearest code of a real test digit, in typical spacings "
            "between real codes. Dashed line: 1. Strong bar: a hole (more than 1). Full bar: {:g} or more."
        ).format(FULL_BAR_SPACINGS)
    )
