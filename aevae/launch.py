"""COMMAND: how the program was called. run_app: starts the web app, from a checkout or an installed wheel."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from aevae import paths

COMMAND = "aevae" if Path((sys.argv or [""])[0]).stem == "aevae" else "python -m aevae"  # as usage and messages name it


def run_app(flags: Sequence[str] = ()) -> int:
    """Run app.py until the process is ended; returns the exit code of `streamlit run`. flags: passed to Streamlit.

    Streamlit finds `.streamlit/config.toml` beside app.py from any working directory.
    """
    own, sys.argv = sys.argv, ["streamlit", "run", str(paths.ROOT / "app.py"), *flags]
    try:
        runpy.run_module("streamlit", run_name="__main__")  # as `python -m streamlit` does
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.argv = own
    return 0
