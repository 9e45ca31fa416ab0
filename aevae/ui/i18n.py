"""`_("text")`: a text of the user interface in the reader's language. A language is one catalogue in `aevae/locale`.

This module is in no room of `aevae/ui`, because every room imports it, `shared` included.
"""

import gettext
from functools import lru_cache
from pathlib import Path

DOMAIN = "aevae"
CATALOGUES = Path(__file__).resolve().parents[1] / "locale"  # <language>/LC_MESSAGES/aevae.mo


@lru_cache
def languages() -> tuple[str, ...]:
    """Languages with a catalogue, besides English."""
    return tuple(sorted(path.parent.parent.name for path in CATALOGUES.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")))


@lru_cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations of a language; missing texts stay English."""
    return gettext.translation(DOMAIN, CATALOGUES, [language], fallback=True)


def language() -> str:
    """The browser's language if there is a catalogue for it, else English."""
    if not languages():
        return "en"
    import streamlit as st

    wanted = (st.context.locale or "en").replace("-", "_")
    return next((known for known in (wanted, wanted.split("_")[0]) if known in languages()), "en")


def _(text: str) -> str:
    """`text` in the reader's language. Call it while a page is drawn, not at import."""
    return catalogue(language()).gettext(text)
