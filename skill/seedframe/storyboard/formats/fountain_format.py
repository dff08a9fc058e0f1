"""Fountain scripts: scene headings and `[[SHOT: …]]` notes; `[[CHARACTER: …]]` and the like define elements.

In: text. Out: Document. A note is cut at `|`: the first part of a shot is its picture, of an element its id; further
parts are `key: value` with the column names of tables, Chinese or English. Dialogue goes to the shot above it.
Never in here: what the keys mean (see `rows`), the rest of Fountain (action and transitions are ignored).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from seedframe.messages import Message
from seedframe.prompting.lexicon import Term, lexicon
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import field_of, seconds_in, shown_id
from seedframe.storyboard.formats.document import Document, Place, place_at, refusal
from seedframe.storyboard.formats.rows import BoardRows, Cell, Row

HEADING = re.compile(
    r"(?:\.(?=[^.])|(?:INT\.?/EXT|INT|EXT|EST|I/E)[. ]\s*|(?:内景|外景|内外景)[\s.、:：]+)(?P<place>.+?)"
    r"(?:\s*[-–—]+\s*(?P<time>[^-–—#]+?))?\s*(?:#[^#]*#)?\s*",
    re.IGNORECASE,
)
NOTE = re.compile(r"\[\[\s*(?P<kind>[^\[\]:：]+?)\s*(?:[:：](?P<body>(?:(?!\[\[).)*?))?\]\]", re.DOTALL)
PART = re.compile(r"[^|]+")
KEYED = re.compile(r"\s*(?P<key>[^:：\s][^:：]{0,24}?)\s*[:：]\s*(?P<value>.*\S)\s*", re.DOTALL)
CUE = re.compile(
    r"\s*(?:@(?P<forced>.+?)|(?P<name>[A-Z][A-Z0-9 .'-]+|[\u4e00-\u9fff·]{1,6}))\s*(?:[(（][^)）]*[)）])?\s*\^?\s*"
)
INLINE = re.compile(r"\s*(?P<name>[\u4e00-\u9fff·]{1,6})\s*(?:[(（][^)）]*[)）])?\s*[：:]\s*(?P<said>\S.*)")
"""Chinese scripts have no capitals: a short name alone above its words, or before a colon, is a cue."""
KINDS = {"shot": "shots", "镜头": "shots", "分镜": "shots"} | {
    word: kind
    for kind, words in {
        "characters": ("character", "角色", "人物"),
        "products": ("product", "产品"),
        "scenes": ("scene", "场景"),
        "props": ("prop", "道具"),
    }.items()
    for word in words
}


def read_fountain(text: str, name: str) -> Document:
    """InvalidRequest for a note that is never closed or cannot be read, or a script without any [[SHOT: …]]."""
    board = BoardRows(name)
    hidden = _without_boneyard(text)
    _title_page(board, hidden)
    notes = list(NOTE.finditer(hidden))
    _all_closed(hidden, name, notes)
    scene: dict[str, Any] = {}
    number, last_shot = 0, None
    for offset, item in _items(hidden, notes):
        if isinstance(item, Heading):
            number, scene, last_shot = number + 1, item.fields(), None
        elif isinstance(item, Speech):
            if last_shot is None:
                lost = Message("importers.dialogue-lost", line=item.line)
                board.notices.append(BoardFinding("DIALOGUE_LOST", "warning", lost))
            else:
                last_shot["dialogue"] = "\n".join(filter(None, (last_shot.get("dialogue"), item.line)))
        elif item["kind"].strip().casefold() in KINDS:
            last_shot = _note(board, hidden, offset, item, (number, scene)) or last_shot
    return board.document()


class Heading:
    """A scene heading: the place is the scene, the time the time of day of its shots."""

    def __init__(self, match: re.Match[str]) -> None:
        self.place, self.time = match["place"].strip(), (match["time"] or "").strip()

    def fields(self) -> dict[str, Any]:
        """What a shot under this heading has unless it says otherwise."""
        found = {"scene": shown_id(self.place)}
        return {**found, "time_of_day": self.time.lower()} if self.time else found


class Speech:
    """A character's dialogue, as one line."""

    def __init__(self, line: str) -> None:
        self.line = line


