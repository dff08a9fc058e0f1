"""What the engine cannot know of a board: its tasks, its pictures, and what was paid and may still be paid.

In: tasks, then what becomes of each frame from whichever worker makes it. Out: a frame's task, who waits for it, how
the board stands. Tasks and pictures are in the database of boards; the money is in the payment record alone, in which
a frame is an entry (`payments.boards`). Every method is one transaction of either, or one of each.
Never in here: the engine, a network, a picture being read, a second payment that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from seedframe.payments import BoardMoney, PaidFrame, Payments
from seedframe.payments.boards import FramePayment, PaymentState
from seedframe.storyboard.continuity import ShotReference
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.record.adoption import Evidence, Question, take_in
from seedframe.storyboard.record.database import Database, Row, Tx, is_postgres, one
from seedframe.storyboard.record.frame_run import FrameRun

LEFT: frozenset[PaymentState] = frozenset({"sent", "paid", "undelivered"})
"""The call has left, and a picture may come of it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A frame somebody makes now: its task, the frames it needed, the board's folder and backend."""

    task: FrameTask
    made: Mapping[str, Path]
    project: str
    folder: Path
    backend: str


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What is recorded of one frame. `made` is its file as it was saved: `{sha256, bytes, mtime_ns}`.

    `payment` is how the payment that counts stands, None without one; `cost` is all that was or may have been billed.
    """

    key: str
    task: str
    queue: str
    path: Path | None = None
    raw_path: Path | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    made_for: str | None = None
    payment: PaymentState | None = None
    cost: Decimal | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the frames that are made before it."""
        return tuple(json.loads(self.task)["depends_on"])

    @property
    def stale(self) -> bool:
        """Whether its picture was made for another task than the board asks for now."""
        return self.path is not None and self.made_for not in {None, self.task}


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """What is recorded of a board; frames in story order. `stopped` says why nothing more is sent, by language."""

    board: str
    project: str
    folder: Path
    backend: str
    frames: Mapping[str, FrameRecord]
    spent: Decimal
    budget: Decimal | None
    currency: str | None
    stopped: Mapping[str, str] | None = None


