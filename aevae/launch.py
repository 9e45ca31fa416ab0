"""`aevae app`: the lab in the browser, from a checkout and from an installed wheel."""

from collections.abc import Sequence

from aevae import paths


def run_app(flags: Sequence[str] = ()) -> int:
    """Serve app.py until the process is ended. Returns the exit code of `streamlit run`, which reads `flags`.

    Streamlit finds `.streamlit/config.toml` beside app.py, whatever the working directory.
    """
    from streamlit.web import cli

    try:
        cli.main(["run", str(paths.ROOT / "app.py"), *flags], prog_name="streamlit")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0
