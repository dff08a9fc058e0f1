"""Turns JSON and YAML as people and models write them into the canonical dict.

In: the data of a file. Out: the data with canonical names, ids and values; where a renamed field stood; findings.
A list of sentences is a list of shots; `prompt`, `description`, numbers as ids, names for ids, 5s and 0:05 are
understood. What is canonical already stays as it is. Never in here: what a field may hold (the schema says that).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.cells import (
    Unreadable,
    field_of,
    kind_of,
    plain,
    seconds_in,
    shown_id,
    table_of,
    value_of,
)
from seedframe.storyboard.formats.document import Spot
from seedframe.storyboard.formats.shot_ids import CANONICAL, shot_id
from seedframe.storyboard.schema import schema_named

ELEMENTS = ("characters", "products", "scenes", "props")
SHOT_LISTS = ("shots", "storyboard", "shotlist", "frames", "panels", "keyframes", "分镜", "镜头", "分镜表", "镜头表")
SINGULAR = {"characters": "character", "products": "product", "scenes": "scene", "props": "prop"}
READ = ("names", "seconds", "flag", "frames", "side", "whole", "name", "character_kind")
"""Kinds whose text needs reading; every other text stands as it is."""


@dataclass(slots=True)
class Loose:
    """The canonical data and where it came from."""

    data: dict[str, Any]
    moved: dict[Spot, Spot] = field(default_factory=dict)
    notices: list[BoardFinding] = field(default_factory=list)

    def original(self, spot: Spot) -> Spot:
        """Where a spot of the canonical data stands in the file."""
        for length in range(len(spot), 0, -1):
            if spot[:length] in self.moved:
                return (*self.moved[spot[:length]], *spot[length:])
        return spot


def canonical(raw: dict[str, Any] | list[Any], name: str) -> Loose:
    """The canonical data of a board; what is not understood stays for the schema to refuse."""
    if isinstance(raw, list):
        loose = Loose({"shots": raw})
        loose.moved["shots",] = ()
    else:
        loose = Loose(_renamed(raw, "board", _known("board")))
        _find_elements(loose, raw)
        _find_shots(loose, raw)
        _nested_shots(loose)
    if isinstance(loose.data.get("shots"), list) and loose.data["shots"]:
        _name(loose.data, name)
        for kind in ELEMENTS:
            _elements(loose, kind)
        loose.data["shots"] = [_shot(loose, index, item) for index, item in enumerate(loose.data["shots"])]
        _number(loose.data["shots"])
        _link(loose.data)
    return loose


@cache
def _known(kind: str) -> frozenset[str]:
    """The canonical fields of a board, a shot or an element."""
    schema = schema_named("board")
    return frozenset((schema if kind == "board" else schema["$defs"][kind])["properties"])


def _renamed(item: Mapping[str, Any], group: str, known: frozenset[str]) -> dict[str, Any]:
    """The same values under canonical names; a name that is taken or unknown stays."""
    renamed: dict[str, Any] = {key: value for key, value in item.items() if key in known}
    for key, value in item.items():
        if key in known:
            continue
        found = field_of(key, group)
        target = found[0] if found else key
        if not found or target not in known:
            renamed[key] = value
        elif target not in renamed:
            renamed[target] = {found[1]: value} if found[1] and isinstance(value, str) else value
        elif kind_of(target) == "said" and isinstance(value, str) and isinstance(renamed[target], str):
            renamed[target] += f"\n{value}"
        elif isinstance(value, str) and isinstance(renamed[target], dict) and found[1]:
            renamed[target] = {**renamed[target], found[1]: value}
        else:
            renamed[key] = value
    return renamed


def _find_elements(loose: Loose, raw: Mapping[str, Any]) -> None:
    """`cast`, `角色表` and the like are lists of characters, scenes and so on."""
    for key, value in raw.items():
        kind = table_of(key) if key not in _known("board") else None
        if kind and kind not in loose.data and isinstance(value, (list, dict)):
            loose.data[kind] = loose.data.pop(key, value)
            loose.moved[kind,] = (key,)


def _find_shots(loose: Loose, raw: Mapping[str, Any]) -> None:
    if "shots" in loose.data:
        return
    named = next((key for key in raw if plain(key) in SHOT_LISTS and isinstance(raw[key], list)), None)
    if named is not None:
        loose.data["shots"] = raw[named]
        loose.data.pop(named, None)
        loose.moved["shots",] = (named,)


def _nested_shots(loose: Loose) -> None:
    """`scenes: [{location, shots: […]}]`: the shots in one list, each with its scene."""
    scenes = loose.data.get("scenes")
    if "shots" in loose.data or not isinstance(scenes, list):
        return
    shots: list[Any] = []
    kept: list[Any] = []
    for number, scene in enumerate(scenes, 1):
        key = next((key for key in scene if plain(key) in SHOT_LISTS), None) if isinstance(scene, dict) else None
        inner = scene.pop(key) if key is not None and isinstance(scene[key], list) else []
        place, where = _place(scene, number)
        kept += [place] if place else []
        for index, shot in enumerate(inner):
            loose.moved["shots", len(shots)] = ("scenes", number - 1, str(key), index)
            own = {"action": shot} if isinstance(shot, str) else shot
            shots.append({"scene": where, **own} if isinstance(own, dict) else own)
    if shots:
        loose.data |= {"shots": shots, "scenes": kept}
        if not kept:
            del loose.data["scenes"]


def _place(scene: Any, number: int) -> tuple[Any, str]:
    """What a scene says about its place, and the name its shots use for it: its number when it has no other."""
    place = _element(scene, "scenes") if scene else None
    if not isinstance(place, dict):
        return place, str(number)
    own = str(place.get("id", ""))
    if own and not own.isdigit():
        return place, own
    if not place.keys() - {"id"}:
        return None, own or str(number)
    place["id"] = shown_id(_first_text(place.get("name")) or f"S{number:02}")
    return place, place["id"]


def _name(data: dict[str, Any], name: str) -> None:
    """The project name, which begins every file name: its own field, the title or the file."""
    title = data.get("project", _first_text(data.get("title")))
    if not isinstance(title, str):
        return
    if "project" in data and title != shown_id(title):
        data.setdefault("title", title)
    data["project"] = shown_id(title)[:60].strip("_") or shown_id(PurePath(name).stem)


def _first_text(value: Any) -> str:
    """A text, or the first language of one in two."""
    if isinstance(value, dict):
        return str(next(iter(value.values()), ""))
    return value if isinstance(value, str) else ""


def _elements(loose: Loose, kind: str) -> None:
    """`{"阿雨": "短发"}`, `["阿雨：短发"]` and `[{"name": …, "description": …}]` define the same character."""
    items = loose.data.get(kind)
    if isinstance(items, dict):
        items = [{"id": key, **(value if isinstance(value, dict) else {"text": value})} for key, value in items.items()]
    if isinstance(items, list):
        loose.data[kind] = [_element(item, kind) for item in items]


def _element(item: Any, kind: str) -> Any:
    if isinstance(item, str):
        name, _, text = item.replace("：", ":").partition(":")
        item = {"id": name.strip(), **({"text": text.strip()} if text.strip() else {})}
    if not isinstance(item, dict):
        return item
    element = _renamed(item, "element", _known(SINGULAR[kind]))
    called = _first_text(element.get("name"))
    own = element.get("id", called)
    if isinstance(own, (str, int)) and not isinstance(own, bool) and str(own):
        element["id"] = shown_id(str(own))
        if element["id"] != str(own):
            element.setdefault("name", str(own))
    if isinstance(element.get("kind"), str):
        element["kind"] = _value("kind", element["kind"])
    return element


def _shot(loose: Loose, index: int, item: Any) -> Any:
    if isinstance(item, str):
        return {"action": item}
    if not isinstance(item, dict):
        return item
    item = {key: value for key, value in item.items() if value not in (None, "", [], {}) or key == "prev"}
    if isinstance(item.get("text"), str):
        item = {"action" if not {"action", "subject"} & item.keys() else "dialogue": item["text"], **_without(item)}
    shot = _renamed(item, "shot", _known("shot"))
    for key in shot.keys() - item.keys():
        source = next((old for old in item if (field_of(old, "shot") or ("",))[0] == key), key)
        loose.moved["shots", index, key] = ("shots", index, source)
    time = shot.get("time_of_day")
    if isinstance(time, (str, int, float)) and seconds_in(str(time)) is not None:
        shot.setdefault("duration", seconds_in(str(shot.pop("time_of_day"))))
    shot = {name: _value(name, value) for name, value in shot.items()}
    content = ("subject", "action", "characters", "products", "props", "scene", "setting")
    if "title" in shot and not any(shot.get(part) for part in content):
        shot["action"] = shot.pop("title")
        message = Message("importers.title-is-action", title=str(shot["action"]))
        loose.notices.append(BoardFinding("TITLE_IS_PICTURE", "info", message))
    return shot


def _without(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "text"}


def _value(name: str, value: Any) -> Any:
    """A text is read like a cell of a table; what cannot be read stays for the schema to refuse."""
    if name == "scene" and isinstance(value, int):
        return str(value)
    if name == "dialogue" and isinstance(value, list):
        return "\n".join(_line(line) for line in value)
    if not isinstance(value, str) or kind_of(name) not in READ:
        return value
    if name == "prev":
        return value
    try:
        return value_of(name, None, value)
    except Unreadable:
        return value


def _line(line: Any) -> str:
    """A line of dialogue, also as `{"speaker": …, "line": …}`."""
    return ": ".join(str(part) for part in line.values()) if isinstance(line, dict) else str(line)


def _number(shots: list[Any]) -> None:
    """Canonical ids for shots that have a number, or none."""
    scenes: dict[str, int] = {}
    counts: Counter[int] = Counter()
    new: dict[str, str] = {}
    for item in shots:
        if not isinstance(item, dict):
            continue
        number, place = item.get("id", ""), str(item.get("scene", ""))
        numbered = place.isdigit()
        scene = int(place) if numbered else scenes.setdefault(place, len(scenes) + 1)
        counts[scene] += 1
        if isinstance(number, bool) or not isinstance(number, (str, int, float)):
            continue
        written = str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)
        if not CANONICAL.fullmatch(written):
            try:
                item["id"] = shot_id(written, scene=scene, order=counts[scene])
            except Unreadable:
                continue
        new[written] = item["id"]
        if item.get("prev") is not None:
            item["prev"] = new.get(str(item["prev"]), item["prev"])


def _link(data: dict[str, Any]) -> None:
    """Shots may name elements by name; a kind that the board does not list at all is defined by its names."""
    for kind in ELEMENTS:
        listed = data.get(kind)
        names = {} if not isinstance(listed, list) else _names(listed)
        key = "scene" if kind == "scenes" else kind
        defined: dict[str, dict[str, str]] = {}
        for shot in data["shots"]:
            if not isinstance(shot, dict) or key not in shot:
                continue
            if key == "scene" and str(shot[key]).isdigit() and shot[key] not in names:
                del shot[key]
                continue
            many = shot[key] if isinstance(shot[key], list) else [shot[key]]
            if not all(isinstance(one, str) for one in many):
                continue
            found = [names.get(one) or names.get(shown_id(one)) or (one if listed else shown_id(one)) for one in many]
            shot[key] = found if isinstance(shot[key], list) else found[0]
            defined |= {own: {"id": own, "name": name} for own, name in zip(found, many, strict=True)}
        if not listed and defined:
            data[kind] = list(defined.values())


def _names(items: list[Any]) -> dict[str, str]:
    """Every name of an element, and its id."""
    found: dict[str, str] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            name = item.get("name")
            known = [name] if isinstance(name, str) else [*name.values()] if isinstance(name, dict) else []
            found |= {str(called): item["id"] for called in (*known, item["id"])}
    return found
