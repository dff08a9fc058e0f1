"""The faults of the fault table, met by a program behind the gateway: one paid POST each, however often it repeats."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from faults import FAULTS, Fault, Place, counts, disk_of
from gatewaying import Door, served
from sampling import sampled

pytestmark = pytest.mark.anyio

REPEATED_FREE = {"429 once": 2, "429 always": 3, "one of three calls lost": 3}
"""Rows with more than one POST: the answer proved that nothing was billed, or three pictures were asked for."""
BY_NAME = {fault.name: fault for fault in FAULTS}
REPEATS = 2
"""As often as the official SDKs repeat by themselves."""


def body_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The body a program sends for what a row of the table asks of the tool."""
    body = {"model": "doubao-seedream-5-0-260128", **arguments}
    count = body.pop("count", None)
    if body.pop("related", False):
        body["sequential_image_generation"] = "auto"
        body["sequential_image_generation_options"] = {"max_images": count}
    elif count:
        body["n"] = count
    return body


async def answered(door: Door, fault: Fault) -> httpx.Response:
    return await door.ask(body_of(fault.arguments))


@pytest.mark.parametrize("fault", sampled(FAULTS, 30), ids=lambda fault: fault.name)
async def test_a_fault_is_one_paid_post_behind_the_gateway_too(environ: dict[str, str], fault: Fault) -> None:
    data = Path(environ["SEEDFRAME_JOURNAL"]).parent / "data"
    data.mkdir()
    place = Place(Path(environ["SEEDFRAME_OUTPUT_DIR"]), data / "journal.sqlite3")
    variables = {**environ, "SEEDFRAME_JOURNAL": str(place.record), "SEEDFRAME_GATEWAY_KEYS": "own", **fault.variables}
    room = fault.free if fault.free is not None else 10**12
    with disk_of(fault, place), contextlib.ExitStack() as harm:
        once = [fault.at_post] if fault.at_post else []
        carrier = fault.carrier(lambda: once and harm.enter_context(once.pop()(place)))
        async with served(variables, carrier, busy=0.2, free=lambda _: room) as door:
            if fault.before:
                harm.enter_context(fault.before(place))
            first = await answered(door, fault)
            posts, billed = counts(carrier, fault)
            repeated = [first]
            while repeated[-1].status_code >= 400 and len(repeated) <= REPEATS:
                repeated.append(await answered(door, fault))
            again, _ = counts(carrier, fault)
    assert posts <= REPEATED_FREE.get(fault.name, 1)
    assert billed <= max(fault.billed, int(fault.arguments.get("count", 1)))
    if billed:
        assert again == posts, "what may be paid is not sent a second time"
    for answer in repeated:
        check_answer(answer)


def check_answer(answer: httpx.Response) -> None:
    """Pictures, or Ark's envelope with a word on repeating."""
    document = answer.json()
    if answer.status_code == 200:
        assert any("url" in slot for slot in document["data"])
        return
    assert set(document["error"]) == {"code", "message", "param", "type"}
    assert document["error"]["message"].endswith(f"Request id: {answer.headers['x-request-id']}")
    assert answer.headers["x-should-retry"] in {"true", "false"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "code", "again"),
    [
        ("no connection", 503, "ServerOverloaded", "true"),
        ("no key", 401, "AuthenticationError", "false"),
        ("budget used up", 429, "SetLimitExceeded", "false"),
        ("consent missing", 403, "OperationDenied.ConfirmationNeeded", "false"),
        ("too little room for the picture", 500, "InternalServiceError", "false"),
        ("drop before the answer", 500, "InternalServiceError", "false"),
        ("401", 401, "AuthenticationError", "false"),
        ("429 always", 429, "ModelAccountIpmRateLimitExceeded", "true"),
        ("429 for quota", 429, "QuotaExceeded", "false"),
        ("500 always", 500, "InternalServiceError", "false"),
        ("moderated words", 400, "InputTextSensitiveContentDetected", "false"),
        ("moderated picture as a slot", 400, "OutputImageSensitiveContentDetected", "false"),
        ("address 500 always", 503, "InternalServiceError", "true"),
        ("base64 that is no picture", 500, "InternalServiceError", "false"),
    ],
)
async def test_a_fault_is_told_in_arks_words(
    environ: dict[str, str], name: str, status: int, code: str, again: str
) -> None:
    fault = BY_NAME[name]
    room = fault.free if fault.free is not None else 10**12
    variables = {**environ, "SEEDFRAME_GATEWAY_KEYS": "own", **fault.variables}
    async with served(variables, fault.carrier(lambda: None), free=lambda _: room) as door:
        answer = await answered(door, fault)

    told = answer.status_code, answer.json()["error"]["code"], answer.headers["x-should-retry"]
    assert told == (status, code, again)


@pytest.mark.slow
async def test_a_caller_who_gave_up_gets_the_paid_picture_when_it_asks_again(environ: dict[str, str]) -> None:
    fault = BY_NAME["read timeout"]
    carrier = fault.carrier(lambda: None)
    async with served({**environ, **fault.variables}, carrier) as door:
        answers = [await answered(door, fault) for _ in range(3)]

    codes = [answer.json()["error"]["code"] for answer in answers]
    assert codes == ["InternalServiceError", *["OperationDenied.EarlierOutcomeUnknown"] * 2]
    assert carrier.app.state.request_log.posts == 1


@pytest.mark.slow
async def test_a_stream_with_a_failed_slot_says_so_and_goes_on(environ: dict[str, str]) -> None:
    fault = BY_NAME["one picture of three moderated"]
    async with served(environ, fault.carrier(lambda: None)) as door:
        answer = await door.ask({**body_of(fault.arguments), "stream": True})

    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert sorted((event["type"].rpartition(".")[2], event.get("image_index", -1)) for event in events) == [
        ("completed", -1),
        ("partial_failed", 1),
        ("partial_succeeded", 0),
        ("partial_succeeded", 2),
    ]
    assert events[-1]["usage"]["generated_images"] == 2
    assert answer.text.endswith("data: [DONE]\n\n")
