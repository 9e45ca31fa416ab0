"""Colours of the points of a map: one number per point, by a model or by two maps."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae.ui.embeddings.map_state import NUM_NEIGHBOURS, Look, images
from aevae.ui.embeddings.panes import Choice, title_of
from aevae.ui.i18n import _
from aevae.ui.shared import cached

SHADES = ("#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725")


def shades(choices: Sequence[Choice]) -> dict[str, str]:
    """Name -> title of each possible colouring."""
    found = {"class": _("class")}
    for i in range(len(choices)):
        for j in range(i + 1, len(choices)):
            found[f"changed-{i + 1}-{j + 1}"] = _("neighbours changed between maps {} and {}").format(i + 1, j + 1)
    names = list(dict.fromkeys(c.run for c in choices if c.run))
    traits = {run.name: run.traits for run in cached.finished()}
    found |= {f"error-{name}": _("reconstruction error: {}").format(title_of(name)) for name in names}
    return found | {
        f"kl-{name}": _("KL: {}").format(title_of(name)) for name in names if traits.get(name, {}).get("generative")
    }


def shade(name: str, looks: Sequence[Look], dataset: str, n: int) -> tuple[np.ndarray, str] | None:
    """(values (N,), unit) of a colouring; None for colours by class and while a required map does not exist.

    Raises ValueError with one sentence if the model has no such values.
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
        return (NUM_NEIGHBOURS - kept).astype(np.float32), _("out of {} neighbours").format(NUM_NEIGHBOURS)
    try:
        run = cached.run(which)
        values = (_errors if kind == "error" else _kl)(str(run.path), run.info.weights_checksum, dataset, n, run)
    except ValueError as problem:
        raise ValueError(f"{title_of(which)}: {problem}") from problem
    if not np.isfinite(values).all():
        raise ValueError(_("{}: a value is NaN or infinite, so it has no colour").format(title_of(which)))
    return values, _("nats")


@st.cache_resource(max_entries=24, show_spinner=False)
def _near(key: str, _xy: np.ndarray) -> np.ndarray:
    return nearest_in_plane(_xy, NUM_NEIGHBOURS)


def nearest_in_plane(xy: np.ndarray, k: int) -> np.ndarray:
    """Indices (N, k) of the k nearest other points in the plane, by a k-d tree."""
    from scipy.spatial import cKDTree  # ty: ignore[missing-module-member]

    if len(xy) <= k:
        raise ValueError(_("Counting {} neighbours needs more than {} images.").format(k, k))
    index = cKDTree(xy).query(xy, k + 1)[1]
    self = index == np.arange(len(xy))[:, None]
    self[~self.any(1), -1] = True  # so many points coincide that the point itself is not in the list
    return index[~self].reshape(len(xy), k)


@st.cache_resource(max_entries=24, show_spinner=False)
def _errors(path: str, checksum: str, dataset: str, n: int, _run) -> np.ndarray:
    from aevae.metrics import reconstruction

    x = images(dataset, n).astype(np.float32) / 255
    return np.asarray(reconstruction.bce(x, _run.reconstruct(x)), np.float32)


@st.cache_resource(max_entries=24, show_spinner=False)
def _kl(path: str, checksum: str, dataset: str, n: int, _run) -> np.ndarray:
    from torch import from_numpy

    from aevae.metrics import evidence

    _mu, kl = evidence.posterior(_run.model, from_numpy(images(dataset, n).astype(np.float32) / 255))
    if kl is None:
        raise ValueError(_("its code is a point, so it has no KL"))
    return kl.sum(1).numpy()
