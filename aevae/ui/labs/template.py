"""The one shape of a lab page: a question, an image with two or three controls, what to notice, what to try, formula.

A lab is one file `pages/<section>/<two digits>_<name>.py`. The first line of its docstring is "Title: question", the
second paragraph may hold "icon: <Material symbol>"; from these the menu and the first page know it without running it.
The digits give its place in the section, the name is its address. The page calls

    lab.begin(__doc__)      title and question
    ...                     controls (bound to the URL) and image
    lab.end(notice, tries)  what to notice, three things to try (one provokes the known failure), the formula
"""

from collections.abc import Sequence

import streamlit as st

from aevae.ui.frame import layout, menu
from aevae.ui.i18n import _


def begin(doc: str) -> None:
    """The head of the page."""
    title, question = menu.head(doc)
    layout.page(_(title), _(question))


def end(
    notice: Sequence[str],
    tries: Sequence[str],
    formula: str = "",
    numbers: str = "",
    more: str = "",
    sources: str = "",
) -> None:
    """What stands beneath the image. Texts are markdown and have passed `_()`.

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
