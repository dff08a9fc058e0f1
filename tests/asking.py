"""One tool call as an MCP host makes it, and what it gets: sentences for people, JSON for machines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import mcp.types as t
from mcp import Client

from conftest import OpenStudio
from seedframe.mcp_server.app import build_server
from seedframe.messages import Language


@dataclass(frozen=True)
class Heard:
    """The one text block of a tool result, taken apart."""

    is_error: bool
    text: str
    facts: dict[str, Any]


async def asked(
    open_studio: OpenStudio, tool: str, arguments: dict[str, Any], *, language: Language = "en", **options: Any
) -> Heard:
    """Start a server, call one tool, close; `options` are for the studio."""
    async with Client(build_server(lambda: open_studio(**options), language)) as client:
        result = await client.call_tool(tool, arguments)
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    described, _, machine = text.rpartition("\n")
    return Heard(bool(result.is_error), described, json.loads(machine))
