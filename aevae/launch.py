"""`aevae app`: starts the web app, from a checkout or from an installed wheel."""

from collections.abc import Sequence

from aevae import paths


def run_app(flags: Sequence[str] = ()) -> int:
    """Run app.py until the process is ended; returns the exit code of `streamlit run`. flags: passed to Streamlit.

    Streamlit finds `.streamlit/config.toml` beside app.py from any working directory.
    """
    from streamlit.web import cli

    try:
        cli.main(["run", str(paths.ROOT / "app.py"), *flags], prog_name="streamlit")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0
