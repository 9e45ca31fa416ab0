"""Interpolate: what lies between digits, in pixels and in the codes of several models."""

import streamlit as st

from aevae import figures
from aevae.latent.interpolation import arithmetic, bilinear, path
from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.interpolate import path_view
from aevae.ui.shared import address, cached, image_sheets, opening, run_picker

MODES = {"two": _("Two digits"), "four": _("Four corners"), "sum": _("a − b + c")}
PATHS = path_view.ways()


def two(images, spaces: list, kinds: list[str], steps: int, names: list[str]) -> None:
    """A strip per path from digit a to digit b, the animation and the chart of them all."""
    walks = {}
    for title, space, kind in path_view.routes(spaces, kinds):
        walks[title] = space.steps(path(*space.encode(images), steps, kind))
        st.markdown(f"**{title}**")
        path_view.show_steps(walks[title])
    path_view.legend()
    st.download_button(
        _("Download as GIF"), lambda: image_sheets.gif(path_view.side_by_side([w.images for w in walks.values()])),
        file_name="aevae-walk.gif", mime="image/gif", key="walk_gif", icon=":material/download:",
        on_click="ignore", help=_("All paths side by side, in the order shown here"),
    )  # fmt: skip
    st.header(_("How far from real digits"), anchor=False)
    for kind, column in zip(kinds, st.columns(len(kinds)), strict=True):
        rows = [(s.title, t) for t, s, k in path_view.routes(spaces, [kind]) if k == kind or s is spaces[0]]
        column.markdown(PATHS[kind])
        column.plotly_chart(
            cached.figure(
                figures.error_curve, [i / (steps - 1) for i in range(steps)],
                {name: walks[title].holes for name, title in rows},
                _("distance / typical spacing"), level_name=_("position between a and b"),
                families=run_picker.colour_families(names), height=320,
            ),
            key=f"walk_{kind}",
            config={"displayModeBar": False},
        )  # fmt: skip


def four(images, spaces: list, kinds: list[str], steps: int) -> None:
    """A sheet per space and kind of path, spanned by the four digits."""
    sheets = path_view.routes(spaces, kinds)
    for row in range(0, len(sheets), 2):
        for column, (title, space, kind) in zip(st.columns(2, gap="medium"), sheets[row : row + 2], strict=False):
            with column:
                st.markdown(f"**{title}**")
                sheet = bilinear(space.encode(images), steps, kind)  # (steps, steps, D)
                path_view.show_steps(space.steps(sheet.reshape(steps * steps, -1)), columns=steps)
    path_view.legend()


def latent_sum(images, spaces: list, dataset: str) -> None:
    """a, b and c in each space, and the decoded a - b + c."""
    for space in spaces:
        codes = space.encode(images)
        st.markdown(f"**{space.title}**")
        path_view.show_sum(space.steps(codes), space.steps(arithmetic(*codes)[None]), dataset)
    path_view.legend()


layout.page()
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    mode = address.pick(
        st.segmented_control,
        _("Path type"),
        list(MODES),
        default="two",
        required=True,
        format_func=MODES.get,
        key="walk",
    )
    if mode != "sum":
        chosen = address.pick(
            st.pills, _("Path"), ["both", *PATHS], default="both", required=True, key="path",
            format_func=lambda kind: PATHS.get(kind, _("both")),
            help=_(
                "In latent space: linear is the straight line; spherical is a rotation around zero that keeps the "
                "length of the code."
            ),
        )  # fmt: skip
        steps = st.slider(_("Steps"), 3, 15, 9, key="steps", width=180, bind="query-params")
        kinds = list(PATHS) if chosen == "both" else [chosen]
names = run_picker.pick_models(default=path_view.first_choice(cached.finished()))
runs = opening.open_runs(names)
dataset = opening.common_set(runs)
images = path_view.pick_corners({"two": 2, "four": 4, "sum": 3}[mode], dataset)
with st.spinner(_("Encoding the test images ...")):
    spaces = [path_view.pixel_space(dataset), *(path_view.model_space(run, dataset) for run in runs)]

if mode != "sum":
    path_view.scrub(images, spaces, kinds)
if mode == "two":
    two(images, spaces, kinds, steps, names)
elif mode == "four":
    four(images, spaces, kinds, steps)
else:
    latent_sum(images, spaces, dataset)
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
        "crosses fewer and smaller holes.\n\n"
        "The number under a step is the distance of its code to the nearest code of 1,000 test digits, in units of "
        "the *typical spacing*: the median distance of a real code to its own nearest neighbour. At 0 the step is a "
        "real code. Up to 1 it is as near to a real code as real codes are to each other. A step at 3 is in a hole. "
        "Compare numbers only between models with codes of equal size. With two dimensions, holes are easy to see. "
        "With twenty or more, all codes are far from each other, so no step is many spacings away, and the image "
        "tells more than the number. An example is the pixel blend: it is never far by this measure, but it is no "
        "digit.\n\n"
        "The **spherical** path (slerp) keeps the length of the code. Where codes have the prior N(0, I), typical "
        "codes have a length near √d, and the straight line passes through the middle, where codes are rare."
    ),
)
layout.try_this(
    [
        _(
            "Go from a 1 to a 7, then from a 4 to a 9, in an AE and a VAE with two dimensions. Where are the holes "
            "(strong bars)?"
        ),
        _("Choose models with more dimensions. What do they show halfway: two ghosts, or one digit?"),
        _("a − b + c: choose an upright and a slanted 1 as a and b, and an upright 7 as c. What do you expect?"),
    ]
)
