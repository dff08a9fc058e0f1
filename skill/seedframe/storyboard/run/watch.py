"""A run is watched: what changes is reported, and the end is noticed.

In: the engine's states of one board, what is recorded of it. Out: events. Never in here: a decision, a payment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.record.database import DatabaseFailed
from seedframe.storyboard.record.frame_payments import FramePayments
from seedframe.storyboard.record.frame_run import RunStatus
from seedframe.storyboard.record.state import BoardState, Event, Kind, Sentence
from seedframe.storyboard.run.engine import EngineClient

LOOK_SECONDS = 0.2
SHARE = 10
LONGEST_PAUSE = 5.0
"""So many times as long as a look took nobody looks again, whatever the board's size, but not longer than this."""

MISSED_LOOKS = 10
"""A minute without an answer of the database ends the run; what is being made goes on as soon as it answers."""

_ENDS: Mapping[Any, Kind] = {
    "done": "done",
    "failed": "failed",
    "unknown": "unknown",
    "lost": "lost",
    "cancelled": "cancelled",
}


class Watch:
    """Looks at one board again and again; `state` and `before` are how it stood before anything was queued."""

    def __init__(
        self,
        client: EngineClient,
        payments: FramePayments,
        state: BoardState,
        before: Mapping[str, RunStatus],
        report: Callable[[Event], None],
    ) -> None:
        self._client = client
        self._payments = payments
        self._board = state.board
        self._total = len(state.frames)
        self._done = {frame.task for frame in state.frames if frame.state == "done"}
        self._report = report
        ended = {key: status for key, status in before.items() if not status.active}
        self._latest = max((status.completed for status in ended.values()), default=0)
        self._ended_rounds = {key: status.run.round for key, status in ended.items()}
        self._running: set[str] = set()

    def started(self) -> None:
        """The first event."""
        message = Message("board_run.event-started", frames=self._total, done=len(self._done))
        self._report(self.event("started", None, message))

    async def is_active(self) -> bool:
        """Whether anything is queued or under way."""
        return await asyncio.to_thread(self._client.is_active, self._board)

    async def until_end(self, lease: float | None) -> None:
        """Report what happens until nothing is queued or under way.

        With a `lease`, that no worker was heard of for so long is said once.
        """
        missed, silent_since, active = 0, time.monotonic(), True
        while active:
            began = time.monotonic()
            try:
                active = await self.is_active()
                await asyncio.to_thread(self._look)
                missed = 0
                if lease is not None and await self._payments.count_workers(lease):
                    silent_since = time.monotonic()
            except DatabaseFailed:
                missed += 1
                if missed > MISSED_LOOKS:
                    raise
                await asyncio.sleep(missed)
                continue
            if lease is not None and time.monotonic() - silent_since > lease:
                self._report(self.event("blocked", None, Message("board_truth.nobody-works", seconds=f"{lease:g}")))
                lease = None
            if active:
                took = time.monotonic() - began
                await asyncio.sleep(max(LOOK_SECONDS, min(SHARE * took, LONGEST_PAUSE)))

    def _look(self) -> None:
        for status in self._client.under_way(self._board):
            if status.run.id not in self._running:
                self._running.add(status.run.id)
                message = Message("board_run.event-running", task=status.run.key)
                self._report(self.event("running", status.run.key, message))
        for status in self._client.ended_since(self._board, self._latest):
            self._latest = max(self._latest, status.completed)
            if status.run.round > self._ended_rounds.get(status.run.key, 0):
                self._ended_rounds[status.run.key] = status.run.round
                self._ended(status)

    def _ended(self, status: RunStatus) -> None:
        ends = {"SUCCESS": status.outcome.get("end"), "CANCELLED": "cancelled"}
        kind = _ENDS.get(ends.get(status.status), "failed")
        key, error = status.run.key, status.outcome.get("error")
        if kind == "done":
            self._done.add(key)
        why = Sentence.of(error if isinstance(error, dict) else {})
        path = status.outcome.get("path")
        name = f"board_truth.event-{kind}" if kind == "lost" else f"board_run.event-{kind}"
        self._report(self.event(kind, key, Message(name, task=key, why=why), Path(path) if path else None))

    def taken_over(self, executor: str, frames: int) -> None:
        """Frames of a dead worker go on here."""
        message = Message("board_run.event-taken-over", worker=executor, frames=frames)
        self._report(self.event("taken-over", None, message))

    def report_end(self, state: BoardState) -> None:
        """The last words: what stopped it, what waits in vain, and the sum."""
        if state.stopped:
            why = Sentence.of(state.stopped)
            self._report(self.event("stopped", None, Message("board_truth.event-stopped", why=why)))
        for frame in state.frames:
            if frame.state == "waiting" and frame.waits_for:
                message = Message("board_run.event-blocked", task=frame.task, needs=list(frame.waits_for))
                self._report(self.event("blocked", frame.task, message))
        spent = f"{state.spent.normalize():f} {state.currency}"
        message = Message("board_run.event-ended", done=state.count("done"), frames=len(state.frames), spent=spent)
        self._report(self.event("ended", None, message))

    def event(self, kind: Kind, task: str | None, message: Message, path: Path | None = None) -> Event:
        """An event with the count so far."""
        return Event(kind, task, message, len(self._done), self._total, path)
