"""Maps brought to the same side: turned onto the first one, or drawn together by aligned UMAP."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae import embeddings
from aevae.metrics import neighbours
from aevae.ui.atlas import FEW, Look, codes
from aevae.ui.i18n import _

FREE, FIRST, TOGETHER = "free", "first", "umap"


def ways() -> dict[str, str]:
    """Name -> what a person reads."""
    return {FREE: _("as they come"), FIRST: _("onto the first"), TOGETHER: _("UMAPs together")}


def together(looks: Sequence[Look]) -> list[Look]:
    """The panes with their maps by UMAP drawn together, with the parameters of the first of them (aligned UMAP).

    Raises ValueError, in one sentence, where that cannot be.
    """
    which = [i for i, look in enumerate(looks) if look.map is not None and look.request.method == "umap"]
    which = [i for i in which if not looks[i].request.via]
    if len(which) < 2:
        raise ValueError(_("To be drawn together, two finished maps must be by UMAP, without PCA before it."))
    if looks[which[0]].request.n > FEW:
        raise ValueError(_("UMAPs are drawn together for up to {:,} digits.").format(FEW))
    keys = tuple(looks[i].request.key for i in which)
    with st.spinner(_("Drawing them together …"), show_time=True):
        maps = _together(keys, [looks[i] for i in which])
    found = list(looks)
    for i, made in zip(which, maps, strict=True):
        found[i] = dataclasses.replace(looks[i], xy=made.xy, map=made, mark=" ".join(("together", str(i), *keys)))
    return found


@st.cache_resource(max_entries=8, show_spinner=False)
def _together(keys: tuple[str, ...], _looks: Sequence[Look]) -> list[embeddings.Map]:
    import time

    began, points = time.perf_counter(), [codes(look) for look in _looks]
    drawn = embeddings.aligned_umap(points, **_looks[0].request.parameters)
    seconds = time.perf_counter() - began
    return [
        embeddings.Map(xy, seconds, labels=look.map.labels, quality=neighbours.map_quality(z, xy, look.map.labels))
        for xy, z, look in zip(drawn, points, _looks, strict=True)
    ]


def aligned(looks: Sequence[Look]) -> list[np.ndarray | None]:
    """The maps turned onto the first one that is there: rotated, mirrored, scaled and shifted, never stretched."""
    first = next((look.xy for look in looks if look.xy is not None), None)
    fit = lambda xy: xy if xy is first or xy is None else embeddings.procrustes(xy, first)  # noqa: E731
    return [fit(look.xy) for look in looks]


def affine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 2): [x y 1] of `a` times it is `b`, in the sense of least squares."""
    if a is b:
        return np.array([[1, 0], [0, 1], [0, 0]], np.float64)
    return np.linalg.lstsq(np.column_stack([a, np.ones(len(a))]).astype(np.float64), b, rcond=None)[0]


def carried(a: np.ndarray, b: np.ndarray, place) -> np.ndarray:
    """A place among points `a` where `a` was turned into `b`."""
    return np.append(place, 1.0) @ affine(a, b)
