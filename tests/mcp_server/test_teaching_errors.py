"""Inputs nobody means and somebody sends: each comes back as a sentence that teaches, and nothing is paid."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from canned import Answer, Canned
from seedframe.emulator import InProcess
from seedframe.mcp_server.app import build_server
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

CHANGE = "把图1中的猫换成狗，保持其他内容不变。"
ALLEY = "雨后的江南小巷，灯笼的暖光映在积水里。"
BOARD = '{"project":"river","shots":[{"id":"E01_SC01_SH010","action":"一条河"}]}'
DEEP = "[" * 100_000
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]


@asynccontextmanager
async def host(open_studio: OpenStudio, **options: Any) -> AsyncIterator[Client]:
    async with Client(build_server(lambda: open_studio(**options), "en")) as client:
        yield client


async def refused(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The facts of a refusal, whose words are ours."""
    result = await client.call_tool(tool, arguments)
    described, _, machine = result.content[0].text.rpartition("\n")
    assert result.is_error is True
    generating = tool in {"generate_image", "edit_image"}
    assert described.startswith("Seedream generation failed: ") is generating, described
    assert "Internal error" not in described
    facts: dict[str, Any] = json.loads(machine)
    return facts


@pytest.mark.parametrize(
    "image",
    [
        "~nouser/x",
        "file://[x",
        "file:///~nouser/x",
        "http://[",
        "https://[::1",
        "https://x:99999999/a",
        "https://[::1]:abc/",
        "https://",
        "a\0b",
        "x" * 5_000,
        "/" + "x/" * 3_000,
        "\udc80",
        "data:",
        "data:image/png;base64,",
        "data:image/png;base64,=",
        "seedframe:",
        "seedframe:" + "9" * 5_000 + "-1",
        "seedframe:x-²",
        "",
        "  ",
        DEEP,
        "[" * 20,
        "/dev/zero",
    ],
    ids=lambda image: repr(image)[:30],
)
async def test_a_reference_that_cannot_be(open_studio: OpenStudio, service: InProcess, image: str):
    async with host(open_studio) as client:
        facts = await refused(client, "edit_image", {"prompt": CHANGE, "images": [image]})
        bare = await refused(client, "edit_image", {"prompt": CHANGE, "images": image})

    assert {facts["error"], bare["error"]} <= {"InvalidRequest", "PictureError"}
    assert len(json.dumps(facts)) < 2_000
    assert service.app.state.request_log.posts == 0


@pytest.mark.parametrize("given", ["board", "id"])
@pytest.mark.parametrize(
    "name",
    ["~nouser/x", "a\0b", "x" * 5_000, "x/" * 3_000, "loop", "loop/x", "..", "../..", "/", "", " ", "file://[x", DEEP],
    ids=lambda name: repr(name)[:30],
)
async def test_a_board_that_cannot_be(open_studio: OpenStudio, tmp_path: Path, given: str, name: str):
    for folder in (tmp_path, tmp_path / "pictures"):
        folder.mkdir(exist_ok=True)
        if os.name != "nt":
            (folder / "loop").symlink_to(folder / "loop")
    async with host(open_studio) as client:
        if given == "board":
            facts = await refused(client, "run_storyboard", {"action": "plan", "board": name})
        else:
            facts = await refused(client, "run_storyboard", {"action": "status", "id": name})

    assert facts["error"] == "InvalidRequest"


@pytest.mark.parametrize(
    "board",
    [DEEP, "\n" + DEEP, '{"a":' * 50_000, "a: &a [*a]\n", "- " * 5_000 + "\n", "a: " + "[" * 5_000 + "\n"],
    ids=lambda board: repr(board)[:30],
)
async def test_a_board_that_is_no_board(open_studio: OpenStudio, board: str):
    async with host(open_studio) as client:
        facts = await refused(client, "run_storyboard", {"action": "plan", "board": board})

    assert facts["error"] == "InvalidRequest"


@pytest.mark.parametrize(
    "arguments",
    [
        {"brief": DEEP},
        {"brief": '{"subject":' * 50_000},
        {"count": "1" * 5_000},
        {"count": 1e308},
        {"seed": 10**400},
        {"seed": "1" + "0" * 5_000},
        {"size": "9" * 5_000 + "x1"},
        {"ratio": "9" * 5_000 + ":1"},
        {"ratio": "1:0"},
        {"frame": "1" * 5_000 + "x9"},
        {"ratio": "9:16", "anchor": "1e400,nan"},
        {"save_as": "x/" * 2_000},
        {"save_as": "/".join(["x" * 100] * 60)},
    ],
    ids=lambda arguments: repr(arguments)[:40],
)
async def test_a_request_that_cannot_be(open_studio: OpenStudio, service: InProcess, arguments: dict[str, Any]):
    async with host(open_studio) as client:
        facts = await refused(client, "generate_image", {"prompt": ALLEY, **arguments})

    assert facts["error"] == "InvalidRequest"
    assert service.app.state.request_log.posts == 0


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b", "con", "a" * 119 + "字", ". .", "\u202egnp"])
async def test_an_odd_name_still_gets_its_paid_picture(open_studio: OpenStudio, tmp_path: Path, name: str):
    async with host(open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "save_as": name, "preview": "none"})
        if result.is_error:
            assert json.loads(result.content[0].text.rpartition("\n")[2])["error"] == "InvalidRequest"
        else:
            assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 1


@pytest.mark.parametrize(
    "body", [DEEP, '{"data":' * 50_000, '{"data":' + DEEP, '{"error":' + DEEP, '{"data":[{"url":[[]]}]}']
)
@pytest.mark.parametrize("status", [200, 400])
async def test_a_reply_nested_deeper_than_any_reply(open_studio: OpenStudio, body: str, status: int):
    async with host(open_studio, transport=Canned(Answer(body.encode(), status))) as client:
        facts = await refused(client, "generate_image", {"prompt": ALLEY})

    assert facts["error"] in {"OutcomeUnknown", "ApiError", "PictureError"}


class Broken(httpx.AsyncBaseTransport):
    """A connection with a defect of its own, which is none of the ways a network fails."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError("no network error at all")


@pytest.mark.slow
async def test_a_defect_says_whether_anything_was_sent(open_studio: OpenStudio):
    @asynccontextmanager
    async def cannot_open() -> AsyncIterator[Studio]:
        raise RuntimeError("nothing opened")
        yield

    async with Client(build_server(cannot_open, "en")) as client:
        before = await client.call_tool("generate_image", {"prompt": ALLEY})
    async with host(open_studio, transport=Broken()) as client:
        after = await client.call_tool("generate_image", {"prompt": ALLEY})

    assert before.is_error is after.is_error is True
    assert "Nothing was sent" in before.content[0].text
    assert "look at `seedframe journal show " in after.content[0].text
    assert "no network error" not in after.content[0].text
