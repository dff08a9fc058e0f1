"""Whatever an answer looks like: no success without a verified file, no word about money that it does not prove."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from canned import EVENTS, MODERATED, PICTURE, SIZE, Answer, Canned, completed, event, inline
from conftest import OpenStudio
from seedframe.emulator import scripted, transport
from seedframe.errors import SeedreamError
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
SMALL = {
    "code": "InvalidParameter",
    "message": "The parameter `size` specified in the request is not valid: image size must be at least 3686400 "
    "pixels. Request id: 021781189034374",
    "param": "",
    "type": "",
}
INLINE = {"b64_json": inline(), "size": SIZE}


async def outcome(studio: Studio, **more: Any) -> dict[str, Any]:
    """What the caller is told and what the journal keeps; success only with files whose bytes are pictures."""
    try:
        async with studio.make("generate_image", {**CAT, **more}) as result:
            facts = result.as_dict()
            whole = [Path(picture["path"]).read_bytes()[:3] == b"\xff\xd8\xff" for picture in facts["pictures"]]
            described = {"status": facts["status"], "pictures": whole}
    except SeedreamError as error:
        described = {name: error.facts[name] for name in ("code", "billed") if name in error.facts}
        described = {"error": error.kind, **described}
    (entry,) = await studio.payments.entries()
    return {**described, "journal": entry.state, "money": (str(entry.booked), str(entry.reserved))}


DONE = {"status": "done", "pictures": [True], "journal": "delivered", "money": ("0.22", "0")}
FREE = {"billed": "no", "journal": "failed", "money": ("0", "0")}
OPEN = {"billed": "unknown", "journal": "unknown", "money": ("0", "0.22")}
LOST = {"error": "PictureError", "billed": "yes", "journal": "lost", "money": ("0.22", "0")}
KEPT = {**LOST, "error": "Undelivered", "journal": "undelivered"}


def reseller(inner: Any) -> dict[str, Any]:
    return {"code": "fail_to_fetch_task", "message": json.dumps(inner), "data": None}


GOOD = [
    pytest.param(Answer.says({"data": [PICTURE]}), id="wrapped"),
    pytest.param(Answer.says({"data": {"data": [PICTURE]}}), id="one level deeper"),
    pytest.param(Answer.says({"data": [INLINE], "error": None}), id="with an error that is null"),
    pytest.param(Answer.says({"data": [{"b64_json": "data:image/jpeg;base64," + inline()}]}), id="base64 as data URI"),
    pytest.param(Answer.says({"data": [PICTURE]}, kind="text/html"), id="labelled as a page"),
    pytest.param(Answer.says({"data": [PICTURE]}, kind=EVENTS), id="labelled as a stream"),
    pytest.param(
        Answer(event("partial_succeeded", image_index=0, **PICTURE) + completed(1)), id="a stream labelled as JSON"
    ),
    pytest.param(
        Answer(gzip.compress(json.dumps({"data": [INLINE]}).encode()), headers={"content-encoding": "gzip"}), id="gzip"
    ),
    pytest.param(Answer.says({"data": [{**PICTURE, "size": "512x512"}]}), id="other size than said"),
    pytest.param(
        Answer.says({"data": [PICTURE], "created": "soon", "usage": [], "model": 7}), id="nonsense beside the picture"
    ),
]
REFUSED = [
    pytest.param(Answer.says({"error": SMALL}, 400), id="wrapped"),
    pytest.param(Answer.says(SMALL, 400), id="unwrapped"),
    pytest.param(Answer.says({"error": json.dumps({"error": SMALL})}, 400), id="a string"),
    pytest.param(Answer.says(reseller({"error": SMALL}), 451), id="nested string of a reseller"),
    pytest.param(
        Answer.says({"error": {"message": "all channels failed. Last error: HTTP 400: " + json.dumps(SMALL)}}, 502),
        id="behind a reseller's words and status",
    ),
    pytest.param(Answer.says({"error": SMALL}), id="with status 200"),
    pytest.param(Answer.says({"error": SMALL, "data": []}), id="with status 200 and empty data"),
    pytest.param(Answer.says({"error": SMALL}, kind=EVENTS), id="labelled as a stream"),
]
UNTRUSTED = [
    pytest.param(Answer.says({"data": []}), {"error": "ApiError", "code": "EmptyReply"}, id="empty data"),
    pytest.param(Answer.says({"data": None}), {"error": "ApiError", "code": "EmptyReply"}, id="no data"),
    pytest.param(Answer.says({}), {"error": "ApiError", "code": "EmptyReply"}, id="empty object"),
    pytest.param(Answer.says([PICTURE]), {"error": "ApiError", "code": "EmptyReply"}, id="a list"),
    pytest.param(Answer(b""), {"error": "ApiError"}, id="nothing at all"),
    pytest.param(Answer(b"<html>welcome</html>", kind="text/html"), {"error": "ApiError"}, id="a page"),
    pytest.param(Answer(b"<html>bad gateway</html>", 502, "text/html"), {"error": "ApiError"}, id="a page with 502"),
    pytest.param(Answer(b'{"data":[{"url":"http'), {"error": "ApiError"}, id="JSON that ends early"),
    pytest.param(
        Answer(b"not packed", headers={"content-encoding": "gzip"}), {"error": "OutcomeUnknown"}, id="no gzip at all"
    ),
]


@pytest.mark.parametrize("answer", GOOD)
async def test_a_picture_is_found_in_every_envelope(open_studio: OpenStudio, answer: Answer) -> None:
    async with open_studio(transport=Canned(answer)) as studio:
        assert await outcome(studio) == DONE


@pytest.mark.parametrize("answer", REFUSED)
async def test_a_refusal_is_one_whatever_it_is_wrapped_in_and_costs_nothing(
    open_studio: OpenStudio, answer: Answer
) -> None:
    service = Canned(answer)
    async with open_studio(transport=service) as studio:
        assert await outcome(studio) == {"error": "ApiError", "code": "InvalidParameter", **FREE}
    assert len(service.posts) == 1


@pytest.mark.parametrize(("answer", "described"), UNTRUSTED)
async def test_a_success_without_a_picture_is_neither_success_nor_repeated(
    open_studio: OpenStudio, answer: Answer, described: dict[str, str]
) -> None:
    service = Canned(answer)
    async with open_studio(transport=service) as studio:
        assert await outcome(studio) == {**described, **OPEN}
    assert len(service.posts) == 1


async def test_an_empty_answer_that_counts_nothing_as_billed_is_free(open_studio: OpenStudio) -> None:
    service = Canned(Answer.says({"data": [], "usage": {"generated_images": 0}}))
    async with open_studio(transport=service) as studio:
        assert await outcome(studio) == {"error": "ApiError", "code": "EmptyReply", **FREE}


async def test_the_empty_answer_of_a_path_that_is_not_there_costs_nothing(open_studio: OpenStudio) -> None:
    async with open_studio(transport=Canned(Answer(b"", 404, "text/html"))) as studio:
        assert await outcome(studio) == {"error": "ApiError", **FREE}


@pytest.mark.parametrize("how", ["url", "b64_json"])
@pytest.mark.parametrize("fault", ["junk-picture", "truncated-picture", "pixel-bomb"])
async def test_what_does_not_decode_is_no_picture_but_paid(open_studio: OpenStudio, fault: str, how: str) -> None:
    carrier = transport(paint="instant", script=scripted(fault))
    async with open_studio(transport=carrier, SEEDFRAME_RESPONSE_FORMAT=how) as studio:
        assert await outcome(studio) == (KEPT if how == "url" else LOST)
    assert (carrier.app.state.request_log.posts, carrier.app.state.request_log.images) == (1, 1)


async def test_cut_base64_is_no_picture_but_paid(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", script=scripted("truncated-base64"))
    async with open_studio(transport=carrier, SEEDFRAME_RESPONSE_FORMAT="b64_json") as studio:
        assert await outcome(studio) == LOST


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        pytest.param("junk-picture", "what came is not a picture Seedframe knows.", id="junk"),
        pytest.param("pixel-bomb", "what came is too large to decode safely: 30000x30000 pixels;", id="pixel bomb"),
        pytest.param("download-404", "the finished picture could not be downloaded: HTTP 404.", id="gone"),
    ],
)
async def test_a_paid_picture_that_was_not_brought_says_its_number_the_reason_and_how_it_is_had_free(
    open_studio: OpenStudio, fault: str, why: str
) -> None:
    carrier = transport(paint="instant", script=scripted(fault))
    async with open_studio(transport=carrier) as studio:
        with pytest.raises(SeedreamError) as caught:
            async with studio.make("generate_image", CAT):
                pass
    text = str(caught.value)
    assert f"it is not on your disk: picture 1 came and cannot be used: {why}" in text
    assert f"`seedframe fetch {caught.value.facts['entry']}`: both fetch it and pay nothing" in text


async def test_a_download_that_breaks_off_is_tried_again_since_it_costs_nothing(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", script=scripted("download-cut"))
    async with open_studio(transport=carrier) as studio:
        assert await outcome(studio) == KEPT
    assert (carrier.app.state.request_log.posts, carrier.app.state.request_log.downloads) == (1, 5)


@pytest.mark.parametrize(
    ("fault", "status", "warning"),
    [
        pytest.param(
            "wrong-size", "wrong_size", "The picture is 1024x1024, not the 1920x1920 that was expected.", id="size"
        ),
        pytest.param("wrong-format", "done", "The picture is png, not the jpeg that was asked for.", id="format"),
    ],
)
async def test_a_picture_that_is_not_as_asked_is_kept_and_says_so(
    open_studio: OpenStudio, fault: str, status: str, warning: str
) -> None:
    carrier = transport(paint="instant", script=scripted(fault))
    async with open_studio(transport=carrier) as studio, studio.make("generate_image", CAT) as result:
        assert (result.as_dict()["status"], result.as_dict()["warnings"]) == (status, [warning])


async def test_slots_with_errors_make_a_result_partial_and_only_errors_make_it_a_failure(
    open_studio: OpenStudio,
) -> None:
    mixed = Answer.says({"data": [{"error": MODERATED}, PICTURE], "usage": {"generated_images": 1}})
    none = Answer.says({"data": [{"error": MODERATED}, {"error": MODERATED}], "usage": {"generated_images": 0}})
    pair = {"prompt": "一组两张图：同一只猫", "count": 2, "related": True}
    async with open_studio(transport=Canned(mixed)) as studio:
        assert await outcome(studio, **pair) == {**DONE, "status": "partial"}
    async with open_studio(transport=Canned(none)) as studio:
        with pytest.raises(SeedreamError) as caught:
            async with studio.make("generate_image", {**CAT, **pair}):
                pass
        entries = await studio.payments.entries()
    assert [(entry.state, str(entry.booked)) for entry in entries] == [("failed", "0"), ("delivered", "0.22")]
    assert [missing["index"] for missing in caught.value.facts["missing"]] == [0, 1]
    assert caught.value.facts["billed"] == "no"


async def test_one_lost_call_of_several_leaves_the_others_and_an_honest_bill(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", script=scripted(None, "internal", "output-image-sensitive"))
    async with open_studio(transport=carrier) as studio, studio.make("generate_image", {**CAT, "count": 3}) as result:
        facts = result.as_dict()
    assert facts["status"] == "partial"
    assert [(missing["index"], missing["billed"]) for missing in facts["missing"]] == [(1, "unknown"), (2, "no")]
    assert facts["cost"] == {
        "amount": "0.44",
        "currency": "CNY",
        "pictures": 2,
        "listed": "2026-11-20",
        "at_most": True,
    }


async def test_a_place_that_takes_no_picture_is_refused_before_anything_is_paid(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    service = Canned(Answer.says({"data": [PICTURE]}))
    async with open_studio(transport=service) as studio:
        folder = Path(environ["SEEDFRAME_OUTPUT_DIR"])
        folder.mkdir()
        (folder / "taken").write_text("a file where a folder is wanted")
        assert await outcome(studio, save_as="taken/cat") == {"error": "StoreError", **FREE}
    assert service.posts == []


async def test_a_picture_that_comes_inline_and_finds_no_disk_is_saved_elsewhere_and_said(
    open_studio: OpenStudio, environ: dict[str, str], tmp_path: Path
) -> None:
    async def pieces() -> Any:
        (folder,) = Path(environ["SEEDFRAME_OUTPUT_DIR"]).glob(".seedframe/*")
        folder.rmdir()
        yield b'{"data":[{"b64_json":"' + inline().encode() + b'"}],"usage":{"generated_images":1}}'

    async with (
        open_studio(transport=Canned(Answer(pieces))) as studio,
        studio.make("generate_image", {**CAT, "save_as": "cat"}) as result,
    ):
        facts = result.as_dict()
    rescued = tmp_path / "rescued" / "cat.jpg"
    assert (facts["status"], facts["pictures"][0]["path"]) == ("done", str(rescued))
    assert (rescued.read_bytes()[:3], rescued.with_name("cat.jpg.json").exists()) == (b"\xff\xd8\xff", True)
    pictures = environ["SEEDFRAME_OUTPUT_DIR"]
    assert facts["warnings"] == [f"picture 1 found no room in {pictures} and was saved as {rescued} instead."]


async def test_a_picture_whose_record_cannot_be_written_is_still_a_picture(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    folder = Path(environ["SEEDFRAME_OUTPUT_DIR"])
    (folder / f".cat.jpg.json.{os.getpid()}.part").mkdir(parents=True)
    async with (
        open_studio(transport=Canned(Answer.says({"data": [PICTURE]}))) as studio,
        studio.make("generate_image", {**CAT, "save_as": "cat"}) as result,
    ):
        facts = result.as_dict()
    assert (facts["status"], (folder / "cat.jpg").exists(), (folder / "cat.jpg.json").exists()) == ("done", True, False)
    assert facts["warnings"][0].startswith("the record beside the picture could not be written: ")
