"""The least server the SDK allows, on stdio: one tool, nothing of ours. `python -m bench.bare`."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp.types as t
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server


async def _list_tools(_ctx: Any, _params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
    return t.ListToolsResult(
        tools=[t.Tool(name="nothing", description="Does nothing.", input_schema={"type": "object"})]
    )


async def _serve() -> None:
    server: Server[Any] = Server("bare", version="1", on_list_tools=_list_tools)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(_serve())
