"""What the engine cannot know of a board: its tasks, its pictures, and what was paid and may still be paid.

In: tasks, then what becomes of each frame from whichever worker makes it. Out: leave to pay, or none. Every decision
is one transaction of the shared database, so that any number of workers decide one after the other:

    token   reserved ⇄ sent ── paid | unknown | lost        one per frame; money is held from `reserved` on
               └── released (not billed)        └───────┴── written-off (by a person: only then may a second one follow)

A POST may leave only after its token went from `reserved` to `sent`, and that happens once. A board that is `stopped`
reserves and sends nothing more.
Never in here: the engine, a network, a picture being read, a second payment that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from seedframe.payments.money import decimal, micro
from seedframe.storyboard.continuity import ShotReference
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.run.adoption import Evidence, take_in
from seedframe.storyboard.run.database import Database, Row, Tx, one
from seedframe.storyboard.run.engine import FrameRun

TokenState = Literal["reserved", "sent", "paid", "unknown", "lost", "released", "written-off"]


@dataclass(frozen=True, slots=True)
class Token:
    """One payment: at most one POST that is billed. `tries` counts how often it was given back unspent."""

    token: str
    state: TokenState
    amount: int
    tries: int
    machine: str
    facts: Mapping[str, Any] | None = None


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

    `payment` is the state of the token that counts, None without one; `cost` is all that was or may have been billed.
    """

    key: str
    task: str
    queue: str
    path: Path | None = None
    raw_path: Path | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    made_for: str | None = None
    payment: TokenState | None = None
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
    """The rules over a database. Every method is one transaction; StoreError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        held = None if budget is None else micro(budget)

        def work(tx: Tx) -> None:
            tx.all(
                """INSERT INTO boards VALUES (:id, :project, :folder, :backend, NULL, 0) ON CONFLICT (id) DO UPDATE SET
                    project = excluded.project, folder = excluded.folder, backend = excluded.backend,
                    stopped = NULL, finish = 0""",
                id=board,
                project=project,
                folder=str(folder),
                backend=backend,
            )
            tx.all(
                """INSERT INTO purses (board, currency, budget) VALUES (:board, :currency, :budget)
                    ON CONFLICT (board) DO UPDATE SET currency = excluded.currency,
                        budget = coalesce(excluded.budget, purses.budget)""",
                board=board,
                currency=currency,
                budget=held,
            )
            tx.all("UPDATE frames SET place = -1 WHERE board = :board", board=board)
            tx.many(
                """INSERT INTO frames (board, key, place, task, queue, followers)
                    VALUES (:board, :key, :place, :task, :queue, :followers)
                    ON CONFLICT (board, key) DO UPDATE SET place = excluded.place, task = excluded.task,
                        queue = excluded.queue, followers = excluded.followers""",
                rows,
            )
            if evidence is not None:
                take_in(tx, board, evidence)

        await self._database.run(work)

    async def stop(self, board: str, why: Mapping[str, str], *, finish: bool = False) -> bool:
        """Nothing more of this board is sent; a call that has left comes to its end. False when it was stopped.

        With `finish` what has its money reserved may still leave.
        """

        def work(tx: Tx) -> bool:
            row = one(
                tx,
                """UPDATE boards SET stopped = :why, finish = :finish
                    WHERE id = :board AND (stopped IS NULL OR (finish = 1 AND :finish = 0)) RETURNING id""",
                board=board,
                finish=int(finish),
                why=json.dumps(dict(why), ensure_ascii=False),
            )
            if finish:
                return row is not None
            for reserved in tx.all("SELECT token FROM tokens WHERE board = :board AND state = 'reserved'", board=board):
                _settle(tx, reserved["token"], "released", None, None)
            return row is not None

        return await self._database.run(work)

    async def sending(self, board: str) -> frozenset[str]:
        """Frames whose call has left, so that they come to their end."""
        rows = await self._database.run(
            lambda tx: tx.all("SELECT key FROM tokens WHERE board = :board AND state IN ('sent', 'paid')", board=board)
        )
        return frozenset(row["key"] for row in rows)

    async def write_off(self, board: str, keys: Collection[str], *, states: Iterable[TokenState]) -> None:
        """A person pays for these frames anew: what was paid for them stays spent and stands in the way no more.

        Their pictures, where there are any, are no longer the frame's.
        """
        names = ", ".join(f"'{state}'" for state in sorted(states))

        def work(tx: Tx) -> None:
            rows = [{"board": board, "key": key} for key in keys]
            tx.many(
                f"""UPDATE tokens SET state = 'written-off'
                    WHERE board = :board AND key = :key AND state IN ({names})""",  # noqa: S608
                rows,
            )
            tx.many(
                """UPDATE frames SET path = NULL, raw_path = NULL, made = NULL, made_for = NULL
                    WHERE board = :board AND key = :key""",
                rows,
            )

        await self._database.run(work)

    # What happens to a frame

    async def begin(self, run: FrameRun) -> Begun | None:
        """What this frame takes; None when the board is stopped or does not have it any more."""
        return await self._database.run(lambda tx: _begun(tx, run))

    async def reserve(self, run: FrameRun, token: str, amount: Decimal | None, machine: str) -> Token | None:
        """Hold back the price and give leave to pay: the token the frame has, else this new one.

        None when it is over the budget, or the board is stopped. A token whose end is unknown, or that was billed for
        nothing, is still the frame's: nobody pays again unasked. A price that is not known passes only where there is
        no budget.
        """
        price = micro(amount or Decimal(0))

        def work(tx: Tx) -> Token | None:
            row = one(
                tx,
                """SELECT * FROM tokens WHERE board = :board AND key = :key
                    AND state NOT IN ('released', 'written-off')""",
                board=run.board,
                key=run.key,
            )
            if row:
                return _token(row)
            held = one(
                tx,
                """UPDATE purses SET spent = spent + :price
                    WHERE board = :board AND (budget IS NULL OR (:known = 1 AND spent + :price <= budget))
                        AND EXISTS (SELECT 1 FROM boards WHERE id = :board AND stopped IS NULL)
                    RETURNING spent""",
                board=run.board,
                price=price,
                known=int(amount is not None),
            )
            if held is None:
                return None
            tx.all(
                """INSERT INTO tokens (token, board, key, state, amount, machine, made)
                    VALUES (:token, :board, :key, 'reserved', :price, :machine, clock())""",
                token=token,
                board=run.board,
                key=run.key,
                price=price,
                machine=machine,
            )
            return Token(token, "reserved", price, 0, machine)

        return await self._database.run(work)

    async def token(self, token: str) -> Token:
        """The token as it is now."""

        def work(tx: Tx) -> Token:
            row = one(tx, "SELECT * FROM tokens WHERE token = :token", token=token)
            assert row is not None
            return _token(row)

        return await self._database.run(work)

    async def send(self, token: str, machine: str) -> bool:
        """The one step after which a POST may leave; False when it may not."""

        def work(tx: Tx) -> bool:
            row = one(
                tx,
                """UPDATE tokens SET state = 'sent', machine = :machine
                    WHERE token = :token AND state = 'reserved' AND EXISTS (
                        SELECT 1 FROM boards WHERE id = tokens.board AND (stopped IS NULL OR finish = 1))
                    RETURNING token""",
                token=token,
                machine=machine,
            )
            return row is not None

        return await self._database.run(work)

    async def give_back(self, token: Token) -> bool:
        """Nothing was billed: the token may be spent once more. False when somebody else did that meanwhile."""

        def work(tx: Tx) -> bool:
            row = one(
                tx,
                """UPDATE tokens SET state = 'reserved', tries = tries + 1
                    WHERE token = :token AND state IN ('sent', 'reserved') AND tries = :tries RETURNING token""",
                token=token.token,
                tries=token.tries,
            )
            return row is not None

        return await self._database.run(work)

    async def paid(self, token: str, facts: Mapping[str, Any], amount: Decimal | None) -> None:
        """It was paid and its picture is on the disk. `amount` replaces what was held back; None keeps it."""
        await self._database.run(lambda tx: _settle(tx, token, "paid", amount, facts))

    async def settle(self, token: str, state: TokenState, amount: Decimal | None = None) -> None:
        """The end of a payment without a picture: released, unknown (keeps the money held) or lost."""
        await self._database.run(lambda tx: _settle(tx, token, state, amount, None))

    async def ask_again(self, tokens: Iterable[str]) -> Sequence[FrameRun]:
        """Calls whose end nobody knew and whose answer was found since: their frames, to be made to their end."""

        def work(tx: Tx) -> list[FrameRun]:
            found = []
            for token in tokens:
                row = one(
                    tx,
                    """UPDATE tokens SET state = 'sent' WHERE token = :token AND state = 'unknown'
                        RETURNING board, key""",
                    token=token,
                )
                if row:
                    found.append(FrameRun(row["board"], row["key"]))
            return found

        return await self._database.run(work)

    async def made(self, run: FrameRun, task: FrameTask, picture: Mapping[str, Any]) -> None:
        """The frame's picture is on the disk: `{path, raw_path, sha256, bytes, mtime_ns}`."""
        described = {name: picture[name] for name in ("sha256", "bytes", "mtime_ns")}
        await self._database.run(
            lambda tx: tx.all(
                """UPDATE frames SET path = :path, raw_path = :raw_path, made = :made, made_for = :made_for
                    WHERE board = :board AND key = :key""",
                board=run.board,
                key=run.key,
                path=picture["path"],
                raw_path=picture["raw_path"],
                made=json.dumps(described),
                made_for=task_text(task),
            )
        )

    async def ready_after(self, run: FrameRun) -> Mapping[str, str]:
        """The frames that waited for this one and now wait for nothing: key → queue. None of a board that stopped."""

        def work(tx: Tx) -> dict[str, str]:
            row = one(
                tx,
                """SELECT followers FROM frames JOIN boards ON boards.id = frames.board
                    WHERE board = :board AND key = :key AND stopped IS NULL""",
                board=run.board,
                key=run.key,
            )
            followers = json.loads(row["followers"]) if row else []
            return dict(filter(None, (_ready(tx, run.board, key) for key in followers)))

        return await self._database.run(work)

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

        await self._database.run(work)

    async def workers(self) -> Sequence[Row]:
        """Every worker that did not end in order: executor, machine, slot, and `silent` seconds since its last beat."""
        return await self._database.run(
            lambda tx: tx.all("SELECT executor, machine, slot, clock() - beat AS silent FROM workers")
        )

    async def forget(self, executor: str) -> None:
        """A worker that ended, or whose frames were taken over."""
        await self._database.run(lambda tx: tx.all("DELETE FROM workers WHERE executor = :executor", executor=executor))

    async def open_questions(self, machine: str, board: str | None = None) -> Sequence[str]:
        """Tokens this machine sent and whose end nobody knew; of one board, or of all."""
        rows = await self._database.run(
            lambda tx: tx.all(
                """SELECT token FROM tokens WHERE machine = :machine AND state = 'unknown'
                    AND board = coalesce(:board, board)""",
                machine=machine,
                board=board,
            )
        )
        return [row["token"] for row in rows]

    async def record(self, board: str) -> BoardRecord | None:
        """All that is recorded of a board; None when it is not in this database."""
        return await self._database.run(lambda tx: record_of(tx, board))


