"""The advertised tools with their flat schemas, computed from the data. Static for the life of a process.

In: the catalog, `tools.json`, the brief's schema, the settings. Out: MCP `Tool` values.
Never in here: a call, a description.
"""

from __future__ import annotations

import mcp.types as t

from seedframe.catalog import Catalog, catalog, tool_rows
from seedframe.mcp_server.gallery_view import TOOL_META
from seedframe.prompting import brief_schema
from seedframe.service import schemas
from seedframe.settings import Settings

PICTURE_TOOLS = ("generate_image", "edit_image")


def tools(settings: Settings | None = None, models: Catalog | None = None) -> tuple[t.Tool, ...]:
    """Every tool, in the order of the data, with the defaults and prices of the settings in force.

    `models` is what they offer, the whole catalog unless it is given.
    """
    return tuple(_tool(name, settings, models or catalog()) for name in tool_rows()["tools"])


def _tool(name: str, settings: Settings | None, models: Catalog) -> t.Tool:
    """Hints are always explicit. The picture tools load up front where a host defers tools."""
    brief = brief_schema(name) if name in PICTURE_TOOLS else {}
    definition = schemas.advertised(name, models, brief, settings)
    hints = schemas.hints(name)
    return t.Tool(
        name=name,
        title=definition["title"],
        description=definition["description"],
        input_schema=definition["inputSchema"],
        annotations=t.ToolAnnotations(
            title=definition["title"],
            read_only_hint=hints["readOnly"],
            destructive_hint=hints["destructive"],
            idempotent_hint=hints["idempotent"],
            open_world_hint=hints["openWorld"],
        ),
        _meta={"anthropic/alwaysLoad": True, **TOOL_META} if name in PICTURE_TOOLS else None,
    )
