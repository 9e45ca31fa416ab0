"""The cards of the page Start: one for each page, with a picture of what the page does. A card is a link as a whole.

`scripts/make_cards.py` makes the pictures.
"""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from aevae.ui.frame import menu
from aevae.ui.frame.menu import PageInfo
from aevae.ui.i18n import _

PICTURES = Path(__file__).with_name("pictures")
WAYS = {"sliders": "Play", "train": "Train your own", "two-planes": "Learn"}  # address -> what one does there

# The link of a card covers the card. The outline of the focus is that of the card, too.
STYLE = """
.stVerticalBlock:is([class*="st-key-cards_"], .st-key-ways) { align-items: stretch; }
[class*="st-key-cards_"] { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.9rem; }
.st-key-ways { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 0.9rem; }
:is([class*="st-key-cards_"], .st-key-ways) > div { display: grid; height: 100%; }
[class*="st-key-card_"] { position: relative; overflow: hidden; gap: 0.35rem; padding: 0.75rem; }
[class*="st-key-card_"] img { border-radius: 4px; }
[class*="st-key-card_"] [data-testid="stPageLink"] a { position: static; padding: 0; background: none; }
[class*="st-key-card_"] [data-testid="stPageLink"] a::after { content: ""; position: absolute; inset: 0; z-index: 2; }
[class*="st-key-card_"] :is(.stPageLink, [data-testid="stPageLink"], .stElementContainer) { position: static; }
[class*="st-key-card_"]:hover { border-color: var(--st-primary-color, #24569E); }
[class*="st-key-card_"]:has(a:focus-visible) { outline: 3px solid #4074CB; outline-offset: 2px; }
[class*="st-key-card_"] a:focus-visible { outline: none; box-shadow: none; }
[class*="st-key-card_"] p { line-height: 1.35; }
[class*="st-key-card_"] a :is(span, p) { white-space: normal; }
"""


def style() -> None:
    """Add the styles of the cards."""
    st.html(f"<style>{STYLE}</style>")


def ways() -> None:
    """The three ways through the laboratory."""
    sayings = {
        "sliders": _("Move a number of the code, and see what it changes. Your own digit, too."),
        "train": _("Choose a model, press one button, and watch it learn, step by step."),
        "two-planes": _("Begin with this: where random codes fall, in an autoencoder and in a VAE."),
    }
    with st.container(key="ways"):
        for address, title in WAYS.items():
            with st.container(border=True, key=f"card_way_{address}"):
                page = menu.info(address)
                st.page_link(page.path, label=f"**{_(title)}**", icon=page.icon)
                st.caption(sayings[address])


def groups() -> dict[str, list[PageInfo]]:
    """Heading -> pages of the menu, without Start."""
    found: dict[str, list[PageInfo]] = {}
    for page in menu.all_pages()[1:]:
        found.setdefault(page.section, []).append(page)
    return found


def show(title: str, pages: Sequence[PageInfo]) -> None:
    """A heading and the cards of these pages."""
    st.header(title, anchor=False)
    with st.container(key=f"cards_{pages[0].url_path}"):
        for page in pages:
            card(page)


def card(page: PageInfo) -> None:
    """A card: picture, title, question."""
    with st.container(border=True, key=f"card_{page.url_path}"):
        if (file := picture(page)).is_file():
            st.image(str(file), width="stretch", alt="")
        st.page_link(page.path, label=f"**{_(page.title)}**", icon=page.icon)
        st.caption(_(page.question))


def picture(page: PageInfo) -> Path:
    """The file with the picture of a page."""
    return PICTURES / f"{page.url_path}.webp"
