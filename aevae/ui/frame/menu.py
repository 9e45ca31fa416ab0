"""The menu: all pages, with the title and the question that menu, first page and page heads show."""

import functools
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from aevae import paths
from aevae.ui import internals
from aevae.ui.frame import access, visibility
from aevae.ui.i18n import _

NAME = "aevae"
SECTIONS = {"autoencoders": "Autoencoders", "variational": "Variational", "beyond": "Beyond"}  # folder -> menu


@dataclass(frozen=True)
class PageInfo:
    """The menu entry of a page. Texts are English; apply `_()` where they are shown."""

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
        "Training",
        "Train",
        ":material/model_training:",
        "train",
        "How does a network learn to compress an image into a few numbers?",
    ),
    PageInfo(
        "pages/lab/models.py",
        "Training",
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
        "Are digits of one class neighbours in the latent space?",
    ),
    PageInfo(
        "pages/explore/compare.py",
        "Explore",
        "Compare",
        ":material/leaderboard:",
        "compare",
        "Which model is better, and by which measure?",
    ),
)

SERVER = PageInfo(  # in the menu only for a logged-in teacher
    "pages/lab/server.py", "Training", "Server", ":material/monitor_heart:", "server", "How is the class doing?"
)


def found() -> tuple[PageInfo, ...]:
    """The menu entries of all labs, in order."""
    files = (sorted((paths.ROOT / "pages" / section).glob("[0-9][0-9]_*.py")) for section in SECTIONS)
    return tuple(announced(file) for group in files for file in group)


def announced(file: Path) -> PageInfo:
    """The menu entry of a lab, from its docstring. Raises ValueError with one sentence if the docstring is wrong."""
    before, _quotes, rest = file.read_text("utf-8").partition(
        '"""'
    )  # no `ast`: not safe in threads before Python 3.11.8
    doc = "" if before.strip() else inspect.cleandoc(rest.partition('"""')[0])
    title, question = head(doc, file.name)
    icon = next((line[5:].strip() for line in doc.splitlines() if line.startswith("icon:")), "science")
    name, section = file.stem[3:], file.parent.name
    return PageInfo(
        f"pages/{section}/{file.name}", SECTIONS[section], title, f":material/{icon}:", name.replace("_", "-"), question
    )


def head(doc: str, name: str = "a lab") -> tuple[str, str]:
    """Title and question of a lab's docstring. Raises ValueError."""
    title, colon, question = doc.partition("\n")[0].partition(": ")
    if not colon or not question:
        raise ValueError(f'the docstring of {name} must begin with "Title: question"')
    return title, question


@functools.cache
def all_pages() -> tuple[PageInfo, ...]:
    """Every page in the order of the menu: these, then the labs."""
    return (*_PLAIN, *found())


def info(url_path: str) -> PageInfo:
    """The menu entry of the page with this address."""
    return next(page for page in (*all_pages(), SERVER) if page.url_path == url_path)


def sections() -> dict[str, list[str]]:
    """Title of a section of the menu -> addresses of its pages."""
    found: dict[str, list[str]] = {}
    for page in (*all_pages(), SERVER):
        if page.section:
            found.setdefault(_(page.section), []).append(page.url_path)
    return found


def pages() -> dict[str, list]:
    """The menu for `st.navigation`: section -> pages; the first page is the default."""
    menu: dict[str, list] = {}
    hidden = visibility.hidden_here()
    for i, page in enumerate(all_pages()):
        entry = st.Page(
            page.path, title=_(page.title), icon=page.icon, url_path=page.url_path, default=i == 0,
            visibility="hidden" if page.url_path in hidden else "visible",
        )  # fmt: skip
        menu.setdefault(_(page.section) if page.section else "", []).append(entry)
    menu[_(SERVER.section)].append(
        st.Page(
            SERVER.path, title=_(SERVER.title), icon=SERVER.icon, url_path=SERVER.url_path,
            visibility="visible" if _teaches() else "hidden",
        )
    )  # fmt: skip
    return menu


def _teaches() -> bool:
    return internals.in_session() and bool(access.passcode()) and access.is_teacher()


def announce() -> None:
    """Register the pages with Streamlit before the first session.

    Otherwise Streamlit looks for pages directly in the folder `pages` until a session has built the menu, and shows
    "Page not found" to the first visitor of /sliders.
    """
    if problem := access.exposure_problem(st.get_option("server.address")):
        print(f"WARNING: {problem}", file=sys.stderr, flush=True)
    with internals.without_session_warning():
        st.navigation(pages())


def tab_title(title: str) -> str:
    """Title of a page in browser tabs, history and bookmarks."""
    return NAME if title == _(all_pages()[0].title) else f"{title} · {NAME}"
