"""Style sheets: how prompts for one family of models are written. Data in prompts/styles, one file per sheet.

In: a sheet's name. Out: the sheet. Never in here: the content of a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.package_data import folder, read_json


@dataclass(frozen=True, slots=True)
class Sheet:
    """A style sheet: its language, the order of its sentences, and its rules per slot (raw, as in the file).

    `fronted` is the order for a lead sentence that opens with time and place; empty where there is no such order.
    """

    name: str
    language: Literal["zh", "en"]
    wording: Mapping[str, str]
    marks: Mapping[str, str]
    sentences: tuple[tuple[str, ...], ...]
    fronted: tuple[tuple[str, ...], ...]
    lean: Mapping[str, Any]
    slots: Mapping[str, Mapping[str, Any]]
    forms: Mapping[str, str]
    keyframe_use: str
    drop: tuple[str, ...]
    negative: Mapping[str, Any]

    def rule(self, slot: str) -> Mapping[str, Any]:
        """The rules of a slot; empty when it has none."""
        return self.slots.get(slot, {})


@cache
def names() -> tuple[str, ...]:
    """The sheets that exist, sorted."""
    entries = (folder("prompts") / "styles").iterdir()
    return tuple(sorted(entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")))


@cache
def sheet(name: str) -> Sheet:
    """The sheet `name`; InvalidRequest when there is none."""
    if name not in names():
        raise InvalidRequest(
            Message("styling.no-sheet", got=name, allowed=list(names())), field="sheet", got=name, allowed=list(names())
        )
    raw = read_json(folder("prompts") / "styles" / f"{name}.json")
    return Sheet(
        name=name,
        language=raw["language"],
        wording=raw["wording"],
        marks=raw["marks"],
        sentences=tuple(tuple(slots) for slots in raw["sentences"]),
        fronted=tuple(tuple(slots) for slots in raw["fronted"]),
        lean=raw["lean"],
        slots=raw["slots"],
        forms=raw["forms"],
        keyframe_use=raw["keyframe_use"],
        drop=tuple(raw["drop"]),
        negative=raw["negative"],
    )
