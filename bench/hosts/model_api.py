"""A provider of language models on this machine: says what a script says, and keeps what it was asked.

In: a host's requests in any of four providers' APIs. Out: scripted turns; `ModelApi.asked`, one entry for each request
that offers tools, and `ModelApi.arrived`, when on the monotonic clock. Requests without tools (titles, summaries) get
words and take no turn. Never in here: a real model.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bench.hosts.turns import Asked, Say, Script, Turn
from bench.hosts.wires import Anthropic, Chat, Gemini, Responses, Wire
from seedframe.emulator import running

_ASIDE = Say("Alley")
_ROUTES: dict[str, Wire] = {
    "/v1/messages": Anthropic(),
    "/v1/responses": Responses(),
    "/v1beta/models/{model}:streamGenerateContent": Gemini(),
    "/v1beta/models/{model}:generateContent": Gemini(),
    "/v1/chat/completions": Chat(),
}


class ModelApi:
    """One model with one script."""

    def __init__(self, script: Script) -> None:
        self.asked: list[Asked] = []
        self.arrived: list[float] = []
        self.elsewhere: list[str] = []
        self._script = script
        self._turn = threading.Lock()

    def app(self) -> Starlette:
        """The API of every provider, all answered by this model."""
        routes = [Route(path, self._endpoint(wire), methods=["POST"]) for path, wire in _ROUTES.items()]
        return Starlette(routes=[*routes, Route("/{path:path}", self._nothing, methods=["GET", "POST", "HEAD"])])

    def _endpoint(self, wire: Wire) -> Callable[[Request], Awaitable[Response]]:
        def answer(body: dict[str, Any], streamed: bool) -> Response:
            asked = wire.asked(body)
            with self._turn:
                turn: Turn = _ASIDE
                if asked.tools:
                    self.asked.append(asked)
                    self.arrived.append(time.monotonic())
                    turn = self._script(asked)
            if streamed:
                return StreamingResponse(wire.events(turn, body), media_type="text/event-stream")
            return JSONResponse(wire.document(turn, body))

        async def endpoint(request: Request) -> Response:
            body = json.loads(await request.body())
            streamed = body.get("stream", "stream" in request.url.path)
            # A script may wait for what the service does; the loop must not.
            return await asyncio.to_thread(answer, body, streamed)

        return endpoint

    async def _nothing(self, request: Request) -> Response:
        self.elsewhere.append(request.url.path)
        return JSONResponse({"error": {"message": "no such path"}}, 404)


@contextmanager
def model(script: Script) -> Iterator[tuple[ModelApi, str]]:
    """The model and its address."""
    api = ModelApi(script)
    with running(api.app()) as base:
        yield api, base
