"""The server: shutdown, routes, the upload limit of a session, and the script that the browser runs first.

SIGTERM and Ctrl+C end the server and its workers within three seconds, with exit code 0; their jobs are requeued.
"""

import contextlib
import html
import json
import os
import signal
import sys
import threading
from collections import OrderedDict
from pathlib import Path

import streamlit as st

from aevae import logs
from aevae.queue import jobs
from aevae.ui import internals
from aevae.ui.frame import menu, monitoring, teacher
from aevae.ui.live import component

GRACE_SECONDS = 1.5  # time for a worker to finish its step
MAX_SESSIONS = 10_000  # sessions whose uploads are counted


@contextlib.asynccontextmanager
async def lifespan(app):
    """For `st.App`: install own signal handlers, because the web server would wait for its sessions."""
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, _leave)
    async with monitoring.lifespan(app):
        yield


def _leave(*_) -> None:
    """Signal handler that ends the server in a thread, because the interrupted code may hold a lock."""
    threading.Thread(target=_end, name="end").start()


def _end() -> None:
    jobs.end_workers(GRACE_SECONDS)
    logs.event("server_down", pid=os.getpid())
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # session scripts may still compute; their files are written atomically


def routes() -> list:
    """Routes for `st.App`: all own routes, under `server.baseUrlPath` like those of Streamlit."""
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    prefix = st.get_option("server.baseUrlPath").strip("/")
    base = f"/{prefix}" if prefix else ""
    to_start = lambda request: RedirectResponse(f"./?{request.url.query}".rstrip("?"))  # noqa: E731
    start = Route("/start", to_start)  # Streamlit shows the first page at / only
    found = (*component.routes(), *teacher.routes(), *monitoring.routes(), start)
    return [Route(base + route.path, route.endpoint, methods=route.methods) for route in found]


# -- uploads ---------------------------------------------------------------------------------------------------------


def upload_limit() -> int:
    """Total bytes that one session may upload (AEVAE_UPLOAD_EACH in MB, default 256)."""
    wanted = os.environ.get("AEVAE_UPLOAD_EACH", "")
    return 1_000_000 * (int(wanted) if wanted.isdecimal() else 256)


class Uploads:
    """ASGI middleware: counts the uploads of each session and answers 413 beyond `upload_limit`.

    Streamlit limits the size of a file (`maxUploadSize`), not the number of files.
    """

    def __init__(self, app):
        self.app = app
        self.taken: OrderedDict[str, int] = OrderedDict()  # session -> bytes

    async def __call__(self, scope, receive, send):
        is_put = scope["type"] == "http" and scope.get("method") == "PUT"
        session = internals.uploading_session(scope.get("path", "")) if is_put else None
        if session is None:
            return await self.app(scope, receive, send)
        await self.app(scope, lambda: self._counted(session, receive), send)

    async def _counted(self, session: str, receive):
        from starlette.exceptions import HTTPException

        message = await receive()
        self.taken[session] = self.taken.pop(session, 0) + len(message.get("body", b""))
        while len(self.taken) > MAX_SESSIONS:
            self.taken.popitem(last=False)
        if self.taken[session] > upload_limit():
            raise HTTPException(
                413, "This session has reached its upload limit. Reload the page to start a new session."
            )
        return message


# -- the first page --------------------------------------------------------------------------------------------------

_HISTORY, _SECTIONS = (Path(__file__).with_name(name).read_text("utf-8") for name in ("history.js", "sections.js"))
_VALIDATORS = (b"accept-encoding", b"if-none-match", b"if-modified-since")  # headers about the unmodified page
_OF_BODY = (b"content-length", b"etag", b"last-modified")


def _first_script() -> bytes:
    sections = html.escape(json.dumps(menu.sections()))
    return f'<head><script data-sections="{sections}">{_HISTORY}{_SECTIONS}</script>'.encode()


class Opening:
    """ASGI middleware that inserts scripts into the HTML page that must run before Streamlit's code."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        headers = scope.get("headers", [])
        if scope["type"] != "http" or not any(k == b"accept" and b"text/html" in v for k, v in headers):
            return await self.app(scope, receive, send)
        scope = scope | {"headers": [(k, v) for k, v in headers if k not in _VALIDATORS]}
        start: dict = {}
        body = b""

        async def answer(message):
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
                if not _is_html(message):
                    await send(message)
            elif message["type"] != "http.response.body" or not _is_html(start):
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    whole = body.replace(b"<head>", _first_script(), 1)
                    kept = [(k, v) for k, v in start["headers"] if k.lower() not in _OF_BODY]
                    await send(start | {"headers": [*kept, (b"content-length", str(len(whole)).encode())]})
                    await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, answer)


def _is_html(start: dict) -> bool:
    return any(k.lower() == b"content-type" and v.startswith(b"text/html") for k, v in start.get("headers", ()))


def middleware() -> list:
    """For `st.App`."""
    from starlette.middleware import Middleware

    return [Middleware(Uploads), Middleware(Opening)]
