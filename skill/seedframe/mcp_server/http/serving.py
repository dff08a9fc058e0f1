"""Serves HTTP: opens the socket and starts; a stop loses nothing that is paid.

In: options and how studios are opened. Out: nothing until it is stopped (SIGTERM, Ctrl-C). A stop lets calls under way
finish and answer, refuses new ones with 503, then closes; a second Ctrl-C does not wait for hosts.
Never in here: a route, a tool.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvicorn
from mcp.server.auth.provider import TokenVerifier
from mcp.server.lowlevel import Server
from sse_starlette.sse import AppStatus

from seedframe.errors import NotConfigured, StoreError
from seedframe.limits import limits
from seedframe.listening import BACKLOG, listening
from seedframe.mcp_server.app import build_server
from seedframe.mcp_server.http.callers import Callers, OpenStudio
from seedframe.mcp_server.http.http_endpoint import Endpoint
from seedframe.mcp_server.http.http_options import HttpOptions
from seedframe.mcp_server.http.links import Links
from seedframe.mcp_server.http.tokens import AnyOf, FileTokens, IssuedTokens
from seedframe.messages import Message
from seedframe.private_files import kept_secret
from seedframe.settings import Settings

STOP_SPARE_SECONDS = 60.0
"""Seconds that a stop waits beyond the longest paid call before it closes connections."""

KEEP_ALIVE_SECONDS = 75
"""Longer than proxies and clients keep idle connections, so that none of them reuses a closed one."""

OpenShared = Callable[[], AbstractAsyncContextManager[OpenStudio]]


def serve_http(
    options: HttpOptions,
    settings: Settings,
    open_shared: OpenShared,
    *,
    say: Callable[[Message], Any],
    extend: Callable[[Server[Any]], Server[Any]] = lambda server: server,
) -> None:
    """Serve until stopped. NotConfigured when the address is taken or the tokens cannot be read.

    `open_shared` opens what all studios share; `say` gets the address once the server listens; `extend` may add to what
    the MCP server answers before anybody is served.
    """
    verifier = token_verifier(options)
    listener = _listener(options)
    options = options.bound(listener.getsockname()[1])
    endpoint = Endpoint(options, _links(options, settings), settings.language, _opener(settings, open_shared))
    server = extend(build_server(_no_studio, settings.language, settings))
    config = uvicorn.Config(
        endpoint.app(server, verifier),
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(settings.timeout + STOP_SPARE_SECONDS),
    )
    say(Message("http.serving", url=options.resource))
    with listener:
        _Server(config, endpoint).run(sockets=[listener])


def token_verifier(options: HttpOptions) -> TokenVerifier | None:
    """The verifier of tokens; None where no token is required."""
    found: list[TokenVerifier] = []
    if options.tokens is not None:
        found.append(FileTokens.read(options.tokens))
    if options.issuer is not None:
        found.append(IssuedTokens(options.issuer, options.resource))
    return AnyOf(*found) if found else None


class _Server(uvicorn.Server):
    """uvicorn, whose end waits for the answers of calls under way."""

    def __init__(self, config: uvicorn.Config, endpoint: Endpoint) -> None:
        super().__init__(config)
        self._endpoint = endpoint

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own."""
        # By itself sse-starlette would cut the streams that carry the answers of calls under way.
        AppStatus.enable_automatic_graceful_drain = False
        await super().startup(sockets=sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, which waits for connections; new requests on open ones are refused meanwhile."""
        self._endpoint.stopping = True
        await super().shutdown(sockets=sockets)


def _listener(options: HttpOptions) -> socket.socket:
    try:
        return listening(options.host, options.port)
    except OSError as error:
        where = f"{options.host}:{options.port}"
        raise NotConfigured(Message("http.not-bound", where=where, why=error.strerror or str(error))) from error


def _links(options: HttpOptions, settings: Settings) -> Links:
    path = settings.journal.parent / "http-link.key"
    try:
        key = kept_secret(path)
    except OSError as error:
        raise StoreError(Message("http.no-link-key", path=path, why=error.strerror or str(error))) from error
    return Links(options.public_url, key, limits().link_seconds, time.time)


def _opener(settings: Settings, open_shared: OpenShared) -> Callable[[], AbstractAsyncContextManager[Callers]]:
    @asynccontextmanager
    async def opened() -> Any:
        async with open_shared() as open_studio, Callers.open(settings, open_studio) as callers:
            yield callers

    return opened


def _no_studio() -> Any:
    raise AssertionError("every call brings its caller's context")