def record_of(tx: Tx, board: str) -> BoardRecord | None:
    """All that is recorded of a board, inside a transaction."""
    row = one(tx, "SELECT * FROM boards JOIN purses ON purses.board = boards.id WHERE id = :id", id=board)
    if row is None:
        return None
    tokens: dict[str, TokenState] = {}
    costs: dict[str, int] = {}
    for token in tx.all("SELECT key, state, amount FROM tokens WHERE board = :board", board=board):
        if token["state"] != "released":
            costs[token["key"]] = costs.get(token["key"], 0) + token["amount"]
        if token["state"] not in {"released", "written-off"}:
            tokens[token["key"]] = token["state"]
    rows = tx.all(
        """SELECT key, task, queue, path, raw_path, made, made_for FROM frames
            WHERE board = :board AND place >= 0 ORDER BY place""",
        board=board,
    )
    return BoardRecord(
        board=board,
        project=row["project"],
        folder=Path(row["folder"]),
        backend=row["backend"],
        frames={frame["key"]: _frame_record(frame, tokens, costs) for frame in rows},
        spent=decimal(row["spent"]),
        budget=None if row["budget"] is None else decimal(row["budget"]),
        currency=row["currency"],
        stopped=row["stopped"] and _words(row["stopped"]),
    )


def task_text(task: FrameTask) -> str:
    """A task as it is recorded; equal tasks are equal texts."""
    return json.dumps(asdict(task), ensure_ascii=False)


