"""Boards as Excel workbooks: each sheet is a table, recognised by its header or its name (openpyxl, extra `xlsx`).

In: the bytes of a file. Out: Document; a line of a place is the row of the sheet.
Never in here: formulas (their last values count), pictures in cells, what the columns mean (see `rows`).
"""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.storyboard.formats.document import Document, Place, refusal
from seedframe.storyboard.formats.rows import BoardRows
from seedframe.storyboard.formats.tables import add_table

SUFFIXES = (".xlsx", ".xlsm")
MOST_BYTES = 100_000_000
"""The most bytes of an unpacked workbook: no board is larger, a decompression bomb is."""


def read_workbook(content: bytes, name: str) -> Document:
    """InvalidRequest for a file that is not a workbook or has no shots; NotConfigured when openpyxl is missing."""
    _is_sane(content, name)
    board = BoardRows(name)
    for title, lines in _sheets(content, name):
        add_table(board, lines, title)
    return board.document()


def _is_sane(content: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise refusal(name, Place(1, 1), Message("importers.no-workbook"), allowed=list(SUFFIXES)) from error
    if unpacked > MOST_BYTES:
        raise refusal(name, Place(1, 1), Message("importers.workbook-too-large"), got=unpacked, allowed=MOST_BYTES)


def _sheets(content: bytes, name: str) -> Iterator[tuple[str, list[tuple[int, Sequence[str]]]]]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise NotConfigured(Message("importers.xlsx-missing"), advice=Message("importers.xlsx-install")) from error
    try:
        payments = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except (KeyError, ValueError, OSError) as error:
        raise refusal(name, Place(1, 1), Message("importers.no-workbook"), allowed=list(SUFFIXES)) from error
    for sheet in payments.worksheets:
        rows = enumerate(sheet.iter_rows(values_only=True), 1)
        lines = [(number, _trimmed([_text(value) for value in row])) for number, row in rows]
        yield sheet.title, [line for line in lines if line[1]]
    payments.close()


def _trimmed(cells: list[str]) -> list[str]:
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def _text(value: Any) -> str:
    """A cell as it is shown: 5.0 is 5, and 0:05, which Excel takes for five past midnight, stays 0:05."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.time):
        return f"{value.minute}:{value.second:02}" if value.second else f"{value.hour}:{value.minute:02}"
    return str(value)
