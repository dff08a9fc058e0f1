"""The emulator without a socket: an httpx transport that calls the app in this process.

In: httpx requests. Out: httpx responses whose bodies arrive piece by piece. Never in here: an answer's content.
httpx's own ASGITransport collects the whole answer first, knows no timeouts and cannot lose a connection; streams,
hangs and drops are what an emulator of a paid service is for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import Message

log = logging.getLogger(__name__)


class InProcess(httpx.AsyncBaseTransport):
    """Carries requests to `app`; `app.state.request_log` has what arrived."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self._running: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as soon as the headers are there; raises httpx's errors for a drop and for a read timeout."""
        call = _Call(request, await request.aread())
        # The service finishes what it was paid for although the caller leaves: the task is not tied to this coroutine.
        task = asyncio.create_task(call.run(self.app))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await call.next_piece()
        except BaseException:
            call.leave()
            raise
        return httpx.Response(call.status, headers=call.headers, stream=call, extensions={"http_version": b"HTTP/1.1"})

    async def aclose(self) -> None:
        """Stop what still runs."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Call(httpx.AsyncByteStream):
    """One request on its way through the app. A piece is bytes, the way the connection broke, or None for the end."""

    def __init__(self, request: httpx.Request, body: bytes) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._request = request
        self._requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._pieces: asyncio.Queue[bytes | httpx.TransportError | None] = asyncio.Queue()
        self._left = asyncio.Event()
        self._timeout = request.extensions.get("timeout", {}).get("read")

    async def run(self, app: Starlette) -> None:
        """Run the app for this request; a defect of the app is logged, the caller sees the 500 it caused."""
        try:
            await app(self._scope(), self._receive, self._send)
        except Exception:
            log.exception("the emulator failed")

    async def next_piece(self) -> bytes | None:
        """Wait for the next piece as long as the caller's read timeout allows."""
        try:
            piece = await asyncio.wait_for(self._pieces.get(), self._timeout)
        except TimeoutError:
            raise httpx.ReadTimeout("timed out", request=self._request) from None
        if isinstance(piece, httpx.TransportError):
            raise piece
        return piece

    def leave(self) -> None:
        """Tell the app that the caller is gone."""
        self._left.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.next_piece()) is not None:
            yield piece

    async def aclose(self) -> None:
        self.leave()

    async def _receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            self._pieces.put_nowait(b"")
        elif not self._left.is_set():
            self._pieces.put_nowait(message.get("body", b""))
            if not message.get("more_body"):
                self._pieces.put_nowait(None)

    def _hang_up(self) -> None:
        said = "peer closed connection without sending complete message body (incomplete chunked read)"
        words = said if self.status else "Server disconnected without sending a response."
        self._pieces.put_nowait(httpx.RemoteProtocolError(words, request=self._request))
        self._left.set()

    def _scope(self) -> dict[str, Any]:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
            "state": {"hang_up": self._hang_up},
        }
