"""The boards whose frames are paid for: their budgets, whether they are stopped, the one payment of each frame.

In: steps of `records`, inside its transactions. Out: leave to pay or to send, or a refusal; what a board has cost.
A frame has at most one payment that failed not and was not written off: the database itself refuses a second one.
Never in here: a picture, a queue, a payment that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from seedframe.errors import BudgetExceeded, SpendingRefused
from seedframe.messages import Message
from seedframe.payments.entries import State, fingerprint
from seedframe.payments.money import Priced, decimal, format_money, micro
from seedframe.payments.sql import Row, Tx, listed, one

PaymentState = Literal["reserved", "sent", "paid", "undelivered", "unknown", "lost"]
FRAME_STATES: Mapping[State, PaymentState] = {
    "intent": "reserved",
    "sent": "sent",
    "replied": "sent",
    "saved": "paid",
    "delivering": "paid",
    "delivered": "paid",
    "partial-unknown": "paid",
    "undelivered": "undelivered",
    "unknown": "unknown",
    "lost": "lost",
}
"""How the payment of a frame stands, by the state of its entry. A call that failed was none."""

_LIVE = "board = :board AND frame = :frame AND state <> 'failed' AND written_off = 0"


@dataclass(frozen=True, slots=True)
class PaidFrame:
    """What a call pays for: a frame of a board."""

    board: str
    frame: str

    @property
    def fingerprint(self) -> str:
        """The identity of its request: the same frame is the same request, whatever its words."""
        return fingerprint({"board": self.board, "frame": self.frame})


@dataclass(frozen=True, slots=True)
class FramePayment:
    """The money of one frame: how its payment stands, None without one; all that it has or may have cost."""

    state: PaymentState | None
    cost: Decimal


@dataclass(frozen=True, slots=True)
class BoardMoney:
    """What is recorded of a board. `stopped` says why nothing more of it is sent, by language."""

    currency: str | None = None
    budget: Decimal | None = None
    spent: Decimal = Decimal(0)
    stopped: Mapping[str, str] | None = None
    frames: Mapping[str, FramePayment] = field(default_factory=dict)


class BoardStopped(SpendingRefused):
    """The board of this frame is stopped: nothing more of it is sent."""


class BoardBudgetExceeded(BudgetExceeded):
    """The board's budget does not cover the price of this frame."""


class Boards:
    """The table `budgets` of one open record, and the frames among its entries."""

    def __init__(self, db: Tx) -> None:
        self._db = db

    def begin(self, board: str, currency: str, budget: Decimal | None) -> None:
        """Enter a board; one that was stopped may go on. Without a `budget` the one given before still holds."""
        self._db.all(
            """INSERT INTO budgets (board, currency, amount, finish) VALUES (:board, :currency, :amount, 0)
                ON CONFLICT (board) DO UPDATE SET currency = excluded.currency,
                    amount = coalesce(excluded.amount, budgets.amount), stopped = NULL, finish = 0""",
            board=board,
            currency=currency,
            amount=None if budget is None else micro(budget),
        )

    def stop(self, board: str, why: Mapping[str, str], *, finish: bool) -> bool:
        """Nothing more of it is sent; with `finish` what is reserved still may be. False when it was stopped."""
        row = one(
            self._db,
            """UPDATE budgets SET stopped = :why, finish = :finish
                WHERE board = :board AND (stopped IS NULL OR (finish = 1 AND :finish = 0)) RETURNING board""",
            board=board,
            finish=int(finish),
            why=json.dumps(dict(why), ensure_ascii=False),
        )
        return row is not None

    def is_stopped(self, board: str) -> bool:
        """Whether nothing more of it may be paid; also where it was never begun in this record."""
        row = self._row(board)
        return row is None or row["stopped"] is not None

    def check_price(self, paid: PaidFrame, price: Priced) -> None:
        """BoardStopped or BoardBudgetExceeded. A price that is not known passes only where there is no budget."""
        row = self._row(paid.board)
        if row is None or row["stopped"] is not None:
            raise _stopped()
        if row["amount"] is None:
            return
        if price.amount is None or self._spent(paid.board) + micro(price.amount) > row["amount"]:
            raise BoardBudgetExceeded(
                Message("board_run.over-budget", price=format_money(price.amount, price.currency))
            )

    def check_sending(self, board: str) -> None:
        """BoardStopped where a call must not leave any more."""
        row = self._row(board)
        if row is None or (row["stopped"] is not None and not row["finish"]):
            raise _stopped()

    def live(self, paid: PaidFrame) -> str | None:
        """The id of the entry that is the frame's payment."""
        row = one(self._db, f"SELECT id FROM entries WHERE {_LIVE}", board=paid.board, frame=paid.frame)  # noqa: S608
        return None if row is None else str(row["id"])

    def write_off(self, board: str, frames: Collection[str], states: Collection[PaymentState]) -> None:
        """A person pays for these frames anew: what was paid stays spent and stands in the way no more."""
        names, values = listed([state for state, meant in FRAME_STATES.items() if meant in states], "state")
        self._db.many(
            f"UPDATE entries SET written_off = 1 WHERE {_LIVE} AND state IN {names}",  # noqa: S608
            [{"board": board, "frame": frame, **values} for frame in frames],
        )

    def lose(self, paid: PaidFrame) -> None:
        """What was paid for this frame brought a picture that is not there any more."""
        self._db.all(
            f"UPDATE entries SET state = 'lost' WHERE {_LIVE} AND state IN ('saved', 'delivering', 'delivered')",  # noqa: S608
            board=paid.board,
            frame=paid.frame,
        )

    def money(self, board: str) -> BoardMoney:
        """All that is recorded of a board."""
        row = self._row(board)
        frames: dict[str, FramePayment] = {}
        for entry in self._db.all(
            """SELECT frame, state, written_off, reserved + booked AS cost FROM entries
                WHERE board = :board AND state <> 'failed' ORDER BY number""",
            board=board,
        ):
            frames[entry["frame"]] = _added(frames.get(entry["frame"]), entry)
        spent = sum((frame.cost for frame in frames.values()), Decimal(0))
        if row is None:
            return BoardMoney(spent=spent, frames=frames)
        budget = None if row["amount"] is None else decimal(row["amount"])
        return BoardMoney(row["currency"], budget, spent, row["stopped"] and json.loads(row["stopped"]), frames)

    def _row(self, board: str) -> Row | None:
        return one(self._db, "SELECT * FROM budgets WHERE board = :board", board=board)

    def _spent(self, board: str) -> int:
        row = one(
            self._db,
            "SELECT coalesce(sum(reserved + booked), 0) AS spent FROM entries WHERE board = :board",
            board=board,
        )
        return int(row["spent"]) if row else 0


def _added(known: FramePayment | None, entry: Row) -> FramePayment:
    state = None if entry["written_off"] else FRAME_STATES[entry["state"]]
    before = known or FramePayment(None, Decimal(0))
    return FramePayment(state or before.state, before.cost + decimal(entry["cost"]))


def _stopped() -> BoardStopped:
    return BoardStopped(Message("board_run.fenced"))