def task_of(text: str) -> FrameTask:
    """The task of a recorded text."""
    described = json.loads(text)
    references = tuple(ShotReference(**reference) for reference in described.pop("references"))
    return FrameTask(**{**described, "references": references, "depends_on": tuple(described["depends_on"])})


def _frame_record(row: Row, tokens: Mapping[str, TokenState], costs: Mapping[str, int]) -> FrameRecord:
    key = row["key"]
    made = json.loads(row["made"]) if row["made"] else {}
    if not isinstance(made, dict):
        raise TypeError("made")
    return FrameRecord(
        key=key,
        task=row["task"],
        queue=row["queue"],
        path=row["path"] and Path(row["path"]),
        raw_path=row["raw_path"] and Path(row["raw_path"]),
        made=made,
        made_for=row["made_for"],
        payment=tokens.get(key),
        cost=decimal(costs[key]) if key in costs else None,
    )


def _words(text: str) -> dict[str, str]:
    described = json.loads(text)
    if not (isinstance(described, dict) and all(isinstance(words, str) for words in described.values())):
        raise TypeError("stopped")
    return described


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


_SETTLES: Mapping[str, str] = {
    "paid": "('reserved', 'sent', 'unknown')",
    "unknown": "('sent')",
    "lost": "('sent', 'unknown')",
    "released": "('reserved')",
}


