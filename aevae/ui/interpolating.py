"""Parts of the Interpolate page: spaces to walk in, steps with their distance to real codes, and how they are shown."""

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae.checkpoints import RunInfo
from aevae.latent.interpolation import KINDS, nearest_distance, typical_spacing
from aevae.ui import digits, loaders, pictures, state
from aevae.ui.i18n import _

CORNERS = ("a", "b", "c", "d")
FIRST = (1, 7, 0, 4)  # classes of the four digits at first; the way from 1 to 7 shows a hole well
SIDE = 84  # pixels of a thumbnail
CAP = 4.0  # spacings at which a bar is full


@dataclass(frozen=True)
class Space:
    """Where one can walk: the codes of a model, or the pixels themselves."""

    title: str
    encode: Callable[[np.ndarray], np.ndarray]  # (N, 1, 28, 28) -> (N, D)
    decode: Callable[[np.ndarray], np.ndarray]  # (N, D) -> (N, 1, 28, 28) in [0, 1]
    bank: np.ndarray  # (1000, D): codes of the test digits
    spacing: float  # median distance of a real code to the next one
    kinds: tuple[str, ...] = KINDS  # paths that make sense in it

    def steps(self, codes: np.ndarray) -> "Steps":
        """Decode codes (S, D), and measure how far they are from the real ones."""
        distance, index = nearest_distance(codes, self.bank)
        # Where all codes are one (a collapsed model) there is no scale to judge by.
        holes = distance / self.spacing if self.spacing > 0 else np.full(len(distance), np.nan, np.float32)
        return Steps(self.decode(codes), holes, index)


@dataclass(frozen=True)
class Steps:
    """Pictures (S, 1, 28, 28), distance to the nearest real code in spacings (S,), and whose code that is (S,)."""

    images: np.ndarray
    holes: np.ndarray
    nearest: np.ndarray


def pixel_space() -> Space:
    """The pictures themselves as codes of 784 numbers: a walk in it is the plain blend."""
    bank = loaders.test_digits()[0].reshape(-1, 784)
    return Space(
        _("Pixel blend"),
        lambda images: images.reshape(len(images), -1),
        lambda codes: codes.clip(0, 1).reshape(-1, 1, 28, 28),
        bank,
        _pixel_spacing(),
        ("linear",),
    )


def model_space(run) -> Space:
    """The codes of an opened run."""
    checksum = run.info.state.get("checksums", {}).get("model.safetensors")
    bank = loaders.codes(run.name)
    spacing = _code_spacing(bank, str(run.path), checksum)
    return Space(state.label_of(run.name), run.encode, run.decode, bank, spacing)


@st.cache_data(max_entries=2, show_spinner=False)
def _pixel_spacing() -> float:
    return typical_spacing(loaders.test_digits()[0].reshape(-1, 784))


@st.cache_data(max_entries=64, show_spinner=False)
def _code_spacing(_bank: np.ndarray, path: str, checksum: str | None) -> float:
    return typical_spacing(_bank)


def routes(spaces: Sequence[Space], kinds: Sequence[str]) -> list[tuple[str, Space, str]]:
    """Every space with every kind of path that makes sense in it: title, space, kind."""
    titles = {"linear": _("straight line"), "spherical": _("spherical")}
    return [
        (f"{space.title} · {titles[kind]}" if len(space.kinds) > 1 else space.title, space, kind)
        for space in spaces
        for kind in (kinds if len(space.kinds) > 1 else space.kinds)
    ]


def first_choice(runs: Sequence[RunInfo]) -> list[str]:
    """What to compare first: an AE and a VAE with the same code size, the smallest there is (holes show best)."""
    pairs = [(a, v) for a in runs for v in runs if (a.family, v.family) == ("ae", "vae")]
    pairs.sort(key=lambda pair: (pair[0].latent_dim != pair[1].latent_dim, pair[0].latent_dim))
    return [run.name for run in pairs[0]] if pairs else [run.name for run in runs[:2]]


