"""Markdown boards: tables of shots, characters, products, scenes and props, with settings as `key: value` lines.

In: text. Out: Document; the column of a place is the table's. A table with a picture column (画面, action) holds shots;
any other is told by its first column (角色, 场景, 道具 …). Never in here: what the columns mean (see `rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from seedframe.messages import Message
from seedframe.storyboard.findings import Finding
from seedframe.storyboard.formats.cells import field_of
from seedframe.storyboard.formats.document import Document, Place, refusal
from seedframe.storyboard.formats.rows import BoardRows, Cell, Row, rows_of

RULE = re.compile(r"\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
SETTING = re.compile(
    r"\s*(?:[-*+]\s+)?(?:\*\*|__)?(?P<key>[^\s:：|#*][^:：|]{0,30}?)(?:\*\*|__)?\s*[:：]\s*(?:\*\*|__)?\s*(?P<value>\S.*?)\s*"
)
CELL = re.compile(r"(?:\\.|[^|\\])*")
ESCAPED = re.compile(r"\\([\\|`*_])")

Line = tuple[int, str]


def read_markdown(text: str, name: str) -> Document:
    """InvalidRequest when no table holds shots or a cell cannot be read."""
    board = BoardRows(name)
    lines = _outside_fences(text)
    index = 0
    while index < len(lines):
        if index + 1 < len(lines) and "|" in lines[index][1] and RULE.fullmatch(lines[index + 1][1]):
            end = next((i for i in range(index + 2, len(lines)) if "|" not in lines[i][1]), len(lines))
            _table(board, lines[index], lines[index + 2 : end])
            index = end
        else:
            _setting(board, lines[index])
            index += 1
    return board.document()


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


def _table(board: BoardRows, header: Line, body: Sequence[Line]) -> None:
    titles = _cells(header[1])
    kind = _kind(titles)
    if kind is None:
        board.notices.append(Finding("TABLE_UNKNOWN", "warning", Message("storyboard.table-unknown", line=header[0])))
        return
    for row in rows_of(titles, _rows(board.name, titles, body)):
        _row(board, kind, row)


def _rows(name: str, titles: Sequence[str], body: Sequence[Line]) -> Iterator[tuple[int, Sequence[str]]]:
    for number, line in body:
        cells = _cells(line)
        if len(cells) > len(titles):
            problem = Message("storyboard.too-many-cells", cells=len(cells), columns=len(titles))
            raise refusal(name, Place(number, len(titles) + 1), problem, got=len(cells), allowed=len(titles))
        yield number, cells


def _row(board: BoardRows, kind: str, row: Row) -> None:
    if kind == "shots":
        board.shot(row)
    elif row[0].text.strip():
        board.element(kind, row)
    else:
        raise refusal(board.name, row[0].place, Message("storyboard.field-missing", field="id"))


def _kind(titles: Sequence[str]) -> str | None:
    shot_fields = {found[0] for found in (field_of(title, "shot") for title in titles) if found}
    first = field_of(titles[0], "tables")
    defines = first and any(field_of(title, "element") for title in titles[1:])
    if defines and not shot_fields & {"id", "shot_size", "motion", "duration", "frames", "dialogue"} - {first}:
        return first[0] if first else None
    return "shots" if shot_fields & {"action", "subject", "first"} else None


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
