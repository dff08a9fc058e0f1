"""CSV and TSV boards: one row per shot, as spreadsheets save them.

In: text. Out: Document; the column of a place is the column of the sheet.
Never in here: which row is the header (see `tables`), what the columns mean (see `rows`).
"""

from __future__ import annotations

import csv
import io

from seedframe.messages import Message
from seedframe.storyboard.formats.document import Document, Place, refusal
from seedframe.storyboard.formats.rows import BoardRows
from seedframe.storyboard.formats.tables import LOOKED_AT, add_table


def read_csv(text: str, name: str) -> Document:
    """InvalidRequest when a quote is never closed, a row has more cells than columns, or a cell cannot be read."""
    lines = _lines(text, name)
    if not lines:
        raise refusal(name, Place(1, 1), Message("storyboard.empty"))
    board = BoardRows(name)
    add_table(board, lines, otherwise="shots")
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
    """The separator that cuts the first rows into the most cells; a title above the table has none."""
    head = "\n".join(text.strip().split("\n")[:LOOKED_AT])
    return max(",;\t|", key=head.count)
