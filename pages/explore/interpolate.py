"""Interpolate: what lies between digits, in pixels and in the codes of several models."""

import streamlit as st

from aevae import figures
from aevae.latent.interpolation import arithmetic, bilinear, path
from aevae.ui.frame import layout
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.interpolate import path_view, steps_view
from aevae.ui.interpolate.spaces import model_space, pixel_space, routes, ways
from aevae.ui.shared import address, cached, opening, run_picker

MODES = {"two": _("Two digits"), "four": _("Four corners"), "sum": _("a − b + c")}
PATHS = ways()
NUM_GIF_FRAMES = 33


def strips(images, spaces: list, kinds: list[str], steps: int, names: list[str]) -> None:
    """A strip per path from digit a to digit b, the animation and the chart of the distances."""
    shown = routes(spaces, kinds)
    for title, space, kind in shown:
        st.markdown(f"**{title}**")
        steps_view.show_steps(space.steps(path(*space.encode(images), steps, kind)))
    steps_view.legend()
    st.download_button(
        _("Download as GIF"),
        lambda: steps_view.animation(
            {t: s.decode(path(*s.encode(images), NUM_GIF_FRAMES, k)) for t, s, k in shown}
        ),
        file_name="aevae-walk.gif", mime="image/gif", key="walk_gif", icon=":material/download:",
        on_click="ignore", help=_("All paths side by side, in the order shown here"),
    )  # fmt: skip
    st.header(_("How far from real digits"), anchor=False)
    for kind, column in zip(kinds, st.columns(len(kinds)), strict=True):
        column.markdown(PATHS[kind])
        holes = {s.title: s.steps(path(*s.encode(images), steps, kind)).holes for s in spaces if s.run}
        column.plotly_chart(
            cached.figure(
                figures.error_curve, [i / (steps - 1) for i in range(steps)], holes,
                _("distance / typical spacing"), level_name=_("position between a and b"),
                families=run_picker.colour_families(names), height=320,
            ),
            key=f"walk_{kind}",
            config={"displayModeBar": False},
        )  # fmt: skip


def sheets(images, spaces: list, kinds: list[str], steps: int) -> None:
    """A sheet per space and kind of path, spanned by the four digits, on a heat map of the distances."""
    shown = routes(spaces, kinds)
    for row in range(0, len(shown), 2):
        for column, (title, space, kind) in zip(st.columns(2, gap="medium"), shown[row : row + 2], strict=False):
            with column:
                st.markdown(f"**{title}**")
                sheet = bilinear(space.encode(images), steps, kind)  # (steps, steps, D)
                steps_view.show_steps(space.steps(sheet.reshape(steps * steps, -1)), columns=steps)
    steps_view.sheet_legend()


def latent_sum(images, spaces: list, dataset: str) -> None:
    """a, b and c in each space, and the decoded a - b + c."""
    for space in spaces:
        codes = space.encode(images)
        st.markdown(f"**{space.title}**")
        steps_view.show_sum(space.steps(codes), space.steps(arithmetic(*codes)[None]), dataset)
    steps_view.legend()


def things_to_try() -> list[Try]:
    """Four things to try; each sets up digits, models and the type of path."""
    runs = cached.finished()
    models = {(r.family, r.latent_dim): r.name for r in reversed(runs) if r.option("network") in (None, "mlp")}
    small, digits = path_view.first_choice(runs), path_view.FIRST_DIGITS
    large = [name for key in (("ae", 32), ("vae", 20)) if (name := models.get(key))]
    walk = {"walk": "two", "path": "linear", "digit_a": digits["two"][0], "digit_b": digits["two"][1], "t": 0.5}
    letters = [f"digit_{letter}" for letter in path_view.CORNERS]
    return [
        Try(
            _("Go from a 4 to a 9 in an AE and a VAE with two numbers. Whose path crosses the larger hole?"),
            walk | {"models": small},
        ),
        Try(
            _("Choose models with more numbers. What do they show halfway: two ghosts, or one digit?"),
            walk | {"models": large or small},
        ),
        Try(
            _("A slanted 1 minus an upright 1 plus an upright 7: what do you expect?"),
            {"walk": "sum", "models": path_view.first_choice(runs, "sum")}
            | dict(zip(letters, digits["sum"], strict=False)),
        ),
        Try(
            _("Go from a 1 to a 7. A straight line between two digits has no reason to stay among real codes."),
            walk | {"models": small, "digit_a": 369, "digit_b": 380, "t": 0.3},
            breaks=True,
        ),
    ]


layout.page()
picture = st.container()
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    mode = address.pick(
        st.segmented_control, _("Path type"), list(MODES), default="two", required=True, format_func=MODES.get,
        key="walk",
    )  # fmt: skip
    if mode != "sum":
        chosen = address.pick(
            st.pills, _("Path"), [*PATHS, "both"], default="linear", required=True, key="path",
            format_func=lambda kind: PATHS.get(kind, _("both")),
            help=_(
                "In latent space: linear is the straight line; spherical is a rotation around zero that keeps the "
                "length of the code."
            ),
        )  # fmt: skip
        steps = st.slider(_("Steps"), 3, 15, 9, key="steps", width=180, bind="query-params")
        kinds = list(PATHS) if chosen == "both" else [chosen]
names = run_picker.pick_models(default=path_view.first_choice(cached.finished(), mode))
runs = opening.open_runs(names)
dataset = opening.common_set(runs)
images = path_view.pick_corners(mode, dataset)
with picture:
    with st.spinner(_("Encoding the test images ...")):
        spaces = [*(model_space(run, dataset) for run in runs), pixel_space()]
    if mode == "sum":
        latent_sum(images, spaces, dataset)
    else:
        path_view.scrub(images, spaces, kinds)
if mode == "two":
    strips(images, spaces, kinds, steps, names)
elif mode == "four":
    sheets(images, spaces, kinds, steps)
for note in dict.fromkeys(filter(None, (run_picker.seen_note(run, dataset) for run in runs))):
    st.caption(note)

layout.explain(
    _("What did you see?"),
    _(
        "The **pixel blend** lays one digit over the other: halfway there are two ghosts and no digit. A model moves "
        "between the *codes* and decodes each step.\n\n"
        "No term in the objective of a plain **AE** fills its latent space. Between the codes of real digits there "
        "are regions where it has never decoded anything. These are holes, and a path may cross one. The KL of a "
        "**VAE** pulls its codes into one ball around zero. So its codes lie closer together, and on average a path "
        "crosses smaller holes.\n\n"
        "The distance of a step is measured to the nearest code of 1,000 test digits. Its unit is the *typical "
        "spacing*: the median distance of a real code to its own nearest neighbour. At 0 the step is a real code. Up "
        "to 1 it is as near to a real code as real codes are to each other. A step at 3 is in a hole. Compare "
        "distances only between models with codes of equal size. With two dimensions, holes are easy to see. With "
        "twenty or more, all codes are far from each other, so no step is many spacings away, and the image tells "
        "more than the number. The pixel blend has no distance here: pixels are another space.\n\n"
        "The **spherical** path (slerp) keeps the length of the code. Where codes have the prior N(0, I), typical "
        "codes have a length near √d, and the straight line passes through the middle, where codes are rare."
    ),
)
layout.try_this(things_to_try())
