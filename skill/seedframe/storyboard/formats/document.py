"""A board file that is parsed and not yet checked.

In: text and its file name. Out: `Document`: a canonical dict and, for any spot in it, line and column of the file.
Never in here: what a field may hold (the schema says that).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding

Spot = tuple[str | int, ...]
"""A way into the dict: ("shots", 2, "shot_size")."""


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, counted from 1; in tables the column is the cell's. `label` is the file's name for it."""

    line: int
    column: int
    label: str = ""

    def message(self) -> Message:
        """The place as a message."""
        key = "storyboard.place-named" if self.label else "storyboard.place"
        return Message(key, line=self.line, column=self.column, label=self.label)

    def __str__(self) -> str:
        return str(self.message())


@dataclass(frozen=True, slots=True)
class Document:
    """`data` is canonical (not yet checked); `place` finds a spot of it in the file, or the nearest thing to it."""

    name: str
    data: dict[str, Any]
    place: Callable[[Spot], Place]
    notices: tuple[BoardFinding, ...] = ()


def refusal(
    name: str,
    place: Place,
    problem: Message,
    *,
    got: Any = None,
    allowed: Any = None,
    advice: Message | None = None,
) -> InvalidRequest:
    """The error for a spot of a file: the message names file, line and column, `field` is the place."""
    message = Message("storyboard.at", file=name, place=place.message(), problem=problem)
    return InvalidRequest(message, field=str(place), got=got, allowed=allowed, advice=advice)


def spot_name(spot: Spot) -> str:
    """`shots[2].shot_size`."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in spot)
    return parts.removeprefix(".")


def place_at(text: str, offset: int, label: str = "") -> Place:
    """The place of a character offset."""
    start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, offset) + 1, offset - start + 1, label)
