"""How a board stands, from the three who know: the engine (making), the record (payments), the disk (pictures).

In: a `BoardRecord`, the engine's newest `RunStatus` of each frame, the folder. Out: a `BoardState`; which frames can be
queued now. A picture that is recorded and not on the disk any more is `lost`, whatever anybody says.
Never in here: a database, a network, a decision to pay.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any

from seedframe.messages import LANGUAGES, Message
from seedframe.object_places import is_place
from seedframe.payments.boards import PaymentState
from seedframe.storyboard.names import parts_of_key
from seedframe.storyboard.record.frame_payments import BoardRecord, FrameRecord
from seedframe.storyboard.record.frame_run import FrameRun, RunStatus
from seedframe.storyboard.record.state import BoardState, FrameState, State

Runs = Mapping[str, RunStatus]
NO_RUNS: Runs = {}
_ENDS: frozenset[State] = frozenset({"done", "failed", "unknown", "lost", "cancelled"})


def state_of(record: BoardRecord, runs: Runs, out: Path) -> BoardState:
    """The whole board at one moment. Looks at every recorded picture's file, and reads those that were touched."""
    frames = {key: _frame_state(frame, runs.get(key), record, out) for key, frame in record.frames.items()}
    done = {key for key, frame in frames.items() if frame.path is not None and frame.state != "lost"}
    return BoardState(
        board=record.board,
        project=record.project,
        out=out if is_place(record.folder) else record.folder,
        frames=tuple(_waiting_for(frames[key], record.frames[key], done) for key in frames),
        spent=record.spent,
        budget=record.budget,
        currency=record.currency,
        stopped=record.stopped,
    )


def next_runs(record: BoardRecord, runs: Runs, state: BoardState) -> Mapping[str, Sequence[FrameRun]]:
    """Frames that can be queued without asking anybody: queue → runs, in story order."""
    chosen: dict[str, list[FrameRun]] = {}
    for frame in state.frames:
        status = runs.get(frame.task)
        # What is paid and still lies at the service only has to be fetched.
        wanted = frame.state in {"waiting", "cancelled"} or record.frames[frame.task].payment == "undelivered"
        if wanted and not frame.waits_for and not (status and status.active):
            chosen.setdefault(record.frames[frame.task].queue, []).append(next_run(record.board, frame.task, status))
    return chosen


def runs_left(
    record: BoardRecord, runs: Runs, state: BoardState, payments: Collection[PaymentState]
) -> Mapping[str, Sequence[FrameRun]]:
    """Those of `next_runs` whose payment stands like that."""
    found = {
        queue: [run for run in chosen if record.frames[run.key].payment in payments]
        for queue, chosen in next_runs(record, runs, state).items()
    }
    return {queue: chosen for queue, chosen in found.items() if chosen}


def next_run(board: str, key: str, newest: RunStatus | None) -> FrameRun:
    """The making after the newest one."""
    return FrameRun(board, key, newest.run.round + 1 if newest else 1)


def file_in(path: Path, folder: Path) -> Path:
    """The file of that name in the board's folder: a record is shared, or its folder was somewhere else before."""
    return path if path.parent == folder else folder / PureWindowsPath(path).name


def is_intact(path: Path, made: Mapping[str, Any]) -> bool:
    """Whether the picture is the file that was saved. One that was not touched since is not read again."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return False
        if not made or (found.st_size, found.st_mtime_ns) == (made.get("bytes"), made.get("mtime_ns")):
            return True
        if found.st_size != made.get("bytes"):
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == made.get("sha256")
    except OSError:
        return False


def made_of(path: Path, sha256: str) -> dict[str, Any]:
    """What is recorded of a file that was just saved or proven. OSError when it is not there."""
    found = path.stat()
    return {"sha256": sha256, "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def described(message: Message) -> dict[str, str]:
    """A sentence in every language, to be kept."""
    return {language: message.text(language) for language in LANGUAGES}


def _frame_state(frame: FrameRecord, status: RunStatus | None, record: BoardRecord, out: Path) -> FrameState:
    shot, role, take = parts_of_key(frame.key)
    path = frame.path and file_in(frame.path, out)
    stored = is_place(record.folder)  # recorded only after the store had it; it need not be on this disk
    there = path is not None and (stored or is_intact(path, frame.made))
    state, error = _stands(frame, status, record, out, there=there)
    return FrameState(
        task=frame.key,
        shot=shot,
        role=role,
        take=take,
        state=state,
        path=path if there else None,
        raw_path=frame.raw_path if there else None,
        cost=frame.cost,
        error=error,
        worker=status.worker if status else None,
        stale=there and frame.stale,
    )


def _stands(
    frame: FrameRecord, status: RunStatus | None, record: BoardRecord, out: Path, *, there: bool
) -> tuple[State, Mapping[str, str] | None]:
    if status is not None and status.active and not there:
        return ("running" if status.status == "PENDING" else "waiting"), None
    if there:
        return "done", None
    if frame.path is not None:
        return "lost", described(_lost_picture(frame, record, out))
    kept = _kept_error(status)
    if frame.payment in {"unknown", "undelivered"}:
        return "unknown", kept or described(Message("board_folder.was-unknown"))
    if frame.payment == "lost":
        return "lost", kept or described(Message("board_folder.not-proven"))
    end = _end(status)
    # Paid meanwhile, or begun and never sent: it only has to be gone on with.
    if frame.payment in {"paid", "sent", "reserved"} and end not in {"failed", "lost"}:
        return "waiting", None
    if end == "cancelled":
        return "cancelled", kept or record.stopped
    return (end, kept) if end == "failed" or (end == "lost" and frame.payment) else ("waiting", None)


def _end(status: RunStatus | None) -> State | None:
    """How the newest making ended; None when it has not, or never began."""
    if status is None or status.active:
        return None
    if status.status == "SUCCESS":
        end = status.outcome.get("end")
        return end if end in _ENDS else "failed"
    return "cancelled" if status.status == "CANCELLED" else "failed"


def _kept_error(status: RunStatus | None) -> Mapping[str, str] | None:
    error = status.outcome.get("error") if status else None
    if isinstance(error, dict) and all(isinstance(words, str) for words in error.values()):
        return error
    return None


def _lost_picture(frame: FrameRecord, record: BoardRecord, out: Path) -> Message:
    price = "?" if frame.cost is None else f"{frame.cost.normalize():f} {record.currency or ''}".strip()
    return Message("board_truth.picture-lost", path=file_in(frame.path, out) if frame.path else out, price=price)


def _waiting_for(state: FrameState, frame: FrameRecord, done: set[str]) -> FrameState:
    missing = tuple(sorted(key for key in frame.needs if key not in done))
    return replace(state, waits_for=missing) if missing else state
