"""The book of a run: which frames there are, what became of each, what was paid and may still be paid.

In: tasks, then the steps of each frame from whichever worker makes it. Out: leave to pay, or none. Every decision is
one transaction of the shared database, so that any number of workers decide one after the other:

    frame   waiting ── running ── done | failed | unknown | cancelled
    token   reserved ⇄ sent ── paid | unknown | lost        one per frame; money is held from `reserved` on
               └── released (not billed)        └───────┴── written-off (by a person: only then may a second one follow)

A POST may leave only after its token went from `reserved` to `sent`, and that happens once.
Never in here: the engine, a network, a picture, a second chance that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from seedframe.payments.money import decimal, micro
from seedframe.storyboard.continuity import ShotReference
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.names import parts_of_key
from seedframe.storyboard.run.adoption import Evidence, take_in
from seedframe.storyboard.run.database import Database, Row, Tx, one
from seedframe.storyboard.run.state import BoardState, FrameState, State

TokenState = Literal["reserved", "sent", "paid", "unknown", "lost", "released", "written-off"]
BACKLOG = 1_000
"""So many frames at most lie in the engine's queue; the rest wait here, where waiting costs nothing."""

AGAIN_SECONDS = 120.0
"""A queued frame that nobody began is queued again (the engine knows it by its name)."""


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
class Ready:
    """A frame to hand to the engine; `round` counts how often it was begun anew by choice."""

    board: str
    key: str
    round: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a frame in one round."""

    state: State
    path: str | None = None
    raw_path: str | None = None
    error: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The next moments at which POSTs may leave: seconds from now for each token, or how long to wait before asking."""

    delays: Mapping[str, float]
    refused: Sequence[str] = ()
    wait: float = 0.0


