"""Related sets over a stream: what has come is on the disk at once, and what is missing is reported truthfully."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from canned import EVENTS, MODERATED, SIZE, URL, Answer, Canned, completed, event, inline, jpeg
from conftest import OpenStudio
from seedframe.emulator import scripted, transport
from seedframe.messages import Message
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

SET = {"prompt": "一组三张图：同一只猫在窗台、屋顶和花园", "ratio": "1:1", "count": 3, "related": True}


def streamed(*frames: bytes, breaks: bool = False) -> Canned:
    async def pieces() -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame
        if breaks:
            raise httpx.RemoteProtocolError("peer closed connection")

    return Canned(Answer(pieces, kind=EVENTS))


def came(index: int, **picture: str) -> bytes:
    return event("partial_succeeded", image_index=index, size=SIZE, **(picture or {"url": URL}))


async def described(studio: Studio, **more: Any) -> dict[str, Any]:
    async with studio.make("generate_image", {**SET, **more}) as result:
        facts = result.as_dict()
    entry = await studio.payments.entry(str(facts["id"]))
    assert entry is not None
    return {
        "status": facts["status"],
        "pictures": [Path(picture["path"]).stem.rpartition("-")[2] for picture in facts["pictures"]],
        "missing": [(missing["index"], missing["billed"], missing.get("code")) for missing in facts["missing"]],
        "bill": (facts["cost"]["pictures"], facts["cost"]["amount"], facts["cost"].get("at_most", False)),
        "journal": (entry.state, str(entry.booked), entry.partial),
    }


WHOLE = {
    "status": "done",
    "pictures": ["1", "2", "3"],
    "missing": [],
    "bill": (3, "0.66", False),
    "journal": ("delivered", "0.66", False),
}
FIRST_OF_THREE = {
    "status": "partial",
    "pictures": ["1"],
    "missing": [(1, "unknown", None), (2, "unknown", None)],
    "bill": (3, "0.66", True),
    "journal": ("partial-unknown", "0.22", True),
}


async def test_each_picture_is_on_the_disk_and_told_while_the_next_one_is_still_being_made(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    more = asyncio.Event()
    seen: list[tuple[str, int]] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield came(0)
        await more.wait()
        yield came(1) + came(2) + completed(3)

    async def report(message: Message) -> None:
        if message.key == "pipeline.saved":
            seen.append((Path(message.values["path"]).name[-5:], len(Path(message.values["path"]).read_bytes())))
            more.set()

    async with (
        open_studio(transport=Canned(Answer(pieces, kind=EVENTS))) as studio,
        studio.make("generate_image", {**SET, "save_as": "cat"}, report=report) as result,
    ):
        assert result.as_dict()["status"] == "done"
    size = len(jpeg())
    assert (seen[0], sorted(seen)) == (("1.jpg", size), [("1.jpg", size), ("2.jpg", size), ("3.jpg", size)])


async def test_base64_is_decoded_to_the_disk_while_it_comes(open_studio: OpenStudio, environ: dict[str, str]) -> None:
    half = len(inline()) // 8 * 4
    grown: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"data":[{"size":"1920x1920","b64_json":"' + inline()[:half].encode()
        yield b""
        parts = Path(environ["SEEDFRAME_OUTPUT_DIR"]).glob(".seedframe/*/*.part")
        grown.extend(part.stat().st_size for part in parts)
        yield inline()[half:].encode() + b'"}],"usage":{"generated_images":1}}'

    one = {"prompt": "一只猫坐在窗台上", "ratio": "1:1"}
    async with (
        open_studio(transport=Canned(Answer(pieces))) as studio,
        studio.make("generate_image", one) as result,
    ):
        assert Path(result.as_dict()["pictures"][0]["path"]).read_bytes() == jpeg()
    assert len(grown) == 1
    assert 0 < grown[0] <= half * 3 // 4


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([came(0), came(1), came(2), completed(3)], id="as captured"),
        pytest.param([came(0) + came(1)[:40], came(1)[40:] + came(2), completed(3)], id="cut anywhere"),
        pytest.param(
            [(came(0) + b": still here\n\n" + came(1) + came(2) + completed(3)).replace(b"\n", b"\r\n")],
            id="crlf and comments",
        ),
        pytest.param(
            [line for frame in (came(0), came(1), came(2), completed(3)) for line in [frame.split(b"\n", 1)[1]]],
            id="without event lines",
        ),
        pytest.param([came(0), came(1), came(2), event("completed", usage={"generated_images": 3})], id="without DONE"),
        pytest.param(
            [came(0), event("partial_image", partial_image_index=0, b64_json="AAAA"), came(1), came(2), completed(3)],
            id="with a preview nobody asked for",
        ),
        pytest.param([came(0, b64_json=inline()), came(1, b64_json=inline()), came(2), completed(3)], id="with base64"),
        pytest.param([came(0), came(0), came(0), completed(3)], id="all numbered alike"),
    ],
)
async def test_every_spelling_of_the_stream_is_understood(open_studio: OpenStudio, frames: list[bytes]) -> None:
    async with open_studio(transport=streamed(*frames)) as studio:
        assert await described(studio) == WHOLE


async def test_a_failed_slot_does_not_lose_the_others_and_is_not_billed(open_studio: OpenStudio) -> None:
    failed = event("partial_failed", image_index=1, error=MODERATED)
    async with open_studio(transport=streamed(came(0), failed, came(2), completed(2))) as studio:
        assert await described(studio) == {
            "status": "partial",
            "pictures": ["1", "3"],
            "missing": [(1, "no", "OutputImageSensitiveContentDetected")],
            "bill": (2, "0.44", False),
            "journal": ("delivered", "0.44", True),
        }


async def test_a_moderated_picture_says_its_code_its_number_that_it_is_free_and_what_to_change(
    open_studio: OpenStudio,
) -> None:
    from seedframe.studio import render

    script = scripted({"name": "slot-error", "index": 1})
    async with (
        open_studio(transport=transport(paint="instant", script=script)) as studio,
        studio.make("generate_image", SET) as result,
    ):
        said = render.sentence(result, "en")
        (missing,) = result.as_dict()["missing"]
    assert (
        "missing picture 2 (not billed): no picture came in this place (OutputImageSensitiveContentDetected), in "
        "the service's own words: “The request failed because the output image may contain sensitive "
        "information”. The picture was made and withheld; "
        "it is not billed. Reword the prompt; asking again is a new paid try."
    ) in said.split("\n")
    assert {name: missing[name] for name in ("index", "code", "billed")} == {
        "index": 1,
        "code": "OutputImageSensitiveContentDetected",
        "billed": "no",
    }


async def test_plain_json_in_answer_to_a_stream_request_is_understood(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", script=scripted("json-to-stream"))
    async with open_studio(transport=carrier) as studio:
        assert await described(studio) == WHOLE
    assert carrier.app.state.request_log.posts == 1


@pytest.mark.parametrize("how", ["url", "b64_json"])
async def test_a_cut_stream_keeps_what_came_and_says_that_the_rest_is_unknown(
    open_studio: OpenStudio, how: str
) -> None:
    carrier = transport(paint="instant", script=scripted("cut-stream 1"))
    async with open_studio(transport=carrier, SEEDFRAME_RESPONSE_FORMAT=how) as studio:
        assert await described(studio) == FIRST_OF_THREE
    assert (carrier.app.state.request_log.posts, carrier.app.state.request_log.images) == (1, 3)


async def test_a_stream_that_ends_early_without_its_closing_word_is_cut_too(open_studio: OpenStudio) -> None:
    async with open_studio(transport=streamed(came(0))) as studio:
        assert await described(studio) == FIRST_OF_THREE


async def test_a_missing_closing_word_after_every_picture_is_only_told(open_studio: OpenStudio) -> None:
    async with (
        open_studio(transport=streamed(came(0), came(1), came(2))) as studio,
        studio.make("generate_image", SET) as result,
    ):
        assert result.as_dict()["status"] == "done"
        assert result.as_dict()["warnings"] == [Message("pipeline.no-completed").text()]


async def test_an_error_in_the_middle_keeps_what_came_and_gives_its_reason_for_the_rest(
    open_studio: OpenStudio,
) -> None:
    async with open_studio(transport=transport(paint="instant", script=scripted("error-frame 1"))) as studio:
        assert await described(studio) == {
            **FIRST_OF_THREE,
            "missing": [(1, "unknown", "InternalServiceError"), (2, "unknown", "InternalServiceError")],
        }


async def test_a_set_that_came_out_smaller_is_partial_and_says_so(open_studio: OpenStudio) -> None:
    async with (
        open_studio(transport=streamed(came(0), completed(1))) as studio,
        studio.make("generate_image", SET) as result,
    ):
        facts = result.as_dict()
    assert facts["status"] == "partial"
    assert facts["warnings"] == ["3 pictures were asked for, 1 came; only what came is billed."]
    assert [(missing["index"], missing["billed"], missing["message"]) for missing in facts["missing"]] == [
        (1, "no", "the model made a smaller set; this one was not made."),
        (2, "no", "the model made a smaller set; this one was not made."),
    ]
    assert facts["cost"] == {"amount": "0.22", "currency": "CNY", "pictures": 1, "listed": "2026-11-20"}


async def test_a_stream_that_breaks_before_its_first_picture_is_unknown(open_studio: OpenStudio) -> None:
    from seedframe.errors import OutcomeUnknown

    async with open_studio(transport=streamed(came(0)[:30], breaks=True)) as studio:
        with pytest.raises(OutcomeUnknown):
            await described(studio)
        (entry,) = await studio.payments.entries()
    assert (entry.state, str(entry.reserved)) == ("unknown", "0.66")
