"""Runs one command and turns its result, or its exception, into output and an exit code."""

import contextlib
import errno
import os
import sys

from aevae import launch
from aevae.cli.console import complain, print_result, repair_streams
from aevae.cli.parser import build_parser

BAD_PATH_ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)  # a wrong request, not a failure


def main(argv: list[str] | None = None) -> int:
    """The exit code of one command."""
    repair_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except OSError as error:  # raised by stdout
        with contextlib.suppress(OSError, ValueError):  # Python flushes stdout once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader (`| head`) has closed the pipe
            return 0
        return complain(f"the result cannot be written ({error.strerror})", 1)


def _run(argv: list[str] | None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == ["app"]:  # Streamlit parses the other arguments
            return launch.run_app(argv[1:])
        args = build_parser().parse_args(argv)
        result = args.command(args)
    except SystemExit as end:  # --help
        return int(end.code or 0)
    except BrokenPipeError:
        raise
    except ValueError as error:  # wrong values, DamagedRun, DataUnavailable
        return complain(str(error), 2)
    except KeyboardInterrupt:
        return complain("interrupted; run the same command again to continue from the last checkpoint", 1)
    except OSError as error:
        text = {errno.ENOENT: "there is no file {}", errno.EISDIR: "{} is a folder, it must be a file"}.get(error.errno)
        text = text.format(error.filename) if text else _user_message(error)
        return complain(text, 2 if error.errno in BAD_PATH_ERRORS else 1)
    except Exception as error:
        return complain(_user_message(error), 1)
    if isinstance(result, int):
        return result
    if result is not None:
        print_result(result, args.json)
    return 0


def _user_message(error: Exception) -> str:
    from aevae.queue.errors import user_message

    return user_message(error)
