"""One emulated account answering requests. START READING at `Service.post`.

In: HTTP requests to the vendor's paths. Out: responses as recorded, or spoiled as scripted. Never in here: our client's
ideas of what the service does.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from seedframe.catalog import Backend, catalog
from seedframe.emulator import envelopes, responses
from seedframe.emulator.answers import CutOff, Dropped, EventStream, Hanging
from seedframe.emulator.faults import INSTEAD, Fault, Faults, Script, error_row
from seedframe.emulator.fetching import fetch_loopback, trust
from seedframe.emulator.gateway import read_gateway, unknown_gateway_keys
from seedframe.emulator.generation import PlannedImage, charge, plan
from seedframe.emulator.generation_request import GenerationRequest
from seedframe.emulator.object_store import ObjectStore
from seedframe.emulator.options import Options
from seedframe.emulator.painter import Recipe, paint
from seedframe.emulator.quirks import result_host
from seedframe.emulator.rate import Rate
from seedframe.emulator.refusal import Refusal, invalid
from seedframe.emulator.request_log import LoggedRequest, RequestLog, shortened
from seedframe.emulator.responses import Generated
from seedframe.emulator.rules import read_ark, unknown_keys
from seedframe.emulator.video_tasks import VideoTasks, too_large
from seedframe.errors import InvalidRequest
from seedframe.messages import Message

KEY = re.compile(r"[A-Za-z0-9_.\-]+")
MEDIA = {"jpeg": "image/jpeg", "png": "image/png"}
RESULTS = "/tos/"
RESELLER_STATUS = 451


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request while it is answered. `origin` is how the caller reached us; result URLs begin with it."""

    id: str
    client_id: str
    started: float
    origin: str
    gzip: bool
    faults: Faults
    entry: LoggedRequest


