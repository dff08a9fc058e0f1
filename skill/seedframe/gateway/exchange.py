"""One HTTP exchange: whether the caller is still connected, and whether it received the whole answer.

In: the ASGI channels of a request. Out: headers and pieces of a body. A caller who disconnects before the last piece
has not received the answer: `CallerLeft` is raised, and what was paid stays undelivered.
Never in here: the content of an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Send

PIECE = 1 << 16


class CallerLeft(Exception):
    """The connection was closed before the answer was complete."""


class Exchange:
    """The response side. Call `start` once, `write` any number of times, `end` once."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.status: int | None = None
        self.ended = False
        self.left = asyncio.Event()

    async def watch(self) -> None:
        """Set `left` when the caller disconnects; the body of the request must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.ended:
            self.left.set()

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status and the headers."""
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, content: bytes) -> None:
        """Send a part of the body. CallerLeft when the caller has disconnected."""
        for start in range(0, len(content), PIECE):
            self._check()
            await self._body(content[start : start + PIECE], more=True)

    async def end(self) -> None:
        """End the body. CallerLeft when the caller disconnected before."""
        await asyncio.sleep(0)
        self._check()
        self.ended = True
        await self._body(b"", more=False)

    async def whole(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Send a whole answer."""
        await self.start(status, {**headers, "content-length": str(len(content))})
        await self.write(content)
        await self.end()

    def _check(self) -> None:
        if self.left.is_set():
            raise CallerLeft

    async def _body(self, content: bytes, *, more: bool) -> None:
        message: dict[str, Any] = {"type": "http.response.body", "body": content, "more_body": more}
        await self._send(message)
