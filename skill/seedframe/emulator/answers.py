"""How answers leave: whole, frame by frame, cut off, or never.

In: bytes and headers. Out: ASGI responses. Never in here: what an answer says.
A connection is cut through `hang_up` in the connection's state, which `server.py` (sockets) and `transport.py` (in
process) both provide; the ASGI protocol itself has no way to drop a caller who has heard nothing yet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Cut the connection, then wait until it is gone."""
    cut = scope.get("state", {}).get("hang_up")
    if cut is None:
        raise RuntimeError("this ASGI server offers no way to cut a connection; use seedframe.emulator.serve")
    cut()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Wait until the other side has left."""
    message: Message = {}
    while message.get("type") != "http.disconnect":
        message = await receive()


class Dropped(Response):
    """Nothing is answered: the connection is cut."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        await hang_up(scope, receive)


class Hanging(Response):
    """Nothing is answered, and the connection stays open until the caller gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        await gone(receive)


class CutOff(Response):
    """The headers promise the whole body; half of it comes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
        await hang_up(scope, receive)


class EventStream(Response):
    """Server-sent frames as they become ready; the headers leave with the first one, as recorded."""

    def __init__(self, frames: AsyncIterator[bytes], headers: Mapping[str, str], media_type: str, *, cut: bool) -> None:
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._frames, self._cut = frames, cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        started = False
        async for frame in self._frames:
            if not started:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        if self._cut:
            await hang_up(scope, receive)
        else:
            await send({"type": "http.response.body", "body": b""})
