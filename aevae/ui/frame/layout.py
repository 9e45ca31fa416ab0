"""The layout of every page: head, folded texts, styles; and the start of the server.

`start` is here and not in `server`, because it also runs where a plain `streamlit run` serves the pages.
"""

import atexit
import contextlib
import gc
import html
import importlib
import math
import sys
import threading
import time
from collections.abc import Sequence

import streamlit as st

from aevae.store import bundles, checkpoints
from aevae.ui.frame import menu, tries, visibility
from aevae.ui.frame.style import STYLE
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, redraw

_PAGE = "layout_page"  # session: address of the page that runs
SWITCH_SECONDS = 0.001  # thread switch interval; torch acquires the GIL after every step
WARM_UP_AFTER_SECONDS = 3.0  # by then the first page is on the screen

# st.html has no key to press by; the script of all pages (`present.js`) handles the click.
PRESENT_BUTTON = '<button class="aevae-present-button" type="button" title="{}" aria-keyshortcuts="p">{}</button>'


def frame(url_path: str = "", ticket: str = "") -> None:
    """Add the style rules that a theme cannot contain, and the script of all pages.

    url_path: address of the page that runs. ticket: of a teacher who has just logged in (`aevae.ui.frame.teacher`).
    """
    from aevae.ui.live import component

    st.html(f"<style>{STYLE}</style>")
    section = next((name for name, pages in menu.sections().items() if url_path in pages), "")
    texts = {"next": _("Next"), "previous": _("Previous"), "leave": _("Leave (Escape)")}
    with st.sidebar:
        component.mount("frame", "frame", {"ticket": ticket, "page": url_path, "section": section, "texts": texts})


def run(page) -> None:
    """Run a page of the menu. If a shipped file is missing, show a message; other errors go through."""
    st.session_state[_PAGE] = page.url_path
    if page.url_path in visibility.hidden_here():
        st.title(page.title, anchor=False)
        st.info(_("Your teacher has hidden this page."), icon=":material/visibility_off:")
        return
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
    hint = _("The picture fills the window; arrow keys show the things to try (key P)")
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="small"):
        st.title(title, anchor=False, width="stretch")
        st.html(PRESENT_BUTTON.format(html.escape(hint), html.escape(_("Present"))), width="content")
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
