"""The template of a lab page: question, image with two or three controls, what to try, what it shows, formula.

A lab is one file `pages/<section>/<two digits>_<name>.py`. The first line of its docstring is "Title: question", the
second paragraph may hold "icon: <Material symbol>"; the menu and the first page read both without running the page.
The digits give the position in the section, the name is the address. The page calls

    template.begin(__doc__)      title and question
    ...                          controls (bound to the URL) and image
    template.end(notice, tries)  three things to try (one breaks the model), what one saw (folded), the formula
"""

from collections.abc import Sequence

import streamlit as st

from aevae.ui.frame import layout, menu
from aevae.ui.frame.tries import Try, show
from aevae.ui.i18n import _


def begin(doc: str) -> None:
    """Show the head of the page."""
    title, question = menu.head(doc)
    layout.page(_(title), _(question))


def end(
    notice: Sequence[str],
    tries: Sequence[Try | str],
    formula: str = "",
    numbers: str = "",
    more: str = "",
    sources: str = "",
) -> None:
    """Show the part of the page below the image. Texts are translated Markdown.

    notice: observations, folded, because they answer the tries. tries: three things to do; one of them breaks the
    model. formula: LaTeX. numbers: the formula with this run's numbers, LaTeX or Markdown. more: the folded
    explanation. sources: papers.
    """
    show(tries, _("Three things to try"))
    layout.explain(_("What did you see?"), "\n".join(f"- {text}" for text in notice))
    if formula:
        st.latex(formula)
    if numbers:
        st.markdown(numbers)
    if more:
        layout.explain(_("In more detail"), more)
    st.caption(" · ".join(filter(None, (sources, _("The address of this page restores what you see.")))))