class FramePayments:
    """The run's rules over a database. Every method is one transaction; StoreError when the database fails."""

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
        evidence: Evidence | None = None,
    ) -> None:
        """Enter a board, or bring it up to date. What is done stays done; what was cancelled waits again.

        Without a `budget` the one given before still holds. With `evidence` a board of unknown origin is taken in:
        what is done is then what its folder proves.
        """
        rows = [_frame_row(board, place, task) for place, task in enumerate(tasks)]
        needs = [{"board": board, "key": task.key, "before": key} for task in tasks for key in set(task.depends_on)]
        held = None if budget is None else micro(budget)

        def work(tx: Tx) -> None:
            tx.all(
                """INSERT INTO boards VALUES (:id, :project, :folder, :backend) ON CONFLICT (id) DO UPDATE SET
                    project = excluded.project, folder = excluded.folder, backend = excluded.backend""",
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
            tick = _tick(tx, board)
            tx.all("UPDATE frames SET place = -1 WHERE board = :board", board=board)
            tx.many(
                """INSERT INTO frames (board, key, place, task, state, changed)
                    VALUES (:board, :key, :place, :task, 'waiting', 0)
                    ON CONFLICT (board, key) DO UPDATE SET place = excluded.place,
                        task = CASE frames.state WHEN 'done' THEN frames.task ELSE excluded.task END""",
                rows,
            )
            tx.all("DELETE FROM needs WHERE board = :board", board=board)
            tx.many("INSERT INTO needs VALUES (:board, :key, :before)", needs)
            # An unknown call whose answer was found meanwhile is no question any more.
            _wait_again(
                tx,
                board,
                tick,
                """state = 'cancelled' OR (state = 'unknown' AND EXISTS (SELECT 1 FROM tokens
                    WHERE tokens.board = frames.board AND tokens.key = frames.key AND tokens.state = 'paid'))""",
            )
            if evidence is not None:
                take_in(tx, board, tick, evidence)
            _count_waits(tx, board, tick)

        await self._database.run(work)

    async def cancel(self, board: str) -> None:
        """Nothing more of this board is begun; a call that has left is waited for by whoever made it."""

        def work(tx: Tx) -> None:
            tick = _tick(tx, board)
            for row in tx.all("SELECT token FROM tokens WHERE board = :board AND state = 'reserved'", board=board):
                _settle(tx, row["token"], "released", None, None)
            tx.all(
                """UPDATE frames SET state = 'cancelled', changed = :tick
                    WHERE board = :board AND (state = 'waiting' OR (state = 'running' AND NOT EXISTS (
                        SELECT 1 FROM tokens WHERE tokens.board = frames.board AND tokens.key = frames.key
                            AND tokens.state IN ('sent', 'paid'))))""",
                board=board,
                tick=tick,
            )

        await self._database.run(work)

    async def retry(self, board: str, states: Iterable[State]) -> int:
        """Let frames in these states wait again; how many. What was paid for them is written off and stays spent."""
        wanted = sorted(states)

        def work(tx: Tx) -> int:
            if not wanted:
                return 0
            tick = _tick(tx, board)
            names = ", ".join(f"'{state}'" for state in wanted)
            tx.all(
                f"""UPDATE tokens SET state = 'written-off' WHERE board = :board AND state IN ('unknown', 'lost')
                    AND key IN (SELECT key FROM frames WHERE board = :board AND state IN ({names}))""",  # noqa: S608
                board=board,
            )
            count = _wait_again(tx, board, tick, f"state IN ({names})")
            _count_waits(tx, board, tick)
            return count

        return await self._database.run(work)

    # Handing frames to the engine

    async def ready(self, limit: int) -> Sequence[Ready]:
        """Frames that wait for nothing, claimed for the engine's queue; of all boards, in story order."""

        def work(tx: Tx) -> list[Ready]:
            tx.all(
                """UPDATE frames SET queued = NULL
                    WHERE state = 'waiting' AND waits = 0 AND queued <= (SELECT clock()) - :again""",
                again=AGAIN_SECONDS,
            )
            lying = one(
                tx,
                """SELECT count(*) AS count FROM frames
                    WHERE state = 'waiting' AND waits = 0 AND queued IS NOT NULL""",
            )
            room = min(limit, BACKLOG - (lying["count"] if lying else 0))
            if room <= 0:
                return []
            rows = tx.all(
                """SELECT board, key, round FROM frames
                    WHERE state = 'waiting' AND waits = 0 AND queued IS NULL AND place >= 0
                    ORDER BY place LIMIT :room""",
                room=room,
            )
            # One by one: a planner that does not know these tables yet would read all of them for each.
            tx.many("UPDATE frames SET queued = clock() WHERE board = :board AND key = :key", rows)
            return [Ready(**row) for row in rows]

        return await self._database.run(work)

    # The steps of a frame

    async def begin(self, frame: Ready, worker: str) -> Begun | None:
        """Somebody makes this frame now; None when this round of it is over (cancelled, done, begun anew)."""

        def work(tx: Tx) -> Begun | None:
            row = one(
                tx,
                """UPDATE frames SET state = 'running', worker = :worker, changed = :tick
                    WHERE board = :board AND key = :key AND round = :round AND state IN ('waiting', 'running')
                    RETURNING task""",
                board=frame.board,
                key=frame.key,
                round=frame.round,
                worker=worker,
                tick=_tick(tx, frame.board),
            )
            return _begun(tx, frame, row["task"]) if row else None

        return await self._database.run(work)

    async def reserve(self, frame: Ready, token: str, amount: Decimal | None, machine: str) -> Token | None:
        """Hold back the price and give leave to pay: the token the frame has, else this new one. None: over budget.

        A token whose end is unknown, or that was billed for nothing, is still the frame's: nobody pays again unasked.

        A price that is not known passes only where there is no budget.
        """
        price = micro(amount or Decimal(0))

        def work(tx: Tx) -> Token | None:
            row = one(
                tx,
                """SELECT * FROM tokens WHERE board = :board AND key = :key
                    AND state NOT IN ('released', 'written-off')""",
                board=frame.board,
                key=frame.key,
            )
            if row:
                return _token(row)
            held = one(
                tx,
                """UPDATE purses SET spent = spent + :price
                    WHERE board = :board AND (budget IS NULL OR (:known = 1 AND spent + :price <= budget))
                    RETURNING spent""",
                board=frame.board,
                price=price,
                known=int(amount is not None),
            )
            if held is None:
                return None
            tx.all(
                """INSERT INTO tokens (token, board, key, state, amount, machine, made)
                    VALUES (:token, :board, :key, 'reserved', :price, :machine, clock())""",
                token=token,
                board=frame.board,
                key=frame.key,
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

    async def turns(
        self,
        name: str,
        tokens: Sequence[str],
        again: Sequence[str],
        *,
        interval: float,
        ahead: float,
        machine: str,
    ) -> Turn:
        """The next sending times of a backend's model, one for each token; `again`: those this worker has sent already.

        Times of all workers are `interval` apart, at most `ahead` seconds from now. A token is refused when its money
        is no longer reserved, or its frame was cancelled.
        """

        def work(tx: Tx) -> Turn:
            tx.all("INSERT INTO rates VALUES (:name, 0) ON CONFLICT (name) DO NOTHING", name=name)
            # The clock may have been set back: a time further away than can be is no reason to wait.
            row = one(
                tx,
                """UPDATE rates SET next = CASE WHEN next < clock() OR next > clock() + :far THEN clock() ELSE next END
                    WHERE name = :name RETURNING next - clock() AS delay""",
                name=name,
                far=ahead + 2 * interval + 1.0,
            )
            delay = max(0.0, row["delay"]) if row else 0.0
            if delay > ahead:
                return Turn({}, wait=delay - ahead)
            room = max(1, int((ahead - delay) / interval))
            chosen = [*again, *tokens][:room]
            allowed = set(again)
            for token in chosen:
                if token not in allowed and _send(tx, token, machine):
                    allowed.add(token)
            going = [token for token in chosen if token in allowed]
            tx.all("UPDATE rates SET next = next + :span WHERE name = :name", span=len(going) * interval, name=name)
            delays = {token: delay + number * interval for number, token in enumerate(going)}
            return Turn(delays, [token for token in chosen if token not in allowed])

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

    async def end(self, frame: Ready, ending: Ending) -> None:
        """What became of the frame; those that waited for it go on. Said twice, it changes nothing."""

        def work(tx: Tx) -> None:
            tick = _tick(tx, frame.board)
            moved = one(
                tx,
                """UPDATE frames SET state = :state, path = :path, raw_path = :raw_path, error = :error,
                        changed = :tick, cost = (SELECT sum(amount) FROM tokens WHERE tokens.board = frames.board
                            AND tokens.key = frames.key AND tokens.state <> 'released')
                    WHERE board = :board AND key = :key AND round = :round AND state = 'running' RETURNING key""",
                board=frame.board,
                key=frame.key,
                round=frame.round,
                state=ending.state,
                path=ending.path,
                raw_path=ending.raw_path,
                error=None if ending.error is None else json.dumps(dict(ending.error), ensure_ascii=False),
                tick=tick,
            )
            if moved and ending.state == "done":
                tx.all(
                    """UPDATE frames SET waits = waits - 1, changed = :tick WHERE board = :board
                        AND key IN (SELECT key FROM needs WHERE board = :board AND before = :key)""",
                    board=frame.board,
                    key=frame.key,
                    tick=tick,
                )

        await self._database.run(work)

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
        """Every worker ever seen: executor, machine, slot, and `silent` seconds since its last beat."""
        return await self._database.run(
            lambda tx: tx.all("SELECT executor, machine, slot, clock() - beat AS silent FROM workers")
        )

    async def made_by(self, executor: str) -> Sequence[Ready]:
        """The frames that are being made by this worker, as far as the book knows."""
        rows = await self._database.run(
            lambda tx: tx.all(
                "SELECT board, key, round FROM frames WHERE state = 'running' AND worker = :worker", worker=executor
            )
        )
        return [Ready(**row) for row in rows]

    async def begin_anew(self, frames: Sequence[Ready]) -> None:
        """Frames nobody makes any more wait again. Their tokens stay open, so what was paid is found."""

        def work(tx: Tx) -> None:
            for frame in frames:
                tx.all(
                    """UPDATE frames SET state = 'waiting', round = round + 1, queued = NULL, changed = :tick
                        WHERE board = :board AND key = :key AND round = :round AND state = 'running'""",
                    board=frame.board,
                    key=frame.key,
                    round=frame.round,
                    tick=_tick(tx, frame.board),
                )

        await self._database.run(work)

    async def forget(self, executor: str) -> None:
        """A dead worker whose frames were taken over: nobody makes them until somebody begins them."""

        def work(tx: Tx) -> None:
            tx.all("DELETE FROM workers WHERE executor = :executor", executor=executor)
            tx.all(
                "UPDATE frames SET worker = NULL WHERE worker = :executor AND state IN ('waiting', 'running')",
                executor=executor,
            )

        await self._database.run(work)

    async def open_questions(self, machine: str) -> Sequence[str]:
        """Tokens this machine sent and whose end nobody knew."""
        rows = await self._database.run(
            lambda tx: tx.all(
                "SELECT token FROM tokens WHERE machine = :machine AND state = 'unknown'", machine=machine
            )
        )
        return [row["token"] for row in rows]

    # Looking

    async def finished(self, board: str) -> dict[str, FrameTask]:
        """The frames that are done, by key, as the tasks they were made for."""
        rows = await self._database.run(
            lambda tx: tx.all("SELECT key, task FROM frames WHERE board = :board AND state = 'done'", board=board)
        )
        return {row["key"]: _task(json.loads(row["task"])) for row in rows}

    async def changes(self, board: str, since: int) -> Sequence[Row]:
        """Frames that changed after that tick, oldest change first."""
        return await self._database.run(
            lambda tx: tx.all(
                """SELECT key, state, waits, path, error, worker, changed FROM frames
                    WHERE board = :board AND changed > :since AND place >= 0 ORDER BY changed, place""",
                board=board,
                since=since,
            )
        )

    async def state(self, board: str) -> BoardState | None:
        """The picture of a board."""
        return await self._database.run(lambda tx: state_of(tx, board))


def state_of(tx: Tx, board: str) -> BoardState | None:
    """The picture of a board inside a transaction; None when it is not in this book."""
    row = one(tx, "SELECT * FROM boards JOIN purses ON purses.board = boards.id WHERE id = :id", id=board)
    if row is None:
        return None
    before: dict[str, list[str]] = {}
    for need in tx.all(
        """SELECT needs.key, needs.before FROM needs JOIN frames
            ON frames.board = needs.board AND frames.key = needs.before
            WHERE needs.board = :board AND frames.state <> 'done' ORDER BY needs.before""",
        board=board,
    ):
        before.setdefault(need["key"], []).append(need["before"])
    frames = tx.all(
        """SELECT key, state, path, raw_path, cost, error, worker FROM frames
            WHERE board = :board AND place >= 0 ORDER BY place""",
        board=board,
    )
    return BoardState(
        board=board,
        project=row["project"],
        out=Path(row["folder"]),
        frames=tuple(_frame_state(frame, before.get(frame["key"], ())) for frame in frames),
        spent=decimal(row["spent"]),
        budget=None if row["budget"] is None else decimal(row["budget"]),
        currency=row["currency"],
    )


def _frame_state(row: Row, waits_for: Sequence[str]) -> FrameState:
    shot, role, take = parts_of_key(row["key"])
    return FrameState(
        task=row["key"],
        shot=shot,
        role=role,
        take=take,
        state=row["state"],
        path=row["path"] and Path(row["path"]),
        raw_path=row["raw_path"] and Path(row["raw_path"]),
        cost=None if row["cost"] is None else decimal(int(row["cost"])),
        error=row["error"] and _words(row["error"]),
        waits_for=tuple(waits_for),
        worker=row["worker"],
    )


def _words(text: str) -> dict[str, str]:
    described = json.loads(text)
    if not (isinstance(described, dict) and all(isinstance(words, str) for words in described.values())):
        raise TypeError("error")
    return described


def _tick(tx: Tx, board: str) -> int:
    """The next number of the board's changes."""
    row = one(tx, "UPDATE purses SET tick = tick + 1 WHERE board = :board RETURNING tick", board=board)
    return int(row["tick"]) if row else 0


def _wait_again(tx: Tx, board: str, tick: int, condition: str) -> int:
    """Frames of that condition begin a new round; what is queued for the engine is queued anew."""
    rows = tx.all(
        f"""UPDATE frames SET state = 'waiting', round = round + 1, error = NULL, changed = :tick
            WHERE board = :board AND ({condition}) RETURNING key""",  # noqa: S608 - the conditions are above
        board=board,
        tick=tick,
    )
    return len(rows)


def _count_waits(tx: Tx, board: str, tick: int) -> None:
    tx.all(
        """UPDATE frames SET queued = NULL, changed = :tick, waits = (
                SELECT count(*) FROM needs JOIN frames AS earlier
                    ON earlier.board = needs.board AND earlier.key = needs.before
                    WHERE needs.board = frames.board AND needs.key = frames.key AND earlier.state <> 'done')
            WHERE board = :board AND state = 'waiting'""",
        board=board,
        tick=tick,
    )


def _send(tx: Tx, token: str, machine: str) -> bool:
    """The one step after which a POST may leave."""
    row = one(
        tx,
        """UPDATE tokens SET state = 'sent', machine = :machine
            WHERE token = :token AND state = 'reserved' AND EXISTS (SELECT 1 FROM frames
                WHERE frames.board = tokens.board AND frames.key = tokens.key AND frames.state = 'running')
            RETURNING token""",
        token=token,
        machine=machine,
    )
    return row is not None


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


def _begun(tx: Tx, frame: Ready, task: str) -> Begun:
    board = one(tx, "SELECT project, folder, backend FROM boards WHERE id = :id", id=frame.board)
    assert board is not None
    described = _task(json.loads(task))
    earlier: Sequence[Row] = ()
    if described.depends_on:
        earlier = tx.all(
            """SELECT frames.key, frames.path FROM needs JOIN frames
                ON frames.board = needs.board AND frames.key = needs.before
                WHERE needs.board = :board AND needs.key = :key""",
            board=frame.board,
            key=frame.key,
        )
    return Begun(
        task=described,
        made={row["key"]: Path(row["path"]) for row in earlier if row["path"]},
        project=board["project"],
        folder=Path(board["folder"]),
        backend=board["backend"],
    )


def _frame_row(board: str, place: int, task: FrameTask) -> dict[str, Any]:
    described = json.dumps(asdict(task), ensure_ascii=False)
    return {"board": board, "key": task.key, "place": place, "task": described}


def _task(described: dict[str, Any]) -> FrameTask:
    references = tuple(ShotReference(**reference) for reference in described.pop("references"))
    return FrameTask(**{**described, "references": references, "depends_on": tuple(described["depends_on"])})
