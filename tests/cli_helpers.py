"""Helpers for tests of the command line."""

import json

from aevae.cli import main

TINY = "--epochs 1 --latent-dim 3 --batch-size 64 --set hidden=16 --set limit=200".split()


def call(capsys, *args, code=0):
    """(last line of stdout, stderr) of a command that must end with `code`."""
    assert main([str(a) for a in args]) == code
    out, err = capsys.readouterr()
    return (out.splitlines() or [""])[-1], err


def json_output(capsys, *args) -> dict:
    """The JSON that a command prints with --json."""
    return json.loads(call(capsys, *args, "--json")[0])


def error_message(capsys, *args) -> str:
    """The one line that a command with a wrong argument prints."""
    out, err = call(capsys, *args, code=2)
    assert out == "" and err.startswith("aevae: ") and err.count("\n") == 1 and "Traceback" not in err
    return err
