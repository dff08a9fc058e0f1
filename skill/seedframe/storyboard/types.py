"""A board as checked, frozen values.

In: a canonical dict that passed the schema (see `board`). Out: Board, Shot, Character … for the rest of the package.
A text is `{"zh": …, "en": …}` with at least one of the two. Never in here: reading files, wording, decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seedframe.prompting.brief_schema import PICKED

Text = Mapping[str, str]
Role = Literal["first", "last", "ref"]
ElementKind = Literal["product", "character", "scene", "prop"]

LOOK = tuple(part for part in PICKED if part not in {"image_use", "camera_movement", "quality"})
"""Brief parts that name the look of a picture by lexicon id or plain word."""

WORDS = ("subject", "action", "setting", "setting_lead", "details", "text", "must_keep", "avoid", "people")
"""Brief parts that say what is in the picture."""


@dataclass(frozen=True, slots=True)
class BoardPicture:
    """A reference picture as the board names it; `role` and `take` only when they differ from the usual."""

    path: str
    role: str | None = None
    take: Text | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """A character, product or prop: described once, the same in every shot. `text` is the identity sentence."""

    id: str
    name: Text | None = None
    text: Text | None = None
    pictures: tuple[BoardPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class Character(Element):
    """Someone. `kind` decides wording and whether the real-face rule of Seedance applies.

    `asset` is the id (`asset://…`) under which Seedance knows the face; Seedream never gets it.
    """

    kind: Literal["person", "animal", "other"] = "person"
    asset: str | None = None


@dataclass(frozen=True, slots=True)
class Scene(Element):
    """A place with a fixed left and right; `look` holds its time, weather, light and colour."""

    left: Text | None = None
    right: Text | None = None
    look: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shot:
    """One shot. `brief` and `last` hold brief parts (WORDS and LOOK), `last` only what its last frame changes."""

    id: str
    title: Text | None = None
    scene: str | None = None
    characters: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    props: tuple[str, ...] = ()
    brief: Mapping[str, Any] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    frames: tuple[Role, ...] = ("first",)
    takes: int = 1
    prev: str | None = None
    reverse: bool = False
    positions: Mapping[str, str] = field(default_factory=dict)
    direction: str | None = None
    face: bool | None = None
    wardrobe: Text | None = None
    prop_state: Text | None = None
    light: Text | None = None
    motion: Text | None = None
    dialogue: str | None = None
    duration: float | None = None
    model: str | None = None
    seed: int | None = None
    notes: str | None = None

    @property
    def action(self) -> Text | None:
        """The frozen moment of the first frame."""
        return self.brief.get("action")


@dataclass(frozen=True, slots=True)
class Board:
    """A whole storyboard. `folder` is where its relative pictures are; `notices` are findings of the reader.

    `strict` turns advice about prompts into refusals.
    """

    project: str
    shots: tuple[Shot, ...]
    title: Text | None = None
    ratio: str = "9:16"
    model: str | None = None
    size: str | None = None
    resolution: str | None = None
    seed: int | None = None
    seedance: str = "2.0"
    realistic_people: bool = True
    strict: bool = False
    style: Mapping[str, Any] = field(default_factory=dict)
    characters: tuple[Character, ...] = ()
    products: tuple[Element, ...] = ()
    scenes: tuple[Scene, ...] = ()
    props: tuple[Element, ...] = ()
    notes: str | None = None
    folder: str | None = None
    notices: tuple[Any, ...] = ()
