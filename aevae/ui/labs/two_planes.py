"""The lab Two planes, one hand: an autoencoder and β-VAEs with two numbers, and the data for `two_planes.js`."""

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.browser import plain
from aevae.browser.blob import class_numbers
from aevae.store import bundles
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, url_values
from aevae.ui.shared.run_picker import DIGIT
from aevae.ui.sliders import hand_planes

NUM_SAMPLES, NUM_HANDFULS = 20, 10  # random codes at a time, and how many such handfuls there are
EDGE = 3.3  # of the planes, in standard deviations
VAE = 2  # index of β = 1
FAR = (2.2, 2.8)  # a place far from the codes where the VAE decodes to a digit and the AE does not
NAMES = {"beta": "beta_at", "x": "hand_x", "y": "hand_y", "handful": "handful"}  # in messages -> in the address


def values() -> dict[str, float]:
    """The values in the address: index of β, place of the hand, number of the handful."""
    return url_values.numbers(_ranges())


def _ranges() -> dict[str, url_values.Range]:
    return {
        "beta_at": (VAE, 0, len(hand_planes.planes()) - 2),
        "hand_x": (0.0, -EDGE, EDGE),
        "hand_y": (0.0, -EDGE, EDGE),
        "handful": (0, 0, NUM_HANDFULS - 1),
    }


def show() -> tuple[hand_planes.Plane, hand_planes.Plane]:
    """Show both planes, and return them: of the AE, and of the chosen β."""
    now, planes = values(), hand_planes.planes()
    chosen = planes[1 + int(now["beta_at"])]
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        for plane in (planes[0], chosen):
            show_samples(plane, int(now["handful"]))
        return planes[0], chosen
    spec = {
        "key": "two_planes",
        "models": [plane.spec() | {"says": _says(plane)} for plane in planes],
        "state": {name: now[key] for name, key in NAMES.items()},
        "isTouched": bool(now["hand_x"] or now["hand_y"]),
        "classes": list(cached.class_names(datasets.EMBEDDED)),
        "sure": plain.SURE,
        "texts": _texts(planes[0].numbers),
    }
    arrays = {f"places{i}": plane.places.astype(np.float16) for i, plane in enumerate(planes)}
    own = st.session_state.get(f"{DIGIT}_own")  # drawn on another page
    arrays |= {
        "labels": class_numbers(cached.shown_digits()[1]),
        "random": handfuls(),
        "own": np.zeros(0, np.float32) if own is None else own.ravel(),
    }
    component.mount(
        "two_planes", "two_planes_live", spec, arrays,
        programs=[*(plane.program for plane in planes), plain.READER],
        shape={"height": 500, "narrow": 620}, on_send=url_values.number_handler(NAMES, _ranges()),
    )  # fmt: skip
    return planes[0], chosen


def handfuls() -> np.ndarray:
    """Random codes float32 (NUM_HANDFULS, NUM_SAMPLES, 2): samples of N(0, I), the same for all models."""
    return np.random.default_rng(0).standard_normal((NUM_HANDFULS, NUM_SAMPLES, 2)).astype(np.float32)


def show_samples(plane: hand_planes.Plane, handful: int) -> None:
    """Show the images of a handful of random codes, decoded on the server."""
    member = bundles.stored(hand_planes.BUNDLE)[plane.name]
    model = plain.PlainModel(member.config["model"], member.weights)
    name = hand_planes.label(plane.name)
    images = model.decode(handfuls()[handful])
    image_sheets.show(images, NUM_SAMPLES // 2, alt=_("Random codes, decoded by {}").format(name), caption=name)


def _says(plane: hand_planes.Plane) -> str:
    return _("in 2,000: {:.0%}, in 20 on average {:.1f} different digits").format(
        plane.numbers["sure"], plane.numbers["kinds"]
    )


def _texts(numbers: dict) -> dict[str, str]:
    return {
        "beta": _("Weight β"),
        "no_prior": _("has no prior: its codes lie anywhere"),
        "label": _(
            "Codes of 1,000 digits in the {model}. The arrow keys move the point in both planes; Shift: larger steps."
        ),
        "image": _("Image decoded by the {model}"),
        "samples": _("Images of 20 random codes, decoded by the {model}"),
        "looks": _("looks like {name}"),
        "none": _("looks like no digit"),
        "own": _("■ your digit; for the VAE with one and two standard deviations of its code."),
        "count": _("{count} of {all} random codes look like digits, of {kinds} classes"),
        "again": _("20 other random codes"),
        "legend": _(
            "Points: codes of 1,000 test digits. Rings: 1, 2, 3 standard deviations of N(0, I), from which the random "
            "codes are: ● looks like a digit, × does not. The plane of the AE shows a larger area, which has its codes."
        ),
        "reader": _(
            "“Looks like a digit”: a classifier gives one class at least {sure:.0%}. It does so for {real:.0%} of the "
            "real test digits, and its class is right for {right:.1%} of them."
        ).format(sure=plain.SURE, real=numbers["sure_of_digits"], right=numbers["reader_accuracy"]),
    }
