"""Boards as plain sentences: one shot for each numbered sentence, as people type them into a chat.

In: text. Out: Document. `(5s)` or `，5秒` at the end is the duration; `项目: …` above is a setting.
Never in here: tables, what a setting means (see `rows`).
"""

from __future__ import annotations

import re

from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import seconds_in
from seedframe.storyboard.formats.document import Document, Place
from seedframe.storyboard.formats.rows import BoardRows, Cell, Row
from seedframe.storyboard.formats.tables import SETTING

NUMBERED = re.compile(
    r"\s*(?:[-*+>]\s+)?\**(?:(?:镜头|分镜|镜|第|shot|scene|panel|frame|#)\s*)?(?P<number>\d{1,4}[A-Za-z]?)"
    r"(?:\s*(?:镜|个镜头))?\**\s*(?:[.、:：)）．。|–—-]|(?<=镜)\s)\**\s*(?P<said>\S.*?)\s*",
    re.IGNORECASE,
)
LENGTH = re.compile(
    r"\s*[,，;；。.]?\s*(?:[(（\[【]\s*(?P<aside>[^()（）\[\]【】]{1,12})\s*[)）\]】]|(?P<plain>\d+(?:\.\d+)?\s*(?:秒|s|sec|seconds)))[。.]?$"
)
HEADING = re.compile(r"\s*#{1,6}\s*(?P<text>.+?)\s*#*\s*")


def is_sentences(text: str) -> bool:
    """Whether one of the first lines is numbered."""
    return any(NUMBERED.fullmatch(line) for line in [line for line in text.splitlines() if line.strip()][:6])


def read_sentences(text: str, name: str) -> Document:
    """InvalidRequest for a text without any numbered sentence."""
    board = BoardRows(name)
    shots: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = NUMBERED.fullmatch(line)
        if match:
            shots.append((number, match["number"], [match["said"]]))
        elif shots and line.strip():
            shots[-1][2].append(line.strip())
        elif line.strip():
            _above(board, number, line)
    for number, written, said in shots:
        board.shot(_row(number, written, " ".join(said) if said[0].isascii() else "".join(said)))
    return board.document()


def _above(board: BoardRows, number: int, line: str) -> None:
    place = Place(number, 1)
    heading = HEADING.fullmatch(line)
    text = heading["text"] if heading else line.strip()
    match = SETTING.fullmatch(text)
    if match and board.setting(Cell(match["key"], match["value"], place)):
        return
    if "title" not in board.data:
        board.setting(Cell("title", text, place))
        return
    board.notices.append(
        BoardFinding("TEXT_UNREAD", "warning", Message("importers.row-unread", line=number, text=text))
    )


def _row(number: int, written: str, said: str) -> Row:
    length = LENGTH.search(said)
    seconds = seconds_in(length["aside"] or length["plain"]) if length else None
    words = said[: length.start()].rstrip() if length and seconds is not None else said
    cells = [Cell("id", written, Place(number, 1, written)), Cell("action", words, Place(number, 1, written))]
    return cells + ([Cell("duration", str(seconds), Place(number, 1, written))] if seconds is not None else [])
