"""Start an MCP server on stdio and list its tools, as a client does: `python scripts/list_tools.py seedframe serve`.

In: a command. Out: a line for each tool; exit 1 when there is none. Never in here: Seedframe.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters


async def names(command: str, *arguments: str) -> list[str]:
    """The names of the tools."""
    environ = {**os.environ, "SEEDFRAME_BACKEND": "emulator"}
    async with Client(StdioServerParameters(command=command, args=list(arguments), env=environ)) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


if __name__ == "__main__":
    found = asyncio.run(names(*sys.argv[1:]))
    print("\n".join(found))
    sys.exit(0 if found else 1)
