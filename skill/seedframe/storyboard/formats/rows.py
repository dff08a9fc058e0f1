"""Rows of a table, or notes that read like rows, become the canonical dict of a board.

In: rows of (column title, cell, place). Out: Document. Elements only named in shots are defined by their name alone.
Never in here: how a table is written (Markdown, CSV, Fountain).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import (
    Unreadable,
    columns,
    field_of,
    kind_of,
    says,
    seconds_in,
    shown_id,
    value_of,
)
from seedframe.storyboard.formats.document import Document, Place, Spot, refusal
from seedframe.storyboard.formats.shot_ids import shot_id

ELEMENTS = ("characters", "products", "scenes", "props")
JOINED = ("text", "said", "frame")
"""Kinds of columns of which a shot may have several (画面 and 动作, 台词 and 旁白): their texts are joined."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The text under a column title, and its place."""

    title: str
    text: str
    place: Place


Row = Sequence[Cell]


@dataclass(slots=True)
class BoardRows:
    """Collects the content of a file, row by row, with the place of each value."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Spot, Place] = field(default_factory=dict)
    notices: list[BoardFinding] = field(default_factory=list)
    numbers: list[tuple[Cell, int | None]] = field(default_factory=list)
    """Per shot: its number as the file writes it, and the number of its scene when the format counts scenes."""

    def setting(self, cell: Cell) -> bool:
        """A board-level `key: value`; False when the key is none."""
        found = field_of(cell.title, "board")
        if found is None:
            return False
        section, _, part = found[0].rpartition(".")
        target = self.data.setdefault(section, {}) if section else self.data
        self._put(target, found[0], found[1], cell, into=part)
        self.places[(*((section,) if section else ()), part)] = cell.place
        return True

    def element(self, kind: str, row: Row) -> None:
        """A row that defines a character, product, scene or prop; the first column is its id."""
        item: dict[str, Any] = {"id": shown_id(row[0].text)}
        spot = (kind, len(self.data.setdefault(kind, [])))
        self.places[spot] = self.places[(*spot, "id")] = row[0].place
        if item["id"] != row[0].text.strip():
            item["name"] = row[0].text.strip()
        self._fill(item, spot, row[1:], "element")
        self.data[kind].append(item)

    def shot(self, row: Row, scene_number: int | None = None) -> dict[str, Any]:
        """A row that is a shot. Returns its dict, to be added to (dialogue of a script)."""
        shots: list[dict[str, Any]] = self.data.setdefault("shots", [])
        spot = ("shots", len(shots))
        self.places[spot] = row[0].place
        written = next((cell for cell in row if field_of(cell.title, "shot") == ("id", None)), None)
        item: dict[str, Any] = {"id": ""}
        self._fill(item, spot, [cell for cell in row if cell is not written], "shot")
        self._frames(item)
        self.numbers.append((written or Cell("", "", row[0].place), scene_number))
        shots.append(item)
        return item

    def document(self) -> Document:
        """Everything collected. Without a project name the file name is used."""
        if not self.data.get("shots"):
            raise refusal(self.name, Place(1, 1), Message("storyboard.no-shots"), allowed=columns()["shot"]["action"])
        project = self.data.get("project", "")
        if project != shown_id(project) and project:
            self.data.setdefault("title", project)
        self.data["project"] = shown_id(project or PurePath(self.name).stem)[:60].strip("_") or "board"
        for kind in ELEMENTS:
            self._define(kind)
        self._number()
        return Document(self.name, self.data, self._place, tuple(self.notices))

    def _fill(self, item: dict[str, Any], spot: Spot, row: Iterable[Cell], group: str) -> None:
        for cell in row:
            found = field_of(cell.title, group)
            if not cell.text.strip():
                continue
            if found is None:
                self._unknown(cell, group)
                continue
            name, language = found
            length = seconds_in(cell.text) if name == "time_of_day" else None
            if length is None:
                self._put(item, name, language, cell)
            else:  # a column 时间 or Time may be the time of day or a duration
                name = "duration"
                self._put(item, name, None, replace(cell, text=str(length)))
            self.places[(*spot, name)] = cell.place

    def _put(
        self, item: dict[str, Any], name: str, language: str | None, cell: Cell, *, into: str | None = None
    ) -> None:
        target = into or name
        if name in ("first", "last", "prev"):
            text = cell.text.strip()
            item[target] = _merged(item.get(target), {language: text} if language else text)
            return
        try:
            value = value_of(name, language, cell.text)
        except Unreadable as error:
            raise refusal(self.name, cell.place, error.problem, got=cell.text, allowed=error.allowed) from error
        before = item.get(target)
        if isinstance(before, str) and isinstance(value, str) and kind_of(name) in JOINED:
            item[target] = before if value in before else _joined(before, value)
            return
        item[target] = _merged(before, value)
        if before is not None and item[target] == value != before and not isinstance(before, dict):
            self._twice(cell, before)

    def _twice(self, cell: Cell, before: Any) -> None:
        message = Message("importers.column-twice", column=cell.title, before=before, now=cell.text.strip())
        self.notices.append(BoardFinding("COLUMN_TWICE", "warning", message))

    def _unknown(self, cell: Cell, group: str) -> None:
        """A column with content that is not a field: reported once, before anything is paid."""
        named: Mapping[str, list[str]] = columns()[group]
        aliases = [alias for names in named.values() for alias in names]
        close = difflib.get_close_matches(cell.title, aliases, n=1, cutoff=0.5)
        key = "storyboard.column-misspelt" if close else "storyboard.column-unknown"
        message = Message(key, column=cell.title, close=close[0] if close else "")
        found = BoardFinding("COLUMN_UNKNOWN", "warning", message)
        if found not in self.notices:
            self.notices.append(found)

    def _number(self) -> None:
        """Canonical ids for all shots, and for the shots they follow."""
        canonical: dict[str, str] = {}
        scenes: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for index, (item, (written, counted)) in enumerate(zip(self.data["shots"], self.numbers, strict=True)):
            number = item.pop("scene") if self._is_number(item.get("scene", "")) else ""
            scene = counted or int(number or 0) or scenes.setdefault(item.get("scene", ""), len(scenes) + 1)
            item["id"] = self._id(written, scene, counts[f"SC{scene:02}"] + 1)
            counts[item["id"].split("_")[1]] += 1
            self.places["shots", index, "id"] = written.place
            self._previous(item, index, canonical)
            canonical[written.text.strip() or item["id"]] = item["id"]

    def _is_number(self, scene: str) -> bool:
        """Whether a scene is only a number, and not the id of a listed scene."""
        return scene.isascii() and scene.isdigit() and scene not in {item["id"] for item in self.data.get("scenes", ())}

    def _id(self, written: Cell, scene: int, order: int) -> str:
        try:
            return shot_id(written.text, scene=scene, order=order)
        except Unreadable as error:
            raise refusal(self.name, written.place, error.problem, got=written.text, allowed=error.allowed) from error

    def _frames(self, item: dict[str, Any]) -> None:
        """The columns 首帧 and 尾帧: a mark asks for the frame, other words describe its picture."""
        given = item.get("frames")
        # A column for the last frame alone: the picture column is the first frame.
        roles = list(given or (["first"] if "last" in item and "first" not in item else []))
        for role in ("first", "last"):
            cell = item.pop(role, None)
            if cell is None or (isinstance(cell, str) and says("no", cell)):
                continue
            roles.append(role)
            if not (isinstance(cell, str) and says("yes", cell)):
                item.update({"last": {"action": cell}} if role == "last" else {"action": item.get("action", cell)})
        if roles:
            item["frames"] = list(dict.fromkeys(roles))

    def _previous(self, item: dict[str, Any], index: int, canonical: Mapping[str, str]) -> None:
        earlier = item.get("prev")
        if earlier is None:
            return
        if says("no", earlier):
            item["prev"] = None
        elif says("previous", earlier) and earlier not in canonical:
            if index == 0:
                raise refusal(
                    self.name, self._place(("shots", 0, "prev")), Message("storyboard.prev-of-first"), got=earlier
                )
            item["prev"] = self.data["shots"][index - 1]["id"]
        else:
            item["prev"] = canonical.get(earlier, earlier.upper())

    def _define(self, kind: str) -> None:
        """Elements that shots name: a known name refers to its element, any other name defines a new one."""
        items = self.data.get(kind, [])
        known = {alias: item["id"] for item in items for alias in _called(item)}
        for index, shot in enumerate(self.data["shots"]):
            if kind == "scenes" and "scene" in shot and not self._is_number(shot["scene"]):
                shot["scene"] = self._known(kind, known, shot["scene"], index)
            elif kind != "scenes" and shot.get(kind):
                shot[kind] = list(dict.fromkeys(self._known(kind, known, name, index) for name in shot[kind]))

    def _known(self, kind: str, known: dict[str, str], name: str, index: int) -> str:
        if name not in known:
            known[name] = name
            items = self.data.setdefault(kind, [])
            singular = "scene" if kind == "scenes" else kind
            self.places[(kind, len(items))] = self._place(("shots", index, singular))
            items.append({"id": name, "name": name.replace("_", " ")})
        return known[name]

    def _place(self, spot: Spot) -> Place:
        for length in range(len(spot), 0, -1):
            if spot[:length] in self.places:
                return self.places[spot[:length]]
        return Place(1, 1)


def rows_of(titles: Sequence[str], lines: Iterable[tuple[int, Sequence[str]]]) -> Iterator[Row]:
    """Rows of cells out of (line number, cells); rows with nothing in them are left out."""
    for line, cells in lines:
        if any(cell.strip() for cell in cells):
            yield [
                Cell(title, text, Place(line, column, title.strip()))
                for column, (title, text) in enumerate(zip(titles, cells, strict=False), 1)
            ]


def _called(item: Mapping[str, Any]) -> set[str]:
    name = item.get("name", {})
    names = [name] if isinstance(name, str) else list(name.values())
    return {item["id"], *map(shown_id, names)}


def _joined(before: str, value: str) -> str:
    """Two texts of one field, as one."""
    if "\n" in before or "\n" in value:
        return f"{before}\n{value}"
    ends = before[-1] in ".!?。！？…；;,，"
    between = " " if before.isascii() else ""
    return before + (between if ends else ", " if before.isascii() else "，") + value


def _merged(before: Any, value: Any) -> Any:
    """Two columns of one field: languages are joined, anything else is replaced."""
    if isinstance(before, str) and isinstance(value, dict):
        other = "en" if "zh" in value else "zh"
        return {other: before} | value
    if isinstance(before, dict) and isinstance(value, str):
        other = "en" if "zh" in before else "zh"
        return {other: value} | before
    if isinstance(before, dict) and isinstance(value, dict):
        return before | value
    if isinstance(before, list) and isinstance(value, list) and len(before) == len(value):
        return [_merged(old, new) for old, new in zip(before, value, strict=True)]
    return value
