"""Ids that the tables do not know yet: other days of a known family, and whatever a person binds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asking import Heard, asked
from canned import Answer, Canned, inline
from conftest import OpenStudio

pytestmark = pytest.mark.anyio

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
PICTURE = Answer.says({"data": [{"b64_json": inline()}], "usage": {"generated_images": 1}})
ARK = {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "key-of-a-test"}


async def made_with(open_studio: OpenStudio, model: str, **variables: str) -> tuple[Heard, list[dict[str, Any]]]:
    service = Canned(PICTURE)
    arguments = {**CAT, "model": model, "as_is": True}
    heard = await asked(open_studio, "generate_image", arguments, transport=service, **{**ARK, **variables})
    return heard, [json.loads(post.content) for post in service.posts]


@pytest.mark.parametrize(
    ("id", "family", "amount"),
    [
        ("doubao-seedream-5-5-261028", "5.5", None),
        ("doubao-seedream-5-0-lite-270101", "5.0-lite", "0.22"),
        ("doubao-seedream-5-0-270101", "5.0-lite", "0.22"),
        ("doubao-seedream-5-0-pro-270630", "5.0-pro", "0.60"),
        ("doubao-seedream-4-5-270101", "4.5", "0.25"),
        ("seedream-4-0-270101", "4.0", "0.2"),
    ],
)
async def test_a_dated_id_of_a_known_family_is_sent_as_it_is_with_the_familys_rules_and_a_warning(
    open_studio: OpenStudio, id: str, family: str, amount: str | None
) -> None:
    heard, bodies = await made_with(open_studio, f" {id} ")

    assert not heard.is_error, heard.text
    assert [body["model"] for body in bodies] == [id]
    assert (heard.facts["model"], heard.facts["model_id"]) == (family, id)
    assert f"{id} is newer than Seedframe's tables; the limits and prices of {family} are assumed." in heard.text
    cost = heard.facts["cost"]["amount"]
    assert cost is None if amount is None else float(cost) == pytest.approx(float(amount), abs=0.31)


async def test_a_known_id_says_nothing_of_the_kind(open_studio: OpenStudio) -> None:
    heard, _ = await made_with(open_studio, "doubao-seedream-4-5-251128")

    assert "newer" not in heard.text


@pytest.mark.parametrize("id", ["doubao-seedream-9-0-270101", "doubao-seedance-5-0-270101", "flux-pro-270101"])
async def test_an_unknown_family_is_refused_and_told_how_to_bind_it(open_studio: OpenStudio, id: str) -> None:
    heard, bodies = await made_with(open_studio, id)

    assert (heard.is_error, heard.facts["error"], bodies) == (True, "InvalidRequest", [])
    assert "SEEDFRAME_ENDPOINTS" in heard.text


@pytest.mark.parametrize("id", ["doubao-seedream-9-0-270101", "my.gateway/pictures", "ep-20260101000000-abcde"])
async def test_any_id_can_be_bound_to_a_model(open_studio: OpenStudio, id: str) -> None:
    heard, bodies = await made_with(open_studio, id, SEEDFRAME_ENDPOINTS=f"other=4.0, {id} = 4.5")

    assert [body["model"] for body in bodies] == [id], heard.text
    assert (heard.facts["model"], heard.facts["warnings"]) == ("4.5", [])


async def test_a_rehearsal_takes_an_id_of_tomorrow_too(open_studio: OpenStudio) -> None:
    heard = await asked(open_studio, "generate_image", {**CAT, "model": "doubao-seedream-5-0-lite-270101"})

    assert heard.facts["status"] == "done", heard.text


@pytest.mark.parametrize(
    "other", [{"prompt": f"  {CAT['prompt']}\n"}, {"model": "doubao-seedream-5-0-lite-260128"}], ids=["blanks", "alias"]
)
async def test_outer_blanks_and_another_id_of_the_model_make_the_same_request(
    open_studio: OpenStudio, other: dict[str, str]
) -> None:
    lost = Canned(Answer(b"", 500))
    first = await asked(open_studio, "generate_image", CAT, transport=lost, **ARK)
    again = await asked(open_studio, "generate_image", {**CAT, **other}, transport=lost, **ARK)

    assert first.facts["billed"] == "unknown"
    assert (again.facts["error"], again.facts["entry"]) == ("EarlierOutcomeUnknown", first.facts["entry"])
    assert len(lost.posts) == 1
