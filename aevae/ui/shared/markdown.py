"""Text from outside (names, paths, error messages) made safe for Streamlit's Markdown."""

import re
import unicodedata


def strip(text: str) -> str:
    """`text` without the characters that Markdown interprets; accents stay."""
    return "".join(c for c in text if re.match(r"[\w .,()=·/'-]", c) or unicodedata.category(c)[0] == "M")


def escape(text: object) -> str:
    """`text` with every character that Markdown interprets escaped, so that it reads as it was written."""
    return re.sub(r"([\\`*$~<>\[\]])", r"\\\1", str(text))
