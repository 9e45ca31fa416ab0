"""The lab Contraction and tangents: sensitivity of codes; data for `contraction.js` and `contraction_geodesic.js`."""

import zlib

import numpy as np
import streamlit as st

from aevae.browser.blob import class_numbers
from aevae.figures import sensitivity as figures
from aevae.latent import planes
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, run_picker, url_values

FAMILIES = ("ae", "denoising", "contractive")
NUM_DIRECTIONS, MAX_STEP, GRID_SIDE = 6, 8.0, 48
PUSH = {"push": (30, -80, 80)}  # tenths
ENDS = {"a_x": (150, 10, 990), "a_y": (200, 10, 990), "b_x": (850, 10, 990), "b_y": (800, 10, 990)}  # thousandths
STEP_SIZES = np.array([0.25, 0.5, 1, 2, 3, 4, 6, 8])


@st.cache_resource(max_entries=64, show_spinner=False)
def sensitivity(name: str, pixels: bytes) -> dict:
    """Singular values and directions of the encoder's Jacobian at a digit (float32), in usual distances of codes."""
    from aevae.metrics import tangent

    run, codes, image = cached.run(name), cached.codes(name), np.frombuffer(bytearray(pixels), np.float32)
    image = image.reshape(1, 28, 28)
    values, directions = tangent.jacobian_spectrum(run.model, image)
    unit = planes.usual_distance(codes)
    blind = planes.null_directions(directions, seed=zlib.crc32(pixels))
    directions = planes.adding_ink(directions)
    ways = {"sensitive": directions[0], "null": blind}
    moved = {way: tangent.moved(run, image, v, STEP_SIZES) / unit for way, v in ways.items()}
    return {"values": values / unit, "directions": directions[:NUM_DIRECTIONS], "blind": blind, "moved": moved}


@st.cache_resource(max_entries=8, show_spinner=False)
def stretched(name: str) -> dict:
    """The latent plane of a run with latent_dim 2: bounding box, metric on a lattice, and codes."""
    from aevae.metrics import tangent

    codes = cached.codes(name)
    box = planes.box_around(codes)
    return {"box": box, "metric": tangent.plane_metric(cached.run(name).model, box, GRID_SIDE), "codes": codes}


def spectra(names: list[str], pixels: bytes) -> None:
    """Show the singular values of the Jacobians, and the distances that codes move."""
    left, right = st.columns(2, gap="medium")
    found = {cached.run(name).config.model.family: sensitivity(name, pixels) for name in names}
    with left:
        st.markdown(f"**{_('How strongly the code reacts to each direction')}**")
        values = {family: of["values"] for family, of in found.items()}
        out = figures.spectra(values, _("direction"), _("change of the code per step (usual distances)"))
        st.plotly_chart(out, key="spectrum", config={"displayModeBar": False})
    with right:
        st.markdown(f"**{_('A step along the strongest direction, and along noise')}**")
        ways = {family: of["moved"] for family, of in found.items()}
        out = figures.moved(STEP_SIZES, ways, _("size of the step"), _("change of the code (usual distances)"))
        st.plotly_chart(out, key="moved", config={"displayModeBar": False})
    st.caption(
        _(
            "Right, solid: steps along the strongest direction. Right, dotted: steps along noise that contains none "
            "of the directions that the code reacts to. A usual distance is the mean distance between the codes of "
            "two test digits."
        )
    )


def pushed(name: str, image: np.ndarray) -> None:
    """Show the digit moving along tangent directions, in the browser."""
    of, push = sensitivity(name, image.tobytes()), url_values.numbers(PUSH)["push"]
    rows = planes.adding_ink(np.concatenate([of["directions"], of["blind"][None]]))
    names = [f"{k + 1}: {v:.2f}" for k, v in enumerate(of["values"][:NUM_DIRECTIONS])]
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        moved = image.reshape(-1) + 3 * rows
        return image_sheets.show(
            moved.clip(0, 1).reshape(-1, 28, 28), 7, alt=_("The digit, changed along seven directions")
        )
    return component.mount(
        "contraction",
        "tangents",
        {
            "names": [*names, _("noise: no reaction")],
            "push": push,
            "reach": MAX_STEP,
            "plays": push == PUSH["push"][0],
            "texts": {
                "push": _("Step"),
                "play": _("Play"),
                "stop": _("Stop"),
                "step": _("a step of {step}"),
                "legend": _(
                    "Top: a direction (orange: more ink, blue: less ink). Bottom: the digit after a step along it. "
                    "Number: how far one step moves the code, in usual distances."
                ),
            },
        },
        {"x": image.reshape(-1), "directions": rows.astype(np.float32).ravel()},
        shape={"height": 360, "narrow": 480},
        on_send=url_values.number_handler({"push": "push"}, PUSH),
    )


def plane() -> None:
    """Show the magnification of a plane of codes, and a straight and a shortest path in it."""
    st.header(_("How the decoder stretches its plane"), anchor=False)
    flat = [run.name for run in cached.finished(("ae", "vae", "denoising", "beta_vae")) if run.latent_dim == 2]
    if not flat:
        return st.info(_("There is no model with two latent dimensions yet. Train one to see its plane."))
    labels = run_picker.run_labels(cached.finished())
    name = run_picker.pick_run(st.selectbox, _("Plane of"), flat, key="plane_of", format_func=labels.get, width=420)
    with st.spinner(_("Measuring the plane")):
        of = stretched(name)
    shade = planes.shade(of["metric"])
    if problem := component.trouble([name], has_server_version=True):
        st.caption(problem)
        return image_sheets.show(shade[None, ::-1], 1, scale=8, alt=_("How much the decoder stretches each place"))
    x0, x1, y0, y1 = of["box"]
    cell = np.array([(x1 - x0) / (GRID_SIDE - 1), (y1 - y0) / (GRID_SIDE - 1)])  # codes per grid step
    scaled = of["metric"] * [cell[0] ** 2, cell[0] * cell[1], cell[1] ** 2]
    at = (of["codes"] - [x0, y0]) / [x1 - x0, y1 - y0]
    inside = ((at > 0) & (at < 1)).all(1)
    return component.mount(
        "contraction_geodesic",
        "geodesic",
        {
            "key": name,
            "side": GRID_SIDE,
            "box": list(map(float, of["box"])),
            "unit": 1.0,
            "ends": list(url_values.numbers(ENDS).values()),
            "texts": {
                "straight": _("Straight line (dashed): the images change by {length} in total"),
                "geodesic": _("Geodesic (solid): {length}"),
                "verdict": _(
                    "The geodesic (the shortest path) is {percent} % shorter. Drag A and B. Where the colour is "
                    "stronger, the images change more."
                ),
                "handle": _("End point {name}; arrow keys move it"),
                "across": _("dimension 1 of the code →"),
                "up": _("dimension 2 of the code →"),
                "classes": _("Codes of test digits:"),
                "shade": _("A step of the code changes the image"),
                "little": _("little"),
                "much": _("much"),
                "alongStraight": _("Decoded along the straight line"),
                "alongGeodesic": _("Decoded along the geodesic"),
            },
        },
        {
            "metric": scaled.astype(np.float32).ravel(),
            "shade": shade.astype(np.float32).ravel(),
            "points": at[inside].astype(np.float32).ravel(),
            "classes": class_numbers(cached.shown_digits()[1][inside]),
        },
        programs=[name],
        shape={"height": 500, "narrow": 680},
        on_send=url_values.number_handler({"ax": "a_x", "ay": "a_y", "bx": "b_x", "by": "b_y"}, ENDS),
    )
