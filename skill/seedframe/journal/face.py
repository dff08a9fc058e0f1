"""The journal as the pipeline sees it: async, a scribe behind it, the event loop never waits for a disk.

In: claims and steps. Out: what the ledger says; whatever the disk refuses becomes StoreError.
A step that has been asked for is always written, also when the task that asked is cancelled meanwhile.
Never in here: a rule; they are the ledger's.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import partial as bound
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from seedframe.errors import SeedreamError, StoreError
from seedframe.journal.entries import Begin, Claim, Cost, Entry, State
from seedframe.journal.forgetting import Forgotten
from seedframe.journal.ledger import Ledger, Wish
from seedframe.journal.money import Budget, Priced
from seedframe.messages import Message
from seedframe.scribe import Scribe

T = TypeVar("T")


class Journal:
    """One process's hold on the journal that all processes of a user share. Make it with `open`, end it with `close`.

    Every method may raise StoreError. After `sent` raised, nothing may leave.
    """

    _ledger: Ledger

    def __init__(self, path: Path) -> None:
        self._path = path
        # The ledger itself is opened by the scribe's thread.
        self._scribe: Scribe[None] = Scribe("seedframe-journal", lambda: self._ledger.deciding())  # noqa: PLW0108
        self._changes: weakref.WeakValueDictionary[str, asyncio.Event] = weakref.WeakValueDictionary()
        self._taking_back: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, path: Path, *, now: Callable[[], float] = time.time, secrets: Iterable[str] = ()) -> Journal:
        """The journal at `path`, made or brought up to date. StoreError when it is damaged, foreign or unwritable.

        `now` is seconds since the epoch; `secrets` are keys that are taken out of whatever is stored.
        """
        journal = cls(path)
        try:
            journal._ledger = await journal._look(Ledger, path, now=now, secrets=secrets)
        except BaseException:
            journal._scribe.close()
            raise
        return journal

    async def close(self) -> None:
        """Let go of the journal. What this process leaves under way is then decided as after its death."""
        await asyncio.gather(*self._taking_back)
        await self._look(self._ledger.close)
        self._scribe.close()

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
    ) -> Claim:
        """Ask to pay. `Begin`: make the call. `Join`: await `finished`. `Replay`: hand the result over, it is paid.

        `price` is the most the call can cost. `fresh` passes over an earlier identical call whose outcome is unknown;
        it still joins one under way and still takes a result nobody got. `price_confirmed` lets a call with unknown
        price pass a budget. Errors: BudgetExceeded, EarlierOutcomeUnknown, NotConfigured (budget in another currency).
        When the asking task is cancelled meanwhile, the claim is taken back.
        """
        wish = Wish(fingerprint, request, backend, model, images, price, budget, fresh, price_confirmed)
        asked = self._scribe.ask(lambda _: self._ledger.claim(wish))
        try:
            with self._told():
                return await asyncio.shield(asked)
        except asyncio.CancelledError:
            undo = asyncio.ensure_future(self._take_back(asked))
            self._taking_back.add(undo)
            undo.add_done_callback(self._taking_back.discard)
            raise

    async def sent(self, id: str) -> None:
        """Call before each try of the POST. When it raises, the POST must not leave."""
        await self._do(self._ledger.sent, id)

    async def replied(
        self,
        id: str,
        *,
        request_id: str | None = None,
        billed_images: int | None = None,
        amount: Decimal | None = None,
    ) -> None:
        """The service answered; `amount`, if the bill is known, replaces the reservation."""
        step = self._ledger.replied
        await self._do(step, id, request_id=request_id, billed_images=billed_images, amount=amount)

    async def saved(self, id: str, result: Mapping[str, Any], *, partial: bool = False) -> None:
        """The files are on the disk; `result` (JSON-ready) is what callers are handed. Wakes who joined."""
        await self._change(id, self._ledger.saved, result, partial=partial)

    async def delivered(self, id: str) -> None:
        """A caller (the first, one who joined, or one with a replay) has the result: it is never handed out again."""
        await self._do(self._ledger.delivered, id)

    async def undelivered(self, id: str) -> None:
        """One caller who claimed this is gone. At any time after the claim; the call itself goes on."""
        await self._do(self._ledger.undelivered, id)

    async def failed(self, id: str, error: Mapping[str, Any]) -> None:
        """It failed and was not billed. Releases the reservation; who joined gets the same `error`."""
        await self._change(id, self._ledger.failed, error)

    async def unknown(self, id: str, error: Mapping[str, Any]) -> None:
        """It left and its end is not known. Keeps the reservation; identical requests are refused from now on."""
        await self._change(id, self._ledger.unknown, error)

    async def spent_anyway(self, id: str, error: Mapping[str, Any], amount: Decimal | None = None) -> None:
        """It was billed and nothing usable was saved."""
        await self._change(id, self._ledger.spent_anyway, error, amount)

    async def abandon(self, id: str, error: Mapping[str, Any] | None = None) -> None:
        """For a `finally`: the driver stops here. Not sent: failed; sent: unknown; finished: nothing."""
        await self._change(id, self._ledger.abandon, error)

    async def finished(self, id: str, *, poll: float = 0.2, timeout: float | None = None) -> Entry:  # noqa: ASYNC109
        """The entry once nothing more will come of its call, also by its process's death. TimeoutError after `timeout`.

        In seconds. `poll` is how often the journal is looked at; what this process itself writes is noticed at once.
        """
        change = self._changes.setdefault(id, asyncio.Event())
        async with asyncio.timeout(timeout):
            while not (entry := await self._look(self._ledger.look, id)).finished:
                await _first(change, poll)
        return entry

    async def entry(self, id: str) -> Entry | None:
        """The entry of that id, or None."""
        return await self._look(self._ledger.entry, id)

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
        return await self._look(self._ledger.entries, states=states, limit=limit, **wanted)

    async def costs(self, since: date | None = None, until: date | None = None) -> tuple[Cost, ...]:
        """Sums by local day, model, backend and currency; days are inclusive. Unbilled calls are left out."""
        return await self._look(self._ledger.costs, since, until)

    async def settle(self, id: str, *, billed: bool, amount: Decimal | None = None) -> None:
        """A person's word on an unknown entry: books or releases its money. InvalidRequest when it is not unknown."""
        await self._do(self._ledger.settle, id, billed=billed, amount=amount)

    async def forget(
        self, *, ids: Collection[str] | None = None, before: float | None = None, thorough: bool = True
    ) -> Forgotten:
        """Prompts, other texts and details go out of finished entries; amounts, days and fingerprints stay.

        `ids`: of these entries only; `before`: of those that have not changed since then, seconds since the epoch.
        `thorough` rewrites the file, so that nothing deleted earlier is left in it either.
        """
        return await self._look(self._ledger.forget, ids=ids, before=before, thorough=thorough)

    async def _look(self, look: Callable[..., T], *args: Any, **named: Any) -> T:
        with self._told():
            return await self._scribe.ask_alone(bound(look, *args, **named))

    async def _do(self, step: Callable[..., None], *args: Any, **named: Any) -> None:
        with self._told():
            await self._scribe.ask(lambda _: step(*args, **named))

    async def _change(self, id: str, step: Callable[..., None], *args: Any, **named: Any) -> None:
        asked = self._scribe.ask(lambda _: step(id, *args, **named))
        asked.add_done_callback(lambda _: self._wake(id))
        with self._told():
            await asyncio.shield(asked)

    def _wake(self, id: str) -> None:
        """Whoever waits for the end of this entry looks again."""
        event = self._changes.get(id)
        if event is not None:
            event.set()

    async def _take_back(self, asked: asyncio.Future[Claim]) -> None:
        try:
            claim = await asked
            undo = self._ledger.abandon if isinstance(claim, Begin) else self._ledger.undelivered
            await self._change(claim.entry.id, undo)
        except (SeedreamError, sqlite3.Error, OSError):
            # Refused, or not written: there is nothing to undo, or this process's end will.
            return

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the disk refuses, in words."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
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
