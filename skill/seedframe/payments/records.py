"""The rules: which caller may pay, wait or take a result; what each step does to the money. Synchronous, one thread.

In: a request to pay, then the steps of the call. Out: a claim, or a refusal. Every decision is one immediate
transaction, so that any number of processes decide one after the other.
Never in here: an event loop, a network, a second chance for a call that may have been paid.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from seedframe.errors import (
    BudgetExceeded,
    EarlierOutcomeUnknown,
    InvalidRequest,
    NotConfigured,
    PaidAndLost,
    SeedreamError,
    SpendingRefused,
    StoreError,
)
from seedframe.messages import Message
from seedframe.payments.boards import BoardMoney, Boards, PaidFrame, PaymentState
from seedframe.payments.entries import (
    IN_FLIGHT,
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
    new_id,
)
from seedframe.payments.forget import Forgotten, forget
from seedframe.payments.migrations import BUSY_SECONDS
from seedframe.payments.money import MICRO, Budget, Priced, decimal, format_money, micro
from seedframe.payments.record_store import store_of
from seedframe.payments.settlement import Shares, share_out
from seedframe.payments.slots import Slots
from seedframe.payments.spool import Spool, SpooledFacts
from seedframe.payments.sql import Row, Tx, listed, one, refused_rows
from seedframe.redaction import redact

Money = Literal["keep", "release", "book", "split"]
# What a call becomes whose process has ended: never sent is never billed, anything later may be.
AFTER_DEATH: Mapping[State, State] = {
    "intent": "failed",
    "sent": "unknown",
    "replied": "unknown",
    "delivering": "saved",
}
_NOBODY_WAITS: frozenset[State] = frozenset(
    {"delivered", "partial-unknown", "undelivered", "failed", "unknown", "lost"}
)
_MAY_REPLY: tuple[State, ...] = ("sent", "replied", "unknown")
_TAKEN_FOR_ENDED: tuple[State, ...] = ("unknown", "undelivered")
"""What the call of a living process becomes that another one took for ended; its own later steps are the truth."""

SPOOLED = frozenset({"keep", "replied", "saved", "delivered", "failed", "unknown", "spent_anyway", "unfetched"})
"""Steps after a POST: they have happened, so they are spooled where the record cannot be written."""

_OPEN_QUESTIONS: tuple[State, ...] = ("unknown", "partial-unknown", "undelivered", "lost")

_MOVE = """UPDATE entries SET
        state = :to, changed = :now, owner = coalesce(:new_owner, owner), tries = tries + :tries,
        reserved = CASE :money WHEN 'keep' THEN reserved WHEN 'split' THEN :held ELSE 0 END,
        booked = CASE :money WHEN 'keep' THEN booked WHEN 'release' THEN 0
                 ELSE coalesce(:amount, booked + reserved) END,
        settled = CASE WHEN :settled = 1 THEN 1 ELSE settled END,
        partial = CASE WHEN :partial = 1 THEN 1 ELSE partial END,
        billed_images = coalesce(:billed_images, billed_images), request_id = coalesce(:request_id, request_id),
        result = coalesce(:result, result), error = coalesce(:error, error)
    WHERE id = :id AND owner = coalesce(:owner, owner) AND state IN {after} RETURNING id"""
_OWNERS = """SELECT owner FROM entries WHERE state IN ('intent', 'sent', 'replied', 'delivering')
    UNION SELECT owner FROM waiting"""
_OWNERS_OF = """WITH alike AS (SELECT id, owner, state FROM entries WHERE fingerprint = :fingerprint)
    SELECT owner FROM alike WHERE state IN ('intent', 'sent', 'replied', 'delivering')
    UNION SELECT waiting.owner FROM waiting JOIN alike ON alike.id = waiting.entry"""
_BEGIN = """INSERT INTO entries (id, fingerprint, state, owner, backend, model, images, currency, price, reserved, day,
        created, changed, request, delivery, board, frame)
    VALUES (:id, :fingerprint, :state, :owner, :backend, :model, :images, :currency, :price, :reserved, :day,
        :now, :now, :request, :delivery, :board, :frame)"""
_ENTER = """INSERT INTO entries (id, fingerprint, state, owner, backend, model, images, currency, price, reserved, day,
        created, changed, tries, request, delivery, board, frame)
    VALUES (:id, :fingerprint, 'sent', :owner, :backend, :model, :images, :currency, :price, :reserved, :day,
        :created, :created, 1, :request, :delivery, :board, :frame)"""
_UNDER_WAY = "SELECT * FROM calls WHERE owner = :owner AND state IN ('intent', 'sent', 'replied', 'delivering')"
_KNOWN = """SELECT *,
        CASE WHEN EXISTS (SELECT 1 FROM waiting WHERE waiting.entry = calls.id) THEN 1 ELSE 0 END AS awaited
    FROM calls WHERE fingerprint = :fingerprint AND written_off = 0
        AND state IN ('intent', 'sent', 'replied', 'saved') ORDER BY number"""
_FILTERS = {
    "fingerprint": "fingerprint = :fingerprint",
    "backend": "backend = :backend",
    "model": "model = :model",
    "since": "day >= :since",
    "until": "day <= :until",
}
_COSTS = """SELECT day, model, backend, currency, board, count(*) AS calls,
        sum(coalesce(billed_images, images)) AS images, sum(booked) AS booked, sum(reserved) AS reserved,
        sum(CASE WHEN state IN ('unknown', 'partial-unknown') THEN 1 ELSE 0 END) AS unknown
    FROM entries
    WHERE state NOT IN ('intent', 'failed'){filters}
    GROUP BY day, model, backend, currency, board
    ORDER BY day, model, backend, currency, coalesce(board, '')"""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """A call to be paid for; `request` is what may be shown of it later.

    `delivery` is what must be known to put its pictures on the disk later, in another process.
    """

    fingerprint: str
    request: Mapping[str, Any]
    backend: str
    model: str
    images: int
    price: Priced
    budget: Budget | None = None
    fresh: bool = False
    price_confirmed: bool = False
    delivery: Mapping[str, Any] | None = None
    frame: PaidFrame | None = None


class EntryMoved(StoreError):
    """The state of the entry does not allow this step any more: somebody else took its process for ended."""


class PaymentRecords:
    """One open record. Its steps raise StoreError when the state of the entry does not allow them."""

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float],
        secrets: Iterable[str] = (),
        busy: float = BUSY_SECONDS,
        database: str | None = None,
    ) -> None:
        self._now = now
        self._secrets = tuple(secrets)
        self._store = store_of(path, database, busy)
        self._owners = self._store.owners
        with self._owners.opening(), contextlib.ExitStack() as held:
            self.owner, life = self._owners.enter()
            held.callback(life.release)
            self._db = self._store.open()
            held.callback(self._db.close)
            self._slots = Slots(self._db, now)
            self._boards = Boards(self._db)
            self.spool = Spool(self._store.beside(path), self.owner, self._secrets)
            self.take_in()
            self.recover()
            self._owners.sweep()
            self._held = held.pop_all()

    def close(self) -> None:
        """Close. What was still under way counts for the next reader as the work of an ended process."""
        self._held.close()

    def deciding(self) -> AbstractContextManager[Tx]:
        """Everything inside the block is one transaction: all of it is kept, or nothing."""
        return self._db.deciding()

    # Asking

    def claim(self, payment: PaymentRequest) -> Claim:
        """Permission to pay, a call to wait for, or a picture already paid: saved, or still at the service.

        BudgetExceeded, EarlierOutcomeUnknown, PaidAndLost; BoardStopped for a frame. What was paid for a frame is given
        to whoever asks for it again, also after it was delivered.
        """
        # A budget counts the reservations of all processes; without one only identical calls matter.
        self.recover(None if payment.budget or payment.frame else payment.fingerprint)
        with self._db.deciding():
            known = self._known(payment.fingerprint)
            if known is not None:
                return known
            if payment.frame is not None:
                paid = self._paid_for(payment.frame, payment.price)
                if paid is not None:
                    return paid
                self._boards.check_price(payment.frame, payment.price)
            elif not payment.fresh:
                if (left := self._slots.left_at_service(payment.fingerprint)) is not None:
                    return self._fetch(left)
                self._refuse_if_open(payment)
            day = self._day()
            self._refuse_if_too_dear(payment, day)
            return Begin(self._begin(payment, day))

    def over_budget(self, backend: str, price: Priced, budget: Budget, price_confirmed: bool) -> SeedreamError | None:
        """Why a call at this price would be refused today; None: it would not."""
        asked = PaymentRequest("", {}, backend, "", 0, price, budget, price_confirmed=price_confirmed)
        try:
            self._refuse_if_too_dear(asked, self._day())
        except SeedreamError as refused:
            return refused
        return None

    def entry(self, id: str) -> Entry | None:
        """The entry of that id, whichever process runs it."""
        row = one(self._db, "SELECT * FROM calls WHERE id = :id", id=id)
        return None if row is None else _entry(row)

    def today(self, id: str) -> Entry | None:
        """The entry of that id, after expired pictures have been given up."""
        self._expire()
        return self.entry(id)

    def claim_fetch(self, id: str) -> Fetch | Join | Replay:
        """Ask to fetch the pictures of one entry, or for what nobody took; InvalidRequest where nothing is left."""
        self.recover()
        with self._db.deciding():
            entry = self._existing(id)
            if entry.state in IN_FLIGHT:
                self._wait(id)
                return Join(entry)
            if entry.state == "saved":
                self._step(id, "delivering", after=("saved",), anybody=True, new_owner=self.owner)
                return Replay(self._existing(id))
            if entry.state != "undelivered":
                raise InvalidRequest(
                    Message("payments.nothing-to-fetch", entry=id, state=entry.state),
                    field="entry",
                    got=entry.state,
                    allowed="undelivered",
                )
            return self._fetch(id)

    def kept(self, id: str) -> tuple[Kept, ...]:
        """Where the pictures of an entry can still be fetched, in order; addresses that must not be shown."""
        return self._slots.kept(id)

    def delivery(self, id: str) -> Mapping[str, Any]:
        """What was recorded of an entry for saving its pictures later; empty when nothing was."""
        row = one(self._db, "SELECT delivery FROM entries WHERE id = :id", id=id)
        noted: Mapping[str, Any] = json.loads(row["delivery"]) if row and row["delivery"] else {}
        return noted

    def look(self, id: str) -> Entry:
        """The entry, decided if its process has ended; StoreError when there is none."""
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
        wanted = {"fingerprint": fingerprint, "backend": backend, "model": model, **_days(since, until)}
        filters, values = _filtered(wanted)
        if states is not None:
            names, chosen = listed(states)
            filters, values = f"{filters} AND state IN {names}", values | chosen
        rows = self._db.all(
            f"SELECT * FROM calls WHERE 1 = 1{filters} ORDER BY number DESC LIMIT :limit",  # noqa: S608
            limit=limit,
            **values,
        )
        return tuple(map(_entry, rows))

    def costs(self, since: date | None = None, until: date | None = None) -> tuple[DailyCost, ...]:
        """What was or may have been paid, by day, model, backend, currency and board; days are inclusive."""
        self.recover()
        filters, values = _filtered(_days(since, until))
        return tuple(map(_cost, self._db.all(_COSTS.format(filters=filters), **values)))

    # The steps of a call

    def sent(self, id: str) -> None:
        """The POST is about to be sent. When this raises, it must not be: BoardStopped, EntryMoved."""
        with self._db.deciding():
            board = self._existing(id).board
            if board is not None:
                self._boards.check_sending(board)
            self._step(id, "sent", after=("intent", "sent"), tries=1)

    def keep(self, id: str, slot: int, address: str, expires: float, facts: Mapping[str, Any]) -> None:
        """A paid picture is at this address until `expires`; recorded before any download."""
        with self._db.deciding():
            self._existing(id)
            self._slots.keep(id, Kept(slot, address, expires, redact(facts, self._secrets)))

    def replied(
        self,
        id: str,
        *,
        request_id: str | None,
        billed_images: int | None,
        amount: Decimal | None,
        held: Decimal | None = None,
        doubtful: Collection[int] = (),
    ) -> None:
        """The service answered; an `amount` replaces the reservation, None keeps it.

        `held` stays reserved for the pictures in `doubtful`, which may or may not have been billed.
        """
        with self._db.deciding():
            entry = self._existing(id)
            self._slots.doubt(id, doubtful)
            self._step(
                id,
                # Record what is known, the question stays open.
                entry.state if entry.state in _TAKEN_FOR_ENDED else "replied",
                after=(*_MAY_REPLY, "undelivered"),
                money="keep" if amount is None else "split",
                amount=amount,
                held=held,
                request_id=request_id and redact(request_id, self._secrets),
                billed_images=billed_images,
            )

    def saved(
        self, id: str, result: Mapping[str, Any], *, partial: bool = False, fetchable: Collection[int] = ()
    ) -> None:
        """The pictures are on the disk, except those in `fetchable`, whose addresses stay.

        What is still reserved is booked, unless it is held for pictures in doubt.
        """
        with self._db.deciding():
            self._slots.fetched(id, but=fetchable)
            money: Money = "keep" if self._slots.doubtful(id) else "book"
            self._step(id, "saved", after=(*_MAY_REPLY, "undelivered"), money=money, result=result, partial=partial)
            self._db.all("UPDATE entries SET partial = :partial WHERE id = :id", partial=int(partial), id=id)

    def delivered(self, id: str) -> None:
        """A caller has the result. Repeating it (several callers may have joined) changes nothing."""
        with self._db.deciding():
            entry = self._existing(id)
            if entry.state in {"delivered", "partial-unknown", "undelivered"}:
                return
            to: State = "undelivered" if entry.fetchable else "partial-unknown" if entry.doubtful else "delivered"
            self._step(id, to, after=("saved", "delivering"), anybody=entry.state == "saved")

    def undelivered(self, id: str) -> None:
        """One caller of this process was cancelled; after the last one, the next identical request gets the result."""
        mine = {"id": id, "owner": self.owner}
        with self._db.deciding():
            entry = self._existing(id)
            if entry.state == "delivering" and entry.owner == self.owner:
                self._step(id, "saved", after=("delivering",))
                return
            self._db.all("UPDATE waiting SET callers = callers - 1 WHERE entry = :id AND owner = :owner", **mine)
            self._db.all("DELETE FROM waiting WHERE entry = :id AND callers < 1", id=id)

    def failed(self, id: str, error: Mapping[str, Any]) -> None:
        """It failed and was not billed: the reservation is released."""
        self._move(id, "failed", after=("intent", *_MAY_REPLY), money="release", error=error)

    def unknown(self, id: str, error: Mapping[str, Any]) -> None:
        """It was sent and its end is unknown: the reservation stays until a person settles it."""
        self._move(id, "unknown", after=_MAY_REPLY, error=error)

    def spent_anyway(self, id: str, error: Mapping[str, Any], amount: Decimal | None) -> None:
        """It was billed and nothing usable arrived; None books the reservation."""
        self._move(id, "lost", after=_MAY_REPLY, money="book", amount=amount, error=error)

    def unfetched(self, id: str, error: Mapping[str, Any]) -> None:
        """It is paid, and its pictures are still at the service: their addresses are kept."""
        self._move(id, "undelivered", after=_MAY_REPLY, error=error)

    def abandon(self, id: str, error: Mapping[str, Any] | None = None) -> None:
        """The call stops wherever it is, as if its process had ended. No change if it has finished."""
        with self._db.deciding():
            entry = self._existing(id)
            if entry.owner == self.owner and entry.state in IN_FLIGHT:
                self._drop(entry, error)

    def settle(self, id: str, *, billed: bool, amount: Decimal | None = None, slot: int | None = None) -> Settlement:
        """Settle money in doubt or paid for nothing, by a person's decision; InvalidRequest where there is none.

        `slot` is one picture, counted from 0, else all that are open; `amount` where the whole bill is known better.
        """
        self.recover()
        with self._db.deciding():
            before = self._existing(id)
            shares = share_out(before, self._slots.said(id), billed=billed, slot=slot, amount=amount)
            self._settle(before, shares, billed=billed)
            return Settlement(before, self._existing(id))

    def what_if(self, id: str, *, billed: bool, slot: int | None = None) -> Settlement:
        """What `settle` would do; nothing is changed."""
        settled: list[Settlement] = []
        with contextlib.suppress(_Undone), self._db.deciding():
            settled.append(self.settle(id, billed=billed, slot=slot))
            raise _Undone
        return settled[0]

    def take_in(self) -> None:
        """Enter spooled steps: those of this process and of ended ones."""
        for document in self.spool.waiting():
            if document.owner != self.owner and self._owners.alive(document.owner):
                continue
            try:
                with self._db.deciding():
                    self._enter(document)
            except refused_rows() + (KeyError, TypeError, AttributeError):  # noqa: RUF005
                self.spool.put_aside(document)
            else:
                self.spool.forget(document)

    def forget(
        self, *, ids: Collection[str] | None = None, before: float | None = None, thorough: bool = True
    ) -> Forgotten:
        """Take texts and details out of these entries (none named: of all), or of those not changed since `before`."""
        self.recover()
        with self._store.erasing(thorough=thorough):
            return forget(self._db, ids=ids, before=before)

    def recover(self, fingerprint: str | None = None) -> None:
        """Decide the calls, leases and waits of processes that have ended; or only those of one request."""
        self._expire()
        asked = _OWNERS if fingerprint is None else _OWNERS_OF
        rows = self._db.all(asked, **({} if fingerprint is None else {"fingerprint": fingerprint}))
        others = [row["owner"] for row in rows if row["owner"] != self.owner]
        dead = [owner for owner in others if not self._owners.alive(owner)]
        if dead:
            with self._db.deciding():
                for owner in dead:
                    self._bury(owner)

    # Boards

    def begin_board(self, board: str, currency: str, budget: Decimal | None) -> None:
        """Frames of this board may be paid for, within its budget; without one the budget given before still holds."""
        with self._db.deciding():
            self._boards.begin(board, currency, budget)

    def stop_board(self, board: str, why: Mapping[str, str], *, finish: bool = False) -> bool:
        """Nothing more of this board is sent; with `finish` what is reserved still is. False when it was stopped."""
        with self._db.deciding():
            return self._boards.stop(board, why, finish=finish)

    def is_stopped(self, board: str) -> bool:
        """Whether nothing more of this board is begun."""
        return self._boards.is_stopped(board)

    def board_money(self, board: str) -> BoardMoney:
        """What the frames of a board have cost, and how their payments stand."""
        self.recover()
        return self._boards.money(board)

    def of_frame(self, paid: PaidFrame) -> Entry | None:
        """The payment that is the frame's; None where it failed, was written off, or there was none."""
        self.recover(paid.fingerprint)
        id = self._boards.live(paid)
        return None if id is None else self._existing(id)

    def write_off(self, board: str, frames: Collection[str], states: Collection[PaymentState]) -> None:
        """A person pays for these frames anew: what was paid stays spent and stands in the way no more."""
        with self._db.deciding():
            self._boards.write_off(board, frames, states)

    def note_frame(self, paid: PaidFrame, state: Literal["unknown", "lost"], backend: str, currency: str) -> None:
        """A frame was or may have been paid for, and its picture is not there; an amount that nobody knows is none."""
        with self._db.deciding():
            if state == "lost":
                self._boards.lose(paid)
            if self._boards.live(paid) is None:
                facts = {"backend": backend, "model": "", "images": 1, "currency": currency, "price": None}
                self._db.all(
                    _BEGIN,
                    id=self._new_id(),
                    state=state,
                    fingerprint=paid.fingerprint,
                    owner="",
                    reserved=0,
                    day=self._day().isoformat(),
                    now=self._now(),
                    request="{}",
                    delivery=None,
                    board=paid.board,
                    frame=paid.frame,
                    **facts,
                )

    # Parts of the steps

    def _known(self, fingerprint: str) -> Join | Replay | None:
        rows = self._db.all(_KNOWN, fingerprint=fingerprint)
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
        self._db.all(
            """INSERT INTO waiting (entry, owner, callers) VALUES (:entry, :owner, 1)
                ON CONFLICT (entry, owner) DO UPDATE SET callers = waiting.callers + 1""",
            entry=id,
            owner=self.owner,
        )

    def _fetch(self, id: str) -> Fetch:
        """It is under way again, without a POST: identical requests wait for it."""
        self._step(id, "replied", after=("undelivered",), anybody=True, new_owner=self.owner)
        self._wait(id)
        return Fetch(self._existing(id))

    def _paid_for(self, paid: PaidFrame, price: Priced) -> Replay | Fetch | None:
        """What a frame has already; a refusal where its payment brought nothing, or nobody knows."""
        if (left := self._slots.left_at_service(paid.fingerprint)) is not None:
            return self._fetch(left)
        id = self._boards.live(paid)
        if id is None:
            return None
        entry = self._existing(id)
        if entry.result is not None:
            return Replay(entry)
        raise _in_doubt(entry) if entry.state == "unknown" else _lost(entry, price)

    def _refuse_if_open(self, payment: PaymentRequest) -> None:
        """Money that is or may be lost for the same request: only `fresh` or a settlement gets past it."""
        # A later call means that `fresh` was given already; one that failed unbilled has not used it up.
        row = one(
            self._db,
            """SELECT * FROM calls WHERE fingerprint = :fingerprint AND state <> 'failed' AND written_off = 0
                ORDER BY number DESC LIMIT 1""",
            fingerprint=payment.fingerprint,
        )
        if row is None:
            return
        entry = _entry(row)
        if entry.state == "lost" and not entry.settled:
            raise _lost(entry, payment.price)
        if entry.state in {"unknown", "partial-unknown"}:
            raise _in_doubt(entry)

    def _refuse_if_too_dear(self, payment: PaymentRequest, day: date) -> None:
        budget, price = payment.budget, payment.price
        if budget is None:
            return
        if budget.currency != price.currency:
            raise NotConfigured(
                Message("journal.other-currency", budget=str(budget), currency=price.currency, backend=payment.backend),
                advice=Message("journal.other-currency-advice", currency=price.currency),
            )
        if price.amount is None and payment.price_confirmed:
            return
        spent = self._spent(day, budget)
        if price.amount is None or spent + micro(price.amount) > int(budget.amount * MICRO):
            raise _over_budget(budget, decimal(spent), price, day)

    def _spent(self, day: date, budget: Budget) -> int:
        rows = self._db.all(
            """SELECT backend, sum(reserved + booked) AS spent FROM entries
                WHERE day = :day AND currency = :currency GROUP BY backend""",
            day=day.isoformat(),
            currency=budget.currency,
        )
        counted = (row for row in rows if not budget.backends or row["backend"] in budget.backends)
        return sum(int(row["spent"]) for row in counted)

    def _begin(self, payment: PaymentRequest, day: date) -> Entry:
        now, entry = self._now(), self._new_id()
        price = None if payment.price.amount is None else micro(payment.price.amount)
        self._db.all(
            _BEGIN,
            id=entry,
            state="intent",
            fingerprint=payment.fingerprint,
            owner=self.owner,
            backend=payment.backend,
            model=payment.model,
            images=payment.images,
            currency=payment.price.currency,
            price=price,
            reserved=price or 0,
            day=day.isoformat(),
            now=now,
            request=self._json(payment.request),
            delivery=None if payment.delivery is None else self._json(payment.delivery),
            board=payment.frame and payment.frame.board,
            frame=payment.frame and payment.frame.frame,
        )
        self._wait(entry)
        return self._existing(entry)

    def _new_id(self) -> str:
        newest = one(self._db, "SELECT max(id) AS id FROM entries")
        return new_id(self._now(), newest["id"] if newest else None)

    def _move(self, id: str, to: State, **changes: Any) -> None:
        with self._db.deciding():
            self._step(id, to, **changes)

    def _step(
        self,
        id: str,
        to: State,
        *,
        after: tuple[State, ...],
        money: Money = "keep",
        amount: Decimal | None = None,
        held: Decimal | None = None,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        anybody: bool = False,
        settled: bool = False,
        partial: bool = False,
        **more: Any,
    ) -> None:
        """One step of an entry inside a transaction; it must belong to this process unless `anybody` is true."""
        names, states = listed(after, "after")
        given: dict[str, Any] = {"tries": 0, "billed_images": None, "request_id": None, "new_owner": None, **more}
        moved = self._db.all(
            _MOVE.format(after=names),
            **{**states, **given, "settled": int(settled), "partial": int(partial)},
            id=id,
            to=to,
            now=self._now(),
            owner=None if anybody else self.owner,
            money=money,
            amount=None if amount is None else micro(amount),
            held=micro(held or Decimal(0)),
            result=None if result is None else self._json(result),
            error=None if error is None else self._json(error),
        )
        if not moved:
            state = self._existing(id).state
            raise EntryMoved(Message("journal.moved-on", entry=id, state=state, wanted=to), facts={"entry": id})
        if to in _NOBODY_WAITS:
            self._db.all("DELETE FROM waiting WHERE entry = :entry", entry=id)

    def _bury(self, owner: str) -> None:
        for row in self._db.all(_UNDER_WAY, owner=owner):
            self._drop(_entry(row), None)
        self._db.all("DELETE FROM waiting WHERE owner = :owner", owner=owner)

    def _drop(self, entry: Entry, error: Mapping[str, Any] | None) -> None:
        fetchable = entry.fetchable and entry.state in {"sent", "replied"}
        to: State = "undelivered" if fetchable else AFTER_DEATH[entry.state]
        if error is None and to != "saved":
            kind = {"failed": "ConnectionFailed", "undelivered": "Undelivered"}.get(to, "OutcomeUnknown")
            key = "payments.died-fetchable" if fetchable else f"journal.died-{entry.state}"
            error = {"kind": kind, "message": {"key": key, "values": {}}}
        if fetchable and entry.state == "sent":
            self._slots.doubt(entry.id, set(range(entry.images)) - set(entry.fetchable))
        money: Money = "release" if to == "failed" else "keep"
        self._step(entry.id, to, after=(entry.state,), money=money, error=error, anybody=True)

    def _expire(self) -> None:
        """Expired pictures are lost: book their price."""
        overdue = self._slots.overdue()
        if not overdue:
            return
        with self._db.deciding():
            for id in overdue:
                entry = self._existing(id)
                if entry.state != "undelivered":
                    continue
                self._slots.drop_addresses(id)
                self._step(id, **_after_expiry(entry), after=("undelivered",), anybody=True)

    def _settle(self, entry: Entry, shares: Shares, *, billed: bool) -> None:
        self._slots.settle(entry.id, shares.chosen, shares.left, billed=billed)
        to = entry.state if shares.left else shares.ends_as(entry)
        images = entry.billed_images if billed else shares.images
        self._step(
            entry.id,
            to,
            after=_OPEN_QUESTIONS,
            money="split",
            amount=shares.booked,
            held=shares.reserved,
            billed_images=images,
            settled=not shares.left,
            anybody=True,
        )

    def _enter(self, document: SpooledFacts) -> None:
        """Apply the spooled steps of one entry; steps the record has already are skipped."""
        if self.entry(document.id) is None:
            self._db.all(_ENTER, **{"board": None, "frame": None, **document.row})
        self._db.all(
            "UPDATE entries SET owner = :owner WHERE id = :id AND state IN ('sent', 'replied')",
            owner=self.owner,
            id=document.id,
        )
        for name, given in document.steps:
            if name in SPOOLED:
                with contextlib.suppress(StoreError):
                    getattr(self, name)(document.id, **given)

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


