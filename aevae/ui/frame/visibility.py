"""Pages that the teacher hides from the class: they are not in the menu, and their addresses say so.

The list is a file of the run store, like the lock of the training, so it outlives the server.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from aevae import paths
from aevae.store.files import write_json
from aevae.ui import internals
from aevae.ui.frame import access


def _file() -> Path:
    return paths.runs_dir() / ".locks" / "hidden-pages.json"


def hidden() -> frozenset[str]:
    """Addresses of the hidden pages."""
    try:
        found = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):  # nothing is hidden, or the file is damaged
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()


def hide(url_paths: Iterable[str]) -> None:
    """Hide these pages and show all others. Raises OSError."""
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, sorted(url_paths))


def hidden_here() -> frozenset[str]:
    """Addresses of the pages that are hidden from this session.

    Nothing is hidden from the teacher, and nothing without a passcode, because then nobody could show it again.
    """
    is_student = internals.in_session() and access.passcode() and not access.is_teacher()
    return hidden() if is_student else frozenset()
