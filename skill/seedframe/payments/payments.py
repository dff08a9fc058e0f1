"""The payment record for async code: a commit queue behind it, so that the event loop never waits for a disk.

In: claims and steps. Out: the decisions of `records`; errors of the disk become StoreError.
An accepted step is always written, even when its task is cancelled. A step after the POST that cannot be written is no
error: it is spooled, `trouble` says so, and it is entered in the record later.
Never in here: a rule (see `records`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial as bound
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from seedframe.errors import SeedreamError, StoreError
from seedframe.messages import Message
from seedframe.payments.boards import BoardMoney, PaidFrame, PaymentState
from seedframe.payments.commit_queue import CommitQueue
from seedframe.payments.entries import Begin, Claim, DailyCost, Entry, Fetch, Join, Kept, Replay, Settlement, State
from seedframe.payments.forget import Forgotten
from seedframe.payments.migrations import BUSY_SECONDS
from seedframe.payments.money import Budget, Priced
from seedframe.payments.records import PaymentRecords, PaymentRequest
from seedframe.payments.sql import Tx, database_errors, is_postgres, shown_postgres, translate_errors

T = TypeVar("T")

_ENDS: Mapping[str, State] = {
    "saved": "saved",
    "delivered": "delivered",
    "failed": "failed",
    "unknown": "unknown",
    "spent_anyway": "lost",
    "unfetched": "undelivered",
}
"""The state of an entry after each step."""


class Payments:
    """The connection of one process to the payment record of a user. Make it with `open`, end it with `close`.

    Every method before the POST may raise StoreError, and so may those that only read. When `sent` raises, nothing
    may be sent.
    """

    _records: PaymentRecords

    def __init__(self, path: Path, database: str | None = None) -> None:
        self._path = path
        server = database is not None and is_postgres(database)
        self._place = shown_postgres(str(database)) if server else str(path)
        self._server = server
        # The record itself is opened in the thread of the queue.
        self._queue: CommitQueue[Tx] = CommitQueue("seedframe-journal", lambda: self._records.deciding())  # noqa: PLW0108
        self._changes: weakref.WeakValueDictionary[str, asyncio.Event] = weakref.WeakValueDictionary()
        self._taking_back: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self._mine: dict[str, tuple[Entry, Mapping[str, Any] | None]] = {}
        self._spooled: dict[str, Entry] = {}
        self._trouble: dict[str, Message] = {}

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        secrets: Iterable[str] = (),
        busy: float = BUSY_SECONDS,
        database: str | None = None,
    ) -> Payments:
        """The record at `path`, created or migrated. StoreError when it is damaged, foreign or unwritable.

        With the URL of a PostgreSQL as `database` the record is there; `path` is then only the place beside which steps
        are kept that cannot be written. NotConfigured when it cannot be reached.

        `now` is seconds since the epoch; `secrets` are keys that are redacted from everything stored; a file that
        another process has locked is waited for, `busy` seconds at most.
        """
        payments = cls(path, database)
        options = {"now": now, "secrets": secrets, "busy": busy, "database": database}
        try:
            payments._records = await payments._look(PaymentRecords, path, **options)
        except BaseException:
            payments._queue.close()
            raise
        return payments

    async def close(self) -> None:
        """Close the record. Entries still under way are then decided as after the end of the process."""
        await asyncio.gather(*self._taking_back, *self._writing)
        await self._take_in()
        await self._look(self._records.close)
        self._queue.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def claim(
        self,
        fingerprint: str,
        *,
        request: Mapping[str, Any],
        backend: str,
        model: str,
        price: Priced,
        images: int,
        budget: Budget | None = None,
        fresh: bool = False,
        price_confirmed: bool = False,
        delivery: Mapping[str, Any] | None = None,
        frame: PaidFrame | None = None,
    ) -> Claim:
        """Ask to pay. `Begin`: make the call. `Join`: await `finished`. `Replay`: give the result, it is paid.

        `Fetch`: it is paid and at the service; download what `kept` names, then report `saved` or `unfetched`.
        `price` is the most the call can cost. `fresh` ignores an earlier identical call whose money is in doubt or
        whose pictures were not fetched; it still joins one under way and still takes a result no caller received.
        `price_confirmed` lets a call with unknown price pass a budget. `delivery` is what another process must know to
        fetch the pictures (`delivery` gives it back). `frame`: what is paid for is a frame of a board, which has one
        payment however often it is asked for, and whose board's budget holds too (BoardBudgetExceeded, BoardStopped).
        Errors: BudgetExceeded, EarlierOutcomeUnknown, PaidAndLost,
        NotConfigured (budget in another currency). When the calling task is cancelled, the claim is taken back.
        """
        await self._take_in()
        payment = PaymentRequest(
            fingerprint, request, backend, model, images, price, budget, fresh, price_confirmed, delivery, frame
        )
        claimed: Claim = await self._claimed(lambda: self._records.claim(payment), delivery)
        return claimed

    async def claim_fetch(self, id: str) -> Fetch | Join | Replay:
        """Ask for the pictures of an entry that is `undelivered`, or saved and given to nobody; else InvalidRequest."""
        await self._take_in()
        claimed: Fetch | Join | Replay = await self._claimed(lambda: self._records.claim_fetch(id), None)
        return claimed

    async def kept(self, id: str) -> tuple[Kept, ...]:
        """Where the pictures of an entry can still be fetched; for downloading only, never to be shown."""
        return await self._look(self._records.kept, id)

    async def delivery(self, id: str) -> Mapping[str, Any]:
        """What was recorded for fetching an entry's pictures."""
        return await self._look(self._records.delivery, id)

    @property
    def owner(self) -> str:
        """The name this process has in the record."""
        return self._records.owner

    def trouble(self, id: str) -> Message | None:
        """Why the record of an entry is not complete yet, and where the missing steps are."""
        return self._trouble.get(id)

    async def _claimed(self, claim: Callable[[], Any], delivery: Mapping[str, Any] | None) -> Any:
        asked = self._queue.ask(lambda _: claim())
        try:
            with self._translate_errors():
                claimed = await asyncio.shield(asked)
        except asyncio.CancelledError:
            undo = asyncio.ensure_future(self._take_back(asked))
            self._taking_back.add(undo)
            undo.add_done_callback(self._taking_back.discard)
            raise
        if isinstance(claimed, (Begin, Fetch)):
            self._mine[claimed.entry.id] = claimed.entry, delivery
        return claimed

    async def sent(self, id: str) -> None:
        """Call before each try of the POST. When it raises, the POST must not be sent."""
        await self._do(self._records.sent, id)

    async def keep(self, id: str, slot: int, address: str, expires: float, facts: Mapping[str, Any]) -> None:
        """A paid picture (`slot`, from 0) can be fetched at this address until `expires`. Call before the download."""
        await self._note(id, "keep", slot=slot, address=address, expires=expires, facts=facts)

    async def replied(
        self,
        id: str,
        *,
        request_id: str | None = None,
        billed_images: int | None = None,
        amount: Decimal | None = None,
        held: Decimal | None = None,
        doubtful: Collection[int] = (),
    ) -> None:
        """The service answered; `amount`, if the bill is known, replaces the reservation.

        `held` of it stays reserved, for the pictures in `doubtful` that may or may not have been billed.
        """
        bill = {"billed_images": billed_images, "amount": amount, "held": held, "doubtful": sorted(doubtful)}
        await self._note(id, "replied", request_id=request_id, **bill)

    async def saved(
        self, id: str, result: Mapping[str, Any], *, partial: bool = False, fetchable: Collection[int] = ()
    ) -> None:
        """The files are on the disk; `result` (JSON-ready) is what callers get. Wakes callers that joined.

        Addresses are deleted, except those of `fetchable`, which could not be downloaded.
        """
        await self._note(id, "saved", result=result, partial=partial, fetchable=sorted(fetchable))

    async def delivered(self, id: str) -> None:
        """A caller (the first, one who joined, or one with a replay) has the result: it is never given out again.

        What can still be fetched or is in doubt then stays as `undelivered` or `partial-unknown`.
        """
        await self._note(id, "delivered")

    async def undelivered(self, id: str) -> None:
        """One caller with a claim on this was cancelled. At any time after the claim; the call itself continues."""
        await self._do(self._records.undelivered, id)

    async def failed(self, id: str, error: Mapping[str, Any]) -> None:
        """It failed and was not billed. Releases the reservation; callers that joined get the same `error`."""
        await self._note(id, "failed", error=error)

    async def unknown(self, id: str, error: Mapping[str, Any]) -> None:
        """It was sent and its end is not known. Keeps the reservation; identical requests are refused from now on."""
        await self._note(id, "unknown", error=error)

    async def spent_anyway(self, id: str, error: Mapping[str, Any], amount: Decimal | None = None) -> None:
        """It was billed and nothing usable was saved."""
        await self._note(id, "spent_anyway", error=error, amount=amount)

    async def unfetched(self, id: str, error: Mapping[str, Any]) -> None:
        """It is paid and its pictures could not be fetched; identical requests fetch them, without a payment."""
        await self._note(id, "unfetched", error=error)

    async def abandon(self, id: str, error: Mapping[str, Any] | None = None) -> None:
        """For a `finally`: the call ends here. Not sent: failed; sent: unknown; finished: no change.

        What waits to be entered says better how it ended.
        """
        if id in self._spooled:
            return
        await self._change(id, self._records.abandon, error)

    async def finished(self, id: str, *, poll: float = 0.2, timeout: float | None = None) -> Entry:  # noqa: ASYNC109
        """The entry once its call has ended, be it with its process. TimeoutError after `timeout` seconds.

        `poll` is the interval of reading, in seconds; steps of this process are noticed at once.
        """
        change = self._changes.setdefault(id, asyncio.Event())
        await self._take_in()
        async with asyncio.timeout(timeout):
            while not (entry := await self._now(id)).finished:
                await _first(change, poll)
        return entry

    async def _now(self, id: str) -> Entry:
        """The entry as this process knows it, which may be newer than the record."""
        spooled = self._spooled.get(id)
        return spooled if spooled and spooled.finished else await self._look(self._records.look, id)

    async def entry(self, id: str) -> Entry | None:
        """The entry of that id, or None."""
        return await self._look(self._records.today, id)

    async def entries(
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
        """Entries that fit every given filter, newest first; days are local and inclusive."""
        wanted = {"fingerprint": fingerprint, "backend": backend, "model": model, "since": since, "until": until}
        return await self._look(self._records.entries, states=states, limit=limit, **wanted)

    async def costs(self, since: date | None = None, until: date | None = None) -> tuple[DailyCost, ...]:
        """Sums by local day, model, backend, currency and board; days are inclusive. Unbilled calls are not counted."""
        return await self._look(self._records.costs, since, until)

    async def begin_board(self, board: str, currency: str, budget: Decimal | None) -> None:
        """Frames of this board may be paid for, within its budget; without one the budget given before still holds."""
        await self._do(self._records.begin_board, board, currency, budget)

    async def stop_board(self, board: str, why: Mapping[str, str], *, finish: bool = False) -> bool:
        """Nothing more of this board is sent; what was sent comes to its end. False when it was stopped already.

        With `finish` what has its money reserved may still be sent.
        """
        with self._translate_errors():
            return await self._queue.ask(lambda _: self._records.stop_board(board, why, finish=finish))

    async def is_stopped(self, board: str) -> bool:
        """Whether nothing more of this board is begun."""
        return await self._look(self._records.is_stopped, board)

    async def board_money(self, board: str) -> BoardMoney:
        """What the frames of a board have cost, and how their payments stand."""
        await self._take_in()
        return await self._look(self._records.board_money, board)

    async def of_frame(self, paid: PaidFrame) -> Entry | None:
        """The payment that is the frame's; None where it failed, was written off, or there was none."""
        await self._take_in()
        return await self._look(self._records.of_frame, paid)

    async def write_off(self, board: str, frames: Collection[str], states: Collection[PaymentState]) -> None:
        """A person pays for these frames anew: what was paid stays spent and stands in the way no more."""
        await self._do(self._records.write_off, board, frames, states)

    async def note_frame(self, paid: PaidFrame, state: Literal["unknown", "lost"], backend: str, currency: str) -> None:
        """A frame was or may have been paid for, and its picture is not there; an amount that nobody knows is none."""
        await self._do(self._records.note_frame, paid, state, backend, currency)

    async def over_budget(
        self, backend: str, price: Priced, budget: Budget, *, price_confirmed: bool = False
    ) -> SeedreamError | None:
        """Why a call at this price would be refused today, without asking to pay; None: it would not."""
        return await self._look(self._records.over_budget, backend, price, budget, price_confirmed)

    async def settle(
        self, id: str, *, billed: bool, amount: Decimal | None = None, slot: int | None = None
    ) -> Settlement:
        """Settle money in doubt by a person's decision: book or release it. InvalidRequest where nothing is open.

        `slot` is one picture, counted from 0, else all of the entry.
        """
        await self._take_in()
        with self._translate_errors():
            return await self._queue.ask(lambda _: self._records.settle(id, billed=billed, amount=amount, slot=slot))

    async def what_if(self, id: str, *, billed: bool, slot: int | None = None) -> Settlement:
        """What `settle` would do; nothing is changed."""
        await self._take_in()
        return await self._look(self._records.what_if, id, billed=billed, slot=slot)

    async def forget(
        self, *, ids: Collection[str] | None = None, before: float | None = None, thorough: bool = True
    ) -> Forgotten:
        """Delete prompts, other texts and details of finished entries; amounts, days and fingerprints stay.

        `ids`: of these entries only; `before`: of those that have not changed since then, seconds since the epoch.
        `thorough` rewrites the file, so that nothing deleted earlier remains in it either.
        """
        return await self._look(self._records.forget, ids=ids, before=before, thorough=thorough)

    async def _look(self, look: Callable[..., T], *args: Any, **named: Any) -> T:
        with self._translate_errors():
            return await self._queue.ask_alone(bound(look, *args, **named))

    async def _do(self, step: Callable[..., None], *args: Any, **named: Any) -> None:
        with self._translate_errors():
            await self._queue.ask(lambda _: step(*args, **named))

    async def _change(self, id: str, step: Callable[..., None], *args: Any, **named: Any) -> None:
        asked = self._queue.ask(lambda _: step(id, *args, **named))
        asked.add_done_callback(lambda _: self._wake(id))
        with self._translate_errors():
            await asyncio.shield(asked)

    async def _note(self, id: str, step: str, **given: Any) -> None:
        """Write a step after the POST, in the record or else in the spool, even when the calling task is cancelled."""
        asked = None
        if id not in self._spooled:  # otherwise the steps would be out of order
            asked = self._queue.ask(lambda _: getattr(self._records, step)(id, **given))
        writing = asyncio.ensure_future(self._noted(asked, id, step, given))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)

    async def _noted(self, asked: asyncio.Future[Any] | None, id: str, step: str, given: Mapping[str, Any]) -> None:
        try:
            if asked is None:
                await self._spool(id, step, given, self._trouble[id].values["why"])
            else:
                await asked
        except database_errors() as error:
            await self._spool(id, step, given, str(error))
        finally:
            if step in _ENDS:
                self._wake(id)
        if step == "delivered" and id not in self._spooled:
            self._mine.pop(id, None)

    async def _spool(self, id: str, step: str, given: Mapping[str, Any], why: str) -> None:
        """Keep a step in the spool, and in memory for reads by this process."""
        known = self._spooled.get(id)
        entry, delivery = self._mine.get(id, (known, None))
        if entry is None:  # a call of another process: the record has what matters
            return
        facts = {name: given[name] for name in ("result", "error") if name in given}
        self._spooled[id] = replace(known or entry, state=_ENDS.get(step, "replied"), **facts)
        try:
            path = await self._queue.ask_alone(lambda: self._records.spool.add(entry, delivery, step, given))
        except OSError as error:
            self._trouble[id] = Message("payments.not-recorded", path=self._place, why=why, also=str(error))
        else:
            self._trouble[id] = Message("payments.spooled", path=self._place, why=why, spool=str(path))

    async def _take_in(self) -> None:
        """Enter the spooled steps; those that still cannot be written stay spooled."""
        if not self._spooled and not self._records.spool.exists():
            return
        try:
            await self._queue.ask_alone(self._records.take_in)
        except database_errors():
            return
        for id in [id for id in self._spooled if not self._records.spool.holds(id)]:
            del self._spooled[id]
            self._trouble.pop(id, None)

    def _wake(self, id: str) -> None:
        """Wake the tasks that wait for the end of this entry."""
        event = self._changes.get(id)
        if event is not None:
            event.set()

    async def _take_back(self, asked: asyncio.Future[Claim]) -> None:
        try:
            claim = await asked
            undo = self._records.abandon if isinstance(claim, (Begin, Fetch)) else self._records.undelivered
            await self._change(claim.entry.id, undo)
        except (SeedreamError, *database_errors()):  # type: ignore[misc]
            # Refused, or not written: there is nothing to undo, or the end of this process will undo it.
            return

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turn errors of the disk into StoreError, and those of a server into DatabaseFailed."""
        try:
            with translate_errors(self._place) if self._server else contextlib.nullcontext():
                yield
        except database_errors() as error:
            raise StoreError(
                Message("journal.not-usable", path=str(self._path), reason=str(error)),
                advice=Message("journal.not-usable-advice"),
                facts={"path": str(self._path)},
            ) from error


async def _first(change: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await change.wait()
    except TimeoutError:
        return
