"""Foreign text made safe to quote: one line of visible text, of bounded length.

In: text of the service, a header, a network library's error. Out: the same words without terminal sequences, control,
direction and invisible characters, cut with an ellipsis. Never in here: a secret (see `redaction`), a language.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from seedframe.limits import limits

ELLIPSIS = "…"
"""Marks a cut. `redaction` uses it to find a key that was cut in half."""

_TERMINAL = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|\Z)"  # operating system commands: titles, links, clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c|\Z)"  # device control and other strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, cursor
    r"|\x1b[ -/]*[0-~]?"
)
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Fillers, joiners and variation selectors, which Unicode does not count as format characters."""

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_BREAKS = frozenset({"Zl", "Zp"})
_CLOSING = str.maketrans({"“": "'", "”": "'", "「": "'", "」": "'"})
"""Our own quotation marks, which a quote must not contain."""


def quoted(words: object, limit: int | None = None) -> str:
    """The text on one line, visible, at most `limit` characters; the default is for errors."""
    limit = limit or limits().error_text
    text = _TERMINAL.sub("", str(words)[: limit * 64])
    text = "".join(_shown(letter) for letter in _UNSEEN.sub("", text))
    text = " ".join(text.split()).translate(_CLOSING)
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def quoted_name(name: object) -> str:
    """A code, an id or a host on one line, visible, cut beyond any real length."""
    return quoted(name, limits().error_name)


def quoted_values(value: Any) -> Any:
    """A JSON value whose texts are quoted, names included."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return {quoted_name(name): quoted_values(item) for name, item in value.items()}
    if isinstance(value, list):
        return [quoted_values(item) for item in value]
    return value


def _shown(letter: str) -> str:
    if letter in "\t\n\r\x0b\x0c":
        return " "
    kind = unicodedata.category(letter)
    if kind in _BREAKS:
        return " "
    return "" if kind in _INVISIBLE else letter
