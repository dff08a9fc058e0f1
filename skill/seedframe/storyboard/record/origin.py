"""Where a board's record comes from decides what is believed of it: one of this machine, or one that was brought along.

In: a folder, its record, what this machine remembers (home). Out: the evidence a run begins with; a board's state as
the files alone show it; a state whose every path lies in the folder.
Never in here: a payment, the engine, a path that is followed out of the folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from seedframe.errors import InvalidRequest, StoreError
from seedframe.messages import Message
from seedframe.object_places import place_of
from seedframe.settings import Settings
from seedframe.storyboard.board_folder import board_in, is_inside, results_in
from seedframe.storyboard.folder_links import card_in
from seedframe.storyboard.frames import FrameTask, frames_of
from seedframe.storyboard.picks import read_picks
from seedframe.storyboard.record.adoption import Evidence
from seedframe.storyboard.record.database import database_url, is_postgres, sqlite_path
from seedframe.storyboard.record.engine_home import BoardHome
from seedframe.storyboard.record.frame_payments import BoardRecord, FramePayments, task_of
from seedframe.storyboard.record.proof import proven
from seedframe.storyboard.record.state import BoardState, FrameState
from seedframe.storyboard.remote_folder import bring_pictures


@dataclass(frozen=True, slots=True)
class RecordOrigin:
    """A board about to be run: its name in the record, its folder, the record's address."""

    board: str
    out: Path
    url: str
    settings: Settings

    async def evidence(self, payments: FramePayments, tasks: Sequence[FrameTask]) -> Evidence | None:
        """What the folder proves; None where this machine made the record and every path in it is inside."""
        record = await payments.record(self.board)
        remote = place_of(self.out, self.settings.object_cache) is not None
        if record is not None and record.currency is not None and (remote or self._is_ours(record)):
            return None  # of a place, the record alone knows what is done: its pictures need not be here
        if remote:
            await asyncio.to_thread(bring_pictures, self.out, self.settings)
        # A finished frame is proven as what it was made for: a shot that was edited since keeps its picture.
        frames = record.frames.values() if record else ()
        finished = {frame.key: task_of(frame.made_for) for frame in frames if frame.path and frame.made_for}
        return await asyncio.to_thread(self._looked, [finished.get(task.key, task) for task in tasks])

    def remember(self) -> None:
        """From now on this machine goes by the record."""
        home = self._home()
        if home is not None and not home.knows(self.board):
            home.remember(self.board)

    def _is_ours(self, record: BoardRecord) -> bool:
        home = self._home()
        known = home is None or home.knows(self.board)
        return known and all(frame.path.parent == self.out for frame in record.frames.values() if frame.path)

    def _looked(self, tasks: Sequence[FrameTask]) -> Evidence:
        backend = self.settings.backend
        alone = self.url == database_url(self.out, None)
        return Evidence(proven(tasks, self.out, self.settings, backend), _unknown_before(self.out), alone)

    def _home(self) -> BoardHome | None:
        """None for a PostgreSQL: what it holds was not brought along with a folder."""
        return None if is_postgres(self.url) else BoardHome.of(self.settings.journal, sqlite_path(self.url))


def state_by_files(out: Path, settings: Settings) -> BoardState | None:
    """A board whose record is elsewhere or lost: done is what is proven, unknown what its manifest did not know.

    None when nothing of a run is there.
    """
    try:
        board = board_in(out)
    except InvalidRequest:
        return None
    card = card_in(out)
    tasks = frames_of(board, read_picks(out))
    proofs = proven(tasks, out, settings, (card and card.backend) or settings.backend)
    unknown = _unknown_before(out)
    if not (proofs or unknown):
        return None
    done = set(proofs)
    frames = []
    for task in tasks:
        proof = proofs.get(task.key)
        state = FrameState(task.key, task.shot, task.role, task.take, "unknown" if task.key in unknown else "waiting")
        if proof is not None:
            state = replace(state, state="done", path=proof.path, raw_path=proof.raw_path)
        frames.append(replace(state, waits_for=tuple(key for key in task.depends_on if key not in done)))
    return BoardState(card.id if card else board.project, board.project, out, tuple(frames))


def in_folder(state: BoardState, out: Path) -> BoardState:
    """The state as seen from here: the folder may have been somewhere else, its files lie in it all the same."""
    return replace(state, out=out, frames=tuple(_frame_in(frame, out) for frame in state.frames))


@contextmanager
def folder_errors(out: Path) -> Iterator[None]:
    """Values in a record that no edition of ours writes, in words: StoreError."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, AssertionError) as error:
        why = f"{type(error).__name__}: {error}"[:120]
        raise StoreError(
            Message("board_folder.record-odd", out=out, why=why),
            advice=Message("board_folder.record-refused-advice", folder=out / ".storyboard"),
        ) from error


def _frame_in(frame: FrameState, out: Path) -> FrameState:
    return replace(frame, path=_path_in(frame.path, out), raw_path=_path_in(frame.raw_path, out))


def _path_in(path: Path | None, out: Path) -> Path | None:
    if path is None or is_inside(path, out):
        return path
    moved = out / PureWindowsPath(path).name
    return moved if is_inside(moved, out) else None


def _unknown_before(out: Path) -> frozenset[str]:
    """Frames of which the last manifest said that nobody knows whether they were billed."""
    try:
        return frozenset(key for key, result in results_in(out).items() if result.status == "unknown")
    except StoreError:
        return frozenset()
