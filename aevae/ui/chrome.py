"""What all pages share: the list of pages, the header, the foot, and what happens once when the server starts."""

import atexit
import contextlib
import functools
import gc
import importlib
import logging
import math
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from aevae import bundles, checkpoints
from aevae.ui import address, loaders, redraw
from aevae.ui.i18n import _

SWITCH = 0.001  # seconds of Python after which another session's turn comes; torch asks for a turn after every step
WARM_UP_AFTER = 3.0  # seconds; the first page is on the screen by then

NAME = "aevae"
# Corrections of Streamlit's own styles:
# - The text of a chosen pill has the accent colour. White text on that colour must be readable, too, so on the dark
#   theme it is too dark for a text.
# - `code` in a caption is fainter than the caption.
# - A pop-up gets the height that is left below its button, instead of opening upwards.
# - A slider keeps each finger (`web/touch.js` decides which is for the slider).
STYLE = """
.stButtonGroup [data-selected] p { color: light-dark(#24569E, #93B8F2); }
[data-testid="stCaptionContainer"] code { color: inherit; background: none; }
.stSlider [style*="touch-action"] { touch-action: pan-y !important; }
@media (min-height: 700px) {
  [data-testid="stPopoverBody"]:has(input, button) { min-height: fit-content; }
}
"""


@dataclass(frozen=True)
class PageInfo:
    """A page as the menu and the first page announce it. Texts are English; `_()` them where they are shown."""

    path: str
    section: str
    title: str
    icon: str
    url_path: str
    question: str


_PLAIN = (
    PageInfo("pages/lab/home.py", "", "Start", ":material/home:", "start", "What can I find out here?"),
    PageInfo(
        "pages/lab/train.py",
        "Lab",
        "Train",
        ":material/model_training:",
        "train",
        "How does a network learn to squeeze a picture into a few numbers?",
    ),
    PageInfo(
        "pages/lab/models.py",
        "Lab",
        "Models",
        ":material/inventory_2:",
        "models",
        "Which models are there, and how good are they?",
    ),
    PageInfo(
        "pages/explore/denoise.py",
        "Explore",
        "Denoise",
        ":material/blur_off:",
        "denoise",
        "Which model removes the noise from a digit, and how much noise can it remove?",
    ),
    PageInfo(
        "pages/explore/sliders.py",
        "Explore",
        "Latent sliders",
        ":material/tune:",
        "sliders",
        "What does each number of the code mean?",
    ),
    PageInfo(
        "pages/explore/interpolate.py",
        "Explore",
        "Interpolate",
        ":material/conversion_path:",
        "interpolate",
        "What lies between two digits?",
    ),
    PageInfo(
        "pages/explore/embeddings.py",
        "Explore",
        "Embeddings",
        ":material/scatter_plot:",
        "embeddings",
        "Do digits of one class live together in the latent space?",
    ),
    PageInfo(
        "pages/explore/compare.py",
        "Explore",
        "Compare",
        ":material/balance:",
        "compare",
        "Which model is better, and at what?",
    ),
)

SERVER = PageInfo(  # in the menu for a teacher who has come in, else only under its address
    "pages/lab/server.py", "Lab", "Server", ":material/monitor_heart:", "server", "How is the class doing?"
)


@functools.cache
def all_pages() -> tuple[PageInfo, ...]:
    """Every page in the order of the menu: these, then the labs."""
    from aevae.ui import lab

    return (*_PLAIN, *lab.found())


def pages() -> dict[str, list]:
    """The menu for `st.navigation`: section -> pages; the first page is the default."""
    menu: dict[str, list] = {}
    for i, page in enumerate(all_pages()):
        entry = st.Page(page.path, title=_(page.title), icon=page.icon, url_path=page.url_path, default=i == 0)
        menu.setdefault(_(page.section) if page.section else "", []).append(entry)
    menu[_(SERVER.section)].append(
        st.Page(
            SERVER.path, title=_(SERVER.title), icon=SERVER.icon, url_path=SERVER.url_path,
            visibility="visible" if _teaches() else "hidden",
        )
    )  # fmt: skip
    return menu


