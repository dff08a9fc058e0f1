"""`python -m bench.asks`: asks as people type them, with the arguments an agent forms from the schemas alone.

In: `tests/cases/asks.json`. Out: how many end in a picture, a price or a plan at the first call, and why others do not.
Nothing is charged: the product server answers an in-memory MCP client, the emulator paints.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp.types as t
from mcp import Client
from PIL import Image

from seedframe.emulator import transport
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

CASES = Path(__file__).parents[1] / "tests" / "cases" / "asks.json"
GOAL = 57
FIRST = "雨夜的小巷，灯笼的暖光映在积水里。"
SHOTS: list[list[str | int]] = [
    ["镜号", "画面", "时长(秒)"],
    [1, "雨夜的石板巷，灯笼亮着", 5],
    [2, "女孩抬头望向亮着的窗", 4],
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one ask: `problem` is empty where the user got what was asked for."""

    ask: str
    tool: str
    problem: str

    @property
    def right(self) -> bool:
        """Whether it was right at the first call."""
        return not self.problem


def asks() -> list[dict[str, Any]]:
    """Each with `ask`, `tool` and `arguments`."""
    read: list[dict[str, Any]] = json.loads(CASES.read_text(encoding="utf-8"))
    return read


async def answered(folder: Path) -> list[Answer]:
    """Every ask through a server of its own kind of user: a few files on the desk, one picture made before.

    The working folder must be `folder`: that is where a user's relative paths are.
    """
    _lay_out(folder)
    settings = Settings.read(
        {
            "SEEDFRAME_BACKEND": "emulator",
            "SEEDFRAME_OUTPUT_DIR": str(folder / "pictures"),
            "SEEDFRAME_JOURNAL": str(folder / "journal.sqlite3"),
            "SEEDFRAME_INPUT_ROOTS": str(folder),
            "SEEDFRAME_LANG": "en",
        }
    )
    opened = transport(paint="instant")
    server = build_server(lambda: Studio.open(settings, transport=opened), "en", settings)
    async with Client(server) as client:
        await client.call_tool("generate_image", {"prompt": FIRST, "ratio": "9:16"})
        return [await _answer(client, each) for each in asks()]


async def _answer(client: Client, each: Mapping[str, Any]) -> Answer:
    result = await client.call_tool(each["tool"], dict(each["arguments"]))
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    problem = text.partition("\n")[0] if result.is_error else _missing(json.loads(text.rpartition("\n")[2]))
    return Answer(each["ask"], each["tool"], problem)


def _missing(facts: Mapping[str, Any]) -> str:
    """What a result that is no error still lacks."""
    if "pictures" in facts:
        gone = [picture["path"] for picture in facts["pictures"] if not Path(picture["path"]).is_file()]
        return f"no file: {gone}" if gone or not facts["pictures"] else ""
    if "totals" in facts:
        blocked = facts["totals"]["blocked"]
        return f"{blocked} of {facts['totals']['frames']} frames cannot be made" if blocked else ""
    errors = [found["message"] for found in facts.get("findings", ()) if found["severity"] == "error"]
    return errors[0] if errors else "" if facts.get("prompt") else "no prompt"


def _lay_out(folder: Path) -> None:
    """The files the asks speak of."""
    from openpyxl import Workbook

    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (1080, 1920), (70, 90, 120)).save(folder / "photo.jpg")
    Image.new("RGBA", (1200, 1200), (200, 120, 40, 120)).save(folder / "product.png")
    Image.new("RGB", (2560, 1440), (40, 60, 90)).save(folder / "pictures" / "base.jpg")
    rows = "\n".join(",".join(str(cell) for cell in row) for row in SHOTS)
    (folder / "board.csv").write_text(rows, encoding="utf-8")
    book = Workbook()
    for row in SHOTS:
        book.worksheets[0].append(row)
    book.save(folder / "shots.xlsx")


def main() -> int:
    """Print the score; exit code 1 below the goal."""
    with tempfile.TemporaryDirectory(prefix="seedframe-asks-") as place:
        before = Path.cwd()
        os.chdir(place)
        try:
            answers = asyncio.run(answered(Path(place)))
        finally:
            os.chdir(before)
    for answer in answers:
        if not answer.right:
            print(f"  {answer.tool}: {answer.ask}\n    {answer.problem}")
    right = sum(answer.right for answer in answers)
    print(f"asks right at the first call: {right} of {len(answers)} (goal {GOAL})")
    return 0 if right >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
