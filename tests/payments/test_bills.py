"""The bill follows the service: its own count wherever that can be true, and "not billed" only where it is proven."""

from __future__ import annotations

from typing import Any

import pytest

from asking import Heard, asked
from canned import MODERATED, PICTURE, Answer, Canned, completed, event
from conftest import OpenStudio
from sampling import sampled
from seedframe.catalog import api_errors
from seedframe.payments import Entry

pytestmark = pytest.mark.anyio

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
PAIR = {**CAT, "prompt": "一组两张图：同一只猫", "count": 2, "related": True}
WITHHELD = {"error": MODERATED}
TOO_MANY = 10**30


async def heard_and_kept(
    open_studio: OpenStudio, answers: list[Answer], arguments: dict[str, Any]
) -> tuple[Heard, Entry, Canned]:
    service = Canned(*answers)
    heard = await asked(open_studio, "generate_image", arguments, transport=service)
    async with open_studio() as studio:
        (entry,) = await studio.payments.entries()
    return heard, entry, service


def replied(*slots: dict[str, Any], **usage: Any) -> Answer:
    return Answer.says({"data": [*slots], "usage": usage})


@pytest.mark.parametrize("count", [-5, TOO_MANY, 2, "1", None, True, 1.5, [1], {"a": 1}])
async def test_a_count_that_cannot_be_true_is_ignored_with_a_warning_and_costs_no_picture(
    open_studio: OpenStudio, count: Any
) -> None:
    heard, entry, _ = await heard_and_kept(open_studio, [replied(PICTURE, generated_images=count)], CAT)

    assert (heard.facts["status"], heard.facts["cost"]["amount"], len(heard.facts["pictures"])) == ("done", "0.22", 1)
    assert (entry.state, str(entry.booked)) == ("delivered", "0.22")
    (warning,) = heard.facts["warnings"]
    assert warning.startswith("the service's count of billed pictures makes no sense (“")


@pytest.mark.parametrize("count", [0, 1])
async def test_a_count_that_can_be_true_is_the_bill(open_studio: OpenStudio, count: int) -> None:
    heard, entry, _ = await heard_and_kept(open_studio, [replied(PICTURE, generated_images=count)], CAT)

    amount = "0.22" if count else "0"
    assert (heard.facts["status"], heard.facts["warnings"]) == ("done", [])
    assert (heard.facts["cost"]["pictures"], heard.facts["cost"]["amount"]) == (count, amount)
    assert str(entry.booked) == amount


async def test_a_withheld_picture_that_the_service_counts_is_billed(open_studio: OpenStudio) -> None:
    heard, entry, _ = await heard_and_kept(open_studio, [replied(WITHHELD, generated_images=1)], CAT)

    assert (heard.is_error, heard.facts["billed"], heard.facts["cost"]["amount"]) == (True, "yes", "0.22")
    assert (entry.state, str(entry.booked)) == ("lost", "0.22")
    assert "It is billed by the service's own count." in heard.text
    assert "not billed" not in heard.text


@pytest.mark.parametrize(
    ("count", "billed", "amount"), [(1, ["no"], "0.22"), (2, ["yes"], "0.44")], ids=["not counted", "counted"]
)
async def test_a_withheld_picture_of_a_set_is_billed_as_the_service_counts(
    open_studio: OpenStudio, count: int, billed: list[str], amount: str
) -> None:
    heard, entry, _ = await heard_and_kept(open_studio, [replied(WITHHELD, PICTURE, generated_images=count)], PAIR)

    assert [missing["billed"] for missing in heard.facts["missing"]] == billed
    assert (heard.facts["status"], heard.facts["cost"]["amount"], str(entry.booked)) == ("partial", amount, amount)


