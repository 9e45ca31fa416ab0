"""`aevae app`: the lab in the browser, from a checkout and from an installed wheel."""

import runpy
import sys
from collections.abc import Sequence

from aevae import paths


def run_app(flags: Sequence[str] = ()) -> int:
    """Serve app.py until the process is ended. Returns the exit code of `streamlit run`, which reads `flags`.

    Streamlit finds `.streamlit/config.toml` beside app.py, whatever the working directory.
    """
    own, sys.argv = sys.argv, ["streamlit", "run", str(paths.ROOT / "app.py"), *flags]
    try:
        runpy.run_module("streamlit", run_name="__main__")  # as `python -m streamlit` does
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.argv = own
    return 0
