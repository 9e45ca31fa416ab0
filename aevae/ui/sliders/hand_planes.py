"""Models with two numbers for `hand_plane.js`: an autoencoder and β-VAEs. Imports no torch.

Planes are in standard deviations: z = mean + scale place. They are those of the prior N(0, I), or, if a model has no
prior, of a Gaussian with the mean and the covariance of the codes of the test digits.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae.browser.plain import PlainModel
from aevae.store import bundles
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached

BUNDLE = "planes"
AE = "ae"  # name of the autoencoder in the bundle; the others are named after their β


@dataclass(frozen=True)
class Plane:
    """A model and its plane. mean (2,), scale (2, 2); places float32 (N, 2): of the codes of the test digits."""

    name: str
    mean: np.ndarray
    scale: np.ndarray
    places: np.ndarray
    has_prior: bool
    numbers: dict

    @property
    def program(self) -> str:
        """Name of the model for `component.mount`."""
        return f"{component.LAB}{BUNDLE}.{self.name}"

    def spec(self) -> dict:
        """The JSON part for the browser."""
        mean, scale = self.mean.tolist(), self.scale.ravel().tolist()
        return {"name": label(self.name), "mean": mean, "scale": scale, "hasPrior": self.has_prior}


def planes() -> list[Plane]:
    """The autoencoder, then the β-VAEs by ascending β. Raises `bundles.Missing`."""
    return _planes(bundles.checksum(BUNDLE))


@st.cache_resource(max_entries=1, show_spinner=False)
def _planes(checksum: str) -> list[Plane]:
    images = cached.shown_digits()[0]
    return [plane_of(member, images) for member in bundles.stored(BUNDLE).values()]


def plane_of(member: bundles.Stored, images: np.ndarray) -> Plane:
    """The plane of a model with two numbers. images: float32 (N, 1, 28, 28) in [0, 1]."""
    model = PlainModel(member.config["model"], member.weights)
    codes = model.encode(images)
    mean, scale = model.frame(codes)
    places = (codes - mean) @ np.linalg.inv(scale).T
    return Plane(member.name, mean, scale, places.astype(np.float32), bool(model.prior), member.numbers)


def label(name: str) -> str:
    """The name of a model for the reader."""
    if name == AE:
        return _("AE")
    return _("VAE") if name == "1" else _("β-VAE, β = {}").format(name)
