"""Markdown boards: tables of shots, characters, products, scenes and props, with settings as `key: value` lines.

In: text. Out: Document; the column of a place is the table's. Without a table a numbered list is the board.
Never in here: what kind a table is (see `tables`), what the columns mean (see `rows`).
"""

from __future__ import annotations

import re

from seedframe.storyboard.formats.document import Document, Place
from seedframe.storyboard.formats.rows import BoardRows, Cell
from seedframe.storyboard.formats.tables import add_table
from seedframe.storyboard.formats.text_format import read_sentences

RULE = re.compile(r"\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
SETTING = re.compile(
    r"\s*(?:[-*+]\s+)?(?:\*\*|__)?(?P<key>[^\s:：|#*][^:：|]{0,30}?)(?:\*\*|__)?\s*[:：]\s*(?:\*\*|__)?\s*(?P<value>\S.*?)\s*"
)
HEADING = re.compile(r"\s*(?:#{1,6}\s+|\*\*)(?P<text>.+?)\s*(?:#*|\*\*)[:：]?\s*")
CELL = re.compile(r"(?:\\.|[^|\\])*")
ESCAPED = re.compile(r"\\([\\|`*_])")

Line = tuple[int, str]


def read_markdown(text: str, name: str) -> Document:
    """InvalidRequest when neither a table nor a numbered list holds shots, or a cell cannot be read."""
    board = BoardRows(name)
    lines = _outside_fences(text)
    index, heading, tables = 0, "", 0
    while index < len(lines):
        if index + 1 < len(lines) and "|" in lines[index][1] and RULE.fullmatch(lines[index + 1][1]):
            end = next((i for i in range(index + 2, len(lines)) if "|" not in lines[i][1]), len(lines))
            table = [lines[index], *lines[index + 2 : end]]
            add_table(board, [(number, _cells(line)) for number, line in table], heading)
            index, tables = end, tables + 1
        else:
            title = HEADING.fullmatch(lines[index][1])
            heading = title["text"] if title else heading
            _setting(board, lines[index])
            index += 1
    return board.document() if tables else read_sentences(text, name)


def _outside_fences(text: str) -> list[Line]:
    fenced, lines = False, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            lines.append((number, line))
    return lines


def _setting(board: BoardRows, line: Line) -> None:
    number, text = line
    match = SETTING.fullmatch(text)
    if match:
        column = match.start("value") + 1
        board.setting(Cell(match["key"], match["value"].strip("*_ \"'"), Place(number, column, match["key"])))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    cells, at = [], 0
    while at <= len(inner):
        match = CELL.match(inner, at)
        end = match.end() if match else len(inner)
        cells.append(ESCAPED.sub(r"\1", re.sub(r"<br\s*/?>", " ", inner[at:end])).strip())
        at = max(end, at) + 1
    if cells and not cells[-1] and inner.endswith("|"):
        cells.pop()
    return cells
