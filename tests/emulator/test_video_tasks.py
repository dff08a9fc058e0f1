"""The emulator's video tasks: Seedance's rules are checked, an id is given, and no video is ever made."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from board_folders import picture
from seedframe.emulator import transport

TASKS = "/api/v3/contents/generations/tasks"
MODEL = "doubao-seedance-2-0-260128"


def frame(role: str, content: bytes = b"", url: str = "") -> dict[str, Any]:
    url = url or f"data:image/png;base64,{base64.b64encode(content or picture(1)).decode()}"
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


def body(**changes: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": "rain"}, frame("first_frame")]
    return {"model": MODEL, "content": parts, "ratio": "9:16", "duration": 5, "resolution": "720p", **changes}


async def asked(method: str, path: str, **given: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=transport(profile="ark"), base_url="http://emulator") as client:
        return await client.request(method, path, headers={"Authorization": "Bearer key"}, **given)


@pytest.mark.anyio
async def test_a_task_is_created_and_says_that_no_video_comes_of_it() -> None:
    async with httpx.AsyncClient(transport=transport(profile="ark"), base_url="http://emulator") as client:
        client.headers["Authorization"] = "Bearer key"
        made = (await client.post(TASKS, json=body(seed=None))).json()
        found = (await client.get(f"{TASKS}/{made['id']}")).json()

    assert made == {"id": found["id"]}
    assert (found["status"], found["error"]["code"]) == ("failed", "EmulatedTask")
    assert "makes no video" in found["error"]["message"]
    assert (found["model"], found["ratio"], found["duration"]) == (MODEL, "9:16", 5)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"model": "doubao-seedance-2-0"}, "NotFound", id="undated model"),
        pytest.param({"model": None}, "MissingParameter", id="no model"),
        pytest.param({"content": []}, "at least one part", id="no content"),
        pytest.param({"content": [frame("last_frame")]}, "last_frame requires first_frame", id="last alone"),
        pytest.param({"content": [frame("first_frame"), frame("reference_image")]}, "cannot be mixed", id="mixed"),
        pytest.param({"content": [frame("first_frame")] * 2}, "given once", id="first twice"),
        pytest.param({"content": [frame("reference_image", url="https://a/b")] * 10}, "exceed 9", id="ten references"),
        pytest.param({"content": [frame("cover")]}, "role must be one of", id="odd role"),
        pytest.param({"content": [frame("first_frame", url="/tmp/x.png")]}, "invalid url", id="a path"),
        pytest.param({"content": [frame("first_frame", b"no picture")]}, "cannot be decoded", id="no picture"),
        pytest.param({"content": [frame("first_frame", picture(1, (200, 400)))]}, "between 300", id="small"),
        pytest.param({"content": [frame("first_frame", picture(1, (300, 900)))]}, "aspect ratio", id="thin"),
        pytest.param({"duration": 4.5}, "integer", id="half seconds"),
        pytest.param({"duration": 16}, "between 4 and 15", id="too long"),
        pytest.param({"resolution": "8k"}, "480p", id="odd resolution"),
        pytest.param({"ratio": "2:3"}, "must be one of", id="odd ratio"),
        pytest.param({"generate_audio": "yes"}, "generate_audio", id="no boolean"),
        pytest.param({"model": "doubao-seedance-2-5-260628"}, "adaptive", id="2.5 takes no ratio with frames"),
    ],
)
async def test_what_seedance_refuses_is_refused(changes: dict[str, Any], expected: str) -> None:
    reply = await asked("POST", TASKS, json=body(**changes))

    assert (reply.status_code in {400, 404}, expected in json.dumps(reply.json())) == (True, True), reply.text


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["asset://asset-20261101-abc", "https://example.com/frame.png"])
async def test_asset_ids_and_web_addresses_are_taken_on_trust(url: str) -> None:
    assert (await asked("POST", TASKS, json=body(content=[frame("first_frame", url=url)]))).status_code == 200


@pytest.mark.anyio
async def test_a_task_that_never_was_is_not_found() -> None:
    assert (await asked("GET", f"{TASKS}/cgt-none")).status_code == 404