def _without_boneyard(text: str) -> str:
    """/* … */ blanked out, offsets kept."""
    return re.sub(r"/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.DOTALL)


def _title_page(board: BoardRows, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        match = KEYED.fullmatch(line)
        if match is None:
            break
        board.setting(Cell(match["key"], match["value"], Place(number, match.start("value") + 1, match["key"])))


def _all_closed(text: str, name: str, notes: list[re.Match[str]]) -> None:
    inside = [(note.start(), note.end()) for note in notes]
    for match in re.finditer(r"\[\[", text):
        if (
            not any(start <= match.start() < end for start, end in inside)
            and "]]" not in text[match.start() :].split("[[")[1]
        ):
            raise refusal(name, place_at(text, match.start()), Message("storyboard.note-open"), allowed="[[SHOT: …]]")


def _items(text: str, notes: list[re.Match[str]]) -> Iterator[tuple[int, Any]]:
    """Headings, speeches and notes in file order."""
    found: list[tuple[int, Any]] = [(note.start(), note) for note in notes]
    blank = NOTE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    offset, lines = 0, []
    for line in blank.splitlines(keepends=True):
        lines.append((offset, line.strip()))
        offset += len(line)
    title_page = next((at for at, (_, line) in enumerate(lines) if not KEYED.fullmatch(line)), 0)
    for index, (start, line) in enumerate(lines):
        alone = index == 0 or not lines[index - 1][1]
        heading = HEADING.fullmatch(line) if alone else None
        if heading:
            found.append((start, Heading(heading)))
        elif index > title_page and (inline := INLINE.fullmatch(line)):
            found.append((start, Speech(f"{inline['name']}: {inline['said'].strip()}")))
        elif alone and index + 1 < len(lines) and lines[index + 1][1]:
            found += [(start, speech) for speech in _speech(line, lines[index + 1 :])]
    return iter(sorted(found, key=lambda item: item[0]))


def _speech(line: str, below: list[tuple[int, str]]) -> list[Speech]:
    cue = CUE.fullmatch(line)
    if cue is None:
        return []
    said: list[str] = []
    for _, text in below:
        if not text:
            break
        if not text.startswith("("):
            said.append(text)
    return [Speech(f"{(cue['forced'] or cue['name']).strip()}: {' '.join(said)}")] if said else []


def _note(
    board: BoardRows, text: str, offset: int, note: re.Match[str], under: tuple[int, dict[str, Any]]
) -> dict[str, Any] | None:
    kind = KINDS[note["kind"].strip().casefold()]
    row = _row(text, note, "action" if kind == "shots" else "id")
    row = row or (_picture_below(text, note) if kind == "shots" else [])
    if not row:
        raise refusal(
            board.name, place_at(text, offset), Message("storyboard.note-empty"), allowed="[[SHOT: … | size: CU]]"
        )
    if kind != "shots":
        board.element(kind, row)
        return None
    number, scene = under
    inherited = [Cell(key, value, row[0].place) for key, value in scene.items()]
    return board.shot([*inherited, *row], number or None)


def _row(text: str, note: re.Match[str], first: str) -> Row:
    cells: list[Cell] = []
    for match in PART.finditer(note["body"] or ""):
        part = match.group()
        if not part.strip():
            continue
        start = note.start("body") + match.start() + len(part) - len(part.lstrip())
        keyed = KEYED.fullmatch(part) if cells or first == "action" else None
        if keyed and not cells and field_of(keyed["key"], "shot") is None:
            keyed = None
        title = keyed["key"] if keyed else first if not cells else _unnamed(part)
        value = keyed["value"] if keyed else part
        cells.append(Cell(title, " ".join(value.split()), place_at(text, start, title)))
    return cells


def _unnamed(part: str) -> str:
    """The field of a part without a key: 5s is a duration, CU a size, low angle an angle; else the picture."""
    if seconds_in(part) is not None:
        return "duration"
    words = lexicon()
    sized = (field for field in ("shot_size", "camera_angle") if _is_term(words.term(field, part.strip()), field))
    return next(sized, "action")


def _is_term(term: Term | None, field: str) -> bool:
    return term is not None and term.category == field


def _picture_below(text: str, note: re.Match[str]) -> Row:
    """A note without words of its own: the paragraph below it describes its picture."""
    below = text[note.end() :].lstrip()
    paragraph = re.split(r"\n\s*\n|\[\[", below, maxsplit=1)[0].strip()
    if not paragraph or HEADING.fullmatch(paragraph) or CUE.fullmatch(paragraph.split("\n", 1)[0]):
        return []
    place = place_at(text, text.find(paragraph, note.end()), "action")
    return [Cell("action", " ".join(paragraph.split()), place)]