class _Undone(Exception):
    """Rolls back a preview."""


def _after_expiry(entry: Entry) -> dict[str, Any]:
    """The step for an entry whose pictures have expired at the service, and its error."""
    error = {"kind": "PaidAndLost", "message": {"key": "payments.expired", "values": {}}, "expired": True}
    if entry.doubtful:
        return {"to": "partial-unknown" if entry.result else "unknown", "error": error}
    return {"to": "delivered" if entry.result else "lost", "money": "book", "error": error}


def _in_doubt(entry: Entry) -> SpendingRefused:
    key = "journal.earlier-paid" if entry.booked else "journal.earlier-unknown"
    if entry.state == "partial-unknown":
        key = "payments.earlier-partial"
    numbers = [number + 1 for number in entry.doubtful]
    stake = entry.reserved if numbers and entry.booked else entry.at_stake
    cost = format_money(stake, entry.currency)
    return EarlierOutcomeUnknown(
        Message(key, entry=entry.id, when=_when(entry), cost=cost, numbers=numbers),
        advice=Message("journal.earlier-advice", entry=entry.id),
        facts={**_earlier(entry), "at_stake": None if stake is None else f"{stake:f}"},
    )


def _lost(entry: Entry, price: Priced) -> SpendingRefused:
    expired = bool(entry.error and entry.error.get("expired"))
    key = "payments.earlier-expired" if expired else "payments.earlier-lost"
    stake, again = format_money(entry.at_stake, entry.currency), format_money(price.amount, price.currency)
    return PaidAndLost(
        Message(key, entry=entry.id, when=_when(entry), cost=stake),
        advice=Message("payments.earlier-lost-advice", entry=entry.id, price=again),
        facts={**_earlier(entry), "paid": f"{entry.booked:f}", "price": str(again)},
    )


