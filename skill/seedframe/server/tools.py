"""What is advertised: the tools with their flat schemas, computed from the data. Static for the life of a process.

In: the catalog, `arguments.json`, the brief's schema. Out: MCP `Tool` values. Never in here: a call.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mcp.types as t

from seedframe import schemas
from seedframe.catalog import catalog
from seedframe.styling import brief_schema

PICTURE_TOOLS = ("generate_image", "edit_image")

STYLE_TOOL: dict[str, Any] = {
    "name": "style_prompt",
    "title": "Style prompt",
    "description": "Free: word and check a Seedream prompt (提示词) for a model without making a picture. "
    "Returns prompt, negative, findings, length, what is missing.",
    "inputSchema": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "prompt": {"type": "string", "description": "Your words, in any language."},
            "model": {"type": "string", "description": "As in generate_image."},
            "brief": {"type": "object", "description": "As in generate_image."},
            "ratio": {"type": "string", "description": "W:H, e.g. 9:16."},
            "negative_prompt": {"type": "string", "description": "What to avoid."},
            "references": {"type": "integer", "description": "How many input pictures there will be."},
            "count": {"type": "integer", "description": "Pictures of a related set."},
            "as_is": {"type": "boolean", "description": "Keep the prompt in its language."},
        },
    },
}


@cache
def tools() -> tuple[t.Tool, ...]:
    """Every tool. The picture tools load up front where a host defers tools; they write new files and spend money."""
    return (*(_picture_tool(name) for name in PICTURE_TOOLS), _style_tool())


def advertised(name: str) -> dict[str, Any]:
    """A tool's public definition as plain JSON, as `seedframe schema` prints it."""
    return STYLE_TOOL if name == STYLE_TOOL["name"] else schemas.advertised(name, catalog(), brief_schema())


def _picture_tool(name: str) -> t.Tool:
    definition = schemas.advertised(name, catalog(), brief_schema())
    return t.Tool(
        name=name,
        title=definition["title"],
        description=definition["description"],
        input_schema=definition["inputSchema"],
        annotations=t.ToolAnnotations(
            title=definition["title"],
            read_only_hint=False,
            destructive_hint=False,
            idempotent_hint=False,
            open_world_hint=True,
        ),
        _meta={"anthropic/alwaysLoad": True},
    )


def _style_tool() -> t.Tool:
    return t.Tool(
        name=STYLE_TOOL["name"],
        title=STYLE_TOOL["title"],
        description=STYLE_TOOL["description"],
        input_schema=STYLE_TOOL["inputSchema"],
        annotations=t.ToolAnnotations(
            title=STYLE_TOOL["title"],
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )
