"""Cells of imported boards: the meaning of column titles and cells, in Chinese or English.

In: a column title, a cell. Out: (field, language) and a JSON value. Data: `columns.json`.
Never in here: rows, tables, files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from seedframe.messages import Message
from seedframe.package_data import data_json

NAMES = re.compile(r"\s*[,，、;；/&+]\s*|\s+and\s+")
ROLES = re.compile(rf"{NAMES.pattern}|[和与]")
ITEMS = re.compile(r"\s*(?:[;；、\n]|<br\s*/?>)\s*")
TERMS = re.compile(r"\s*[,，、;；]\s*")
LOOKS = ("plain", "terms")
"""Kinds of columns whose words are looked up in the lexicon."""

TOLD = ("text", "texts", "frame")
"""Kinds of columns that may say which language they are in."""

PRIMES = str.maketrans({"″": '"', "”": '"', "＂": '"', "′": "'", "’": "'", "＇": "'"})
"""Signs for minutes and seconds, however they are typed; NFKC would take a double prime apart."""

_UNIT = r"(?:s|secs?\.?|seconds?|秒钟?|\"|'')"
SECONDS = re.compile(
    rf"(?:约|大约|ca\.?|~)?\s*(?:(?P<minutes>\d+)\s*(?:[:分'm]|min)\s*)?(?P<seconds>\d+(?:\.\d+)?)\s*{_UNIT}?",
    re.IGNORECASE,
)
TIMECODE = re.compile(
    rf"(?P<start>\d+(?:[:'.]\d+)*)\s*{_UNIT}?\s*[-–—~至到]\s*(?P<end>\d+(?:[:'.]\d+)*)\s*{_UNIT}?", re.IGNORECASE
)
SLASH = re.compile(r"(?P<han>(?<=[\u4e00-\u9fff])\s*[/／|｜]\s*(?=[\u4e00-\u9fff]))|\s+[/／|｜]\s+")
"""Between two words of look in one cell; f/1.4 is one word."""

ASIDE = re.compile(r"[(（\[【<][^)）\]】>]*[)）\]】>]")
SEPARATED = re.compile(r"\s*(?:[/／|｜、&＆+＋]|\bor\b|\band\b|\bund\b|或|和|及)\s*", re.IGNORECASE)


class Unreadable(ValueError):
    """A cell without a meaning in its column; `allowed` is what could be there."""

    def __init__(self, problem: Message, allowed: Any) -> None:
        super().__init__(problem, allowed)
        self.problem, self.allowed = problem, allowed


@cache
def columns() -> Mapping[str, Any]:
    """The names of `columns.json`."""
    content: Mapping[str, Any] = data_json("storyboard/columns.json")
    return content


def plain(name: str) -> str:
    """A name as it is compared: full-width forms folded, without case, spaces and _ - * ( ) . and the like."""
    return re.sub(r"[\s_\-*()`:：.\"']+", "", unicodedata.normalize("NFKC", name)).casefold()


@cache
def _aliases(group: str) -> Mapping[str, str]:
    named: Mapping[str, list[str]] = columns()[group]
    own = {plain(field): field for field in named}
    return own | {plain(alias): field for field, aliases in named.items() for alias in aliases}


@cache
def field_of(title: str, group: str) -> tuple[str, str | None] | None:
    """(field, language or None) of a column title in a group (shot, element, board, tables); None when unknown.

    `时长(秒)` is 时长. `台词/旁白` has the meaning of its parts when they agree; `景别/机位` that of its
    first part: words about the look are assigned to their own fields later.
    """
    whole = _field_of(title, group) or _field_of(ASIDE.sub("", title), group)
    if whole:
        return whole
    parts = [_field_of(part, group) for part in SEPARATED.split(ASIDE.sub("", title)) if part]
    found = [part for part in parts if part]
    alike = len(set(found)) == 1 or all(kind_of(field) in LOOKS for field, _ in found)
    return found[0] if 1 < len(found) == len(parts) and alike else None


def table_of(title: str) -> str | None:
    """characters, products, scenes or props: what a table with this heading, or this first column, defines."""
    found = field_of(title.strip().strip("#").strip(), "tables")
    return found[0] if found else None


def _field_of(title: str, group: str) -> tuple[str, str | None] | None:
    known, name = _aliases(group), plain(title)
    if name in known:
        return known[name], None
    for language, marks in columns()["languages"].items():
        for mark in marks:
            for rest in (name.removesuffix(mark), name.removeprefix(mark)):
                if rest != name and rest in known and kind_of(known[rest]) in TOLD:
                    return known[rest], language
    return None


@cache
def kind_of(field: str) -> str:
    """The kind of value in the cells of a field."""
    kinds: Mapping[str, list[str]] = columns()["kinds"]
    return next((kind for kind, fields in kinds.items() if field in fields), "plain")


def says(group: str, cell: str) -> bool:
    """Whether a cell is one of the words for yes, no or previous."""
    return (
        plain(cell) in {plain(word) for word in columns()["words"][group]} or cell.strip() in columns()["words"][group]
    )


def value_of(field: str, language: str | None, cell: str) -> Any:
    """The value of a cell that is not empty; Unreadable when it has none."""
    kind, cell = kind_of(field), cell.strip()
    if kind in ("names", "paths", "terms", "texts"):
        return _many(kind, language, cell)
    if kind == "text":
        return {language: cell} if language else cell
    if kind == "name":
        return shown_id(cell)
    if kind == "frames":
        return _frames(cell)
    if kind in ("side", "character_kind"):
        return _word(kind, cell)
    if kind == "plain":
        return SLASH.sub(lambda match: "，" if match["han"] else ", ", cell)
    return {"whole": _whole, "seconds": _seconds, "flag": _flag}.get(kind, str)(cell)


def shown_id(name: str) -> str:
    """An id made of a name: characters an id may not contain become _."""
    return re.sub("[^A-Za-z0-9_\u4e00-\u9fff-]+", "_", name.strip()).strip("_") or "_"


def _many(kind: str, language: str | None, cell: str) -> list[Any]:
    pattern = {"names": NAMES, "terms": TERMS}.get(kind, ITEMS)
    found = [part for part in pattern.split(cell) if part]
    if kind == "names":
        return list(dict.fromkeys(shown_id(part) for part in found))
    return [{language: part} for part in found] if language and kind == "texts" else found


def _whole(cell: str) -> int:
    digits = re.fullmatch(r"(\d+)(?:\.0)?\s*[条版张个]?", unicodedata.normalize("NFKC", cell))
    if digits is None:
        raise Unreadable(Message("storyboard.not-whole", got=cell), "1, 2, 3 …")
    return int(digits[1])


def _seconds(cell: str) -> float:
    match = SECONDS.fullmatch(_timed(cell))
    if match is None:
        raise Unreadable(Message("storyboard.not-seconds", got=cell), "5, 5s, 5秒, 0:05")
    return _number(float(match["seconds"]) + 60 * int(match["minutes"] or 0))


def seconds_in(cell: str) -> float | None:
    """The duration in a cell of a column 时间 or Time (5s, 0-3秒, 00:02-00:05); None when it is not a duration."""
    text = _timed(cell)
    span = TIMECODE.fullmatch(text)
    if span:
        length = _clock(span["end"]) - _clock(span["start"])
        return _number(length) if length > 0 else None
    match = SECONDS.fullmatch(text)
    return _seconds(cell) if match else None


def _timed(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell.strip().translate(PRIMES)).strip()


def _clock(text: str) -> float:
    minutes, _, seconds = text.replace("'", ":").rpartition(":")
    return float(seconds) + 60 * float(minutes.rpartition(":")[2] or 0)


def _number(seconds: float) -> float:
    return int(seconds) if seconds.is_integer() else round(seconds, 3)


def _flag(cell: str) -> bool:
    if not says("yes", cell) and not says("no", cell):
        raise Unreadable(Message("storyboard.not-flag", got=cell), columns()["words"]["yes"] + columns()["words"]["no"])
    return says("yes", cell)


def _word(group: str, cell: str) -> str:
    named: Mapping[str, list[str]] = columns()["words"][group]
    for word, aliases in named.items():
        if plain(cell) in {plain(word), *map(plain, aliases)}:
            return word
    raise Unreadable(Message("storyboard.not-word", got=cell), list(named))


def _frames(cell: str) -> list[str]:
    found = [word for part in ROLES.split(cell) if part for word in _word("frames", part).split()]
    return list(dict.fromkeys(found))
