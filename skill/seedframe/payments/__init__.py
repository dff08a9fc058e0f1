"""The durable record that makes every paid call happen at most once and keeps the day's budget.

In: a request's fingerprint, its price and a budget; then each step of the call. Out: permission to begin, a call to
join, a finished result that no caller received, or a refusal that says what is known about the money.
Never in here: a picture, a key, a network, a decision to pay again.

    intent ── sent ── replied ── saved ── delivered        saved ⇄ delivering: given to one later, identical request
       └─ failed  │      │        └─ partial-unknown       some pictures arrived, others are in doubt
                  │      └─ undelivered ── replied …       paid, at the service for 24 h: fetched without a payment
                  └──────┴─ unknown | lost                 perhaps billed | paid, nothing usable
    `settle`, a person's decision: unknown, undelivered, lost → failed | lost     partial-unknown → delivered
    `write_off`, a person's decision: the frame of a board may be paid for once more, what was paid stays spent

`entries` values · `boards` their frames · `money` · `slots` single pictures · `settlement` of open payments ·
`migrations` of its tables · `sql` two databases as one · `record_store` where it is kept · `spool` for steps not yet
in it · `owners` that are alive · `records` the rules, synchronous · `payments` async
"""

from __future__ import annotations

from seedframe.payments.boards import BoardBudgetExceeded, BoardMoney, BoardStopped, PaidFrame
from seedframe.payments.entries import (
    FINISHED,
    IN_FLIGHT,
    STATES,
    Begin,
    Claim,
    DailyCost,
    Entry,
    Fetch,
    Join,
    Kept,
    Replay,
    Settlement,
    State,
    fingerprint,
)
from seedframe.payments.forget import Forgotten
from seedframe.payments.money import Budget
from seedframe.payments.payments import Payments

__all__ = [
    "FINISHED",
    "IN_FLIGHT",
    "STATES",
    "Begin",
    "BoardBudgetExceeded",
    "BoardMoney",
    "BoardStopped",
    "Budget",
    "Claim",
    "DailyCost",
    "Entry",
    "Fetch",
    "Forgotten",
    "Join",
    "Kept",
    "PaidFrame",
    "Payments",
    "Replay",
    "Settlement",
    "State",
    "fingerprint",
]
