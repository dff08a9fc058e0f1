"""Makes three pictures through the MCP server, as a host would: offline and free of charge. Any failure is an error.

In: a folder and an environment. Out: pictures in it, and lines that say what happened and what it would have cost.
Never in here: the network, a key.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import mcp.types as t
from mcp import Client, StdioServerParameters

from seedframe.messages import Language, Message

STORY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
KEYWORDS = (
    "girl with an oil-paper umbrella walking through a Jiangnan alley after rain, wet flagstones, lantern glow, "
    "medium shot, eye level, 35mm lens, soft side light"
)
CHANGE = "把图1中的油纸伞换成红色的纸灯笼，保持人物、小巷和光线不变。"


async def demonstrate(folder: Path, environ: Mapping[str, str], language: Language, say: Callable[[str], None]) -> None:
    """Make a 9:16 keyframe on 5.0-lite, one on 4.5 with a negative prompt, an edit of the first. Or RuntimeError."""
    own = {
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_OUTPUT_DIR": str(folder),
        "SEEDFRAME_JOURNAL": str(folder / ".seedframe" / "journal.sqlite3"),
        "SEEDFRAME_LANG": language,
    }
    server = StdioServerParameters(command=sys.executable, args=["-m", "seedframe", "serve"], env={**environ, **own})
    total: dict[str, Decimal] = {}
    async with Client(server) as host:
        first = await _make(
            host,
            "generate_image",
            {"prompt": STORY, "model": "5.0-lite", "ratio": "9:16", "save_as": "keyframe"},
            say,
            total,
        )
        await _make(
            host,
            "generate_image",
            {
                "prompt": KEYWORDS,
                "model": "4.5",
                "size": "720x1280",
                "negative_prompt": "blurry, watermark",
                "save_as": "keyframe-4.5",
            },
            say,
            total,
        )
        edit = {"prompt": CHANGE, "model": "5.0-lite", "ratio": "9:16", "images": [first["path"]], "save_as": "edited"}
        await _make(host, "edit_image", edit, say, total)
    sums = ", ".join(f"{amount} {currency}" for currency, amount in total.items())
    say(Message("demo.total", total=sums).text(language))


async def _make(
    host: Client, tool: str, arguments: dict[str, Any], say: Callable[[str], None], total: dict[str, Decimal]
) -> dict[str, Any]:
    """Make one call: print its sentence, add its cost, check its file."""
    result = await host.call_tool(tool, arguments)
    text = next(block.text for block in result.content if isinstance(block, t.TextContent))
    if result.is_error:
        raise RuntimeError(text)
    sentence, _, machine = text.rpartition("\n")
    say(sentence)
    facts = json.loads(machine)
    picture: dict[str, Any] = facts["pictures"][0]
    _check(picture, result)
    price = facts["cost"]
    total[price["currency"]] = total.get(price["currency"], Decimal(0)) + Decimal(price["amount"])
    return picture


def _check(picture: Mapping[str, Any], result: t.CallToolResult) -> None:
    """RuntimeError unless the file exists, is exactly 9:16 and has a preview."""
    path = Path(picture["path"])
    if not path.is_file() or path.stat().st_size != picture["bytes"]:
        raise RuntimeError(f"{path} is not the file the result speaks of")
    if picture["width"] * 16 != picture["height"] * 9:
        raise RuntimeError(f"{path} is {picture['width']}x{picture['height']}, not 9:16")
    if not any(isinstance(block, t.ImageContent) for block in result.content):
        raise RuntimeError("no preview came with the result")
