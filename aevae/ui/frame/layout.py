"""The layout of every page: head, folded texts, styles; and the start of the server.

`start` is here and not in `server`, because it also runs where a plain `streamlit run` serves the pages.
"""

import atexit
import contextlib
import gc
import importlib
import math
import sys
import threading
import time
from collections.abc import Sequence

import streamlit as st

from aevae.store import bundles, checkpoints
from aevae.ui.frame import menu, tries
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, redraw

_PAGE = "layout_page"  # session: address of the page that runs
SWITCH_SECONDS = 0.001  # thread switch interval; torch acquires the GIL after every step
WARM_UP_AFTER_SECONDS = 3.0  # by then the first page is on the screen

# Corrections of Streamlit's own styles:
# - The text of a chosen pill has the accent colour. White text on that colour must be readable, too, so on the dark
#   theme it is too dark for a text.
# - `code` in a caption is fainter than the caption.
# - The four ways to choose an image fit into one line of a narrow column.
# - A pop-up gets the height that is left below its button, instead of opening upwards.
# - A slider keeps each finger (`live/touch.js` decides which is for the slider).
STYLE = """
.stButtonGroup [data-selected] p { color: light-dark(#24569E, #93B8F2); }
[data-testid="stCaptionContainer"] code { color: inherit; background: none; }
[class*="st-key-"][class*="_how"] button[role="radio"] { padding-inline: 0.5rem; }
.stSlider [style*="touch-action"] { touch-action: pan-y !important; }
@media (min-height: 700px) {
  [data-testid="stPopoverBody"]:has(input, button) { min-height: fit-content; }
}
"""


def frame(ticket: str = "") -> None:
    """Add the style rules that a theme cannot contain, and the script that closes the menu on phones.

    ticket: of a teacher who has just logged in (`aevae.ui.frame.teacher`), or "".
    """
    from aevae.ui.live import component

    st.html(f"<style>{STYLE}</style>")
    with st.sidebar:
        component.mount("frame", "frame", {"ticket": ticket})


def run(page) -> None:
    """Run a page of the menu. If a shipped file is missing, show a message; other errors go through."""
    st.session_state[_PAGE] = page.url_path
    _forget_impossible()
    address.begin(page.url_path)
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
    """Remove values from the link that break Streamlit 1.67: `?paths=` clears a required choice, and
    `?seed=1e999`, which is no whole number, ends the page."""
    wrong = [name for name in st.query_params if any(map(_impossible, st.query_params.get_all(name)))]
    there = len(st.query_params)
    for name in wrong:
        with contextlib.suppress(st.errors.StreamlitAPIException):  # a widget owns the key by now
            del st.query_params[name]
    if len(st.query_params) < there:
        st.rerun()  # widgets read the address as it was when the run of the script began


def _impossible(value: str) -> bool:
    try:
        return not value or (math.isinf(float(value)) and not _is_fingerprint(value))
    except ValueError:
        return False


def _is_fingerprint(value: str) -> bool:
    """Whether the value is the beginning of a run's fingerprint: digits with one `e` look like a number."""
    return len(value) >= 6 and any(run.fingerprint.startswith(value) for run in cached.runs())


def page(title: str = "", question: str = "") -> None:
    """Show the head of a page: title and question, by default those of the menu."""
    if not title:
        info = menu.info(st.session_state[_PAGE])
        title, question = _(info.title), _(info.question)
    st.title(title, anchor=False)
    st.markdown(f"*{question}*")


def try_this(texts: Sequence[tries.Try | str], title: str | None = None) -> None:
    """Things to try, as a numbered list in a quiet frame."""
    tries.show(texts, title or _("Try this"))


def explain(title: str, markdown: str, expanded: bool = False) -> None:
    """A folded explanation below the image. LaTeX between $ signs works."""
    with st.expander(title, expanded=expanded):
        st.markdown(markdown)


@st.cache_resource(show_spinner=False)
def start() -> bool:
    """Once per server process: import in the background what most pages need."""
    sys.setswitchinterval(SWITCH_SECONDS)
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    return True


def _warm_up() -> None:
    time.sleep(WARM_UP_AFTER_SECONDS)
    for name in ("torch", "plotly.graph_objects", "sympy", "aevae.browser.program"):  # torch traces shapes with sympy
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # exempts 300,000 imported objects from garbage collection, which stops all threads
    atexit.register(gc.unfreeze)