class FramePayments:
    """The frames of boards and their money. StoreError when either database fails."""

    def __init__(self, database: Database, calls: Payments) -> None:
        self.database = database
        self.calls = calls

    async def start(
        self,
        board: str,
        tasks: Sequence[FrameTask],
        *,
        project: str,
        folder: Path,
        backend: str,
        currency: str,
        budget: Decimal | None,
        queues: Mapping[str, str] | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """Enter a board, or bring it up to date; what was stopped may go on. Pictures that were made stay.

        Without a `budget` the one given before still holds. `queues` names the engine's queue of each frame. With
        `evidence` a board of unknown origin is taken in: what is made is then what its folder proves.
        """
        rows = _frame_rows(board, tasks, queues or {})

        def enter(tx: Tx) -> Mapping[str, Question]:
            tx.all(
                """INSERT INTO boards (id, project, folder, backend) VALUES (:id, :project, :folder, :backend)
                    ON CONFLICT (id) DO UPDATE SET project = excluded.project, folder = excluded.folder,
                        backend = excluded.backend""",
                id=board,
                project=project,
                folder=str(folder),
                backend=backend,
            )
            tx.all("UPDATE frames SET place = -1 WHERE board = :board", board=board)
            tx.many(
                """INSERT INTO frames (board, key, place, task, queue, followers)
                    VALUES (:board, :key, :place, :task, :queue, :followers)
                    ON CONFLICT (board, key) DO UPDATE SET place = excluded.place, task = excluded.task,
                        queue = excluded.queue, followers = excluded.followers""",
                rows,
            )
            return {} if evidence is None else take_in(tx, board, evidence)

        questions = await self.database.run(enter)
        for key, state in questions.items():
            await self.calls.note_frame(PaidFrame(board, key), state, backend, currency)
        # Only now: cut off before, the same is found once more.
        await self.database.run(lambda tx: _without_pictures(tx, board, questions))
        await self.calls.begin_board(board, currency, budget)

    async def stop(self, board: str, why: Mapping[str, str], *, finish: bool = False) -> bool:
        """Nothing more of this board is sent; a call that has left comes to its end. False when it was stopped.

        With `finish` what has its money reserved may still leave.
        """
        return await self.calls.stop_board(board, why, finish=finish)

    async def sending(self, board: str) -> frozenset[str]:
        """Frames whose call has left, so that they come to their end."""
        money = await self.calls.board_money(board)
        return frozenset(key for key, frame in money.frames.items() if frame.state in LEFT)

    async def write_off(self, board: str, keys: Collection[str], *, states: Collection[PaymentState]) -> None:
        """A person pays for these frames anew: what was paid for them stays spent and stands in the way no more.

        Their pictures, where there are any, are no longer the frame's.
        """
        await self.calls.write_off(board, keys, states)
        await self.database.run(lambda tx: _without_pictures(tx, board, keys))

    # What happens to a frame

    async def begin(self, run: FrameRun) -> Begun | None:
        """What this frame takes; None when the board does not have it any more."""
        return await self.database.run(lambda tx: _begun(tx, run))

    async def asking(self, paid: PaidFrame, *, asked: bool) -> None:
        """A POST is about to leave for this frame; or it was not billed. For whoever has the file without our record.

        A server has both in one place, and needs no such note.
        """
        if is_postgres(self.database.url):
            return
        await self.database.run(
            lambda tx: tx.all(
                "UPDATE frames SET asked = :asked WHERE board = :board AND key = :key",
                asked=int(asked),
                board=paid.board,
                key=paid.frame,
            )
        )

    async def made(self, run: FrameRun, task: FrameTask, picture: Mapping[str, Any]) -> Mapping[str, str]:
        """The frame's picture is on the disk: `{path, raw_path, sha256, bytes, mtime_ns}`.

        The frames that waited for it and now wait for nothing: key → queue. None of a board that is stopped.
        """
        described = {name: picture[name] for name in ("sha256", "bytes", "mtime_ns")}

        def work(tx: Tx) -> dict[str, str]:
            row = one(
                tx,
                """UPDATE frames SET path = :path, raw_path = :raw_path, made = :made, made_for = :made_for
                    WHERE board = :board AND key = :key RETURNING followers""",
                board=run.board,
                key=run.key,
                path=picture["path"],
                raw_path=picture["raw_path"],
                made=json.dumps(described),
                made_for=task_text(task),
            )
            followers = json.loads(row["followers"]) if row else []
            return dict(filter(None, (_ready(tx, run.board, key) for key in followers)))

        ready = await self.database.run(work)
        return {} if ready and await self.calls.is_stopped(run.board) else ready

    # Who is alive

    async def beat(self, executor: str, machine: str, slot: int) -> None:
        """The worker of this name lives."""

        def work(tx: Tx) -> None:
            tx.all(
                """INSERT INTO workers VALUES (:executor, :machine, :slot, clock())
                    ON CONFLICT (executor) DO UPDATE SET beat = clock()""",
                executor=executor,
                machine=machine,
                slot=slot,
            )

        await self.database.run(work)

    async def workers(self) -> Sequence[Row]:
        """Every worker that did not end in order: executor, machine, slot, and `silent` seconds since its last beat."""
        return await self.database.run(
            lambda tx: tx.all("SELECT executor, machine, slot, clock() - beat AS silent FROM workers")
        )

    async def count_workers(self, lease: float) -> int:
        """How many workers were heard of within a lease."""
        return sum(worker["silent"] <= lease for worker in await self.workers())

    async def forget(self, executor: str) -> None:
        """A worker that ended, or whose frames were taken over."""
        await self.database.run(lambda tx: tx.all("DELETE FROM workers WHERE executor = :executor", executor=executor))

    async def unfinished(self) -> Sequence[str]:
        """The boards that have a frame without a picture."""
        rows = await self.database.run(
            lambda tx: tx.all("SELECT DISTINCT board FROM frames WHERE place >= 0 AND path IS NULL ORDER BY board")
        )
        return [row["board"] for row in rows]

    async def record(self, board: str) -> BoardRecord | None:
        """All that is recorded of a board; None when it is not in this database."""
        rows = await self.database.run(lambda tx: rows_of(tx, board))
        return None if rows is None else record_of(rows, await self.calls.board_money(board))


@dataclass(frozen=True, slots=True)
class StoredBoard:
    """What the database of boards holds of one board."""

    board: Row
    frames: Sequence[Row]


def rows_of(tx: Tx, board: str) -> StoredBoard | None:
    """The rows of a board, inside a transaction; None when it is not in this database."""
    row = one(tx, "SELECT * FROM boards WHERE id = :id", id=board)
    if row is None:
        return None
    frames = tx.all(
        """SELECT key, task, queue, path, raw_path, made, made_for FROM frames
            WHERE board = :board AND place >= 0 ORDER BY place""",
        board=board,
    )
    return StoredBoard(row, frames)


def record_of(rows: StoredBoard, money: BoardMoney) -> BoardRecord:
    """A board from its rows and its money. ValueError, TypeError or KeyError for rows that are not ours."""
    board = rows.board
    return BoardRecord(
        board=board["id"],
        project=board["project"],
        folder=Path(board["folder"]),
        backend=board["backend"],
        frames={frame["key"]: _frame_record(frame, money.frames.get(frame["key"])) for frame in rows.frames},
        spent=money.spent,
        budget=money.budget,
        currency=money.currency,
        stopped=money.stopped,
    )


def task_text(task: FrameTask) -> str:
    """A task as it is recorded; equal tasks are equal texts."""
    return json.dumps(asdict(task), ensure_ascii=False)


def task_of(text: str) -> FrameTask:
    """The task of a recorded text."""
    described = json.loads(text)
    references = tuple(ShotReference(**reference) for reference in described.pop("references"))
    return FrameTask(**{**described, "references": references, "depends_on": tuple(described["depends_on"])})


def _frame_record(row: Row, paid: FramePayment | None) -> FrameRecord:
    made = json.loads(row["made"]) if row["made"] else {}
    if not isinstance(made, dict):
        raise TypeError("made")
    return FrameRecord(
        key=row["key"],
        task=row["task"],
        queue=row["queue"],
        path=row["path"] and Path(row["path"]),
        raw_path=row["raw_path"] and Path(row["raw_path"]),
        made=made,
        made_for=row["made_for"],
        payment=None if paid is None else paid.state,
        cost=None if paid is None else paid.cost,
    )


def _without_pictures(tx: Tx, board: str, keys: Iterable[str]) -> None:
    tx.many(
        """UPDATE frames SET path = NULL, raw_path = NULL, made = NULL, made_for = NULL, asked = 0
            WHERE board = :board AND key = :key""",
        [{"board": board, "key": key} for key in keys],
    )


def _ready(tx: Tx, board: str, key: str) -> tuple[str, str] | None:
    row = one(
        tx,
        "SELECT task, queue FROM frames WHERE board = :board AND key = :key AND place >= 0 AND path IS NULL",
        board=board,
        key=key,
    )
    if row is None:
        return None
    needs = set(json.loads(row["task"])["depends_on"])
    made = _made(tx, board, needs)
    return (key, row["queue"]) if needs <= made.keys() else None


def _made(tx: Tx, board: str, keys: Iterable[str]) -> dict[str, Path]:
    rows = (
        one(tx, "SELECT key, path FROM frames WHERE board = :board AND key = :key", board=board, key=key)
        for key in keys
    )
    return {row["key"]: Path(row["path"]) for row in rows if row and row["path"]}


def _begun(tx: Tx, run: FrameRun) -> Begun | None:
    row = one(
        tx,
        """SELECT task, project, folder, backend FROM frames JOIN boards ON boards.id = frames.board
            WHERE board = :board AND key = :key AND place >= 0""",
        board=run.board,
        key=run.key,
    )
    if row is None:
        return None
    task = task_of(row["task"])
    return Begun(task, _made(tx, run.board, task.depends_on), row["project"], Path(row["folder"]), row["backend"])


def _frame_rows(board: str, tasks: Sequence[FrameTask], queues: Mapping[str, str]) -> list[dict[str, Any]]:
    followers: dict[str, list[str]] = {}
    for task in tasks:
        for key in dict.fromkeys(task.depends_on):
            followers.setdefault(key, []).append(task.key)
    return [
        {
            "board": board,
            "key": task.key,
            "place": place,
            "task": task_text(task),
            "queue": queues.get(task.key, ""),
            "followers": json.dumps(followers.get(task.key, [])),
        }
        for place, task in enumerate(tasks)
    ]
