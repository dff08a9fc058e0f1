"""SDK middleware for remote callers: each call gets its caller's context, and no path of the server passes either way.

In: `tools/call` as the SDK hands it to middleware. Out: its result with links for paths.
Never in here: routes, how a token is checked, what a tool does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import mcp.types as t
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.session import ServerSession
from starlette.requests import Request

from seedframe.errors import InvalidRequest, SeedreamError
from seedframe.mcp_server import content
from seedframe.mcp_server.http.callers import LOCAL, Caller, Callers
from seedframe.mcp_server.http.outward import Outward
from seedframe.mcp_server.http.uploads import PREFIX, uploaded
from seedframe.mcp_server.progress import BEAT_SECONDS
from seedframe.messages import Language, Message

SENT_ALONG = ("https://", "http://", "data:", "seedframe:")
LATEST = "latest"


class CallerBoundary:
    """SDK middleware. `callers` has the callers, `outward` translates for one of them."""

    def __init__(
        self, callers: Callable[[], Callers], outward: Callable[[Caller], Outward], language: Language
    ) -> None:
        self._callers = callers
        self._outward = outward
        self._language = language

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """One message; only tool calls are touched."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        async with self._callers().calling(caller_name(ctx.request)) as caller:
            outward = self._outward(caller)
            try:
                params = own_arguments(ctx.params or {}, caller)
            except SeedreamError as error:
                return outward.result(_wire(content.refusal(error, self._language)))
            session = cast("ServerSession", _QuietSession(ctx.session, outward))
            await self._turn(caller, session)
            try:
                result = await call_next(replace(ctx, params=params, session=session, lifespan_context=caller.app))
            finally:
                caller.turns.release()
            wire = _wire(result)
            return outward.result(wire) if "content" in wire else result

    async def _turn(self, caller: Caller, session: ServerSession) -> None:
        """Wait until fewer calls of this caller are under way; the wait is reported as progress."""
        waiting = asyncio.ensure_future(caller.turns.acquire())
        beats = 0
        try:
            while not (await asyncio.wait({waiting}, timeout=BEAT_SECONDS))[0]:
                beats += 1
                words = Message("http.waiting").text(self._language)
                # Below what the call itself reports later, since progress must increase.
                await session.report_progress(0.5 * (1 - 1 / (beats + 1)), 1, words)
        except BaseException:
            if not waiting.cancel() and not waiting.cancelled():
                caller.turns.release()
            raise


class _QuietSession:
    """A session whose progress names no folder of the server."""

    def __init__(self, session: ServerSession, outward: Outward) -> None:
        self._session = session
        self._outward = outward

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """As the session's own."""
        await self._session.report_progress(progress, total, self._outward.text(message) if message else message)


def caller_name(request: Request | None) -> str:
    """The caller of an HTTP request: the name of its token."""
    user = request.scope.get("user") if request is not None else None
    return str(user.display_name) if user is not None and user.is_authenticated else LOCAL


def own_arguments(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """The parameters with the caller's uploads in place; InvalidRequest where a path of this machine is named."""
    arguments = params.get("arguments")
    if not isinstance(arguments, Mapping):
        return dict(params)
    given = dict(arguments)
    if isinstance(given.get("board"), str):
        _check_board(given["board"])
    if "images" in given:
        given["images"] = _pictures(given["images"], caller)
    return {**params, "arguments": given}


def _pictures(named: Any, caller: Caller) -> Any:
    """References as a list, also where a host sent a string or JSON in a string."""
    if isinstance(named, str):
        try:
            decoded = json.loads(named)
        except ValueError:
            decoded = named
        named = decoded if isinstance(decoded, list) else [named]
    if not isinstance(named, list):
        return named
    return [_picture(one, caller) if isinstance(one, str) else one for one in named]


def _picture(wanted: str, caller: Caller) -> str:
    wanted = wanted.strip()
    if wanted.startswith(PREFIX):
        return str(uploaded(wanted, caller.root))
    if wanted == LATEST or wanted.lower().startswith(SENT_ALONG):
        return wanted
    raise InvalidRequest(
        Message("http.no-paths", got=wanted[:200]),
        field="images",
        got=wanted[:200],
        allowed="upload: id, https URL, data URI, seedframe: id, latest",
        advice=Message("http.no-paths-advice"),
    )


def _check_board(board: str) -> None:
    if "\n" in board.strip() or board.lstrip().startswith(("{", "[")):
        return
    raise InvalidRequest(
        Message("http.no-board-path", got=board[:200]),
        field="board",
        got=board[:200],
        allowed="the text of the board",
        advice=Message("http.no-board-path-advice"),
    )


def _wire(result: HandlerResult) -> dict[str, Any]:
    """A result as the mapping that goes on the wire."""
    if isinstance(result, t.CallToolResult):
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dict(result) if isinstance(result, Mapping) else {}
