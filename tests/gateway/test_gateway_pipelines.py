"""What ArcReel and huobao-drama send to their image service, as read from their source: each gets its picture.

Their own code is not part of this repository; the requests are written down in `cases/gateway_transcripts.json`.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gatewaying import served
from seedframe.emulator import InProcess

pytestmark = pytest.mark.anyio

CASES = json.loads((Path(__file__).parents[1] / "cases" / "gateway_transcripts.json").read_text(encoding="utf-8"))


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (720, 1280), "teal").save(out, "JPEG")
    return out.getvalue()


def filled(body: dict[str, Any]) -> dict[str, Any]:
    uri = "data:image/jpeg;base64," + base64.b64encode(picture()).decode()
    images = body.get("image")
    return {**body, "image": [uri for _ in images]} if isinstance(images, list) else body


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["program"])
async def test_a_pipeline_gets_its_picture_unchanged(
    environ: dict[str, str], service: InProcess, case: dict[str, Any]
) -> None:
    async with served(environ, service, own_files=True) as door:
        if "files" in case:
            files = [("image[]", (f"{number}.jpg", picture(), "image/jpeg")) for number in range(case["files"])]
            answer = await door.http.post(door.base + case["path"], data=case["body"], files=files)
        else:
            answer = await door.ask(filled(case["body"]), case["path"])
        assert answer.status_code == 200, answer.text
        got = await door.http.get(answer.json()["data"][0]["url"])

    assert {"task_id", "id"} & set(answer.json()) == set(), "huobao-drama would begin to poll"
    width, height = Image.open(io.BytesIO(got.content)).size
    assert f"{width}x{height}" == answer.json()["data"][0]["size"] == case["size"]
    assert service.app.state.request_log.posts == 1
