"""The durable record that makes every paid call happen at most once and keeps the day's budget.

In: a request's fingerprint, its price and a budget; then what became of the call, step by step. Out: leave to begin,
a call to join, a finished result nobody got, or a refusal that says what is known about the money.
Never in here: a picture, a key, a network, a decision to pay again.

    intent ── sent ── replied ── saved ── delivered        saved ⇄ delivering: handed to one later, identical request
       └─ failed  │      │        └─ partial-unknown       some pictures came, others are in doubt
                  │      └─ undelivered ── replied …       paid, at the service for 24 h: fetched without a payment
                  └──────┴─ unknown | lost                 perhaps billed | paid, nothing usable
    `settle`, a person's word: unknown, undelivered, lost → failed | lost     partial-unknown → delivered

`entries` values · `money` · `slots` single pictures · `settling` a person's word · `schema` the file · `spool` what the
file did not take · `owners` who is alive · `ledger` the rules, synchronous · `face` async
"""

from __future__ import annotations

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
    "Budget",
    "Claim",
    "DailyCost",
    "Entry",
    "Fetch",
    "Forgotten",
    "Join",
    "Kept",
    "Payments",
    "Replay",
    "Settlement",
    "State",
    "fingerprint",
]