def _earlier(entry: Entry) -> dict[str, Any]:
    return {"entry": entry.id, "when": _when(entry), "currency": entry.currency, "earlier": entry.error}


def _when(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.created, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


def _over_budget(budget: Budget, spent: Decimal, price: Priced, day: date) -> BudgetExceeded:
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
            spent=format_money(spent, budget.currency),
            price=format_money(price.amount, budget.currency),
        ),
        advice=Message("journal.budget-advice"),
        facts={**facts, "price": f"{price.amount:f}"},
    )


def _days(since: date | None, until: date | None) -> dict[str, str | None]:
    return {name: day.isoformat() if day else None for name, day in (("since", since), ("until", until))}


def _filtered(wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The conditions of the given filters, and their values."""
    values = {name: value for name, value in wanted.items() if value is not None}
    return "".join(f" AND {_FILTERS[name]}" for name in values), values


def _entry(row: Row) -> Entry:
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
        doubtful=tuple(json.loads(row["doubtful"])),
        fetchable=tuple(json.loads(row["fetchable"])),
        fetch_until=row["fetch_until"],
        settled=bool(row["settled"]),
        board=row["board"],
        frame=row["frame"],
        written_off=bool(row["written_off"]),
    )


def _cost(row: Row) -> DailyCost:
    return DailyCost(
        model=row["model"],
        backend=row["backend"],
        currency=row["currency"],
        calls=int(row["calls"]),
        images=int(row["images"]),
        unknown=int(row["unknown"]),
        board=row["board"],
        day=date.fromisoformat(row["day"]),
        booked=decimal(int(row["booked"])),
        reserved=decimal(int(row["reserved"])),
    )
