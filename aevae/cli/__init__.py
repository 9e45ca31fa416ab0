"""The command line: train, evaluate, embed, export, import, compare and report without a page.

`--json` prints one JSON object on the last line of stdout. Exit codes: 0 for success, 2 for a wrong request (with one
plain sentence on stderr), 1 for a failure. Progress is written to stderr.
"""

from aevae.cli.entry import main

__all__ = ["main"]
