"""What the stages promise, sentence by sentence, through the MCP server: shapes, bytes, refusals before paying."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import mcp.types as t
import pytest
from mcp import Client
from PIL import Image

from seedframe.emulator import InProcess, transport
from seedframe.mcp_server.app import build_server
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里。"
KEYWORDS = "girl with an oil-paper umbrella, lantern lit alley after rain, wet flagstones, medium shot, 35mm lens"


class Wiretap(httpx.AsyncBaseTransport):
    """The service behind a witness, who remembers every body that came back."""

    def __init__(self, service: InProcess) -> None:
        self.service = service
        self.served: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.service.handle_async_request(request)
        self.served.append(await response.aread())
        return httpx.Response(response.status_code, headers=response.headers, content=self.served[-1])


@asynccontextmanager
async def host(open_studio: OpenStudio, **options: Any) -> AsyncIterator[Client]:
    async with Client(build_server(lambda: open_studio(**options), "en")) as client:
        yield client


async def facts(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """What machines and people read of a result that must be good."""
    result = await client.call_tool(tool, arguments)
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    assert result.is_error is False, text
    described, _, machine = text.rpartition("\n")
    return json.loads(machine), described


async def test_720x1280_on_4_5_arrives_as_an_exact_9_16_jpeg_with_the_very_bytes_of_the_service(
    open_studio: OpenStudio, service: InProcess
):
    async with host(open_studio, SEEDFRAME_RESPONSE_FORMAT="url", transport=(tap := Wiretap(service))) as client:
        described, sentence = await facts(client, "generate_image", prompt=KEYWORDS, model="4.5", size="720x1280")

    (picture,) = described["pictures"]
    content = Path(picture["path"]).read_bytes()
    with Image.open(picture["path"]) as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", (1440, 2560))
    assert picture["width"] * 16 == picture["height"] * 9
    assert picture["width"] * picture["height"] >= 3_686_400
    assert (picture["method"], picture["crop"]) == ("bytes", "untouched")
    assert content == tap.served[-1]
    assert hashlib.sha256(content).hexdigest() == picture["sha256"]
    assert "720x1280" in sentence
    assert "1440x2560" in sentence


async def test_the_same_bytes_arrive_inline_and_by_address(open_studio: OpenStudio, service: InProcess):
    arguments = {"prompt": KEYWORDS, "model": "4.5", "size": "720x1280"}
    async with host(open_studio) as client:
        inline, _ = await facts(client, "generate_image", **arguments)
    async with host(open_studio, SEEDFRAME_RESPONSE_FORMAT="url") as client:
        fetched, _ = await facts(client, "generate_image", **arguments)

    assert [entry.body["response_format"] for entry in service.app.state.request_log.entries] == ["b64_json", "url"]
    assert inline["pictures"][0]["sha256"] == fetched["pictures"][0]["sha256"]


async def test_a_square_reply_is_cropped_to_9_16_at_full_height(open_studio: OpenStudio):
    service = transport(paint="instant", script=[{"name": "wrong-size", "to": "2048x2048"}])
    async with host(open_studio, transport=service) as client:
        described, _ = await facts(client, "generate_image", prompt=ALLEY, ratio="9:16", save_as="alley")

    (picture,) = described["pictures"]
    left, top, right, bottom = picture["crop"]
    assert (picture["width"], picture["height"]) == (1152, 2048)
    assert (top, bottom, right - left) == (0, 2048, 1152)
    assert abs(left - (2048 - 1152) // 2) <= 16, "centred, up to the grid of JPEG blocks"
    assert picture["received"] == "2048x2048"
    with Image.open(picture["path"]) as image, Image.open(picture["original"]) as original:
        assert (image.size, original.size) == ((1152, 2048), (2048, 2048))


async def test_1920x1080_on_5_0_lite_is_scaled_up_to_the_same_ratio_and_the_result_says_so(
    open_studio: OpenStudio, service: InProcess
):
    async with host(open_studio) as client:
        described, sentence = await facts(client, "generate_image", prompt=ALLEY, model="5.0-lite", size="1920x1080")

    (picture,) = described["pictures"]
    (entry,) = [entry for entry in service.app.state.request_log.entries if entry.method == "POST"]
    assert entry.body["size"] == "2560x1440"
    assert picture["width"] * 9 == picture["height"] * 16
    assert described["frame"]["asked"] == "2560x1440"
    assert "1920x1080 is outside what 5.0-lite takes" in sentence
    assert "asked for 2560x1440 instead, same ratio" in sentence


@pytest.mark.parametrize("model", ["5.5", "5.0-pro", "5.0-flash", "5.0-lite", "4.5", "4.0"])
async def test_no_model_is_asked_for_20_1(model: str, open_studio: OpenStudio, service: InProcess):
    async with host(open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "model": model, "ratio": "20:1"})

    refused(result, service, field="ratio", says=["20:1", "1:16 to 16:1", "The nearest legal ratio is 16:1"])


async def test_png_on_4_5_is_refused_with_a_model_that_has_it(open_studio: OpenStudio, service: InProcess):
    arguments = {"prompt": KEYWORDS, "model": "4.5", "output_format": "png"}
    async with host(open_studio) as client:
        result = await client.call_tool("generate_image", arguments)

    refused(result, service, field="output_format", says=["4.5 always returns jpeg", "use model 5.0-lite"])


@pytest.mark.parametrize("model", ["5.0-lite", "4.5", "4.0"])
async def test_15_references_are_refused_with_the_limit(model: str, open_studio: OpenStudio, service: InProcess):
    arguments = {"prompt": ALLEY, "model": model, "images": [f"{number}.png" for number in range(15)]}
    async with host(open_studio) as client:
        result = await client.call_tool("edit_image", arguments)

    refused(result, service, field="images", says=["at most 14 images; got 15", "Keep the 14 most telling"])


def refused(result: t.CallToolResult, service: InProcess, *, field: str, says: list[str]) -> None:
    """An error with its field, its limit and a way out; and nothing left the process."""
    (block,) = result.content
    assert isinstance(block, t.TextContent)
    described, _, machine = block.text.rpartition("\n")
    assert result.is_error is True
    assert json.loads(machine)["field"] == field
    assert [words for words in says if words not in described] == []
    assert service.app.state.request_log.entries == []
