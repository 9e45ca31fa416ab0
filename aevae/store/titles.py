"""Names that people give to their runs: one line in `title.txt` of the run folder.

The identity of a run is its config. A title is only shown: it is in no fingerprint and in no address.
"""

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from aevae.store.files import write_atomic

if TYPE_CHECKING:
    from aevae.store.checkpoints import RunInfo

FILE = "title.txt"
MAX_CHARACTERS = 40
MAX_BYTES = 400  # a longer file was not written by this program
ALLOWED = re.compile(r"[\w .,()=/'-]*")  # what Markdown does not interpret; \w: letters and digits of all scripts


def checked(text: str) -> str:
    """The title without surrounding and double spaces. Raises ValueError with one sentence."""
    title = " ".join(unicodedata.normalize("NFC", text).split())
    if not title:
        raise ValueError("the name is empty")
    if len(title) > MAX_CHARACTERS:
        raise ValueError(f"a name may have at most {MAX_CHARACTERS} characters, this one has {len(title)}")
    if not ALLOWED.fullmatch(title) or not any(map(str.isalnum, title)):
        raise ValueError("a name may have letters, digits, spaces and . , ( ) = / - ', at least one letter or digit")
    return title


def read(folder: Path) -> str:
    """The title of the run in this folder; "" without a valid one."""
    try:
        content = (folder / FILE).read_bytes()
        return checked(content.decode("utf-8")) if len(content) <= MAX_BYTES else ""
    except (OSError, ValueError):
        return ""


def write(run: "RunInfo", text: str) -> str:
    """Store the title of a run, and return it; "" removes it. Raises ValueError with one sentence, OSError."""
    if run.shipped:
        raise ValueError("this run is shipped with the program and keeps its name")
    title = checked(text) if text else ""
    if not (run.path / "config.json").exists():  # deleted meanwhile
        raise ValueError(f"{run.name} is not in the store any more")
    if title:
        write_atomic(run.path / FILE, f"{title}\n".encode())
    else:
        (run.path / FILE).unlink(missing_ok=True)
    return title
