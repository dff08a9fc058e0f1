"""One making of a frame: its id, and how it stands, as the engine says it.

In: ids and states of the engine's workflows. Out: frozen values. Never in here: the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WAITING = ("ENQUEUED", "DELAYED")
ACTIVE = (*WAITING, "PENDING")


@dataclass(frozen=True, slots=True)
class FrameRun:
    """One making of a frame. `round` counts how often it was begun anew, by choice or after a cancel."""

    board: str
    key: str
    round: int = 1

    @property
    def id(self) -> str:
        """The workflow's id: to enqueue the same one twice changes nothing."""
        return f"{self.board}.{self.key}.{self.round}"

    @classmethod
    def of(cls, id: str) -> FrameRun | None:
        """The run of a workflow's id; None for an id that is not ours."""
        rest, _, number = id.rpartition(".")
        board, _, key = rest.rpartition(".")
        return cls(board, key, int(number)) if board and number.isdecimal() else None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How one making stands. `outcome` is what it returned: `{end, path, raw_path, error}`, empty until it has."""

    run: FrameRun
    status: str
    queue: str | None = None
    worker: str | None = None
    completed: int = 0
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it is queued or under way."""
        return self.status in ACTIVE
