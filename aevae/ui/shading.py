"""Colours of the points of a map other than their class: a number of each, by a model or by two maps."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae import checkpoints
from aevae.metrics import neighbours
from aevae.ui import loaders
from aevae.ui.atlas import NEAREST, Look, images
from aevae.ui.i18n import _
from aevae.ui.panes import Choice, title_of

SHADES = ("#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725")


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
        near = [_near(look.identity, look.map.xy) for look in pair]
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