def _settle(tx: Tx, token: str, state: TokenState, amount: Decimal | None, facts: Mapping[str, Any] | None) -> None:
    row = one(
        tx,
        f"""SELECT board, amount FROM tokens WHERE token = :token AND state IN {_SETTLES[state]}""",  # noqa: S608
        token=token,
    )
    if row is None:
        return
    held = int(row["amount"])
    now = 0 if state == "released" else held if amount is None else micro(amount)
    described = None if facts is None else json.dumps(dict(facts), ensure_ascii=False)
    tx.all("UPDATE purses SET spent = spent + :more WHERE board = :board", more=now - held, board=row["board"])
    tx.all(
        "UPDATE tokens SET state = :state, amount = :amount, facts = coalesce(:facts, facts) WHERE token = :token",
        state=state,
        amount=now,
        facts=described,
        token=token,
    )


def _token(row: Row) -> Token:
    return Token(
        token=row["token"],
        state=row["state"],
        amount=int(row["amount"]),
        tries=row["tries"],
        machine=row["machine"],
        facts=row["facts"] and json.loads(row["facts"]),
    )


def _begun(tx: Tx, run: FrameRun) -> Begun | None:
    row = one(
        tx,
        """SELECT task, project, folder, backend FROM frames JOIN boards ON boards.id = frames.board
            WHERE board = :board AND key = :key AND place >= 0 AND stopped IS NULL""",
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
