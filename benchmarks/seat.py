"""A simulated browser session: Streamlit's messages over a WebSocket, and images over HTTP.

It causes the same load on the server as a browser: all messages of a session, polling fragments, cached messages, and
images that are fetched once. Rendering, decoding and dragging in the browser are not simulated.
"""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from aevae.ui import internals

if (_types := internals.message_types()) is None:
    raise ImportError("this release of Streamlit has other messages")
BackMsg, ForwardMsg = _types
WidgetState = type(BackMsg().rerun_script.widget_states.widgets.add())

PATIENCE = 60.0  # longest wait for a response in seconds
KEPT = 2  # script runs after which a browser drops an unused cached message
TRIGGER = "$$STREAMLIT_INTERNAL_KEY_{}__events"  # widget that carries what a component sends
VALUES = {  # kind of widget -> (field of its state, value)
    "button": ("trigger_value", bool),
    "checkbox": ("bool_value", bool),
    "number_input": ("double_value", float),
    "text_input": ("string_value", str),
    "selectbox": ("string_value", str),
    "slider": ("double_array_value", lambda value: [float(value)]),
    "button_group": ("string_array_value", lambda value: [str(value)]),
    "multiselect": ("string_array_value", list),
    "bidi_component": ("json_trigger_value", lambda payload: json.dumps([{"event": "sent", "value": payload}])),
}


class Lost(ConnectionError):
    """The session has ended, or a response did not come."""


