"""Checks on every request to an HTTP server on this machine: an ASGI wrapper for each app that listens on a socket.

In: an app and the host it listens on. Out: the app behind three checks. A web page in a browser of this machine can
send requests here, and a name of its own that leads here lets it read the answers; both are refused. So are bodies
over a limit, before they are read whole. Never in here: permissions inside the app, its own errors.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MISDIRECTED, FORBIDDEN, TOO_LARGE = 421, 403, 413
_SAYS = {
    MISDIRECTED: "This server does not answer for that Host. Call it by its IP address or as localhost.",
    FORBIDDEN: "This server takes no requests from web pages of other origins.",
    TOO_LARGE: "The request body is too large; at most {limit} bytes are taken.",
}


class TooLarge(Exception):
    """The body is longer than allowed."""


class HttpGuard:
    """`app` behind checks of Host, Origin and length.

    `host` is what the server listens on; `names` are further names it answers to.
    """

    def __init__(self, app: App, host: str, max_body: int, names: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._host = host.lower()
        self._loopback = is_loopback(host)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with the reason for refusing it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(headers)
        if refused:
            await self._say(refused, send)
            return
        await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        came, started = 0, False

        async def counted() -> MutableMapping[str, Any]:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._max_body:
                raise TooLarge
            return message

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, sent)
        except TooLarge:
            if not started:
                await self._say(TOO_LARGE, send)

    def _refused(self, headers: dict[str, str]) -> int | None:
        if not self._answers_for(headers.get("host", "")):
            return MISDIRECTED
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin, headers["host"]):
            return FORBIDDEN
        length = headers.get("content-length", "0")
        return TOO_LARGE if not length.isdecimal() or int(length) > self._max_body else None

    def _answers_for(self, host: str) -> bool:
        """A name could lead anywhere, an address cannot: only known names are accepted."""
        name = _name_of(f"//{host}")
        if name in self._names:
            return True
        if self._loopback:
            return is_loopback(name)
        return name in {self._host, "localhost"} or _is_address(name)

    def _is_own(self, origin: str, host: str) -> bool:
        name = _name_of(origin)
        return name == _name_of(f"//{host}") or (self._loopback and is_loopback(name))

    async def _say(self, status: int, send: Send) -> None:
        body = _SAYS[status].format(limit=self._max_body).encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        # The rest of an unread body would be read as the next request.
        headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    name = host.lower().strip("[]")
    if name == "localhost":
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
