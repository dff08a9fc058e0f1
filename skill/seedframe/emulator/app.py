"""The emulator as a Starlette app: the vendor's paths and, apart from them, ours.

In: what a test or a person chooses. Out: an app, or a transport around it. Never in here: what an answer says.

    vendor    POST {prefix}/images/generations · GET {prefix}/models · GET /tos/… (result files)
              UniAll also: POST {prefix}/images/edits · Ark also: POST and GET {prefix}/contents/generations/tasks
    ours      POST /_emulator/script · GET /_emulator/ledger · POST /_emulator/reset · POST /_emulator/clock
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seedframe.catalog import catalog
from seedframe.emulator.faults import Script
from seedframe.emulator.in_process import InProcess
from seedframe.emulator.options import Clock, Fetch, Options, Paint, ReplyStyle
from seedframe.emulator.server import listen, serve_app
from seedframe.emulator.service import RESULTS, Service
from seedframe.emulator.video_tasks import TASKS
from seedframe.errors import InvalidRequest
from seedframe.messages import Message

Endpoint = Callable[[Request], Awaitable[Response]]
Json = dict[str, Any]
LONGEST_ADVANCE = 10 * 365 * 86_400


class Choices(TypedDict, total=False):
    """The options of `emulator`, for those who pass them on."""

    profile: str
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    seed: int | None
    ipm: int | None
    keys: Iterable[str] | None
    endpoints: Mapping[str, str] | None
    not_activated: Iterable[str]
    strict_unknown: bool
    style: ReplyStyle
    gzip: bool
    paint: Paint
    scale: float
    preset_shape: str
    follow_reference: bool
    fetch: Fetch
    script: Iterable[object]
    always: object


def emulator(
    *,
    profile: str = "emulator",
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    seed: int | None = None,
    ipm: int | None = None,
    keys: Iterable[str] | None = None,
    endpoints: Mapping[str, str] | None = None,
    not_activated: Iterable[str] = (),
    strict_unknown: bool = False,
    style: ReplyStyle = "captured",
    gzip: bool = False,
    paint: Paint = "scene",
    scale: float = 1.0,
    preset_shape: str = "1:1",
    follow_reference: bool = False,
    fetch: Fetch = "never",
    script: Iterable[object] = (),
    always: object = None,
) -> Starlette:
    """Build an app that answers like a backend (`profile`: emulator, ark, byteplus, uniall).

    clock, sleep: time in seconds and how to wait · seed: fixes ids and unseeded pictures · ipm: images per minute and
    model (None: the backend's own number) · keys: the only keys that exist (None: any well-formed one; the profile
    "emulator" needs none) · endpoints: `ep-…` id → model name · not_activated: model names answered with ModelNotOpen ·
    strict_unknown: refuse keys the vendor ignores (not real behaviour) · style: how InvalidParameter fills `param` and
    `type` · gzip: compress JSON for callers who accept it · paint: "instant" gives one cached picture per size ·
    scale: shrinks every picture, as `size` says · preset_shape: ratio of a preset when the prompt names none ·
    follow_reference: presets take the first reference's shape · fetch: "loopback" really gets references from this
    machine · script, always: faults (see `faults.py`). `app.state.request_log` has the bills.
    """
    backend = catalog().backend(profile)
    options = Options(
        backend=backend,
        clock=Clock(clock),
        sleep=sleep,
        entropy=random.Random(seed),  # noqa: S311 - ids and pictures, not secrets
        ipm=backend.images_per_minute if ipm is None else ipm,
        keys=None if keys is None else frozenset(keys),
        key_needed=bool(backend.key_settings),
        endpoints={endpoint: catalog().model(name).name for endpoint, name in (endpoints or {}).items()},
        not_activated=frozenset(catalog().model(name).name for name in not_activated),
        strict_unknown=strict_unknown,
        style=style,
        gzip=gzip,
        paint=paint,
        scale=scale,
        preset_shape=preset_shape,
        follow_reference=follow_reference,
        fetch=fetch,
    )
    planned = Script()
    planned.load({"script": script, "always": always})
    return _app(Service(options, planned))


def transport(**options: Unpack[Choices]) -> InProcess:
    """Build an httpx transport onto a new emulator in this process; `transport.app.state.request_log` has its bills."""
    return InProcess(emulator(**options))


def serve(
    port: int, *, host: str = "127.0.0.1", ready: Callable[[int], object] = int, **options: Unpack[Choices]
) -> None:
    """Serve an emulator until interrupted; the options are those of `emulator`.

    `ready` is given the port once it is ours. OSError or OverflowError where it cannot be.
    """
    app = emulator(**options)
    with listen(host, port) as listener:
        ready(listener.getsockname()[1])
        serve_app(app, listener, host=host)


def _app(service: Service) -> Starlette:
    backend = service.options.backend
    posts = {backend.paths["generate"], backend.paths["edit"]}
    routes = [Route(backend.prefix + path, service.post, methods=["POST"]) for path in sorted(posts)]
    if "models" in backend.paths:
        routes.append(Route(backend.prefix + backend.paths["models"], service.models))
    if service.video_tasks.offered:
        routes.append(Route(backend.prefix + TASKS, service.create_video_task, methods=["POST"]))
        routes.append(Route(f"{backend.prefix}{TASKS}/{{id}}", service.video_task))
    routes.append(Route(RESULTS + "{path:path}", service.download))
    for name, (method, act) in ADMIN.items():
        routes.append(Route(f"/_emulator/{name}", _admin(partial(act, service)), methods=[method]))
    app = Starlette(
        routes=routes, exception_handlers={HTTPException: service.nothing, InvalidRequest: _refused_by_admin}
    )
    app.state.service, app.state.request_log = service, service.request_log
    return app


def _admin(act: Callable[[object], Json]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        content = await request.body()
        try:
            wanted = json.loads(content) if content else None
        except (ValueError, RecursionError):
            return _admin_says(Message("emulator.odd-json"))
        described = json.dumps(act(wanted)).encode()  # plain ASCII: what came may hold half a character
        return Response(described, headers={"x-emulated": "true"}, media_type="application/json")

    return endpoint


def _script(service: Service, wanted: object) -> Json:
    service.script.load(wanted or [])
    return {"scripted": len(service.script.entries), "always": list(service.script.always.names)}


def _ledger(service: Service, _: object) -> Json:
    return service.request_log.report()


def _reset(service: Service, _: object) -> Json:
    service.reset()
    return {"reset": True}


def _clock(service: Service, wanted: object) -> Json:
    if isinstance(wanted, Mapping):
        seconds = wanted.get("advance", 0)
        if not isinstance(seconds, int | float) or not math.isfinite(seconds) or abs(seconds) > LONGEST_ADVANCE:
            raise InvalidRequest(
                Message("emulator.odd-clock", got=str(seconds)[:80], allowed=LONGEST_ADVANCE),
                field="advance",
                got=str(seconds)[:80],
                allowed=LONGEST_ADVANCE,
            )
        service.options.clock.advance(seconds)
    return {"now": service.options.clock()}


ADMIN: Mapping[str, tuple[str, Callable[[Service, object], Json]]] = {
    "script": ("POST", _script),
    "ledger": ("GET", _ledger),
    "reset": ("POST", _reset),
    "clock": ("POST", _clock),
}
"""Our own paths: method and what they do; bodies and answers are JSON. `clock` takes `{"advance": seconds}`."""


async def _refused_by_admin(_: Request, error: Exception) -> Response:
    return _admin_says(str(error))


def _admin_says(what: object) -> Response:
    described = json.dumps({"error": str(what)}).encode()
    return Response(described, 400, {"x-emulated": "true"}, "application/json")