def _teaches() -> bool:
    from aevae.ui import gate

    return st.runtime.exists() and bool(gate.passcode()) and gate.is_teacher()


def announce() -> None:
    """Tell Streamlit before the first session that the menu is ours.

    Else it looks for pages directly in the folder `pages` until some session has built the menu, and greets the first
    visitor who opens /sliders on a fresh server with "Page not found".
    """
    from aevae.ui import gate

    if problem := gate.exposed(st.get_option("server.address")):
        print(f"WARNING: {problem}", file=sys.stderr, flush=True)
    log = logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that there is no session, which is the point
    try:
        st.navigation(pages())
    finally:
        log.setLevel(level)


def tab_title(title: str) -> str:
    """Title of a page in tabs, history and bookmarks: its own first."""
    return NAME if title == _(all_pages()[0].title) else f"{title} · {NAME}"


def frame(ticket: str = "") -> None:
    """What surrounds every page: the rules of style that no theme holds, and the script that closes the menu on phones.

    ticket: of a teacher who has just come in (`aevae.ui.teacher`), or "".
    """
    from aevae.ui import live

    st.html(f"<style>{STYLE}</style>")
    with st.sidebar:
        live.mount("frame", "frame", {"ticket": ticket})


def run(page) -> None:
    """Run a page of the menu. What is missing of the lab itself is said in a sentence; other errors go through."""
    _forget_impossible()
    address.begin()
    redraw.begin()
    try:
        page.run()
        address.end()
        redraw.end()
    except checkpoints.NoSuchRun as problem:
        redraw.without(problem)
    except bundles.Missing as problem:
        st.error(_("This page cannot be shown: {}.").format(str(problem)), icon=":material/error:")


def _forget_impossible() -> None:
    """A link loses what Streamlit (1.67) stumbles over: `?paths=` chooses nothing even where a choice is asked for, and
    `?seed=1e999` is no whole number, which ends the page."""
    wrong = [name for name in st.query_params if any(map(_impossible, st.query_params.get_all(name)))]
    there = len(st.query_params)
    for name in wrong:
        with contextlib.suppress(st.errors.StreamlitAPIException):  # it is a widget's by now, and the widget's affair
            del st.query_params[name]
    if len(st.query_params) < there:
        st.rerun()  # widgets read the address as it was when the run began


def _impossible(value: str) -> bool:
    try:
        return not value or (math.isinf(float(value)) and not _is_fingerprint(value))
    except ValueError:
        return False


def _is_fingerprint(value: str) -> bool:
    """Whether a run begins so: fingerprints of digits and one `e` read as numbers, too."""
    return len(value) >= 6 and any(run.fingerprint.startswith(value) for run in loaders.runs())


def page(title: str, question: str) -> None:
    """The head of a page: its title and the one question it answers."""
    st.title(title, anchor=False)
    st.markdown(f"*{question}*")


def try_this(texts: Sequence[str], title: str | None = None) -> None:
    """Things to try, as a numbered list in a quiet frame."""
    with st.container(border=True):
        st.markdown(f"**{title or _('Try this')}**")
        st.markdown("\n".join(f"{i}. {text}" for i, text in enumerate(texts, 1)))


def explain(title: str, markdown: str, expanded: bool = False) -> None:
    """An explanation, folded beneath the picture. LaTeX between $ signs works."""
    with st.expander(title, expanded=expanded):
        st.markdown(markdown)


@st.cache_resource(show_spinner=False)
def start() -> bool:
    """Once per server process: fetch into memory what most pages need, while the first one is read."""
    sys.setswitchinterval(SWITCH)
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    return True


def _warm_up() -> None:
    time.sleep(WARM_UP_AFTER)
    for name in ("torch", "plotly.graph_objects", "sympy", "aevae.program"):  # torch traces shapes with sympy
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what was imported stays: else each full collection looks through 300,000 objects, and all wait for it
    atexit.register(gc.unfreeze)
