"""The routes of the HTTP server: `/mcp`, `/uploads`, `/files/…`, `/healthz` and the metadata for OAuth clients.

In: options, tokens, callers. Out: a Starlette app whose every route (but the health check) asks for a known Host and
Origin. Never in here: a tool, a socket, a signal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from seedframe.errors import SeedreamError
from seedframe.limits import limits
from seedframe.mcp_server.http import uploads
from seedframe.mcp_server.http.boundary import CallerBoundary, caller_name
from seedframe.mcp_server.http.callers import Caller, Callers
from seedframe.mcp_server.http.http_options import HttpOptions
from seedframe.mcp_server.http.links import FILES, LinkExpired, LinkRefused, Links
from seedframe.mcp_server.http.outward import Outward
from seedframe.messages import Language, Message

HEALTH = "/healthz"
PAGE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src 'self' data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
"""For files that are pages: they may show the pictures beside them, and reach nothing else."""

MCP_HEADERS = ("authorization", "content-type", "last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version")

OpenCallers = Callable[[], AbstractAsyncContextManager[Callers]]


@dataclass
class Endpoint:
    """The app and what the process that serves it must know."""

    options: HttpOptions
    links: Links
    language: Language
    open_callers: OpenCallers
    callers: Callers | None = field(default=None, init=False)
    stopping: bool = field(default=False, init=False)

    def app(self, server: Server[Any], verifier: TokenVerifier | None) -> Starlette:
        """The Starlette app around one MCP server."""
        server.middleware.append(CallerBoundary(self._callers, self._outward, self.language))
        # Sessions would tie a caller to one process and one run of it; nothing here needs them.
        manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=limits().http_request_bytes
        )
        return Starlette(
            routes=self._routes(manager, verifier),
            middleware=self._middleware(verifier),
            lifespan=lambda _app: self._lifespan(manager),
        )

    @property
    def active(self) -> int:
        """Tool calls under way."""
        return self.callers.active if self.callers else 0

    @asynccontextmanager
    async def _lifespan(self, manager: StreamableHTTPSessionManager) -> AsyncIterator[None]:
        async with self.open_callers() as callers, manager.run():
            self.callers = callers
            yield

    def _callers(self) -> Callers:
        assert self.callers is not None, "the app has been started"
        return self.callers

    def _outward(self, caller: Caller) -> Outward:
        private = (caller.settings.output_dir.parent, caller.settings.journal.parent)
        return Outward(caller.name, caller.root, self.links, private)

    def _routes(self, manager: StreamableHTTPSessionManager, verifier: TokenVerifier | None) -> list[BaseRoute]:
        routes: list[BaseRoute] = [
            # Without sessions there is nothing for a GET stream to carry: 405, as the protocol has it.
            Route("/mcp", self._guarded(StreamableHTTPASGIApp(manager), verifier), methods=["POST"]),
            Route("/uploads", self._guarded(_Uploads(self._callers, self.language), verifier), methods=["POST"]),
            Route(FILES + "/{caller}/{ticket}/{path:path}", self._file, methods=["GET", "HEAD"]),
            Route(HEALTH, self._health, methods=["GET", "HEAD"]),
        ]
        if self.options.issuer:
            routes += create_protected_resource_routes(
                AnyHttpUrl(self.options.resource), [AnyHttpUrl(self.options.issuer)], resource_name="Seedframe"
            )
        return routes

    def _guarded(self, app: ASGIApp, verifier: TokenVerifier | None) -> ASGIApp:
        if verifier is None:
            return app
        metadata = build_resource_metadata_url(AnyHttpUrl(self.options.resource)) if self.options.issuer else None
        return RequireAuthMiddleware(app, [], metadata)

    def _middleware(self, verifier: TokenVerifier | None) -> list[Middleware]:
        known = TransportSecuritySettings(
            allowed_hosts=list(self.options.hosts), allowed_origins=list(self.options.origins)
        )
        browsers = [origin for origin in self.options.origins if not origin.endswith(":*")]
        found = [
            Middleware(KnownHosts, known, lambda: self.stopping),
            Middleware(
                CORSMiddleware,
                allow_origins=browsers,
                allow_methods=["POST", "GET"],
                allow_headers=list(MCP_HEADERS),
                expose_headers=["www-authenticate"],
            ),
        ]
        if verifier is not None:
            found += [
                Middleware(AuthenticationMiddleware, backend=BearerAuthBackend(verifier)),
                Middleware(AuthContextMiddleware),
            ]
        return found

    async def _health(self, _request: Request) -> Response:
        state = "stopping" if self.stopping else "ok"
        return JSONResponse({"status": state, "active": self.active}, status_code=503 if self.stopping else 200)

    async def _file(self, request: Request) -> Response:
        parts = request.path_params
        try:
            root = self._callers().folder(parts["caller"])
            file = self.links.file(parts["caller"], parts["ticket"], parts["path"], root)
        except LinkRefused:
            return _plain(Message("http.link-refused"), self.language, 403)
        except LinkExpired:
            return _plain(Message("http.link-expired"), self.language, 410)
        except OSError:
            return _plain(Message("http.link-gone"), self.language, 404)
        headers = {
            "cache-control": "private, max-age=300",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "content-security-policy": PAGE_POLICY,
        }
        return FileResponse(file, headers=headers)


class KnownHosts:
    """ASGI middleware: 421 for an unknown Host, 403 for an unknown Origin, 503 for new requests at the end."""

    def __init__(self, app: ASGIApp, known: TransportSecuritySettings, stopping: Callable[[], bool]) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(known)
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever is no HTTP request passes; so does the health check, which machines make by address."""
        if scope["type"] != "http" or scope["path"] == HEALTH:
            return await self._app(scope, receive, send)
        refused = await self._check.validate_request(Request(scope))
        if refused is None and self._stopping():
            refused = Response("Server is stopping", status_code=503, headers={"retry-after": "5"})
        if refused is not None:
            return await refused(scope, receive, send)
        return await self._app(scope, receive, send)


class _Uploads:
    """`POST /uploads`: the bytes of a picture as the body, `{"id": "upload:…"}` as the answer."""

    def __init__(self, callers: Callable[[], Callers], language: Language) -> None:
        self._callers = callers
        self._language = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """201 with the id · 413 too large · 415 not a picture."""
        response = await self._kept(Request(scope, receive))
        await response(scope, receive, send)

    async def _kept(self, request: Request) -> Response:
        most = limits().upload_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most:
            return _plain(Message("http.upload-too-large", most=most), self._language, 413)
        async with self._callers().calling(caller_name(request)) as caller:
            try:
                id = await uploads.keep(request.stream(), caller.root, most)
            except uploads.UploadTooLarge:
                return _plain(Message("http.upload-too-large", most=most), self._language, 413)
            except SeedreamError as error:
                return JSONResponse({"error": error.kind, "message": error.text(self._language)}, status_code=415)
        return JSONResponse({"id": id, "expires_in": int(uploads.KEPT_SECONDS)}, status_code=201)


def _plain(message: Message, language: Language, status: int) -> Response:
    return JSONResponse({"message": message.text(language)}, status_code=status)