def pick_corners(count: int) -> np.ndarray:
    """`count` digits (count, 1, 28, 28), chosen in pickers that are folded away: the walk is the picture of the page.

    Their numbers are in the URL as digit_a .. digit_d. (Not in popovers: those of Streamlit 1.67 close at once when
    they are the first to need a widget.)
    """
    labels = loaders.test_digits()[1]
    images = []
    with st.expander(_("Choose the digits"), icon=":material/apps:", key="corners"):
        for row in range(0, count, 2):
            columns = st.columns(2, gap="large")
            for column, letter, wanted in zip(columns, CORNERS[row:count], FIRST[row:count], strict=False):
                default = int(np.flatnonzero(labels == wanted)[0]) if (labels == wanted).any() else 0
                with column:
                    images.append(
                        digits.pick_digit(
                            f"digit_{letter}", default=default, label=_("Digit {}").format(letter), upload=False
                        )[0]
                    )
    return np.stack(images)


def show_corners(images: np.ndarray) -> None:
    """The chosen digits (count, 1, 28, 28) with their letters; four stand as they stand in the sheet."""
    count = len(images)
    with st.container(horizontal=True, gap="small", width=2 * SIDE + 24 if count == 4 else "stretch"):
        for letter, image in zip(CORNERS, images, strict=False):
            st.image(
                pictures.sheet(image, 1, scale=6), width=SIDE, output_format="PNG", caption=letter,
                alt=_("Digit {}").format(letter),
            )  # fmt: skip


# -- steps on the page: pictures that wrap, each with a bar and a number that stay readable at every width -------------

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
    """Pictures in a row (it wraps on a phone), or in a sheet of `columns`; the bar beneath is the distance.

    Full height: `CAP` spacings; dashed: one spacing; strong: farther than that. titles: a word under each number.
    """
    st.html(steps_html(steps, columns, titles))


def steps_html(steps: Steps, columns: int | None = None, titles: Sequence[str] = ()) -> str:
    """The sheet as HTML without any outside reference; see `show_steps`."""
    cells = [
        _cell(image, float(hole), int(near), titles[i] if i < len(titles) else "")
        for i, (image, hole, near) in enumerate(zip(steps.images, steps.holes, steps.nearest, strict=True))
    ]
    shape = " sheet" if columns else " wrap"
    return f'{_STYLE}<div class="steps{shape}" style="--columns: {columns or len(cells)}">{"".join(cells)}</div>'


def _cell(image: np.ndarray, hole: float, near: int, title: str) -> str:
    png = base64.b64encode(pictures.raw_sheet(image, 1)).decode()
    known = np.isfinite(hole)
    number = f"{hole:.1f}" if known else "–"
    height = 100 * min(hole, CAP) / CAP if known else 0
    spoken = html.escape(_("{} spacings from the nearest real code, of digit {}").format(number, near))
    far = ' class="far"' if known and hole > 1 else ""
    below = f"<div>{html.escape(title)}</div>" if title else ""
    return (
        f'<figure title="{spoken}"><img src="data:image/png;base64,{png}" alt="{spoken}">'
        f'<div class="bar"><i{far} style="height: {height:.0f}%"></i><b style="bottom: {100 / CAP:.0f}%"></b></div>'
        f"<div>{number}</div>{below}</figure>"
    )


def side_by_side(walks: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """Walks (S, 1, 28, 28), all of one length, as frames (S, 28, width) next to each other: one animation of all."""
    black = np.zeros((len(walks[0]), 28, gap), np.float32)
    parts = [part for walk in walks for part in (black, walk[:, 0])][1:]
    return np.concatenate(parts, axis=2)


def show_sum(row: Steps, result: Steps) -> None:
    """The pictures a, b, c and a - b + c of one space, and which real digit the result is nearest to."""
    labels = loaders.test_digits()[1]
    images = np.concatenate([row.images, result.images])
    holes = np.concatenate([row.holes, result.holes])
    nearest = np.concatenate([row.nearest, result.nearest])
    near = _("= near a {}").format(labels[result.nearest[0]])
    show_steps(Steps(images, holes, nearest), titles=["a", "− b", "+ c", near])


def legend() -> None:
    """What the bars and numbers under the pictures mean."""
    st.caption(
        _(
            "Under each picture: distance of its code to the nearest code of a real test digit, in typical spacings "
            "between real codes. Dashed line: 1; strong bar: farther than that, a hole; full bar: {:g} or more."
        ).format(CAP)
    )
