"""The rules: who may pay, who waits, who is handed what; what each step does to the money. Synchronous, one thread.

In: a wish to pay, then the steps of the call. Out: a claim, or a refusal. Every decision is one immediate transaction,
so that any number of processes decide one after the other.
Never in here: an event loop, a network, a second chance for a call that may have been paid.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from seedframe.errors import BudgetExceeded, EarlierOutcomeUnknown, InvalidRequest, NotConfigured, StoreError
from seedframe.journal.entries import IN_FLIGHT, Begin, Claim, Cost, Entry, Join, Replay, State, new_id
from seedframe.journal.forgetting import Forgotten, erasing, forget
from seedframe.journal.money import MICRO, Budget, Priced, decimal, micro, told
from seedframe.journal.owners import Owners
from seedframe.journal.schema import immediate, open_database
from seedframe.messages import Message
from seedframe.private_files import make_private_folder
from seedframe.redaction import redact

Money = Literal["keep", "release", "book"]
# What is left of a call whose driver is gone: never sent is never billed, anything later may be.
AFTER_DEATH: Mapping[State, State] = {
    "intent": "failed",
    "sent": "unknown",
    "replied": "unknown",
    "delivering": "saved",
}
_NOBODY_WAITS: frozenset[State] = frozenset({"delivered", "failed", "unknown", "lost"})
_MAY_REPLY: tuple[State, ...] = ("sent", "replied", "unknown")

_MOVE = """UPDATE entries SET
        state = :to, changed = :now, owner = coalesce(:new_owner, owner), tries = tries + :tries,
        reserved = CASE :money WHEN 'keep' THEN reserved ELSE 0 END,
        booked = CASE :money WHEN 'keep' THEN booked WHEN 'release' THEN 0
                 ELSE coalesce(:amount, booked + reserved) END,
        partial = max(partial, :partial), billed_images = coalesce(:billed_images, billed_images),
        request_id = coalesce(:request_id, request_id), result = coalesce(:result, result),
        error = coalesce(:error, error)
    WHERE id = :id AND state IN (SELECT value FROM json_each(:after)) AND (:owner IS NULL OR owner = :owner)"""
_OWNERS = """SELECT owner FROM entries WHERE state IN ('intent', 'sent', 'replied', 'delivering')
    UNION SELECT owner FROM waiting"""
_OWNERS_OF = """WITH alike AS (SELECT id, owner, state FROM entries WHERE fingerprint = :fingerprint)
    SELECT owner FROM alike WHERE state IN ('intent', 'sent', 'replied', 'delivering')
    UNION SELECT waiting.owner FROM waiting JOIN alike ON alike.id = waiting.entry"""
_LIST = """SELECT * FROM entries
    WHERE (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
      AND (:fingerprint IS NULL OR fingerprint = :fingerprint)
      AND (:backend IS NULL OR backend = :backend) AND (:model IS NULL OR model = :model)
      AND (:since IS NULL OR day >= :since) AND (:until IS NULL OR day <= :until)
    ORDER BY number DESC LIMIT :limit"""
_COSTS = """SELECT day, model, backend, currency, count(*) AS calls, sum(coalesce(billed_images, images)) AS images,
        sum(booked) AS booked, sum(reserved) AS reserved, sum(state = 'unknown') AS unknown
    FROM entries
    WHERE state NOT IN ('intent', 'failed') AND (:since IS NULL OR day >= :since) AND (:until IS NULL OR day <= :until)
    GROUP BY day, model, backend, currency ORDER BY day, model, backend, currency"""


@dataclass(frozen=True, slots=True)
class Wish:
    """A call somebody is ready to pay for; `request` is what may be shown of it later."""

    fingerprint: str
    request: Mapping[str, Any]
    backend: str
    model: str
    images: int
    price: Priced
    budget: Budget | None = None
    fresh: bool = False
    price_confirmed: bool = False


class Ledger:
    """One open journal. Its steps answer StoreError when the entry is not in a state that allows them."""

    def __init__(self, path: Path, *, now: Callable[[], float], secrets: Iterable[str] = ()) -> None:
        self._now = now
        self._secrets = tuple(secrets)
        if not path.parent.exists():
            make_private_folder(path.parent)
        self._owners = Owners(path.with_name(f"{path.name}.owners"))
        with self._owners.opening(), contextlib.ExitStack() as held:
            self.owner, life = self._owners.enter()
            held.callback(life.release)
            self._db = open_database(path)
            held.callback(self._db.close)
            self.recover()
            self._owners.sweep()
            self._held = held.pop_all()

    def close(self) -> None:
        """Let go. What was still under way becomes, to the next who looks, what a dead process leaves behind."""
        self._held.close()

    def deciding(self) -> AbstractContextManager[None]:
        """What is asked inside the block is decided in one transaction: all of it is kept, or nothing."""
        return immediate(self._db)

    # Asking

    def claim(self, wish: Wish) -> Claim:
        """Leave to pay, a call to wait for, or a picture already paid. BudgetExceeded, EarlierOutcomeUnknown."""
        # A budget counts what everybody has reserved; without one only identical calls matter.
        self.recover(None if wish.budget else wish.fingerprint)
        with immediate(self._db):
            known = self._known(wish.fingerprint)
            if known is not None:
                return known
            if not wish.fresh:
                self._refuse_if_unknown(wish.fingerprint)
            day = self._day()
            self._refuse_if_too_dear(wish, day)
            return Begin(self._begin(wish, day))

    def entry(self, id: str) -> Entry | None:
        """The entry of that id, whoever drives it."""
        row = self._db.execute("SELECT * FROM entries WHERE id = ?", (id,)).fetchone()
        return row and _entry(row)

    def look(self, id: str) -> Entry:
        """The entry as its driver's life or death leaves it; StoreError when there is none."""
        entry = self._existing(id)
        if entry.state in IN_FLIGHT and entry.owner != self.owner and not self._owners.alive(entry.owner):
            self.recover()
            entry = self._existing(id)
        return entry

    def entries(
        self,
        *,
        states: Collection[State] | None = None,
        fingerprint: str | None = None,
        backend: str | None = None,
        model: str | None = None,
        since: date | None = None,
        until: date | None = None,
        limit: int = 50,
    ) -> tuple[Entry, ...]:
        """Entries that fit every given filter, newest first; days are inclusive."""
        self.recover(fingerprint)
        wanted = {"fingerprint": fingerprint, "backend": backend, "model": model, "limit": limit}
        chosen = {"states": None if states is None else json.dumps(sorted(states)), **_days(since, until)}
        return tuple(_entry(row) for row in self._db.execute(_LIST, {**wanted, **chosen}))

    def costs(self, since: date | None = None, until: date | None = None) -> tuple[Cost, ...]:
        """What was or may have been paid, by day, model, backend and currency; days are inclusive."""
        self.recover()
        return tuple(_cost(row) for row in self._db.execute(_COSTS, _days(since, until)))

    # The steps of a call

    def sent(self, id: str) -> None:
        """The POST is about to leave. When this raises, it must not."""
        self._move(id, "sent", after=("intent", "sent"), tries=1)

    def replied(self, id: str, *, request_id: str | None, billed_images: int | None, amount: Decimal | None) -> None:
        """The service answered; an `amount` replaces the reservation, None keeps it."""
        with immediate(self._db):
            entry = self._existing(id)
            self._step(
                id,
                # Somebody took this process for dead: what is known is noted, the question stays open.
                "unknown" if entry.state == "unknown" else "replied",
                after=_MAY_REPLY,
                money="keep" if amount is None else "book",
                amount=amount,
                request_id=request_id and redact(request_id, self._secrets),
                billed_images=billed_images,
            )

    def saved(self, id: str, result: Mapping[str, Any], *, partial: bool = False) -> None:
        """The pictures are on the disk; what is still reserved is booked."""
        self._move(id, "saved", after=_MAY_REPLY, money="book", result=result, partial=partial)

    def delivered(self, id: str) -> None:
        """A caller has the result. Saying it again (several callers may have joined) changes nothing."""
        with immediate(self._db):
            state = self._existing(id).state
            if state != "delivered":
                self._step(id, "delivered", after=("saved", "delivering"), anybody=state == "saved")

    def undelivered(self, id: str) -> None:
        """One caller of this process is gone; with nobody left waiting, the next identical request gets the result."""
        mine = {"id": id, "owner": self.owner}
        with immediate(self._db):
            entry = self._existing(id)
            if entry.state == "delivering" and entry.owner == self.owner:
                self._step(id, "saved", after=("delivering",))
                return
            self._db.execute("UPDATE waiting SET callers = callers - 1 WHERE entry = :id AND owner = :owner", mine)
            self._db.execute("DELETE FROM waiting WHERE entry = :id AND callers < 1", mine)

    def failed(self, id: str, error: Mapping[str, Any]) -> None:
        """It failed and was not billed: the reservation is released."""
        self._move(id, "failed", after=("intent", *_MAY_REPLY), money="release", error=error)

    def unknown(self, id: str, error: Mapping[str, Any]) -> None:
        """It left and nobody knows how it ended: the reservation stays until a person settles it."""
        self._move(id, "unknown", after=_MAY_REPLY, error=error)

    def spent_anyway(self, id: str, error: Mapping[str, Any], amount: Decimal | None) -> None:
        """It was billed and nothing usable came; None books what was reserved."""
        self._move(id, "lost", after=_MAY_REPLY, money="book", amount=amount, error=error)

    def abandon(self, id: str, error: Mapping[str, Any] | None = None) -> None:
        """The driver stops, wherever it is: what the process's death would make of it. Nothing if it has finished."""
        with immediate(self._db):
            entry = self._existing(id)
            if entry.owner == self.owner and entry.state in IN_FLIGHT:
                self._drop(entry, error)

    def settle(self, id: str, *, billed: bool, amount: Decimal | None = None) -> None:
        """A person's word on an unknown entry; InvalidRequest for any other. `amount` when it is known better."""
        self.recover()
        with immediate(self._db):
            entry = self._existing(id)
            if entry.state != "unknown":
                raise InvalidRequest(
                    Message("journal.nothing-to-settle", entry=id, state=entry.state),
                    field="entry",
                    got=entry.state,
                    allowed="unknown",
                )
            to: State = "lost" if billed else "failed"
            money: Money = "book" if billed else "release"
            self._step(id, to, after=("unknown",), money=money, amount=amount, anybody=True)

    def forget(
        self, *, ids: Collection[str] | None = None, before: float | None = None, thorough: bool = True
    ) -> Forgotten:
        """Take texts and details out of these entries (none named: of all), or of those not changed since `before`."""
        self.recover()
        with erasing(self._db, thorough=thorough):
            return forget(self._db, ids=ids, before=before)

    def recover(self, fingerprint: str | None = None) -> None:
        """Decide what is left of the calls, leases and waits of processes that have died; or of those of one wish."""
        rows = self._db.execute(_OWNERS if fingerprint is None else _OWNERS_OF, {"fingerprint": fingerprint})
        others = [row["owner"] for row in rows if row["owner"] != self.owner]
        dead = [owner for owner in others if not self._owners.alive(owner)]
        if dead:
            with immediate(self._db):
                for owner in dead:
                    self._bury(owner)

    # What they are made of

    def _known(self, fingerprint: str) -> Join | Replay | None:
        rows = self._db.execute(
            """SELECT *, EXISTS (SELECT 1 FROM waiting WHERE waiting.entry = entries.id) AS awaited FROM entries
                WHERE fingerprint = ? AND state IN ('intent', 'sent', 'replied', 'saved') ORDER BY number""",
            (fingerprint,),
        ).fetchall()
        under_way = [row for row in rows if row["state"] in IN_FLIGHT]
        left = [row for row in rows if row["state"] == "saved" and not row["awaited"]]
        if left and not under_way:
            oldest = str(left[0]["id"])
            self._step(oldest, "delivering", after=("saved",), anybody=True, new_owner=self.owner)
            return Replay(self._existing(oldest))
        if not rows:
            return None
        entry = _entry((under_way or rows)[0])
        self._wait(entry.id)
        return Join(entry)

    def _wait(self, id: str) -> None:
        self._db.execute(
            "INSERT INTO waiting VALUES (?, ?, 1) ON CONFLICT (entry, owner) DO UPDATE SET callers = callers + 1",
            (id, self.owner),
        )

    def _refuse_if_unknown(self, fingerprint: str) -> None:
        # A later call means that somebody has already said `fresh`; one that failed unbilled has not used that word up.
        row = self._db.execute(
            "SELECT * FROM entries WHERE fingerprint = ? AND state != 'failed' ORDER BY number DESC LIMIT 1",
            (fingerprint,),
        ).fetchone()
        if row is None or row["state"] != "unknown":
            return
        entry = _entry(row)
        when = datetime.fromtimestamp(entry.created, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        stake = told(entry.at_stake, entry.currency)
        key = "journal.earlier-paid" if entry.booked else "journal.earlier-unknown"
        raise EarlierOutcomeUnknown(
            Message(key, entry=entry.id, when=when, cost=stake),
            advice=Message("journal.earlier-advice", entry=entry.id),
            facts={
                "entry": entry.id,
                "when": when,
                "at_stake": None if entry.at_stake is None else f"{entry.at_stake:f}",
                "currency": entry.currency,
                "earlier": entry.error,
            },
        )

    def _refuse_if_too_dear(self, wish: Wish, day: date) -> None:
        budget, price = wish.budget, wish.price
        if budget is None:
            return
        if budget.currency != price.currency:
            raise NotConfigured(
                Message("journal.other-currency", budget=str(budget), currency=price.currency, backend=wish.backend),
                advice=Message("journal.other-currency-advice", currency=price.currency),
            )
        if price.amount is None and wish.price_confirmed:
            return
        spent = self._spent(day, budget)
        if price.amount is None or spent + micro(price.amount) > int(budget.amount * MICRO):
            raise _too_dear(budget, decimal(spent), price, day)

    def _spent(self, day: date, budget: Budget) -> int:
        rows = self._db.execute(
            "SELECT backend, sum(reserved + booked) FROM entries WHERE day = ? AND currency = ? GROUP BY backend",
            (day.isoformat(), budget.currency),
        )
        return sum(int(spent) for backend, spent in rows if not budget.backends or backend in budget.backends)

    def _begin(self, wish: Wish, day: date) -> Entry:
        now = self._now()
        entry = new_id(now, self._db.execute("SELECT max(id) FROM entries").fetchone()[0])
        price = None if wish.price.amount is None else micro(wish.price.amount)
        self._db.execute(
            """INSERT INTO entries (id, fingerprint, state, owner, backend, model, images, currency, price, reserved,
                    day, created, changed, request)
                VALUES (:id, :fingerprint, 'intent', :owner, :backend, :model, :images, :currency, :price, :reserved,
                    :day, :now, :now, :request)""",
            {
                "id": entry,
                "fingerprint": wish.fingerprint,
                "owner": self.owner,
                "backend": wish.backend,
                "model": wish.model,
                "images": wish.images,
                "currency": wish.price.currency,
                "price": price,
                "reserved": price or 0,
                "day": day.isoformat(),
                "now": now,
                "request": self._json(wish.request),
            },
        )
        self._wait(entry)
        return self._existing(entry)

    def _move(self, id: str, to: State, **changes: Any) -> None:
        with immediate(self._db):
            self._step(id, to, **changes)

    def _step(
        self,
        id: str,
        to: State,
        *,
        after: tuple[State, ...],
        money: Money = "keep",
        amount: Decimal | None = None,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        anybody: bool = False,
        **more: Any,
    ) -> None:
        """One step of an entry inside a transaction; unless `anybody` may take it, this process must drive it."""
        defaults = {"tries": 0, "partial": False, "billed_images": None, "request_id": None, "new_owner": None}
        moved = self._db.execute(
            _MOVE,
            {
                **defaults,
                **more,
                "id": id,
                "to": to,
                "now": self._now(),
                "after": json.dumps(after),
                "owner": None if anybody else self.owner,
                "money": money,
                "amount": None if amount is None else micro(amount),
                "result": None if result is None else self._json(result),
                "error": None if error is None else self._json(error),
            },
        )
        if not moved.rowcount:
            state = self._existing(id).state
            raise StoreError(Message("journal.moved-on", entry=id, state=state, wanted=to), facts={"entry": id})
        if to in _NOBODY_WAITS:
            self._db.execute("DELETE FROM waiting WHERE entry = ?", (id,))

    def _bury(self, owner: str) -> None:
        rows = self._db.execute(
            "SELECT * FROM entries WHERE owner = ? AND state IN ('intent', 'sent', 'replied', 'delivering')", (owner,)
        )
        for row in rows.fetchall():
            self._drop(_entry(row), None)
        self._db.execute("DELETE FROM waiting WHERE owner = ?", (owner,))

    def _drop(self, entry: Entry, error: Mapping[str, Any] | None) -> None:
        to = AFTER_DEATH[entry.state]
        if error is None and to != "saved":
            kind = "ConnectionFailed" if to == "failed" else "OutcomeUnknown"
            error = {"kind": kind, "message": {"key": f"journal.died-{entry.state}", "values": {}}}
        money: Money = "release" if to == "failed" else "keep"
        self._step(entry.id, to, after=(entry.state,), money=money, error=error, anybody=True)

    def _existing(self, id: str) -> Entry:
        entry = self.entry(id)
        if entry is None:
            raise StoreError(Message("journal.no-entry", entry=id), facts={"entry": id})
        return entry

    def _day(self) -> date:
        return datetime.fromtimestamp(self._now(), UTC).astimezone().date()

    def _json(self, value: Mapping[str, Any]) -> str:
        # ASCII, because a lone surrogate in a prompt cannot be stored as text.
        return json.dumps(redact(value, self._secrets))


def _too_dear(budget: Budget, spent: Decimal, price: Priced, day: date) -> BudgetExceeded:
    facts = {"budget": f"{budget.amount:f}", "spent": f"{spent:f}", "currency": budget.currency, "day": day.isoformat()}
    if price.amount is None:
        return BudgetExceeded(
            Message("journal.price-unknown-budget", budget=str(budget)),
            advice=Message("journal.price-unknown-advice"),
            facts={**facts, "price": None},
        )
    return BudgetExceeded(
        Message(
            "journal.budget-exceeded",
            budget=str(budget),
            day=day.isoformat(),
            spent=told(spent, budget.currency),
            price=told(price.amount, budget.currency),
        ),
        advice=Message("journal.budget-advice"),
        facts={**facts, "price": f"{price.amount:f}"},
    )


def _days(since: date | None, until: date | None) -> dict[str, str | None]:
    return {name: day.isoformat() if day else None for name, day in (("since", since), ("until", until))}


def _entry(row: sqlite3.Row) -> Entry:
    names = ("id", "fingerprint", "state", "owner", "backend", "model", "images", "currency", "created", "changed")
    more = ("tries", "billed_images", "request_id")
    return Entry(
        **{name: row[name] for name in (*names, *more)},
        price=None if row["price"] is None else decimal(row["price"]),
        reserved=decimal(row["reserved"]),
        booked=decimal(row["booked"]),
        day=date.fromisoformat(row["day"]),
        partial=bool(row["partial"]),
        request=json.loads(row["request"]),
        result=row["result"] and json.loads(row["result"]),
        error=row["error"] and json.loads(row["error"]),
    )


def _cost(row: sqlite3.Row) -> Cost:
    return Cost(
        **{name: row[name] for name in ("model", "backend", "currency", "calls", "images", "unknown")},
        day=date.fromisoformat(row["day"]),
        booked=decimal(row["booked"]),
        reserved=decimal(row["reserved"]),
    )
