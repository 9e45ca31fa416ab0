"""Interpolate: what lies between digits, in pixels and in the codes of several models."""

import streamlit as st

from aevae import figures
from aevae.latent.interpolation import arithmetic, bilinear, path
from aevae.ui import address, chrome, interpolating, loaders, opening, pictures, state
from aevae.ui.i18n import _

MODES = {"two": _("Two digits"), "four": _("Four corners"), "sum": _("a − b + c")}
PATHS = interpolating.ways()


def two(images, spaces: list, kinds: list[str], steps: int, names: list[str]) -> None:
    """A strip per path from digit a to digit b, the animation and the chart of them all."""
    walks = {}
    for title, space, kind in interpolating.routes(spaces, kinds):
        walks[title] = space.steps(path(*space.encode(images), steps, kind))
        st.markdown(f"**{title}**")
        interpolating.show_steps(walks[title])
    interpolating.legend()
    st.download_button(
        _("Download as GIF"), lambda: pictures.gif(interpolating.side_by_side([w.images for w in walks.values()])),
        file_name="aevae-walk.gif", mime="image/gif", key="walk_gif", icon=":material/download:",
        on_click="ignore", help=_("All walks side by side, in the order shown here"),
    )  # fmt: skip
    st.header(_("How far from real digits"), anchor=False)
    for kind, column in zip(kinds, st.columns(len(kinds)), strict=True):
        rows = [(s.title, t) for t, s, k in interpolating.routes(spaces, [kind]) if k == kind or s is spaces[0]]
        column.markdown(PATHS[kind])
        column.plotly_chart(
            loaders.drawn(
                figures.error_curve, [i / (steps - 1) for i in range(steps)],
                {name: walks[title].holes for name, title in rows},
                _("distance / typical spacing"), level_name=_("part of the way from a to b"),
                families=state.colour_families(names), height=320,
            ),
            key=f"walk_{kind}",
            config={"displayModeBar": False},
        )  # fmt: skip


def four(images, spaces: list, kinds: list[str], steps: int) -> None:
    """A sheet per space and kind of path, spanned by the four digits."""
    sheets = interpolating.routes(spaces, kinds)
    for row in range(0, len(sheets), 2):
        for column, (title, space, kind) in zip(st.columns(2, gap="medium"), sheets[row : row + 2], strict=False):
            with column:
                st.markdown(f"**{title}**")
                sheet = bilinear(space.encode(images), steps, kind)  # (steps, steps, D)
                interpolating.show_steps(space.steps(sheet.reshape(steps * steps, -1)), columns=steps)
    interpolating.legend()


def latent_sum(images, spaces: list, dataset: str) -> None:
    """a, b and c as each space has them, and the picture of a - b + c."""
    for space in spaces:
        codes = space.encode(images)
        st.markdown(f"**{space.title}**")
        interpolating.show_sum(space.steps(codes), space.steps(arithmetic(*codes)[None]), dataset)
    interpolating.legend()


chrome.page(_("Interpolate"), _("What lies between two digits?"))
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    mode = address.pick(
        st.segmented_control, _("Walk"), list(MODES), default="two", required=True, format_func=MODES.get, key="walk"
    )
    if mode != "sum":
        chosen = address.pick(
            st.pills, _("Path"), ["both", *PATHS], default="both", required=True, key="path",
            format_func=lambda kind: PATHS.get(kind, _("both")),
            help=_("In latent space: the straight line, or a turn about zero that keeps the length of the code."),
        )  # fmt: skip
        steps = st.slider(_("Steps"), 3, 15, 9, key="steps", width=180, bind="query-params")
        kinds = list(PATHS) if chosen == "both" else [chosen]
names = state.pick_models(default=interpolating.first_choice(loaders.finished()))
runs = opening.open_runs(names)
dataset = opening.common_set(runs)
images = interpolating.pick_corners({"two": 2, "four": 4, "sum": 3}[mode], dataset)
with st.spinner(_("Finding the codes of the test digits ...")):
    spaces = [interpolating.pixel_space(dataset), *(interpolating.model_space(run, dataset) for run in runs)]

if mode != "sum":
    interpolating.scrub(images, spaces, kinds)
if mode == "two":
    two(images, spaces, kinds, steps, names)
elif mode == "four":
    four(images, spaces, kinds, steps)
else:
    latent_sum(images, spaces, dataset)
for note in dict.fromkeys(filter(None, (state.seen_note(run, dataset) for run in runs))):
    st.caption(note)

chrome.explain(
    _("What is to be seen"),
    _(
        "The **pixel blend** lays one digit over the other: half-way there are two ghosts and no digit. A model walks "
        "between the *codes* and draws what lies there.\n\n"
        "A plain **AE** was never asked to fill its latent space: between the codes of real digits are regions where "
        "it has never decoded anything, holes, and a path may fall into one. A **VAE** is pressed towards one ball "
        "around zero, so that its codes lie closer to each other and paths meet "
        "fewer and smaller holes: not on each path, but on the average of many.\n\n"
        "The number under a step is the distance of its code to the nearest code of 1,000 test digits, in units of the "
        "*typical spacing*: the median distance of a real code to its own nearest neighbour. At 0 the step is a real "
        "code; up to 1 it is as near to one as they are to each other; a step at 3 stands in a hole. Compare numbers "
        "between models with codes of equal size: with two dimensions holes are easy to see; with twenty or more all "
        "codes are far from each other, so that no step can be many spacings away, and the picture says more than the "
        "number. The pixel blend shows it: never far by this measure, and yet no digit.\n\n"
        "The **spherical** path (slerp) keeps the length of the code: where codes have a prior N(0, I), typical codes "
        "have length near √d, and the straight line cuts through the unusual middle."
    ),
)
chrome.try_this(
    [
        _(
            "Walk from a 1 to a 7, then from a 4 to a 9, in an AE and a VAE of two dimensions. "
            "Where are the strong bars?"
        ),
        _("Take models with more dimensions. What is drawn half-way: two ghosts, or one digit?"),
        _("a − b + c: choose an upright and a slanted 1 as a and b, and an upright 7 as c. What do you expect?"),
    ]
)
