"""The gateway as a Starlette app. Start reading here; `picture_endpoint` handles one request.

In: settings and how a studio is opened. Out: an app. Never in here: the handling of a request.

    Ark        POST /api/v3/images/generations · GET /api/v3/models     (also under /api/plan/v3)
    OpenAI     POST /v1/images/generations, /v1/images/edits · GET /v1/models     (UniAll's paths are the same)
    files      GET /files/…   finished pictures, under addresses only their callers know
    ours       GET /healthz · GET /metrics
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from seedframe.catalog import catalog
from seedframe.errors import SeedreamError
from seedframe.gateway.access import CONTAINER_HOST, Access
from seedframe.gateway.ark_answers import listed_model
from seedframe.gateway.ark_errors import error_answer
from seedframe.gateway.incoming import MOST_BYTES
from seedframe.gateway.metrics import CONTENT_TYPE
from seedframe.gateway.picture_endpoint import GatewayParts, PictureEndpoint, request_id
from seedframe.gateway.recent_answers import RecentAnswers
from seedframe.gateway.signed_files import PREFIX, SignedFiles
from seedframe.gateway.studio_pool import OpenStudio, StudioPool
from seedframe.http_guard import HttpGuard
from seedframe.private_files import kept_secret
from seedframe.settings import Settings

PREFIXES = ("/api/v3", "/api/plan/v3", "/v1")
PATHS = ("/images/generations", "/images/edits")

Answer = Callable[[GatewayParts, Request], Awaitable[Response]]


def gateway(
    settings: Settings,
    open_studio: OpenStudio,
    *,
    host: str = "127.0.0.1",
    now: Callable[[], float] = time.time,
    own_files: bool = False,
) -> Starlette:
    """The app for a gateway that listens on `host`. NotConfigured beyond loopback without a token.

    `own_files`: answers carry our own addresses, since those of a service emulated in this process cannot be called.
    """
    backend = catalog().backend(settings.backend)
    key_setting = backend.key_settings[0] if backend.key_settings else None
    access = Access.for_address(
        host,
        settings.gateway_token,
        passes_keys=_passes_keys(settings, key_setting, backend.key_settings),
    )
    # A service's own address can be fetched again for a day; an inline picture comes once.
    settings = replace(settings, response_format=settings.response_format or "url")
    parts = GatewayParts(
        settings=settings,
        access=access,
        studios=StudioPool(settings, open_studio, key_setting),
        files=SignedFiles(kept_secret(settings.journal.parent / "gateway.secret"), settings.output_dir, now),
        now=now,
        own_files=own_files,
    )
    return _app(parts, host)


def _passes_keys(settings: Settings, key_setting: str | None, names: tuple[str, ...]) -> bool:
    """Whether callers bring the key of the service: as set, else when the installation has none."""
    if key_setting is None:
        return False
    if settings.gateway_keys is not None:
        return settings.gateway_keys == "caller"
    return settings.first(names) is None


def _app(parts: GatewayParts, host: str) -> Starlette:
    pictures = PictureEndpoint(parts, RecentAnswers(parts.now))
    routes = [Route(prefix + path, pictures, methods=["POST"]) for prefix in PREFIXES for path in PATHS]
    routes += [Route(f"{prefix}/models", _guarded(parts, _models)) for prefix in PREFIXES]
    routes += [
        Route("/metrics", _guarded(parts, _metrics)),
        Route("/healthz", _guarded(parts, _health, open_to_all=True)),
        Route(f"{PREFIX}{{rest:path}}", _guarded(parts, _file, open_to_all=True)),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await parts.studios.close()

    names = frozenset({CONTAINER_HOST, *parts.settings.gateway_hosts})
    guard = Middleware(HttpGuard, host=host, max_body=MOST_BYTES, names=names)
    app = Starlette(routes=routes, lifespan=lifespan, middleware=[guard])
    app.state.parts = parts
    return app


def _guarded(
    parts: GatewayParts, answer: Answer, *, open_to_all: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint behind the rules of access; `open_to_all`: without the token."""

    async def endpoint(request: Request) -> Response:
        try:
            if not open_to_all:
                parts.access.check_token(request.headers)
        except SeedreamError as error:
            refused, id = error_answer(error, parts.settings.language), request_id(parts.now())
            return JSONResponse(refused.body(id), refused.status, {"x-request-id": id, **refused.headers})
        return await answer(parts, request)

    return endpoint


async def _models(parts: GatewayParts, _request: Request) -> Response:
    """The ids that may be named: the backend's own, and those the settings bind."""
    backend = catalog().backend(parts.settings.backend)
    ids = [id for model in catalog().models for id in model.ids_on(backend)]
    listing = [listed_model(id) for id in (*ids, *parts.settings.endpoints)]
    return JSONResponse({"object": "list", "data": listing}, headers={"x-request-id": request_id(parts.now())})


async def _metrics(parts: GatewayParts, _request: Request) -> Response:
    return PlainTextResponse(parts.metrics.text(), media_type=CONTENT_TYPE)


async def _health(parts: GatewayParts, _request: Request) -> Response:
    return JSONResponse({"status": "ok", "backend": parts.settings.backend, "in_flight": parts.metrics.in_flight})


async def _file(parts: GatewayParts, request: Request) -> Response:
    """A finished picture, for whoever has its signed address."""
    path = parts.files.file(request.url.path)
    if path is None:
        return Response(status_code=404)
    return FileResponse(path, headers={"x-content-type-options": "nosniff", "cache-control": "private, max-age=86400"})
