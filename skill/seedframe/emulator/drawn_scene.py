"""What an emulated picture shows, as a value that the picture itself carries: an edit of it knows what is there.

In: names from the data, or the comment of a picture file. Out: a frozen `DrawnScene`, or its text. A comment is foreign
until every name and number in it is known. Never in here: pixels, the words of a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

MARK = "seedframe-emulator-scene:"
"""How the comment of an emulated picture begins."""

MOST_THINGS = 16
MOST_LETTERS = 40
MOST_TEXT = 8000


@dataclass(frozen=True, slots=True)
class Thing:
    """One subject: its name in the data, its colour (None: its own), and where it is.

    `x`, `y`: the middle of its foot as shares of the canvas; `tall`: its height as a share of the canvas's unit. With
    `holder` (the number of another thing) they count from the holder's foot, in heights of the holder.
    """

    name: str
    colour: str | None
    x: float
    y: float
    tall: float
    holder: int = -1


@dataclass(frozen=True, slots=True)
class DrawnScene:
    """A time and weather over a land, with things in it and perhaps letters; `seed` decides what words leave open."""

    mood: str
    land: str
    things: tuple[Thing, ...]
    seed: int
    letters: str = ""
    colourless: bool = False

    def as_text(self) -> str:
        """Return the text a picture file carries."""
        return MARK + json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"))


def scene_in(text: str) -> DrawnScene | None:
    """Read the scene out of a picture's comment; None for any other comment."""
    if not text.startswith(MARK) or len(text) > MOST_TEXT:
        return None
    try:
        stored = json.loads(text.removeprefix(MARK))
        things = tuple(_thing(number, entry) for number, entry in enumerate(stored["things"][:MOST_THINGS]))
        scene = DrawnScene(
            str(stored["mood"]),
            str(stored["land"]),
            things,
            int(stored["seed"]),
            str(stored["letters"])[:MOST_LETTERS],
            bool(stored["colourless"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    known = scene.mood in _names("moods") and scene.land in _names("lands")
    return scene if known else None


def things() -> Mapping[str, Mapping[str, Any]]:
    """Every thing that can be drawn, by name."""
    return {entry["name"]: entry for entry in data("things")["things"]}


@cache
def data(name: str) -> Mapping[str, Any]:
    """Read one data file of the emulator: `scenery` or `things`."""
    path = files("seedframe") / "data" / "emulator" / f"{name}.json"
    loaded: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _names(kind: str) -> set[str]:
    return {entry["name"] for entry in data("scenery")[kind]}


def _thing(number: int, entry: Mapping[str, Any]) -> Thing:
    """One thing of a comment. ValueError for a name, a colour, a place or a holder that cannot be."""
    thing = Thing(**entry)
    places = (thing.x, thing.y, thing.tall)
    if thing.name not in things() or not all(isinstance(value, (int, float)) and abs(value) <= 4 for value in places):
        raise ValueError(thing.name)
    if thing.colour is not None and thing.colour not in {entry["colour"] for entry in data("things")["colours"]}:
        raise ValueError(thing.colour)
    if not -1 <= int(thing.holder) < number:
        raise ValueError(thing.holder)
    return thing
