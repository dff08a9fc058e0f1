"""Messages to the host while a call is under way: progress, which keeps it waiting, and a question before spending.

In: a request context. Out: progress notifications, the user's consent. Both protocol eras.
Never in here: what a call does, what it costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from seedframe.messages import Language, Message
from seedframe.redaction import redact

BEAT_SECONDS = 10.0
CONSENT = "consent"
Context = ServerRequestContext[Any]


class Progress:
    """Strictly increasing, never complete; silent once the host has left, since the paid work goes on without it."""

    def __init__(self, ctx: Context, language: Language, secrets: Sequence[str]) -> None:
        self._ctx = ctx
        self._language = language
        self._secrets = secrets
        self._steps = 0
        self._open = True

    async def report(self, message: Message) -> None:
        """One step, in words."""
        if not self._open:
            return
        self._steps += 1
        try:
            words = redact(message.text(self._language), self._secrets, long_words=True)
            await self._ctx.session.report_progress(1 - 1 / (self._steps + 1), 1, words)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._open = False

    async def _beat(self) -> None:
        seconds = 0.0
        while True:
            await self.report(Message("server.working", seconds=round(seconds)))
            await asyncio.sleep(BEAT_SECONDS)
            seconds += BEAT_SECONDS

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Report progress at least every ten seconds while the block runs."""
        # A task, not a task group: what the call raises must come out as it is, not inside an exception group.
        beat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            self._open = False
            beat.cancel()


class QuestionPending(Exception):
    """The modern era asks by ending the call: the host answers and repeats it."""

    def __init__(self, result: t.InputRequiredResult) -> None:
        self.result = result


async def consents(ctx: Context, params: t.CallToolRequestParams, question: str, state: str) -> bool | None:
    """The user's answer to a yes/no question; None when this host cannot ask (or nobody is there).

    `state` comes back with the answer where asking ends the call.
    """
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return None
    schema = {"type": "object", "properties": {"pay": {"type": "boolean", "title": question}}, "required": ["pay"]}
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return _modern_answer(params, question, schema, state)
    if not ctx.session.can_send_request:
        return None
    try:
        return _agreed(await ctx.session.elicit_form(question, schema, related_request_id=ctx.request_id))
    except MCPError:  # a host that says it can ask, and cannot
        return None


def _modern_answer(params: t.CallToolRequestParams, question: str, schema: dict[str, Any], state: str) -> bool:
    given = (params.input_responses or {}).get(CONSENT)
    if given is None:
        form = t.ElicitRequestFormParams(message=question, requested_schema=schema)
        request = t.ElicitRequest(params=form)
        raise QuestionPending(t.InputRequiredResult(input_requests={CONSENT: request}, request_state=state))
    return _agreed(t.ElicitResult.model_validate(given.model_dump(mode="json", by_alias=True, exclude_none=True)))


def _agreed(answer: t.ElicitResult) -> bool:
    return answer.action == "accept" and bool((answer.content or {}).get("pay"))
