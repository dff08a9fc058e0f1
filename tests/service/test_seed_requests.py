"""Requests as the project's specifications write them are taken, with a warning where the vendor knows better."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from asking import Heard, asked
from canned import Answer, Canned, inline
from conftest import OpenStudio
from seedframe.emulator import InProcess, transport

pytestmark = pytest.mark.anyio

KEYWORDS = "an elderly fisherman mending nets, weathered wooden pier, golden hour, film grain, full body"
HEAVY = "plastic skin, real person face, blurry"
UNIALL = {
    "SEEDFRAME_BACKEND": "uniall",
    "UNIALL_API_KEY": "key-of-a-test",
    "UNIALL_API_BASE": "http://emulator.invalid",
}


def bodies(service: InProcess) -> list[Any]:
    return [entry.body for entry in service.app.state.request_log.entries if entry.method == "POST"]


async def made(open_studio: OpenStudio, **arguments: Any) -> Heard:
    return await asked(open_studio, "generate_image", {"prompt": KEYWORDS, "model": "4.5", **arguments})


@pytest.mark.parametrize("zero", [0, 0.0, "0"])
async def test_a_guidance_scale_of_zero_is_taken_and_not_sent(
    open_studio: OpenStudio, service: InProcess, zero: object
) -> None:
    heard = await made(open_studio, size="1440x2560", guidance_scale=zero, seed=-1)

    assert heard.facts["status"] == "done", heard.text
    assert heard.facts["warnings"] == []
    assert ["guidance_scale" in body for body in bodies(service)] == [False]


async def test_a_heavy_negative_prompt_is_a_warning(open_studio: OpenStudio, service: InProcess) -> None:
    heard = await made(open_studio, ratio="9:16", negative_prompt=HEAVY)

    assert heard.facts["status"] == "done", heard.text
    assert [(one["code"], one["severity"]) for one in heard.facts["findings"] if one["code"] == "NEG_HAZARD"] == [
        ("NEG_HAZARD", "warning")
    ]
    assert "plastic skin" in bodies(service)[0]["negative_prompt"]


async def uniall_edit(open_studio: OpenStudio, **variables: str) -> tuple[Heard, dict[str, Any]]:
    service = Canned(Answer.says({"created": 1, "data": [{"b64_json": inline()}]}))
    arguments = {"prompt": KEYWORDS, "model": "4.5", "ratio": "1:1", "images": ["http://pictures.example/a.png"]}
    heard = await asked(open_studio, "edit_image", arguments, transport=service, **{**UNIALL, **variables})
    return heard, json.loads(service.posts[0].content)


async def test_a_plain_http_reference_is_taken_with_a_warning(open_studio: OpenStudio) -> None:
    heard, body = await uniall_edit(open_studio)

    assert body["image"] == "http://pictures.example/a.png"
    assert "http://pictures.example/a.png is plain http" in heard.text


async def test_the_gateway_is_told_how_long_it_may_take_and_its_price_is_not_invented(open_studio: OpenStudio) -> None:
    heard, body = await uniall_edit(open_studio, SEEDFRAME_TIMEOUT="120")

    assert body["timeout_seconds"] == 120
    assert heard.facts["cost"]["amount"] is None
    assert "no published price" in heard.text
    assert "?" not in heard.text


async def test_how_long_one_waits_makes_no_other_request(open_studio: OpenStudio) -> None:
    lost = Canned(Answer(b"", 500))
    arguments = {"prompt": KEYWORDS, "model": "4.5", "ratio": "1:1"}
    await asked(open_studio, "generate_image", arguments, transport=lost, **UNIALL)
    again = await asked(open_studio, "generate_image", arguments, transport=lost, SEEDFRAME_TIMEOUT="30", **UNIALL)

    assert (again.facts["error"], len(lost.posts)) == ("EarlierOutcomeUnknown", 1)


@pytest.mark.parametrize("label", ["heic", "heif"])
async def test_the_emulator_takes_heic_as_the_vendor_documents_it(label: str) -> None:
    import httpx
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (320, 240), "teal")).save(out)
    image = f"data:image/{label};base64,{base64.b64encode(out.getvalue()).decode()}"
    body = {"model": "doubao-seedream-5-0-260128", "prompt": "一只猫", "image": image, "size": "2048x2048"}
    async with httpx.AsyncClient(transport=transport(paint="instant"), base_url="http://emulator.invalid") as http:
        reply = await http.post("/api/v3/images/generations", json=body)

    assert reply.status_code == 200, reply.text
