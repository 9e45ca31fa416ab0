"""The one shape of a lab page: a question, a picture with two or three controls, what to notice, what to try, formula.

A lab is one file `pages/<section>/<two digits>_<name>.py`. The first line of its docstring is "Title: question", the
second paragraph may hold "icon: <Material symbol>"; from these the menu and the first page know it without running it.
The digits give its place in the section, the name is its address. The page calls

    lab.begin(__doc__)      title and question
    ...                     controls (bound to the URL) and picture
    lab.end(notice, tries)  what to notice, three things to try (one provokes the known failure), the formula
"""

import inspect
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from aevae import paths
from aevae.ui.frame import layout
from aevae.ui.frame.i18n import _

SECTIONS = {"autoencoders": "Autoencoders", "variational": "Variational", "beyond": "Beyond"}  # folder -> menu


def found() -> tuple[layout.PageInfo, ...]:
    """Every lab there is, in the order of the menu."""
    files = (sorted((paths.ROOT / "pages" / section).glob("[0-9][0-9]_*.py")) for section in SECTIONS)
    return tuple(announced(file) for group in files for file in group)


def announced(file: Path) -> layout.PageInfo:
    """What a lab says of itself. Raises ValueError, in one sentence, for a file that does not."""
    before, _quotes, rest = file.read_text("utf-8").partition(
        '"""'
    )  # no `ast`: not safe in threads before Python 3.11.8
    doc = "" if before.strip() else inspect.cleandoc(rest.partition('"""')[0])
    title, question = head(doc, file.name)
    icon = next((line[5:].strip() for line in doc.splitlines() if line.startswith("icon:")), "science")
    name, section = file.stem[3:], file.parent.name
    return layout.PageInfo(
        f"pages/{section}/{file.name}", SECTIONS[section], title, f":material/{icon}:", name.replace("_", "-"), question
    )


def head(doc: str, name: str = "a lab") -> tuple[str, str]:
    """Title and question of a lab's docstring. Raises ValueError."""
    title, colon, question = doc.partition("\n")[0].partition(": ")
    if not colon or not question:
        raise ValueError(f'the docstring of {name} must begin with "Title: question"')
    return title, question


def begin(doc: str) -> None:
    """The head of the page."""
    title, question = head(doc)
    layout.page(_(title), _(question))


def end(
    notice: Sequence[str],
    tries: Sequence[str],
    formula: str = "",
    numbers: str = "",
    more: str = "",
    sources: str = "",
) -> None:
    """What stands beneath the picture. Texts are markdown and have passed `_()`.

    notice: what there is to see. tries: three things to do; one of them provokes the known failure. formula: LaTeX.
    numbers: the same with this run's numbers, LaTeX or markdown. more: the explanation, folded. sources: papers.
    """
    left, right = st.columns(2, gap="medium")
    with left.container(border=True, height="stretch"):
        st.markdown(f"**{_('What to notice')}**")
        st.markdown("\n".join(f"- {text}" for text in notice))
    with right.container(border=True, height="stretch"):
        st.markdown(f"**{_('Three things to try')}**")
        st.markdown("\n".join(f"{i}. {text}" for i, text in enumerate(tries, 1)))
    if formula:
        st.latex(formula)
    if numbers:
        st.markdown(numbers)
    if more:
        layout.explain(_("In more detail"), more)
    st.caption(" · ".join(filter(None, (sources, _("The address of this page restores what you see.")))))
