"""One POST to the gateway, from its headers to its last byte. Start reading at `PictureEndpoint.__call__`.

    access    who asks: token, whose key                      refused: nothing was read
    body      JSON or a form, within a limit                  refused: nothing was sent
    request   fields → a call of our own tools                refused: nothing was sent
    make      the studio's pipeline: paid at most once
    answer    facts → Ark's document or stream                the picture is delivered with the last byte

In: an ASGI call. Out: an answer. When a caller disconnects, paid work and its record go on, and the same request
then gets the picture. Never in here: the shape of an answer, a price, a retry.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from seedframe import images
from seedframe.catalog import catalog
from seedframe.errors import SeedreamError
from seedframe.gateway import ark_answers, recent_answers
from seedframe.gateway.access import Access, bearer
from seedframe.gateway.ark_errors import RequestRefused, error_answer
from seedframe.gateway.exchange import CallerLeft, Exchange
from seedframe.gateway.incoming import form_body, is_form, json_body
from seedframe.gateway.input_files import input_files
from seedframe.gateway.metrics import GatewayMetrics
from seedframe.gateway.recent_answers import RecentAnswers
from seedframe.gateway.signed_files import SignedFiles
from seedframe.gateway.studio_pool import StudioPool
from seedframe.gateway.wire_arguments import WireRequest, wire_request
from seedframe.http_guard import TooLarge
from seedframe.messages import Message
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio
from seedframe.studio.scratch import Scratch

MOST_AT_ONCE = 256
STYLE_HEADER = "x-seedframe-style"
FRESH_HEADER = "x-seedframe-fresh"
CONFIRM_HEADER = "x-seedframe-confirm-cost"
JSON_TYPE = "application/json; charset=utf-8"
EVENT_TYPE = "text/event-stream"
CALLER_LEFT = 499
"""The status (nginx's) under which disconnected callers are counted; it is never sent."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What all requests of a gateway share. `own_files`: pictures are always served from here."""

    settings: Settings
    access: Access
    studios: StudioPool
    files: SignedFiles
    now: Callable[[], float]
    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    own_files: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request after it was read: its meaning, its form, and where its inline pictures are."""

    wire: WireRequest
    arguments: Mapping[str, Any]
    names: tuple[str, ...]
    origin: str
    headers: Mapping[str, str]
    key: str | None
    folders: tuple[Path, ...]


class PictureEndpoint:
    """An ASGI app for one path."""

    def __init__(self, parts: GatewayParts, recent: RecentAnswers) -> None:
        self._parts, self._recent = parts, recent
        self._metrics = parts.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its work is cancelled when the caller disconnects (paid work goes on)."""
        began = time.monotonic()
        exchange = Exchange(receive, send)
        request = Request(scope, receive)
        id = request_id(self._parts.now())
        self._metrics.in_flight += 1
        code = ""
        try:
            code = await self._answered(request, exchange, id)
        except CallerLeft:
            exchange.status = CALLER_LEFT
        finally:
            self._metrics.in_flight -= 1
            status = exchange.status or CALLER_LEFT
            self._metrics.answered(str(scope["path"]), status, code, time.monotonic() - began)

    async def _answered(self, request: Request, exchange: Exchange, id: str) -> str:
        """The error code of the answer; empty for pictures."""
        headers = {"x-request-id": id, "x-client-request-id": request.headers.get("x-client-request-id", id)}
        try:
            await self._pictures(request, exchange, headers)
        except SeedreamError as error:
            return await self._refused(error, exchange, headers)
        except (CallerLeft, TooLarge):
            raise
        except Exception:
            log.exception("a request ended in a defect of the gateway")
            return await self._refused(SeedreamError(Message("gateway.defect")), exchange, headers)
        return ""

    async def _refused(self, error: SeedreamError, exchange: Exchange, headers: Mapping[str, str]) -> str:
        error.redact(self._parts.settings.secrets)
        answer = error_answer(error, self._parts.settings.language)
        headers = _own_id(headers, error)
        if exchange.status is not None:
            await exchange.write(ark_answers.error_event(answer.body(headers["x-request-id"])))
            await exchange.end()
        else:
            content = ark_answers.body(answer.body(headers["x-request-id"]))
            await exchange.whole(answer.status, {**headers, **answer.headers, **JSON_HEADERS}, content)
        return answer.code

    async def _pictures(self, request: Request, exchange: Exchange, headers: Mapping[str, str]) -> None:
        access = self._parts.access
        access.check_token(request.headers)
        if self._metrics.in_flight > MOST_AT_ONCE:
            raise RequestRefused("TooMany", Message("gateway.too-many", most=MOST_AT_ONCE))
        studio = await self._parts.studios.get(access.key(request.headers))
        async with self._read(request, studio) as asked:
            watching = asyncio.create_task(exchange.watch())
            making = asyncio.create_task(self._made(asked, studio, exchange, headers))
            try:
                await _first_end(making, exchange.left)
            finally:
                watching.cancel()
                making.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([making, watching])
            if making.cancelled():
                raise CallerLeft
            making.result()

    @asynccontextmanager
    async def _read(self, request: Request, studio: Studio) -> AsyncIterator[_Asked]:
        """Read the request; its inline pictures are in a folder that exists as long as the block lasts."""
        parts, store = self._parts, studio.store
        async with AsyncExitStack() as stack:
            scratch = Scratch(store, "gateway")
            stack.callback(scratch.release)
            uploads: tuple[Path, ...] = ()
            if is_form(request):
                body, uploads = await stack.enter_async_context(form_body(request, scratch.folder()))
            else:
                body = await json_body(request)
            headers = request.headers
            styled = parts.settings.gateway_style or _is_on(headers, STYLE_HEADER)
            wire = wire_request(body, catalog(), studio.settings, styled=styled, uploads=tuple(map(str, uploads)))
            arguments = dict(wire.arguments)
            for name, header in (("fresh", FRESH_HEADER), ("confirm_cost", CONFIRM_HEADER)):
                if _is_on(headers, header):
                    arguments[name] = True
            if wire.images:
                arguments["images"] = await self._input_files(wire, scratch, len(uploads))
            caller = hashlib.sha256(bearer(headers).encode()).hexdigest() if parts.access.passes_keys else ""
            same = await asyncio.to_thread(_fingerprint, caller, body, uploads)
            names = recent_answers.request_names(caller, same, headers)
            origin = f"{request.url.scheme}://{headers.get('host', '')}"
            yield _Asked(wire, arguments, names, origin, headers, same if caller else None, scratch.made)

    async def _input_files(self, wire: WireRequest, scratch: Scratch, uploads: int) -> list[str]:
        if wire.offer.references.by == "url":
            return list(wire.images)
        given = wire.images[uploads:]
        if not given:
            return list(wire.images)
        files = await asyncio.to_thread(lambda: input_files(given, scratch.folder(), self._parts.files))
        return [*wire.images[:uploads], *files]

    async def _made(self, asked: _Asked, studio: Studio, exchange: Exchange, headers: Mapping[str, str]) -> None:
        """Make the pictures, or find paid ones, and deliver them."""
        known = self._recent.find(recent_answers.names_asked(asked.names, asked.headers))
        answering = _Answering(self._parts, asked, exchange, headers)
        if known is not None:
            await answering.all(known, {})
            self._metrics.made(known, replayed=True)
            return
        report = answering.progress if asked.wire.stream else _silent
        options: dict[str, Any] = {"key": asked.key, "verbatim": asked.wire.verbatim, "roots": asked.folders}
        async with studio.make(asked.wire.tool, asked.arguments, report=report, **options) as result:
            facts = result.as_dict()
            await answering.all(facts, result.addresses)
            self._recent.keep(asked.names, facts)
        self._metrics.made(facts, replayed=result.mark is not None)


class _Answering:
    """One result on its way to its caller, at once or picture by picture."""

    def __init__(self, parts: GatewayParts, asked: _Asked, exchange: Exchange, headers: Mapping[str, str]) -> None:
        self._parts, self._asked, self._exchange, self._headers = parts, asked, exchange, headers
        self._streamed: set[int] = set()

    async def progress(self, message: Message) -> None:
        """A picture was saved: its event is sent at once."""
        if message.key != "pipeline.saved":
            return
        index, path = int(message.values["number"]) - 1, Path(message.values["path"])
        size = str((await asyncio.to_thread(images.read_header, path)).displayed)
        facts = {"model_id": self._asked.wire.offer.id, "created": _now_text(self._parts.now())}
        await self._event(ark_answers.picture_event(facts, index, size, await self._place(path)))
        self._streamed.add(index)

    async def all(self, facts: Mapping[str, Any], addresses: Mapping[int, str]) -> None:
        """Everything that was not sent yet, to the last byte. `addresses`: the service's own, by picture number."""
        if self._asked.wire.stream:
            await self._rest(facts)
            return
        offer, places = self._asked.wire.offer, {}
        for picture in facts["pictures"]:
            index = ark_answers.number_of(picture)
            address = addresses.get(index) if _is_untouched(picture) and not self._parts.own_files else None
            places[index] = await self._place(Path(picture["path"]), address)
        content = ark_answers.body(ark_answers.whole_answer(facts, offer, places))
        await self._exchange.whole(200, {**self._reply_headers(facts), **JSON_HEADERS}, content)

    async def _rest(self, facts: Mapping[str, Any]) -> None:
        for picture in facts["pictures"]:
            index = ark_answers.number_of(picture)
            if index not in self._streamed:
                place = await self._place(Path(picture["path"]))
                await self._event(ark_answers.picture_event(facts, index, ark_answers.size_of(picture), place), facts)
        for missing in ark_answers.failed_slots(facts):
            await self._event(ark_answers.failure_event(facts, missing), facts)
        await self._event(ark_answers.completed_event(facts, self._asked.wire.offer), facts)
        await self._exchange.end()

    async def _event(self, frame: bytes, facts: Mapping[str, Any] | None = None) -> None:
        if self._exchange.status is None:
            headers = self._reply_headers(facts) if facts else dict(self._headers)
            await self._exchange.start(200, {**headers, "content-type": EVENT_TYPE, "cache-control": "no-cache"})
        await self._exchange.write(frame)

    async def _place(self, path: Path, address: str | None = None) -> dict[str, str]:
        """Where the caller gets a picture: inline, at the service, or here."""
        if self._asked.wire.inline:
            return {"b64_json": await asyncio.to_thread(_inline, path)}
        return {"url": address or self._asked.origin + self._parts.files.path_of(path)}

    def _reply_headers(self, facts: Mapping[str, Any]) -> dict[str, str]:
        """The headers of an answer: the service's request id, the id of the payment, the cost."""
        cost = facts["cost"]
        headers = {**self._headers, "x-seedframe-entry": str(facts["id"])}
        if facts["request_ids"]:
            headers["x-request-id"] = str(facts["request_ids"][0])
        if any(facts.get(mark) for mark in ("replayed", "joined", "fetched")):
            headers["x-seedframe-replayed"] = "1"
        if cost["amount"] is not None:
            headers["x-seedframe-cost"] = f"{cost['amount']} {cost['currency']}"
        return headers


JSON_HEADERS: Mapping[str, str] = {"content-type": JSON_TYPE}


def request_id(now: float) -> str:
    """An id in the form of Ark's: `02`, thirteen digits of milliseconds, 38 hex digits."""
    return f"02{int(now * 1000):013d}{secrets.token_hex(19)}"


async def _first_end(making: asyncio.Task[None], left: asyncio.Event) -> None:
    """Wait until the work is done or the caller has disconnected."""
    leaving = asyncio.create_task(left.wait())
    try:
        await asyncio.wait([making, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()


async def _silent(_message: Message) -> None:
    """An answer that is not streamed shows no progress."""


def _is_on(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name, "").strip().lower() in {"1", "true", "yes", "on"}


def _is_untouched(picture: Mapping[str, Any]) -> bool:
    return bool(picture["method"] == "bytes")


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _fingerprint(caller: str, body: Mapping[str, Any], uploads: tuple[Path, ...]) -> str:
    """What makes two requests of a caller the same: every field, and the bytes of every file."""
    digest = hashlib.sha256(caller.encode())
    digest.update(json.dumps(body, sort_keys=True, default=str).encode())
    for path in uploads:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _own_id(headers: Mapping[str, str], error: SeedreamError) -> dict[str, str]:
    """The headers with the service's own id of the request, where the error names it."""
    id = error.facts.get("request_id")
    return {**headers, "x-request-id": str(id)} if id else dict(headers)


def _now_text(now: float) -> str:
    from seedframe.studio.postprocess import utc

    return utc(now).isoformat(timespec="seconds")
