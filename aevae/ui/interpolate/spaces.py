"""Spaces for interpolation: the codes of models, or pixels; and how far a step is from the codes of real digits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_colour
from aevae.latent.interpolation import KINDS, nearest_distance, path, typical_spacing
from aevae.ui.i18n import _
from aevae.ui.shared import cached, run_picker

NUM_WALKS = 100  # random walks behind the mean
NUM_WALK_POINTS = 21  # points of a random walk
WALK_SEED = 0


@dataclass(frozen=True)
class Space:
    """A space for interpolation: the codes of a model, or pixels."""

    title: str
    encode: Callable[[np.ndarray], np.ndarray]  # (N, 1, 28, 28) -> (N, D)
    decode: Callable[[np.ndarray], np.ndarray]  # (N, D) -> (N, 1, 28, 28) in [0, 1]
    reference: np.ndarray | None = None  # (1000, D): codes of the test digits; None: distances have no meaning here
    spacing: float = 0.0  # median distance of a real code to its nearest other one
    kinds: tuple[str, ...] = KINDS  # kinds of paths that make sense in this space
    mark: tuple = ()  # identity of the reference codes, a cache key
    run: str = ""  # name of the run; "" for pixels
    colour: str = ""

    def steps(self, codes: np.ndarray) -> "Steps":
        """The Steps of codes (S, D): decoded images and, in the codes of a model, distances to real codes."""
        return Steps(self.decode(codes), *(self.holes(codes) if self.reference is not None else (None, None)))

    def holes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(distance of codes (S, D) to the nearest real code in spacings, float32 (S,), index of that code (S,))."""
        codes = np.ascontiguousarray(codes, np.float32)
        distance, index = _measured(self.mark, codes.shape, codes.tobytes(), self.reference)
        # If all codes are equal (a collapsed model), there is no scale.
        holes = distance / self.spacing if self.spacing > 0 else np.full(len(distance), np.nan)
        return holes.astype(np.float32), index

    def mean_largest(self, kind: str) -> float:
        """Mean over NUM_WALKS walks between random digits: the largest distance of a walk, in spacings."""
        return _mean_largest(self.mark, kind, self)


@st.cache_resource(max_entries=256, show_spinner=False)
def _measured(mark: tuple, shape: tuple, content: bytes, _reference: np.ndarray) -> tuple[np.ndarray, ...]:
    """(distance to the nearest reference code, its index) of codes (S, D)."""
    found = nearest_distance(np.frombuffer(content, np.float32).reshape(shape), _reference)
    for array in found:
        array.setflags(write=False)
    return found


@st.cache_data(max_entries=64, show_spinner=False)
def _mean_largest(mark: tuple, kind: str, _space: Space) -> float:
    codes, rng = _space.reference, np.random.default_rng(WALK_SEED)
    pairs = [rng.choice(len(codes), 2, replace=False) for _walk in range(NUM_WALKS)]
    walks = np.concatenate([path(codes[a], codes[b], NUM_WALK_POINTS, kind) for a, b in pairs])
    distance = nearest_distance(walks, codes)[0].reshape(NUM_WALKS, -1)
    return float(distance.max(1).mean() / _space.spacing) if _space.spacing > 0 else float("nan")


@dataclass(frozen=True)
class Steps:
    """Images (S, 1, 28, 28), distance to the nearest real code in spacings (S,), and index of that code (S,).

    Distance and index are None in pixels, whose distances cannot be compared with those of codes.
    """

    images: np.ndarray
    holes: np.ndarray | None = None
    nearest: np.ndarray | None = None


def pixel_space() -> Space:
    """Pixel space: the images are codes of 784 numbers, and interpolation is a linear blend."""
    return Space(
        _("Pixel blend (no model)"),
        lambda images: images.reshape(len(images), -1),
        lambda codes: codes.clip(0, 1).reshape(-1, 1, 28, 28),
        kinds=("linear",),
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


@st.cache_data(max_entries=64, show_spinner=False)
def _code_spacing(_reference: np.ndarray, path: str, checksum: str | None, dataset: str) -> float:
    return typical_spacing(_reference)


def ways() -> dict[str, str]:
    """Kind of path -> title."""
    return {"linear": _("linear"), "spherical": _("spherical")}


def routes(spaces: Sequence[Space], kinds: Sequence[str]) -> list[tuple[str, Space, str]]:
    """(title, space, kind) of every sensible combination of a space and a kind of path."""
    titles = ways()
    several = len(kinds) > 1
    return [
        (f"{space.title} · {titles[kind]}" if several and len(space.kinds) > 1 else space.title, space, kind)
        for space in spaces
        for kind in (kinds if len(space.kinds) > 1 else space.kinds)
    ]
