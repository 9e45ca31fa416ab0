"""Alignment of maps: Procrustes onto the first one, or aligned UMAP."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from aevae import embeddings
from aevae.ui.embeddings.panes import Choice
from aevae.ui.i18n import _

FREE, FIRST, TOGETHER = "free", "first", "umap"


def ways() -> dict[str, str]:
    """Name -> title."""
    return {FREE: _("not aligned"), FIRST: _("to the first map"), TOGETHER: _("aligned UMAP")}


def together(choices: Sequence[Choice]) -> list[Choice]:
    """The choices, with the UMAP panes changed to one aligned set with the parameters of the first UMAP pane.

    Raises ValueError with one sentence if there are fewer than two UMAP panes.
    """
    which = [choice for choice in choices if choice.method == "umap"]
    spaces = tuple(dict.fromkeys(choice.space for choice in which))
    if len(spaces) < 2:
        raise ValueError(
            _("Aligned UMAP needs at least two maps of different spaces, all made with UMAP and without PCA.")
        )
    as_one = {"parameters": which[0].parameters, "together": spaces}
    return [dataclasses.replace(choice, **as_one) if choice in which else choice for choice in choices]


def aligned(looks: Sequence) -> list[np.ndarray | None]:
    """The maps, rotated, mirrored, scaled and shifted onto the first one, but not stretched."""
    first = next((look.xy for look in looks if look.xy is not None), None)
    fit = lambda xy: xy if xy is first or xy is None else embeddings.procrustes(xy, first)  # noqa: E731
    return [fit(look.xy) for look in looks]


def affine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The affine map (3, 2), applied to [x y 1], that fits `a` to `b` by least squares."""
    if a is b:
        return np.array([[1, 0], [0, 1], [0, 0]], np.float64)
    return np.linalg.lstsq(np.column_stack([a, np.ones(len(a))]).astype(np.float64), b, rcond=None)[0]


def carried(a: np.ndarray, b: np.ndarray, place) -> np.ndarray:
    """The position in map `b` of a point of map `a`, by the affine map from a to b."""
    return np.append(place, 1.0) @ affine(a, b)
