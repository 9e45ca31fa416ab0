"""The server as a whole: how it ends, where its routes lie, and how much one session may bring.

SIGTERM and Ctrl+C end it and its workers within three seconds, with exit code 0; their jobs wait again.
"""

import contextlib
import os
import signal
import sys
import threading
from collections import OrderedDict

import streamlit as st

from aevae import jobs, logs
from aevae.ui import live, watch

GRACE = 1.5  # seconds that a worker has to come to the end of a step
UPLOADS = "/_stcore/upload_file/"  # followed by the session's id and the file's
MOST_SESSIONS = 10_000  # whose uploads are remembered


@contextlib.asynccontextmanager
async def lifespan(app):
    """For `st.App`. Signals are ours from here on: the web server would wait for its sessions, and die of them."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, _leave)
    async with watch.lifespan(app):
        yield


def _leave(*_) -> None:
    """Not from inside the signal: what it interrupted may hold a lock that is needed."""
    threading.Thread(target=_end, name="end").start()


def _end() -> None:
    jobs.end_workers(GRACE)
    logs.event("server_down", pid=os.getpid())
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # scripts of sessions may be deep in a computation; what they write appears whole or not at all


def routes() -> list:
    """For `st.App`: all routes of our own, under `server.baseUrlPath` as Streamlit's are."""
    from starlette.routing import Route

    prefix = st.get_option("server.baseUrlPath").strip("/")
    base = f"/{prefix}" if prefix else ""
    return [Route(base + route.path, route.endpoint) for route in (*live.routes(), *watch.routes())]


# -- uploads ---------------------------------------------------------------------------------------------------------


def upload_limit() -> int:
    """Bytes that one session may upload in all (AEVAE_UPLOAD_EACH, in MB; 256)."""
    wanted = os.environ.get("AEVAE_UPLOAD_EACH", "")
    return 1_000_000 * (int(wanted) if wanted.isdecimal() else 256)


class Uploads:
    """ASGI: counts what each session uploads, and answers 413 to what goes beyond `upload_limit`.

    Streamlit limits a file (`maxUploadSize`), not how many of them a session sends.
    """

    def __init__(self, app):
        self.app = app
        self.taken: OrderedDict[str, int] = OrderedDict()  # session -> bytes

    async def __call__(self, scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] != "http" or scope.get("method") != "PUT" or UPLOADS not in path:
            return await self.app(scope, receive, send)
        session = path.partition(UPLOADS)[2].partition("/")[0]
        await self.app(scope, lambda: self._counted(session, receive), send)

    async def _counted(self, session: str, receive):
        from starlette.exceptions import HTTPException

        message = await receive()
        self.taken[session] = self.taken.pop(session, 0) + len(message.get("body", b""))
        while len(self.taken) > MOST_SESSIONS:
            self.taken.popitem(last=False)
        if self.taken[session] > upload_limit():
            raise HTTPException(413, "This session has uploaded as much as one may; reload the page.")
        return message


def middleware() -> list:
    """For `st.App`."""
    from starlette.middleware import Middleware

    return [Middleware(Uploads)]
