"""CSV and TSV boards: one row per shot, as spreadsheets save them.

In: text. Out: Document; a column of a place is the column of the sheet. Columns like 项目, 画幅 and 模型 that are no
fields of a shot speak for the whole board. Never in here: what the columns mean (see `rows`).
"""

from __future__ import annotations

import csv
import io

from seedframe.messages import Message
from seedframe.storyboard.formats.cells import field_of
from seedframe.storyboard.formats.document import Document, Place, refusal
from seedframe.storyboard.formats.rows import BoardRows, Cell, Row, rows_of


def read_csv(text: str, name: str) -> Document:
    """InvalidRequest when a quote is never closed, a row has more cells than columns, or a cell cannot be read."""
    lines = _lines(text, name)
    if not lines:
        raise refusal(name, Place(1, 1), Message("storyboard.empty"))
    (_, titles), *body = lines
    for line, cells in body:
        extra = [column for column, cell in enumerate(cells[len(titles) :], len(titles) + 1) if cell.strip()]
        if extra:
            problem = Message("storyboard.too-many-cells", cells=len(cells), columns=len(titles))
            raise refusal(name, Place(line, extra[0]), problem, got=len(cells), allowed=len(titles))
    board = BoardRows(name)
    for row in rows_of(titles, body):
        board.shot(_without_settings(board, row))
    return board.document()


def _lines(text: str, name: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    lines: list[tuple[int, list[str]]] = []
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise refusal(name, Place(begins, 1), Message("storyboard.csv-broken", reason=str(error))) from error
    return lines


def _delimiter(text: str) -> str:
    header = text.lstrip().split("\n", 1)[0]
    return max(",;\t|", key=header.count)


def _without_settings(board: BoardRows, row: Row) -> Row:
    return [cell for cell in row if not _is_setting(board, cell)]


def _is_setting(board: BoardRows, cell: Cell) -> bool:
    if field_of(cell.title, "shot") is not None or field_of(cell.title, "board") is None:
        return False
    return not cell.text.strip() or board.setting(cell)
