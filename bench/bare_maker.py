"""The least MCP server that makes pictures, on stdio: `python -m bench.bare_maker ADDRESS FOLDER`.

In: calls of `generate_image` and `edit_image`. Out: the picture's file and a preview. One httpx client for all; input
pictures leave as base64 while they are read; what comes is written, digested, and decoded once by Pillow, at the scale
of the preview. No argument is checked, no prompt worded, nothing recorded, flushed to the disk or safely named.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import sys
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import mcp.types as t
import pybase64
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from PIL import Image

_HEAD = b"data:image/png;base64,"
_START, _BETWEEN, _END = b'{"model":"bench","prompt":"make it evening","image":[', b'",', b'""]}'
_SIDE = 640
_PIECE = 3 << 18


class Maker:
    """Makes one picture for each call."""

    def __init__(self, base: str, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self._number = itertools.count()
        self._http = httpx.AsyncClient(timeout=300, trust_env=False)

    async def __call__(self, _ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult:
        """One POST, one download, one decode."""
        files = [Path(file) for file in (params.arguments or {}).get("images", ())]
        answer = await self._http.post(
            f"{self._base}/images/generations", content=_body(files), headers={"content-length": str(_length(files))}
        )
        target = self._folder / f"{next(self._number)}.jpg"
        with target.open("wb") as file:
            async with self._http.stream("GET", answer.json()["data"][0]["url"]) as picture:
                async for piece in picture.aiter_raw():
                    file.write(piece)
        digest, small = await asyncio.to_thread(_finished, target)
        image = t.ImageContent(type="image", data=base64.b64encode(small).decode("ascii"), mime_type="image/jpeg")
        return t.CallToolResult(content=[t.TextContent(type="text", text=f"{target} {digest}"), image])


def _finished(path: Path) -> tuple[str, bytes]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with Image.open(path) as image:
        scale = max(image.size) / _SIDE
        image.draft("RGB", (int(image.width / scale) - 1, int(image.height / scale) - 1))
        small = BytesIO()
        image.save(small, "JPEG", quality=82)
    return digest, small.getvalue()


def _length(files: Sequence[Path]) -> int:
    each = len(_HEAD) + 1 + len(_BETWEEN)
    return len(_START) + len(_END) + sum(each + (file.stat().st_size + 2) // 3 * 4 for file in files)


async def _body(files: Sequence[Path]) -> AsyncIterator[bytes]:
    yield _START
    for path in files:
        yield b'"' + _HEAD
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                yield pybase64.b64encode(piece)
        yield _BETWEEN
    yield _END


async def _list_tools(_ctx: Any, _params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
    names = ("generate_image", "edit_image")
    return t.ListToolsResult(
        tools=[t.Tool(name=name, description="Makes a picture.", input_schema={"type": "object"}) for name in names]
    )


async def _serve(base: str, folder: Path) -> None:
    server: Server[Any] = Server("bare", version="1", on_list_tools=_list_tools, on_call_tool=Maker(base, folder))
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
