"""Lines that fit a terminal: broken between words, or between Chinese characters, never inside a path.

In: text and a width in columns. Out: lines. Never in here: a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

COLUMNS = 80
_PIECE = re.compile(r"\s+|[　-鿿＀-￯]|[^\s　-鿿＀-￯]+")
"""A space, one wide character, or a word."""


def columns(text: str) -> int:
    """How many columns a text takes."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def wrapped(text: str, *, first: str = "", indent: str = "", width: int = COLUMNS) -> Iterator[str]:
    """Lines of at most `width` columns; a longer word is a line of its own."""
    line, begun = first, False
    for piece in _PIECE.findall(text):
        if begun and columns(line + piece.rstrip()) > width:
            yield line.rstrip()
            line, begun = indent, False
        if begun or not piece.isspace():
            line, begun = line + piece, True
    yield line.rstrip()