class Service:
    """Options, script, books, results and rate of one emulated account."""

    def __init__(self, options: Options, script: Script) -> None:
        self.options, self.script = options, script
        self.request_log, self.rate = RequestLog(), Rate(options.ipm)
        self.object_store = ObjectStore(options.entropy.randbytes(32))
        self.gateway = _answers_as_gateway(options.backend)
        self.video_tasks = VideoTasks(() if self.gateway else options.backend.ids, options.entropy)

    def reset(self) -> None:
        """Begin anew: no script, empty books, no results, a fresh minute."""
        self.script.load([])
        for part in (self.request_log, self.object_store, self.rate, self.video_tasks):
            part.clear()

    async def post(self, request: Request) -> Response:
        """Answer a POST to generations or edits: receive, check, plan, bill, paint, answer; spoiled as scripted."""
        content = await request.body()
        call = self._receive(request, self.script.next())
        try:
            self._authorize(request)
            body = self._noted(call, await asyncio.to_thread(_parsed, content))
            response = await self._generate(call, body, edit=request.url.path.endswith("/edits"))
        except Refusal as refusal:
            response = self._refused(call, refusal)
        _settle(call.entry, response)
        return response

    async def models(self, request: Request) -> Response:
        """Answer `GET /models`: a catalogue, not what the account may use."""
        call = self._receive(request, Faults())
        try:
            self._authorize(request)
        except Refusal as refusal:
            return self._refused(call, refusal)
        data = [responses.listed(name) for model in catalog().models for name in self.options.ids(model)]
        return self._json(call, {"object": "list", "data": data})

    async def create_video_task(self, request: Request) -> Response:
        """Answer a POST to the video tasks: the request is checked and given an id; nothing is made or billed."""
        content = await request.body()
        call = self._receive(request, Faults())
        try:
            self._authorize(request)
            if refused := too_large(len(content)):
                raise refused
            body = await asyncio.to_thread(_parsed, content)
            if not isinstance(body, dict):
                raise invalid("body", "the request body must be a JSON object")
            call.entry.body, call.entry.keys = shortened(body), tuple(body)
            task = await asyncio.to_thread(self.video_tasks.create, body, self.options.clock())
            response = self._json(call, {"id": task.id})
        except Refusal as refusal:
            response = self._refused(call, refusal)
        _settle(call.entry, response)
        return response

    async def video_task(self, request: Request) -> Response:
        """Answer a GET of one video task: it failed, since the emulator makes no videos."""
        call = self._receive(request, Faults())
        try:
            self._authorize(request)
        except Refusal as refusal:
            return self._refused(call, refusal)
        id = request.path_params["id"]
        task = self.video_tasks.get(id)
        if task is None:
            message = envelopes.suffixed(f"The task {id[:80]} is not found", call.id)
            error = {"code": "NotFound.Task", "message": message, "param": "", "type": "NotFound"}
            return self._json(call, {"error": error}, 404)
        return self._json(call, task.described())

    async def download(self, request: Request) -> Response:
        """Serve a result file to whoever has its whole URL, for 24 emulated hours."""
        call = self._receive(request, Faults())
        self.request_log.downloads += 1
        query = request.scope["query_string"].decode("latin-1")
        item = self.object_store.get(request.url.path, query, self.options.clock())
        if isinstance(item, str) or (item.damage and item.damage.name == "download-404"):
            code = item if isinstance(item, str) else "NoSuchKey"
            described = {"Code": code, "RequestId": call.id, "HostId": "emulator"}
            return self._json(call, described, 403 if code == "AccessDenied" else 404)
        content = await asyncio.to_thread(paint, item.recipe, item.damage)
        kind = CutOff if item.damage and item.damage.name == "download-cut" else Response
        return kind(content, headers=self._headers(call), media_type=MEDIA[item.recipe.format])

    async def nothing(self, request: Request, _: Exception) -> Response:
        """Answer a path the vendor does not have: 404 with an empty body, as the gateway in front of it does."""
        call = self._receive(request, Faults())
        call.entry.status = 404
        return Response(status_code=404, headers=self._headers(call))

    def _receive(self, request: Request, faults: Faults) -> ApiCall:
        options, path = self.options, request.url.path
        now = options.clock()
        own_id = envelopes.request_id(now, options.entropy)
        client_id = envelopes.client_request_id(request.headers.get("x-client-request-id"), now, options.entropy)
        entry = LoggedRequest(own_id, request.method, path, client_id, now, faults=faults.names)
        if not path.startswith(RESULTS):
            self.request_log.entries.append(entry)
        packed = "gzip" in request.headers.get("accept-encoding", "") and (options.gzip or "gzip" in faults)
        return ApiCall(own_id, client_id, now, str(request.base_url).rstrip("/"), packed, faults, entry)

    def _authorize(self, request: Request) -> None:
        options = self.options
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            if options.key_needed:
                raise Refusal("key-missing")
        elif options.key_needed and not KEY.fullmatch(key):
            raise Refusal("key-malformed")
        elif options.keys is not None and key not in options.keys:
            raise Refusal("key-unknown")

    def _noted(self, call: ApiCall, body: object) -> Mapping[str, Any]:
        if not isinstance(body, dict):
            raise invalid("body", "the request body must be a JSON object")
        call.entry.body = shortened(body)
        call.entry.keys = tuple(body)
        call.entry.unknown = (unknown_gateway_keys if self.gateway else unknown_keys)(body)
        return body

    async def _generate(self, call: ApiCall, body: Mapping[str, Any], *, edit: bool) -> Response:
        faults = call.faults
        if latency := faults["latency"]:
            await self.options.sleep(latency["seconds"])
        scripted = faults.refusal(body)
        if scripted and not faults.billed:
            raise scripted
        work = await self._work(call, body, edit=edit)
        if scripted:
            raise scripted
        if (lost := self._lost(call)) is not None:
            return lost
        if work.generation.stream and "json-to-stream" not in faults:
            frames, headers = self._frames(call, work), self._headers(call)
            return EventStream(frames, headers, envelopes.EVENT_TYPE, cut=_cut(faults) is not None)
        response = self._json(call, await self._reply(call, work))
        if "drop-mid-answer" in faults:
            return CutOff(response.body, headers=dict(response.headers))
        return response

    async def _work(self, call: ApiCall, body: Mapping[str, Any], *, edit: bool) -> Generated:
        """Check, plan and bill: from here on the pictures are paid for, whether or not anybody waits for them."""
        options = self.options
        shape = call.faults["preset-shape"]
        generation = await asyncio.to_thread(self._read, body, shape["ratio"] if shape else None, edit=edit)
        reserved = (
            generation.offer.parameters["layers"].extra["images_per_minute"] if generation.layers else generation.count
        )
        self.rate.take(generation.offer.model.name, reserved, options.clock())
        slots = plan(generation, call.faults, options.paint, options.scale, options.entropy)
        charged = charge(generation, slots, call.id) if call.faults.billed else None
        if charged:
            self.request_log.charges.append(charged)
        return Generated(generation, slots, int(options.clock()))

    def _read(self, body: Mapping[str, Any], shape: str | None, *, edit: bool) -> GenerationRequest:
        fetch = fetch_loopback if self.options.fetch == "loopback" else trust
        if self.gateway:
            return read_gateway(body, self.options, fetch, edit=edit)
        return read_ark(body, self.options, fetch, shape)

    def _lost(self, call: ApiCall) -> Response | None:
        """Give the scripted answer that is none."""
        if "drop-before-answer" in call.faults:
            return Dropped()
        if "hang" in call.faults:
            return Hanging()
        html = next((name for name in call.faults.names if name.startswith("html-")), None)
        if html is None:
            return None
        status = int(html.removeprefix("html-"))
        return Response(envelopes.HTML, status, self._headers(call), "text/html")

    async def _reply(self, call: ApiCall, work: Generated) -> dict[str, Any]:
        empty = "empty-data" in call.faults
        entries = [] if empty else [await self._entry(call, work, slot) for slot in work.slots]
        return (responses.gateway if self.gateway else responses.whole)(work, entries)

    async def _frames(self, call: ApiCall, work: Generated) -> AsyncIterator[bytes]:
        cut, broken = _cut(call.faults), call.faults["error-frame"]
        for slot in work.slots:
            frame = responses.event(work, slot, await self._entry(call, work, slot))
            if cut is not None and slot.index >= cut:
                yield frame[: len(frame) // 2]
                return
            if broken and slot.index >= broken["after"]:
                refusal = Refusal(error_row(broken["error"]).name)
                yield envelopes.frame("error", {"error": envelopes.slot_error(refusal, call.id)})
                return
            yield frame
        if cut is not None:
            return
        if "no-completed" not in call.faults:
            yield responses.completed(work)
        yield envelopes.DONE

    async def _entry(self, call: ApiCall, work: Generated, slot: PlannedImage) -> dict[str, Any]:
        if slot.recipe is None:
            assert slot.failure is not None
            return {"error": envelopes.slot_error(slot.failure, call.id)}
        if not work.generation.inline:
            return responses.entry(work, slot, {"url": self._shelved(call, work, slot)})
        return responses.entry(work, slot, {"b64_json": await asyncio.to_thread(_inlined, slot.recipe, slot.damage)})

    def _shelved(self, call: ApiCall, work: Generated, slot: PlannedImage) -> str:
        assert slot.recipe is not None
        folder = responses.undated(work.model)
        name = f"{call.id}_{slot.index}.{slot.recipe.format}"
        path = f"{RESULTS}{result_host(self.options.backend.name)}/{folder}/{name}"
        return call.origin + self.object_store.put(path, slot.recipe, slot.damage, self.options.clock())

    def _refused(self, call: ApiCall, refusal: Refusal) -> Response:
        row = refusal.row
        dress = next((name for name in INSTEAD if name in call.faults), None)
        error = (
            envelopes.gateway_error(refusal, call.id)
            if self.gateway
            else envelopes.ark_error(refusal, call.id, self.options.style)
        )
        call.entry.outcome = row.name
        if dress == "unwrapped":
            response = self._json(call, error, row.status)
        elif dress == "nested":
            response = self._json(call, envelopes.nested(error), RESELLER_STATUS)
        else:
            response = self._json(call, {"error": error}, 200 if dress == "error-200" else row.status)
        if row.name == "key-missing":
            response.headers["x-error-code"] = "AuthN_MissOrInvalidAuthorizationHeader"
        if self.gateway:
            response.headers["x-emulated-assumed"] = "error-shape"
        return response

    def _json(self, call: ApiCall, value: Mapping[str, Any], status: int = 200) -> Response:
        content, headers = envelopes.body(value), self._headers(call)
        if call.gzip:
            content = gzip.compress(content, 1)
            headers |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        return Response(content, status, headers | {"content-type": envelopes.JSON_TYPE})

    def _headers(self, call: ApiCall) -> dict[str, str]:
        now = self.options.clock()
        headers = envelopes.headers(call.id, call.client_id, now, now - call.started)
        wait = call.faults["retry-after"]
        return headers | ({"retry-after": str(wait["seconds"])} if wait else {})


_GATEWAYS = {"ark": False, "uniall": True}
"""The dialects the emulator answers in, and whether it is the gateway's."""


def _answers_as_gateway(backend: Backend) -> bool:
    """Which of the two services is emulated. InvalidRequest for a backend whose dialect is neither's."""
    if backend.dialect not in _GATEWAYS:
        raise InvalidRequest(
            Message("emulator.unknown-dialect", got=backend.dialect, allowed=sorted(_GATEWAYS)),
            field="profile",
            got=backend.name,
            allowed=sorted(_GATEWAYS),
        )
    return _GATEWAYS[backend.dialect]


def _parsed(content: bytes) -> object:
    """Read JSON; None stands for whatever is none, and for half a character, which nothing can be written with."""
    try:
        value: object = json.loads(content)
        if b"\\ud" in content.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _cut(faults: Faults) -> int | None:
    """Tell after how many pictures a stream is cut; any stream dropped in the middle is cut after one."""
    cut = faults["cut-stream"]
    return int(cut["after"]) if cut else 1 if "drop-mid-answer" in faults else None


def _inlined(recipe: Recipe, damage: Fault | None) -> str:
    text = base64.b64encode(paint(recipe, damage)).decode("ascii")
    return text[: len(text) // 8 * 4 + 1] if damage and damage.name == "truncated-base64" else text


def _settle(entry: LoggedRequest, response: Response) -> None:
    """Write down how a request ended, where it was not refused."""
    if isinstance(response, Dropped | Hanging):
        entry.outcome = "dropped" if isinstance(response, Dropped) else "hanging"
        return
    entry.status = response.status_code
    if entry.outcome == "open":
        entry.outcome = "cut" if isinstance(response, CutOff) else "answered"
