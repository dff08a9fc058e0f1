"""One call of an MCP host in a process of its own: how much memory above rest it took, how long the loop stood still.

Run as `bombed_server.py` with JSON on stdin: `tool`, `arguments`, `environ`, `first` (arguments that load everything).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from mcp import Client

from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

BEAT = 0.005


def memory(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most since the last reset."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


async def longest_stall(done: asyncio.Event) -> float:
    longest = 0.0
    while not done.is_set():
        before = time.perf_counter()
        await asyncio.sleep(BEAT)
        longest = max(longest, time.perf_counter() - before - BEAT)
    return longest


async def main(task: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.read(task["environ"])
    async with Client(build_server(lambda: Studio.open(settings), "en")) as host:
        await host.call_tool("generate_image", task["first"])
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        rest, done = memory("VmRSS"), asyncio.Event()
        beating = asyncio.create_task(longest_stall(done))
        await asyncio.sleep(0.05)
        result = await host.call_tool(task["tool"], task["arguments"])
        done.set()
        stall = await beating
    text = "".join(block.text for block in result.content if hasattr(block, "text"))
    return {
        "above": memory("VmHWM") - rest,
        "stall": stall,
        "length": len(text),
        "error": result.is_error,
        "text": text,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.load(sys.stdin)))))  # noqa: T201
