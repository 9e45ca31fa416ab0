"""A teacher stays logged in while the browser is open, also after a reload.

A login creates a token: 256 random bits that this process keeps until the teacher logs out, the passcode changes or the
server ends. The page exchanges a ticket (valid once, for a minute) for a cookie with the token at a route of aevae.
So no script sees the token (HttpOnly), and the passcode is never sent back.
"""

import hmac
import secrets
import time

import streamlit as st

MAX_TOKENS = 1000
TICKET_SECONDS = 60.0
_tokens: dict[str, str] = {}  # token -> passcode with which it was created
_browsers: dict[str, set[str]] = {}  # token -> all tokens of its browser, including itself
_tickets: dict[str, tuple[str, float]] = {}  # ticket -> (token, expiry time)


def admit(passcode: str, now: float | None = None) -> tuple[str, str]:
    """(new token for a session that entered this passcode, ticket for its cookie)."""
    while len(_tokens) >= MAX_TOKENS:
        dismiss(next(iter(_tokens)))
    token, ticket = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    _tokens[token] = passcode
    _tickets[ticket] = token, (time.monotonic() if now is None else now) + TICKET_SECONDS
    return token, ticket


def is_admitted(token: str, passcode: str) -> bool:
    """Whether this token belongs to the current passcode and nobody has logged out with it."""
    known = _tokens.get(token)
    return known is not None and hmac.compare_digest(known.encode(), passcode.encode())


def dismiss(token: str) -> None:
    """Invalidate this token and the other tokens of its browser."""
    ended = _browsers.get(token, {token})
    for one in ended:
        _tokens.pop(one, None)
        _browsers.pop(one, None)
    for ticket in [ticket for ticket, (its, _end) in _tickets.items() if its in ended]:
        _tickets.pop(ticket, None)


def join(token: str, other: str) -> None:
    """Note that both tokens belong to one browser (a login in two tabs)."""
    if token in _tokens and other in _tokens:
        together = _browsers.get(token, {token}) | _browsers.get(other, {other})
        _browsers.update(dict.fromkeys(together, together))


def from_cookie() -> str:
    """The token in the browser's cookie when this session began, or ""."""
    return st.context.cookies.get(cookie_name(), "")


def cookie_name() -> str:
    """Name of the cookie. It contains the port, because servers of one computer share cookies."""
    return f"aevae_teacher_{st.get_option('server.port')}"


def redeem(ticket: str, now: float | None = None) -> str:
    """The token of a ticket, once; "" for one that is unknown, used or too old."""
    now = time.monotonic() if now is None else now
    for old in [name for name, (_token, end) in list(_tickets.items()) if end < now]:
        _tickets.pop(old, None)
    token, _end = _tickets.pop(ticket, ("", 0.0))
    return token if token in _tokens else ""


def routes() -> list:
    """Routes for `st.App`: the exchange of a ticket for the cookie."""
    from starlette.routing import Route

    return [Route("/teacher/{ticket}", _exchange, methods=["POST"])]


def _exchange(request):
    from starlette.responses import Response

    token = redeem(request.path_params["ticket"])
    if not token:
        return Response("not here", 404, media_type="text/plain")
    join(token, request.cookies.get(cookie_name(), ""))
    answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
    https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    path = request.url.path.partition("/teacher/")[0] or "/"  # not to other servers below the same host name
    answer.set_cookie(cookie_name(), token, path=path, httponly=True, samesite="strict", secure=https)
    return answer
