"""`run_storyboard` writes the requests for Seedance as a file and says which line is which shot."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import mcp.types as t
import pytest
from mcp import Client

from board_folders import finished_folder
from seedframe.mcp_server.app import build_server
from seedframe.studio.pipeline import Studio

SHOT = {"id": "E01_SC01_SH010", "action": "a boat", "motion": "the boat sways", "duration": 6}


@pytest.mark.anyio
async def test_requests_are_written_beside_the_frames_and_linked(
    open_studio: Callable[..., AbstractAsyncContextManager[Studio]], tmp_path: Path
) -> None:
    out = finished_folder(tmp_path / "pictures" / "film", {"realistic_people": False, "shots": [SHOT]})
    settings = {"SEEDFRAME_OUTPUT_DIR": str(out.parent)}
    async with Client(build_server(lambda: open_studio(**settings), "en")) as client:
        result = await client.call_tool("run_storyboard", {"action": "requests", "id": "film"})

    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    (link,) = [block for block in result.content if isinstance(block, t.ResourceLink)]
    facts = json.loads(text.splitlines()[-1])
    assert facts["status"] == "written"
    assert facts["lines"] == [{"line": 1, "shot": "E01_SC01_SH010"}]
    assert (link.uri, link.mime_type) == ((out / "requests.jsonl").as_uri(), "application/jsonl")
