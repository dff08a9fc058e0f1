"""Tables of any source: which row is the header, what the rows define, what the rows above the header say.

In: numbered rows of cells, the heading (or sheet name) above. Out: shots, elements and settings in `BoardRows`.
Never in here: how a table is written (CSV, Markdown, xlsx), what a column means (see `rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import field_of, table_of
from seedframe.storyboard.formats.document import Place, refusal
from seedframe.storyboard.formats.rows import BoardRows, Cell, Row, rows_of

Line = tuple[int, Sequence[str]]

PICTURE = frozenset({"action", "subject", "first"})
SHOT_ONLY = frozenset({"id", "shot_size", "motion", "duration", "frames", "dialogue"})
LOOKED_AT = 12
"""A header is among the first rows, or there is none."""

SETTING = re.compile(r"\s*(?P<key>[^:：]{1,24}?)\s*[:：]\s*(?P<value>\S.*?)\s*")


def add_table(board: BoardRows, lines: Sequence[Line], heading: str = "", *, otherwise: str | None = None) -> None:
    """Everything a table says. InvalidRequest for a row that cannot be read.

    A table without a known title is read as `otherwise`; without that it is a finding.
    """
    if not lines:
        return
    start = _header(lines)
    (number, titles), body = lines[start], lines[start + 1 :]
    for line in lines[:start]:
        _above(board, line)
    kind = _kind(titles, heading) or otherwise
    if kind is None:
        board.notices.append(BoardFinding("TABLE_UNKNOWN", "warning", Message("storyboard.table-unknown", line=number)))
        return
    for row in rows_of(titles, _checked(board.name, titles, body)):
        _add(board, kind, row)


def _header(lines: Sequence[Line]) -> int:
    """The first row that reads like column titles: its first cells may be a title over the table."""
    for index, (_, cells) in enumerate(lines[:LOOKED_AT]):
        known = [cell for cell in cells if cell.strip() and _is_title(cell)]
        if len(known) >= min(2, len([cell for cell in cells if cell.strip()])) and known:
            return index
    return 0


def _is_title(cell: str) -> bool:
    return any(field_of(cell, group) for group in ("shot", "element")) or table_of(cell) is not None


def _above(board: BoardRows, line: Line) -> None:
    """A row above the header: settings (`项目: …`, or a cell beside its name), else the title of the board."""
    number, cells = line
    said = [(column, cell.strip()) for column, cell in enumerate(cells, 1) if cell.strip()]
    for column, text in said:
        match = SETTING.fullmatch(text)
        if match and board.setting(Cell(match["key"], match["value"], Place(number, column, match["key"]))):
            return
    pairs = list(zip(said[::2], said[1::2], strict=False))
    if len(said) % 2 == 0 and all(field_of(key, "board") for (_, key), _ in pairs):
        for (_, key), (column, value) in pairs:
            board.setting(Cell(key, value, Place(number, column, key)))
    elif len(said) == 1 and "title" not in board.data:
        board.setting(Cell("title", said[0][1], Place(number, said[0][0], "title")))
    elif said:
        text = " ".join(word for _, word in said)
        board.notices.append(
            BoardFinding("TEXT_UNREAD", "warning", Message("importers.row-unread", line=number, text=text))
        )


def _checked(name: str, titles: Sequence[str], body: Sequence[Line]) -> Iterator[Line]:
    for number, cells in body:
        extra = [column for column, cell in enumerate(cells[len(titles) :], len(titles) + 1) if cell.strip()]
        if extra:
            problem = Message("storyboard.too-many-cells", cells=len(cells), columns=len(titles))
            raise refusal(name, Place(number, extra[0]), problem, got=len(cells), allowed=len(titles))
        if len(cells) != len(titles) or any(
            cell.strip() != title.strip() for cell, title in zip(cells, titles, strict=False)
        ):
            yield number, cells


def _kind(titles: Sequence[str], heading: str) -> str | None:
    """What the rows define: as the heading says, unless they have a picture column; else as the first column says."""
    shot_fields = {found[0] for found in (field_of(title, "shot") for title in titles) if found}
    above = table_of(heading)
    if above and not shot_fields & {"shot_size", "motion", "duration", "frames"}:
        return above
    first = table_of(titles[0])
    if first and not shot_fields & SHOT_ONLY and any(field_of(title, "element") for title in titles[1:]):
        return first
    return "shots" if shot_fields & PICTURE else None


def _add(board: BoardRows, kind: str, row: Row) -> None:
    if kind == "shots":
        board.shot(_without_settings(board, row))
    elif row[0].text.strip():
        board.element(kind, row)
    else:
        raise refusal(board.name, row[0].place, Message("storyboard.field-missing", field="id"))


def _without_settings(board: BoardRows, row: Row) -> Row:
    """Columns like 项目, 画幅 and 模型, which are not fields of a shot, apply to the whole board."""
    return [cell for cell in row if not _is_setting(board, cell)]


def _is_setting(board: BoardRows, cell: Cell) -> bool:
    if field_of(cell.title, "shot") is not None or field_of(cell.title, "board") is None:
        return False
    return not cell.text.strip() or board.setting(cell)