async def test_a_set_that_came_out_smaller_than_it_is_counted_says_so(open_studio: OpenStudio) -> None:
    frames = event("partial_succeeded", image_index=0, **PICTURE) + completed(2)
    heard, _, _ = await heard_and_kept(open_studio, [Answer(frames)], PAIR)

    assert [missing["billed"] for missing in heard.facts["missing"]] == ["yes"]
    assert heard.facts["cost"]["amount"] == "0.44"
    assert "the service counts 2 pictures as billed, 1 came" in heard.text


@pytest.mark.parametrize("slot", [{}, {"url": None}, "nothing", 7])
@pytest.mark.parametrize(
    ("usage", "billed", "state"),
    [
        pytest.param({}, "unknown", "unknown", id="no count"),
        pytest.param({"generated_images": 0}, "no", "failed", id="none counted"),
        pytest.param({"generated_images": 1}, "yes", "lost", id="one counted"),
    ],
)
async def test_a_place_with_nothing_documented_in_it_proves_nothing_without_a_count(
    open_studio: OpenStudio, slot: Any, usage: dict[str, Any], billed: str, state: str
) -> None:
    heard, entry, _ = await heard_and_kept(open_studio, [replied(slot, **usage)], CAT)

    assert (heard.facts["billed"], entry.state) == (billed, state)


def refusing(status: int, document: Any = None, **headers: str) -> Answer:
    answer = Answer.says(document, status) if document is not None else Answer(b"", status, "text/html")
    return Answer(answer.body, status, answer.kind, headers)


UNPROVEN = {
    "an unknown code": refusing(400, {"error": {"code": "BrandNew", "message": "no"}}),
    "a gateway's own refusal": refusing(422, {"error": {"message": "bad", "type": "invalid_request_error"}}),
    "words without a code": refusing(403, {"error": "go away"}),
    "an unknown code inside a success": refusing(200, {"error": {"code": "BrandNew", "message": "no"}}),
    "400 without words": refusing(400),
    "404 with a page": Answer(b"<html>not here</html>", 404, "text/html"),
    "408": refusing(408),
    "408 of a gateway": refusing(408, {"error": {"code": "request_timeout", "message": "took too long"}}),
    "413": refusing(413),
    "429 without words": refusing(429),
    "302": refusing(302, location="https://elsewhere.example/login"),
    "307": refusing(307, location="https://elsewhere.example/api/v3/images/generations"),
    "500": refusing(500),
    "503": refusing(503, {"error": {"code": "Unavailable", "message": "later"}}),
    "520": refusing(520, {"error": {"code": "upstream", "message": "?"}}),
}


@pytest.mark.parametrize("answer", UNPROVEN)
async def test_only_a_listed_answer_proves_that_nothing_was_billed(open_studio: OpenStudio, answer: str) -> None:
    heard, entry, service = await heard_and_kept(open_studio, [UNPROVEN[answer]], CAT)

    assert (heard.is_error, heard.facts["billed"], entry.state, str(entry.reserved)) == (
        True,
        "unknown",
        "unknown",
        "0.22",
    )
    assert len(service.posts) == 1


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_a_redirect_of_the_api_is_told_and_not_followed(open_studio: OpenStudio, status: int) -> None:
    answer = refusing(status, location="https://me:secret@elsewhere.example/x?y=1")
    heard, _, service = await heard_and_kept(open_studio, [answer], CAT)

    assert f"HTTP {status}, a redirect to elsewhere.example. It was not followed" in heard.text
    assert [str(post.url.host) for post in service.posts] == ["emulator.invalid"]


@pytest.mark.parametrize(
    "row", sampled([row for row in api_errors() if row.billed == "no"], 4), ids=lambda row: row.name
)
async def test_a_listed_answer_costs_nothing_and_its_row_says_where_that_is_known_from(
    open_studio: OpenStudio, row: Any
) -> None:
    document = {"error": {"code": row.code, "message": row.message, "param": "", "type": row.type}}
    heard, entry, _ = await heard_and_kept(open_studio, [refusing(row.status, document)], CAT)

    assert (heard.facts["billed"], entry.state, str(entry.reserved)) == ("no", "failed", "0")
    assert row.source
