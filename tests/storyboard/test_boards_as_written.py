"""Boards as people and models write them: each file is read whole, and what cannot be taken is a finding.

`SEEDFRAME_UPDATE_CASES=1 pytest tests/storyboard/test_boards_as_written.py` writes the expectations anew,
to be read as a diff.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from openpyxl import Workbook

from seedframe.errors import InvalidRequest
from seedframe.mcp_server.app import build_server
from seedframe.storyboard.board import board_to_json, read_board
from seedframe.storyboard.continuity import continuity_findings
from seedframe.studio.pipeline import Studio

CASES = Path(__file__).parents[1] / "cases" / "storyboard" / "as_written"
FILES = sorted(path for path in CASES.iterdir() if not path.name.endswith(".expected.json"))


def understood(path: Path, *, text: str | None = None) -> dict[str, Any]:
    board = read_board(path, text=text)
    return {
        "board": board_to_json(board),
        "left_out": [f"{note.code}: {note.message}" for note in board.notices],
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_board_is_understood_as_it_was_written(path: Path):
    expected = path.with_name(f"{path.name}.expected.json")
    described = json.dumps(understood(path), ensure_ascii=False, indent=1) + "\n"
    if os.environ.get("SEEDFRAME_UPDATE_CASES"):
        expected.write_text(described, encoding="utf-8")

    assert described == expected.read_text(encoding="utf-8")


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_is_the_same_board_as_its_tables_in_markdown(tmp_path: Path):
    shots = [
        ["雨夜信"],
        [],
        ["Shot No.", "场景", "角色", "提示词", "运镜方式", "台词", "时长（秒）"],
        [1, "石板巷", "阿雨", "推着自行车停在巷口", "缓推", None, 5],
        [2.0, "S01", "阿雨、老周", "两人在伞摊前对视", "固定", "老周：修好了。", "4″"],
    ]
    cast = [
        ["编号", "姓名", "外观"],
        ["C01", "阿雨", "短发女孩，黄雨衣"],
        ["C02", "老周", "六十岁的修伞匠，灰布衫"],
    ]
    places = [["编号", "名称", "描述"], ["S01", "石板巷", "老城区的窄石板巷"]]
    path = tmp_path / "characters.xlsx"
    path.write_bytes(workbook(("角色", cast), ("场景", places), ("分镜", shots)))

    same = json.loads((CASES / "characters.md.expected.json").read_text(encoding="utf-8"))["board"]
    assert understood(path)["board"] == {**same, "title": {"zh": "雨夜信"}}


@pytest.mark.parametrize("content", [b"PK no zip", b"", "雨".encode()])
def test_what_is_no_workbook_is_refused(content: bytes, tmp_path: Path):
    path = tmp_path / "board.xlsx"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="this is no Excel workbook"):
        read_board(path)


@pytest.mark.slow
def test_a_workbook_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/sheet1.xml", "w") as entry:
        for _ in range(101):
            entry.write(b"\0" * 1_000_000)
    with pytest.raises(InvalidRequest, match="too large to be a board"):
        read_board(path)


def test_what_could_not_be_taken_is_a_finding_of_the_plan():
    board = read_board(CASES / "titled.csv")

    assert [(found.code, found.severity) for found in continuity_findings(board)][:1] == [("COLUMN_UNKNOWN", "warning")]


def test_two_columns_that_contradict_each_other_are_told():
    board = read_board("b.csv", text="镜号,画面,景别,镜头大小\n1,雨,远景,近景\n")

    assert [str(note.message) for note in board.notices] == [
        "Two columns say the same thing differently; '镜头大小' counts ('近景' instead of '远景')."
    ]


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_run_without_a_plan_tells_what_was_left_out_too(
    open_studio: Callable[..., AbstractAsyncContextManager[Studio]], tmp_path: Path
):
    identity = tmp_path / "pictures" / "river" / ".storyboard" / "board.json"
    identity.parent.mkdir(parents=True)
    identity.write_text('{"id": "lake-1", "project": "lake"}', encoding="utf-8")  # the run itself ends at once
    board = "项目,镜号,画面,摄影师\nriver,1,雨夜的石板桥，河面映着灯,老王\n"
    async with Client(build_server(open_studio, "en")) as client:
        result = await client.call_tool("run_storyboard", {"action": "run", "board": board})

    described = result.content[0].text.splitlines()
    assert described[1] == "warning COLUMN_UNKNOWN: The column '摄影师' means nothing here and was left out."