class Seat:
    """One session. seconds: (action, response time) of each action; errors: errors shown on pages."""

    def __init__(self, url: str, cookie: str = ""):
        self.url, self.cookie = url.rstrip("/"), cookie
        self.seconds: list[tuple[str, float]] = []
        self.errors: list[str] = []
        self.pages: dict[str, str] = {}  # path -> hash
        self.page = self.query = ""
        self.elements: dict[str, tuple[str, object, str]] = {}  # key -> (kind, element, fragment)
        self.texts: list[str] = []
        self._fresh, self._fresh_texts = {}, []
        self._states: dict[str, Any] = {}
        self._cached: dict[str, tuple[Any, int]] = {}  # hash -> message, number of the run that used it last
        self._runs = 0
        self._looks: dict[str, asyncio.Task] = {}
        self._fetched: set[str] = set()
        self._asked = ""  # fragment whose run is the response; "": a run of the page
        self._under_way: list[str] = []  # fragments that run now; []: the page
        self._finished: asyncio.Future | None = None
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task | None = None

    # -- actions -------------------------------------------------------------------------------------------------------

    async def sit(self, path: str = "", query: str = "") -> float:
        """Open the app at this path. Returns the seconds until the page is complete."""
        parts = urlsplit(self.url)
        self.query = query
        self._socket = await connect(
            f"ws://{parts.netloc}/_stcore/stream",
            subprotocols=["streamlit"],
            max_size=None,
            compression=None,
            open_timeout=PATIENCE,
            additional_headers={"Cookie": self.cookie} if self.cookie else None,
        )
        self._reader = asyncio.create_task(self._read())
        return await self._ask("open", page_name=path)

    async def go(self, path: str) -> float:
        """Change to another page by the menu. Returns the response time."""
        self._states.clear()
        self.query = ""
        for task in self._looks.values():
            task.cancel()
        self._looks.clear()
        self.page = self.pages[path]
        return await self._ask("page")

    async def do(self, key: str, value=True, what: str = "") -> float:
        """Set or press the widget of this key, or send `value` from its live component. Returns the response time."""
        kind, element, fragment = self.elements[key]
        field, make = VALUES[kind]
        trigger = field in ("trigger_value", "json_trigger_value")
        state = WidgetState(id=TRIGGER.format(element.id) if kind == "bidi_component" else element.id)
        made = make(value)
        if isinstance(made, list):
            getattr(state, field).data.extend(made)
        else:
            setattr(state, field, made)
        if not trigger:
            self._states[state.id] = state
        return await self._ask(what or key, fragment, [state] if trigger else [])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Poll the page until the condition holds."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Lost(f"it did not come in {PATIENCE:.0f} s: {' / '.join(self.texts)[:1000]}") from None

    async def leave(self) -> None:
        """Close the tab."""
        for task in self._looks.values():
            task.cancel()
        if self._socket:
            await self._socket.close()
        if self._reader:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    # -- messages ------------------------------------------------------------------------------------------------------

    async def _ask(self, what: str, fragment: str = "", triggers: Sequence[Any] = (), page_name: str = "") -> float:
        began = time.perf_counter()
        self._asked = fragment
        self._finished = asyncio.get_running_loop().create_future()
        await self._post(fragment, triggers, page_name)
        try:
            await asyncio.wait_for(asyncio.shield(self._finished), PATIENCE)
        except TimeoutError:
            raise Lost(f"no answer to {what} in {PATIENCE:.0f} s") from None
        seconds = time.perf_counter() - began
        self.seconds.append((what, seconds))
        return seconds

    async def _post(self, fragment: str = "", triggers=(), page_name: str = "", look: bool = False) -> None:
        letter = BackMsg()
        state = letter.rerun_script
        state.query_string, state.page_script_hash, state.page_name = self.query, self.page, page_name
        state.fragment_id, state.is_auto_rerun = fragment, look
        state.widget_states.widgets.extend([*self._states.values(), *triggers])
        state.cached_message_hashes.extend(self._cached)
        state.context_info.url, state.context_info.locale = self.url, "en-US"
        try:
            await self._socket.send(letter.SerializeToString())
        except ConnectionClosed as problem:
            raise Lost("the session is gone") from problem

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                self._take(ForwardMsg.FromString(data))
        except ConnectionClosed:
            pass
        if self._finished and not self._finished.done():
            self._finished.set_exception(Lost("the session is gone"))

    def _take(self, message) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            message, _ = self._cached[message.ref_hash]
            self._cached[message.hash] = (message, self._runs)
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable and message.hash:
            self._cached[message.hash] = (message, self._runs)
        if kind == "new_session":
            self._runs += 1
            self._fresh, self._fresh_texts = {}, []
            self.page = message.new_session.page_script_hash
            self._under_way = list(message.metadata.run.fragment_ids)
            if not self._under_way:
                for task in self._looks.values():
                    task.cancel()
                self._looks.clear()
        elif kind == "navigation":
            self.pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
            self.page = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            fragment, interval = message.auto_rerun.fragment_id, message.auto_rerun.interval
            if task := self._looks.pop(fragment, None):
                task.cancel()
            self._looks[fragment] = asyncio.create_task(self._look(fragment, interval))
        elif kind == "session_event":
            self.errors.append(str(message.session_event)[:300])
        elif kind == "delta":
            self._draw(message.delta)
        elif kind == "script_finished":
            self._end(message.script_finished)

    def _draw(self, delta) -> None:
        if delta.WhichOneof("type") != "new_element":
            return
        kind = delta.new_element.WhichOneof("type")
        element = getattr(delta.new_element, kind) if kind else None
        if kind == "exception":
            self.errors.append(f"{element.type}: {element.message}"[:300])
        elif kind == "imgs":
            for picture in element.imgs:
                self._fetch(picture.url)
        elif kind in ("markdown", "alert", "heading", "text"):
            self._fresh_texts.append(element.body)
        elif kind == "progress":
            self._fresh_texts.append(element.text)
        if kind in VALUES:
            self._fresh[element.id.split("-", 2)[-1]] = (kind, element, delta.fragment_id)

    def _end(self, status: int) -> None:
        if status == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            return
        whole = status != ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
        self.elements = self._fresh if whole else self.elements | self._fresh
        self.texts = self._fresh_texts if whole else [*self.texts, *self._fresh_texts][-500:]
        self._cached = {h: (m, run) for h, (m, run) in self._cached.items() if self._runs - run <= KEPT}
        answers = whole or self._asked in self._under_way  # otherwise a fragment has polled
        if answers and self._finished and not self._finished.done():
            self._finished.set_result(None)

    async def _look(self, fragment: str, interval: float) -> None:
        """Run a polling fragment repeatedly."""
        with contextlib.suppress(Lost):
            while True:
                await asyncio.sleep(interval)
                await self._post(fragment, look=True)

    def _fetch(self, path: str) -> None:
        if path.startswith("/media/") and path not in self._fetched:
            self._fetched.add(path)
            request = urllib.request.Request(self.url + path, headers={"Cookie": self.cookie} if self.cookie else {})
            task = asyncio.get_running_loop().run_in_executor(None, self._get, request)
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _get(self, request: urllib.request.Request) -> None:
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).read()
        except OSError as problem:
            if getattr(problem, "code", 0) != 404:  # the image has been replaced meanwhile
                self.errors.append(f"{type(problem).__name__} for a picture")
