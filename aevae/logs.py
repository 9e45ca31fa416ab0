"""What happened, one line each on stderr: `2026-11-21T18:01:02Z running job=12 kind=train run=0123456789ab`.

A job goes by its number, a run by its fingerprint. Of people there is nothing: no address, no session, no name, no
path, no word that somebody typed; why a job failed stands in the queue, where it can be deleted.
"""

import contextlib
import sys
import time


def event(what: str, **facts: str | int | float) -> None:
    """Write one line, the facts in their order; a reader that is gone is not waited for."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError, ValueError):  # a closed pipe, a full disk
        print(when, what, *(f"{key}={value}" for key, value in facts.items()), file=sys.stderr, flush=True)
