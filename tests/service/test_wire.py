"""What is put on the wire and how recorded answers are understood.

`cases/wire/` holds whole request bodies, written by hand after the vendor's documents; `replies/` holds recorded
replies, played back to the real client by a transport.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from seedframe.catalog import catalog
from seedframe.errors import ApiError, OutcomeUnknown, SeedreamError
from seedframe.messages import Message
from seedframe.service.client import Client
from seedframe.service.dialects import Call
from seedframe.service.references import Reference
from seedframe.service.replies import Reply, Slot
from seedframe.service.request import check
from seedframe.service.response_stream import Parts
from seedframe.settings import Settings
from seedframe.studio.plan import build_calls, style_request

HERE = Path(__file__).parents[1]
LITE = "doubao-seedream-5-0-260128"
V45 = "doubao-seedream-4-5-251128"
SENSITIVE = "The request failed because the output image may contain sensitive information"
CASES = sorted((HERE / "cases" / "wire").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_request_becomes_exactly_this_body(path: Path):
    case = json.loads(path.read_text(encoding="utf-8"))
    settings = Settings.read({"SEEDFRAME_BACKEND": case["backend"], **case.get("settings", {})})
    images = case.get("images", [])
    arguments = {**case["arguments"], **({"images": images} if images else {})}
    request = check(case["tool"], arguments, catalog=catalog(), settings=settings)
    references = tuple(Reference(image, image, image) for image in images)
    (call,) = build_calls(request, style_request(request), references, settings)

    assert (call.path, dict(call.body)) == (case["path"], case["body"])
    assert call.stream is case["body"].get("stream", False)


def test_unrelated_pictures_are_a_call_each_where_the_service_knows_no_count():
    settings = Settings.read({"SEEDFRAME_BACKEND": "ark"})
    arguments = {"prompt": "雨后江南小巷，灯笼的暖光映在积水里。", "ratio": "1:1", "count": 3}
    request = check("generate_image", arguments, catalog=catalog(), settings=settings)
    calls = build_calls(request, style_request(request), (), settings)

    assert [(call.body, call.outputs) for call in calls] == [(calls[0].body, 1)] * 3
    assert {"n", "count", "num_images", "sequential_image_generation"} & set(calls[0].body) == set()


@pytest.mark.parametrize("model", [model.name for model in catalog().models])
def test_nothing_is_sent_that_a_model_would_refuse_or_that_nobody_asked_for(model: str):
    settings = Settings.read({"SEEDFRAME_BACKEND": "emulator"})
    arguments = {"prompt": "雨", "model": model, "as_is": True, "force": True}
    request = check("generate_image", arguments, catalog=catalog(), settings=settings)
    (call,) = build_calls(request, style_request(request), (), settings)

    assert set(call.body) <= {"model", "prompt", "response_format", "watermark", "negative_prompt"}
    assert ("negative_prompt" in call.body) is (model in {"4.5", "4.0"})
    assert call.body["watermark"] is False


class Played(httpx.AsyncBaseTransport):
    """A transport that answers every request with one recorded reply, cut into pieces of `step` bytes."""

    def __init__(self, recorded: bytes, step: int = 65_536) -> None:
        head, _, self.body = recorded.partition(b"\n\n")
        status, *headers = head.decode().splitlines()
        self.status = int(status.split()[1])
        self.headers = [tuple(line.split(": ", 1)) for line in headers if not line.startswith("content-length")]
        self.step = step
        self.bodies: list[Any] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(await request.aread()))
        return httpx.Response(self.status, headers=self.headers, stream=_Pieces(self.body, self.step))


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes, step: int) -> None:
        self.body, self.step = body, step

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), self.step):
            yield self.body[start : start + self.step]


def recorded(name: str) -> Played:
    return Played((HERE / "replies" / f"{name}.http").read_bytes())


async def _silent(_: object) -> None:
    """No wait, no word."""


async def heard(played: Played, folder: Path, *, outputs: int = 1, stream: bool = False) -> Reply:
    """The reply as the client of Ark understands it."""
    settings = Settings.read({"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "key-for-tests"})
    backend = catalog().backend("ark")
    client = Client(settings, backend, transport=played, sleep=_silent)
    call = Call("/images/generations", {"model": LITE, "prompt": "雨", "guidance_scale": 3}, outputs, stream)
    slots: list[Slot] = []

    async def arrived(slot: Slot) -> None:
        slots.append(slot)

    try:
        offer = catalog().offer("5.0-lite", backend)
        sent = await client.send(call, offer, Parts(folder, "call-0"), arrived=arrived, sent=_silent, report=_silent)
    finally:
        await client.close()
    assert tuple(slots) == sent.reply.slots
    return sent.reply


async def refused(name: str, folder: Path) -> tuple[SeedreamError, Played]:
    played = recorded(name)
    with pytest.raises(SeedreamError) as caught:
        await heard(played, folder)
    return caught.value, played


@pytest.mark.anyio
async def test_a_recorded_picture_is_one_slot_with_its_address_untouched(tmp_path: Path):
    reply = await heard(recorded("picture-by-url"), tmp_path)

    signature = (
        "X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Credential=…&X-Tos-Date=…"
        "&X-Tos-Expires=86400&X-Tos-Signature=…&X-Tos-SignedHeaders=host"
    )
    host = "https://ark-acg-cn-beijing.tos-cn-beijing.volces.com"
    slot = Slot(0, url=f"{host}/doubao-seedream-5-0/0217…_0.jpeg?{signature}", size="2048x2048")
    assert reply == Reply((slot,), model=LITE, created=1_781_161_455, billed=1)


@pytest.mark.anyio
async def test_a_failed_slot_of_a_set_is_not_billed_and_keeps_its_place(tmp_path: Path):
    reply = await heard(recorded("set-with-a-failed-slot"), tmp_path, outputs=2)

    first, second = reply.slots
    assert first == Slot(0, url="https://…_0.jpeg", size="2720x1536")
    assert second.error is not None
    assert (second.index, second.error.code, second.error.message, second.error.paid) == (
        1,
        "OutputImageSensitiveContentDetected",
        SENSITIVE,
        False,
    )
    assert second.error.row is not None
    assert second.error.row.name == "output-image-sensitive"
    assert (reply.billed, reply.pictures_billed) == (1, 1)


@pytest.mark.anyio
async def test_layers_keep_their_place_on_the_base_picture(tmp_path: Path):
    reply = await heard(recorded("layers"), tmp_path)

    assert [asdict(slot.layer) for slot in reply.slots if slot.layer] == [
        {"z_index": 0, "box": None, "name": None, "description": None},
        {"z_index": 1, "box": (27, 0, 888, 1137), "name": "…", "description": "…"},
    ]
    assert reply.billed == 2


@pytest.mark.anyio
@pytest.mark.parametrize("step", [1, 7, 65_536])
async def test_a_recorded_stream_gives_every_picture_also_behind_a_failed_one(step: int, tmp_path: Path):
    played = recorded("stream")
    played.step = step
    reply = await heard(played, tmp_path, outputs=3, stream=True)

    assert [(slot.index, slot.url, slot.size, slot.error and slot.error.code) for slot in reply.slots] == [
        (0, "https://…", "2496x1664", None),
        (1, None, None, "OutputImageSensitiveContentDetected"),
        (2, "https://…", "2496x1664", None),
    ]
    assert (reply.model, reply.created, reply.billed, reply.complete) == (V45, 1_757_396_825, 2, True)


@pytest.mark.anyio
async def test_a_stream_without_its_closing_word_is_said_to_be_incomplete(tmp_path: Path):
    reply = await heard(recorded("stream-without-its-end"), tmp_path, outputs=3, stream=True)

    assert [slot.index for slot in reply.slots] == [0, 1]
    assert (reply.complete, reply.billed) == (False, None)


@pytest.mark.anyio
async def test_the_stream_some_gateways_tell_is_understood(tmp_path: Path):
    reply = await heard(recorded("stream-as-a-gateway-tells-it"), tmp_path, stream=True)

    assert [slot.url for slot in reply.slots] == ["https://…"]


@pytest.mark.anyio
async def test_a_gateway_tells_an_address_and_nothing_else(tmp_path: Path):
    reply = await heard(recorded("gateway-picture"), tmp_path)

    assert reply == Reply((Slot(0, url="https://…"),), created=1_757_388_756)
    assert reply.pictures_billed == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "row", "code", "status", "posts"),
    [
        ("size-too-small", "size-too-small", "InvalidParameter", 400, 1),
        ("size-not-for-this-model", "size-malformed", "InvalidParameter", 400, 1),
        ("error-without-its-envelope", "size-ratio", "InvalidParameter", 400, 1),
        ("reseller-wraps-the-error", "size-too-large", "InvalidParameter", 451, 1),
        ("too-many-references", "too-many-references", "InvalidParameter", 400, 1),
        ("reference-not-fetched", "reference-url-timeout", "InvalidParameter", 400, 2),
        ("key-missing", "key-missing", "AuthenticationError", 401, 1),
        ("model-not-open", "model-not-open", "ModelNotOpen", 404, 1),
        ("model-not-found", "model-not-found", "InvalidEndpointOrModel.NotFound", 404, 1),
        ("rate-limit", "rate-ipm", "ModelAccountIpmRateLimitExceeded", 429, 3),
        ("free-trial-used-up", "quota-trial", "QuotaExceeded", 429, 1),
        ("internal-error", "internal", "InternalServiceError", 500, 1),
        ("error-inside-a-success", "output-image-sensitive", "OutputImageSensitiveContentDetected", 200, 1),
    ],
)
async def test_a_recorded_refusal_finds_its_row_and_is_repeated_only_where_nothing_was_billed(
    name: str, row: str, code: str, status: int, posts: int, tmp_path: Path
):
    error, played = await refused(name, tmp_path)

    assert isinstance(error, ApiError)
    assert (error.facts.get("row"), error.code, error.status) == (row, code, status)
    assert error.advice is not None
    assert "Request id" not in str(error)
    assert "request id" not in str(error)
    assert len(played.bodies) == posts


@pytest.mark.anyio
async def test_a_parameter_the_model_does_not_take_is_dropped_and_asked_once_more(tmp_path: Path):
    error, played = await refused("guidance-not-supported", tmp_path)

    assert [sorted(body) for body in played.bodies] == [["guidance_scale", "model", "prompt"], ["model", "prompt"]]
    assert isinstance(error, ApiError)
    assert error.param == "guidance_scale"


@pytest.mark.anyio
async def test_what_a_wish_is_about_is_never_dropped_to_please_the_service(tmp_path: Path):
    error, played = await refused("set-on-a-model-without-sets", tmp_path)

    assert isinstance(error, ApiError)
    assert error.param == "sequential_image_generation"
    assert len(played.bodies) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "status", "retry"),
    [("path-not-there", 404, "never"), ("gateway-page", 502, "unknown")],
)
async def test_what_is_not_the_service_is_said_so(name: str, status: int, retry: str, tmp_path: Path):
    error, played = await refused(name, tmp_path)

    assert isinstance(error, ApiError)
    assert (error.message.key, error.status, error.code, error.retry) == ("wire.nameless", status, "", retry)
    assert len(played.bodies) == 1


@pytest.mark.anyio
async def test_a_stream_that_fails_as_a_whole_is_an_error_and_not_repeated(tmp_path: Path):
    error, played = await refused("stream-that-fails", tmp_path)

    assert isinstance(error, ApiError)
    assert (error.code, error.retry, len(played.bodies)) == ("InternalServiceError", "unknown", 1)


@pytest.mark.anyio
async def test_a_reseller_without_the_model_is_an_error_with_its_words(tmp_path: Path):
    error, _ = await refused("reseller-does-not-know-the-model", tmp_path)

    assert isinstance(error, ApiError)
    assert (error.code, error.status) == ("model_not_found", 503)
    assert "model doubao-seedream-5-0-260128 not found" in str(error)


@pytest.mark.parametrize("path", sorted((HERE / "replies").glob("*.http")), ids=lambda path: path.stem)
def test_every_recorded_reply_is_played_by_a_test(path: Path):
    assert f'"{path.stem}"' in Path(__file__).read_text(encoding="utf-8")


PICTURE = bytes(range(256)) * 3 + b"end"


def inline(text: str) -> bytes:
    document = f'{{"model":"{V45}","created":1,"data":[{{"b64_json":"{text}","size":"1x1"}}],"usage":{{}}}}\n'
    return b"HTTP/1.1 200 OK\ncontent-type: application/json\n\n" + document.encode()


@pytest.mark.anyio
@pytest.mark.parametrize("step", [1, 2, 3, 5, 64, 1000, 65_536])
async def test_an_inline_picture_arrives_byte_for_byte_however_the_body_is_cut(step: int, tmp_path: Path):
    reply = await heard(Played(inline(base64.b64encode(PICTURE).decode()), step), tmp_path)

    (slot,) = reply.slots
    assert (slot.part, slot.size, slot.error) == (0, "1x1", None)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [PICTURE]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(base64.b64encode(PICTURE).decode()[:-7], id="cut"),
        pytest.param("AAAA*BBB", id="no base64"),
    ],
)
async def test_a_damaged_inline_picture_is_an_error_in_its_place(text: str, tmp_path: Path):
    reply = await heard(Played(inline(text)), tmp_path)

    (slot,) = reply.slots
    assert slot.error is not None


@pytest.mark.anyio
async def test_an_answer_that_is_no_answer_leaves_the_outcome_unknown(tmp_path: Path):
    with pytest.raises((OutcomeUnknown, ApiError)) as caught:
        await heard(Played(b"HTTP/1.1 200 OK\ncontent-type: text/html\n\n<html>hello</html>"), tmp_path)

    assert getattr(caught.value, "retry", "unknown") == "unknown"
    assert isinstance(caught.value.message, Message)
