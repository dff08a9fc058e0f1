"""What a run reports: events while it goes on, and the picture of a whole board at one moment.

In: what the engine, the record and the disk say. Out: frozen values, JSON-ready.
Never in here: a database, the engine, wording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from seedframe.messages import LANGUAGES, Language, Message
from seedframe.storyboard.types import Role

State = Literal["waiting", "running", "done", "failed", "unknown", "lost", "cancelled"]
"""`lost`: billed, and no picture is there, or not any more."""

Kind = Literal[
    "started",
    "running",
    "done",
    "failed",
    "unknown",
    "lost",
    "cancelled",
    "blocked",
    "stopped",
    "taken-over",
    "ended",
]
ENDED: frozenset[State] = frozenset({"done", "failed", "unknown", "lost", "cancelled"})


class Sentence(Message):
    """A sentence that was rendered earlier, in every language, and is kept as it is."""

    __slots__ = ()

    @classmethod
    def of(cls, described: Mapping[str, str]) -> Sentence:
        """From text by language."""
        return cls("", **described)

    def text(self, language: Language = "en") -> str:
        """As it was rendered; empty when it was not."""
        return str(self.values.get(language, ""))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `task` is a frame key, None when the whole board is meant; `done` of `total` frames."""

    kind: Kind
    task: str | None
    message: Message
    done: int = 0
    total: int = 0
    path: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """`{event, task, message: {en, zh}, done, total, path}`."""
        return {
            "event": self.kind,
            "task": self.task,
            "message": {language: self.message.text(language) for language in LANGUAGES},
            "done": self.done,
            "total": self.total,
            "path": None if self.path is None else str(self.path),
        }


@dataclass(frozen=True, slots=True)
class FrameState:
    """One frame: `path` is the exact frame, `error` says what happened (text by language); `cost` in the currency.

    `stale`: the picture was made for other words than the board asks for now.
    """

    task: str
    shot: str
    role: Role
    take: int
    state: State
    path: Path | None = None
    raw_path: Path | None = None
    cost: Decimal | None = None
    error: Mapping[str, str] | None = None
    waits_for: tuple[str, ...] = ()
    worker: str | None = None
    stale: bool = False

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "task": self.task,
            "shot": self.shot,
            "role": self.role,
            "take": self.take,
            "state": self.state,
            "path": None if self.path is None else str(self.path),
            "raw_path": None if self.raw_path is None else str(self.raw_path),
            "cost": None if self.cost is None else format(self.cost, "f"),
            "error": None if self.error is None else dict(self.error),
            "waits_for": list(self.waits_for),
            "worker": self.worker,
            "stale": self.stale,
        }


@dataclass(frozen=True, slots=True)
class BoardState:
    """All frames in story order. `spent` is booked or held back (unknown calls count), `budget` the most it may be.

    `currency` is None until the board was started. `manifest` and `sheet` are files of a run that came to its end.
    `stopped` says why nothing more of the board is sent, by language.
    """

    board: str
    project: str
    out: Path
    frames: tuple[FrameState, ...]
    spent: Decimal = Decimal(0)
    budget: Decimal | None = None
    currency: str | None = None
    manifest: Path | None = None
    sheet: Path | None = None
    stopped: Mapping[str, str] | None = None

    def count(self, state: State) -> int:
        """How many frames are in a state."""
        return sum(frame.state == state for frame in self.frames)

    @property
    def finished(self) -> bool:
        """Whether every frame is done."""
        return all(frame.state == "done" for frame in self.frames)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        counts = {state: self.count(state) for state in ("waiting", "running", *sorted(ENDED))}
        return {
            "board": self.board,
            "project": self.project,
            "out": str(self.out),
            "finished": self.finished,
            "counts": counts,
            "spent": format(self.spent, "f"),
            "budget": None if self.budget is None else format(self.budget, "f"),
            "currency": self.currency,
            "manifest": None if self.manifest is None else str(self.manifest),
            "sheet": None if self.sheet is None else str(self.sheet),
            "stopped": None if self.stopped is None else dict(self.stopped),
            "stale": [frame.task for frame in self.frames if frame.stale],
            "frames": [frame.as_json() for frame in self.frames],
        }
