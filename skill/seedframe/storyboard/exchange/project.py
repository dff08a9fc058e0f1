"""What the formats of other tools share: a project as it was read, a format as functions, files read with care.

In: paths inside somebody else's folder. Out: values. A symbolic link, a folder or a file of unlikely size in the place
of a file counts as not there. Never in here: one tool's names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.formats.document import Document, Place, Spot, refusal, spot_name
from seedframe.storyboard.types import Board, Role

LARGEST_FILE = 8 * 1024 * 1024
"""Bytes; ten times the longest script that was seen."""


@dataclass(frozen=True, slots=True)
class TheirShot:
    """A shot of ours and what the other tool calls it; `file` is where it is written, told from the folder."""

    id: str
    theirs: str
    file: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project of another tool: `data` is the canonical board, `source` the file or folder it was read from.

    `folder` is where its relative paths begin.
    """

    tool: str
    source: Path
    folder: Path
    data: dict[str, Any]
    shots: tuple[TheirShot, ...]
    notices: tuple[BoardFinding, ...] = ()

    def document(self) -> Document:
        """The board for the checks that every board passes; places name the other tool's file."""
        return Document(self.source.name, self.data, self._place, self.notices)

    def _place(self, spot: Spot) -> Place:
        number = spot[1] if len(spot) > 1 and spot[0] == "shots" else None
        file = self.shots[number].file if isinstance(number, int) else self.source.name
        return Place(1, 1, f"{file}: {spot_name(spot)}")


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A finished picture for a shot: its file, its sidecar's facts, and what it shows."""

    role: Role
    path: Path
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filling:
    """The pictures of a board by shot id; `replace` lets a picture that is there already be written over."""

    keyframes: Mapping[str, Sequence[Keyframe]]
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of the pictures: files written, and files that were there and stay."""

    written: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class NewProject:
    """A board to be written as a project that does not exist yet; `prompts` are what each first frame would be sent."""

    board: Board
    data: Mapping[str, Any]
    folder: Path
    prompts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One tool's format. `find` gives the file or folder to read, or None when the content is not this tool's.

    `write` makes a new project and gives what `read` reads; `fill` gives a project its pictures.
    """

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path], Project]
    write: Callable[[NewProject], Path]
    fill: Callable[[Project, Filling], Filled]


@cache
def vocabulary(tool: str) -> Mapping[str, Any]:
    """The words of a tool and of ours that mean the same, and which fields each has (data: `exchange.json`)."""
    text = (files("seedframe") / "data" / "storyboard" / "exchange.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)["tools"][tool]
    return content


def plain_text(path: Path) -> str | None:
    """The text of a regular file; None where there is none that could be read as text."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_FILE:
            return None
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None


def plain_json(path: Path) -> Any:
    """The JSON of a regular file; None where there is none."""
    text = plain_text(path)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def listed(value: Any) -> list[Any]:
    """A list as it is; anything else that should have been one is none."""
    return value if isinstance(value, list) else []


def table(value: Any) -> dict[str, Any]:
    """An object as it is; anything else that should have been one is empty."""
    return value if isinstance(value, dict) else {}


def words(value: Any) -> str:
    """A text without space around it; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""


def known(**fields: Any) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def broken(path: Path, key: str, **values: Any) -> Exception:
    """InvalidRequest for a project of another tool that cannot be a board."""
    return refusal(path.name, Place(1, 1), Message(f"exchange.{key}", **values), got=str(path))


def write_json(path: Path, content: Any) -> None:
    """A JSON file in the manner of these tools: two spaces, Chinese as it is; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
