"""Text on stdout and stderr: results, messages and progress."""

import contextlib
import json
import os
import sys
from collections.abc import Callable


def repair_streams() -> None:
    """Replace closed streams (`>&-`) by the null device, and escape characters that a stream cannot encode.

    Otherwise the next opened file would get the file descriptor of the closed stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for the rest of the process)
        elif mode == "w" and stream.errors == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def print_result(result: dict, as_json: bool) -> None:
    """Print a command's result on stdout: as JSON, as its first table with a header, or as one line per value."""
    if as_json:
        print(json.dumps(result))
        return
    rows = next((v for v in result.values() if isinstance(v, list) and v and isinstance(v[0], dict)), None)
    if rows is None:
        _print_values(result)
        return
    names = [name for name in rows[0] if not all(isinstance(row[name], dict) or row[name] == "" for row in rows)]
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_values(values: dict, indent: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _print_values(value, indent + "  ")
        else:
            print(f"{indent}{name:<24} {_text(value)}")


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, list) else f"{value:.6g}" if isinstance(value, float) else str(value)


def say(text: str, end: str = "\n") -> None:
    """Write a message to stderr. A closed stderr does not stop the command."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, end=end, flush=True)


def complain(text: str, code: int) -> int:
    """The exit code `code`, after one line on stderr; unprintable characters of paths and arguments are escaped."""
    say("aevae: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
    return code


def say_device(args) -> None:
    """If `--device auto` selects the CPU although there is a GPU, say why on stderr."""
    from aevae.training.device import gpu_warning

    if args.device == "auto" and (warning := gpu_warning()):
        say(warning)


def say_if_diverged(run) -> None:
    """If the training of a run (RunInfo) diverged, say why on stderr."""
    if run.status == "diverged":
        say(f"the training of {run.name} diverged: {run.reason}. Its weights are those of epoch {run.epochs}")


def say_notes(data) -> None:
    """Say what was guessed, changed or left out when the data set was read."""
    for note in data.notes:
        say(f"{data.name}: {note}")


def say_event(event, label: str = "") -> None:
    """Say what a training event reports: the test terms of an epoch, or why a run could not be resumed."""
    if hasattr(event, "record"):
        record = event.record
        terms = "  ".join(f"{k} {v:.2f}" for k, v in record["test"].items())
        say(f"{label}epoch {record['epoch']:3}  test: {terms}  {record.get('images_per_s', '')}")
    elif hasattr(event, "reason"):
        say(f"{label}{event.reason}")


def progress_line() -> Callable[[float, str], None]:
    """A progress callback that overwrites one line of a terminal; into a file or a pipe it writes nothing."""
    last = ""

    def show(fraction: float, text: str) -> None:
        nonlocal last
        line = f"{fraction:4.0%} {text:<60}"
        if line != last and sys.stderr.isatty():
            say(line, end="\r")
        last = line

    return show
