"""The corridor. Start reading here: a wish enters as a dictionary and leaves as pictures on disk, through six rooms.

    1 check    requests    arguments → ImageRequest                      nothing was sent
    2 style    prepared    words → the prompt its model understands      nothing was sent
    3 build    prepared    → HTTP body in the backend's dialect          pure
    4 call     job         intent recorded → POST → slots                paid at most once
    5 save     job         part → verified, framed file + sidecar        whole or not at all
    6 report   telling     Result → what a host or a person reads        the doors

In: a tool's name and arguments. Out: a `Result`. The paid part runs in a task of its own: a caller who leaves does not
end what is paid for; the next identical wish gets it. Never in here: a door's format, a dialect, pixels.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from seedframe import framing, pictures
from seedframe.catalog import Catalog, catalog
from seedframe.client import CONNECTIONS, Client, Tell
from seedframe.errors import ConfirmationNeeded, OutcomeUnknown, SeedreamError, StoreError
from seedframe.job import Admit, Job, Workshop
from seedframe.journal import IN_FLIGHT, Begin, Budget, Claim, Entry, Join, Journal, State
from seedframe.messages import Message
from seedframe.prepared import Prepared, build_calls, styled_words
from seedframe.references import Desk, gather
from seedframe.requests import ImageRequest, check
from seedframe.settings import Money, Settings
from seedframe.store import Store
from seedframe.telling import Result, failure_of, told_failure, told_price, told_request

__all__ = ["Result", "Studio", "silent"]

IMAGE_THREADS = 2
DOWNLOADS_AT_ONCE = 4
PATIENCE = 4
"""How many times the timeout of one picture a caller waits for an identical call that somebody else makes."""

_PAID_ALREADY: frozenset[State] = IN_FLIGHT | {"saved"}

log = logging.getLogger(__name__)


async def silent(_message: Message) -> None:
    """Progress for nobody."""


class Studio:
    """The open corridor of one process: settings, one client, one journal, one store, two image threads."""

    def __init__(
        self,
        settings: Settings,
        facts: Catalog,
        client: Client,
        journal: Journal,
        now: Callable[[], float],
        *,
        admit: Admit | None = None,
        downloads: int = DOWNLOADS_AT_ONCE,
    ) -> None:
        self.settings = settings
        self.catalog = facts
        self.client = client
        self.journal = journal
        self.store = Store(settings.output_dir)
        images = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="pictures")
        self._shop = Workshop(settings, client, journal, self.store, now, images, asyncio.Semaphore(downloads), admit)
        self._paying: dict[str, asyncio.Task[Result]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        grace: float | None = None,
        admit: Admit | None = None,
        connections: int = CONNECTIONS,
    ) -> AsyncIterator[Studio]:
        """A studio for as long as the block lasts; at its end paid calls in flight are awaited, `grace` s at most.

        `admit` is asked before each POST, for whoever shares a rate limit with other processes.
        """
        facts = catalog()
        async with AsyncExitStack() as stack:
            journal = await Journal.open(settings.journal, now=now, secrets=settings.secrets)
            stack.push_async_callback(journal.close)
            backend = facts.backend(settings.backend)
            client = Client(settings, backend, transport=transport, sleep=sleep, connections=connections)
            stack.push_async_callback(client.close)
            downloads = max(DOWNLOADS_AT_ONCE, connections // 8)
            studio = cls(settings, facts, client, journal, now, admit=admit, downloads=downloads)
            await asyncio.to_thread(studio.store.sweep, now())
            stack.push_async_callback(studio.finish, settings.timeout if grace is None else grace)
            yield studio

    async def finish(self, grace: float) -> None:
        """Wait for what is paid for, bounded; what is still open then stays in the journal as unknown."""
        running = list(self._paying.values())
        if running:
            await asyncio.wait(running, timeout=grace)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *self._leaving, return_exceptions=True)
        self._shop.images.shutdown(wait=False, cancel_futures=True)
        self.store.tidy()

    @asynccontextmanager
    async def make(
        self, tool: str, arguments: Mapping[str, Any], *, tell: Tell = silent, key: str | None = None
    ) -> AsyncIterator[Result]:
        """All six rooms for one wish; the block hands the result over.

        A block that ends well has delivered it: it is never replayed unasked. One that is cancelled or fails has not:
        the next identical wish gets it at once. SeedreamError says what happened and what it cost; see `errors`.
        With a `key` only the same key is the same wish: takes of one frame are separate, and each is found again.
        """
        request = check(tool, arguments, catalog=self.catalog, settings=self.settings)
        prepared = replace(await self.prepare(request), key=key)
        if request.dry_run:
            yield Result(self._dry_facts(prepared))
            return
        claim = await self._confirmed_claim(prepared)
        try:
            result = await self._fulfil(claim, prepared, tell)
            yield result
        except BaseException:
            self._leave(claim.entry.id)
            raise
        await asyncio.shield(self.journal.delivered(claim.entry.id))

    async def prepare(self, request: ImageRequest) -> Prepared:
        """Rooms 2 and 3. PromptRejected, InvalidRequest or PictureError; nothing has been sent to the backend."""
        styled = styled_words(request)
        await asyncio.to_thread(self.store.stem, request.save_as, "picture")
        desk = Desk(self._roots(), self.store, self.client, self._earlier)
        references = await gather(request, desk) if request.images else ()
        calls = build_calls(request, styled, references, self.settings)
        notes = tuple(note for reference in references for note in reference.notes)
        return Prepared(request, styled, references, calls, (*request.warnings, *notes))

    async def _confirmed_claim(self, prepared: Prepared) -> Claim:
        """Consent is for paying: what is under way or paid already is handed over without asking."""
        missing = self._missing_consent(prepared.request)
        if missing is None:
            return await self._claim(prepared)
        if not await self.journal.entries(states=_PAID_ALREADY, fingerprint=prepared.fingerprint, limit=1):
            raise missing
        claim = await self._claim(prepared)
        if isinstance(claim, Begin):  # somebody else took it meanwhile: this one would be a new payment
            await self.journal.failed(claim.entry.id, told_failure(missing))
            raise missing
        return claim

    async def _claim(self, prepared: Prepared) -> Claim:
        request = prepared.request
        return await self.journal.claim(
            prepared.fingerprint,
            request={"tool": request.tool, **prepared.shown(self.settings.secrets)},
            backend=request.offer.backend.name,
            model=request.offer.model.name,
            price=request.price,
            budget=_budget(
                self.settings.budget, request.price.currency, self.catalog.same_purse(request.offer.backend)
            ),
            fresh=request.fresh,
            images=request.count,
            price_confirmed=request.confirm_cost,
        )

    async def _fulfil(self, claim: Claim, prepared: Prepared, tell: Tell) -> Result:
        preview = prepared.request.preview
        if isinstance(claim, Begin):
            return await self._begin(claim.entry, prepared, tell)
        if isinstance(claim, Join):
            await tell(Message("pipeline.joined"))
            return await self._joined(claim.entry, preview)
        return await self._restored(claim.entry, preview, replayed=True)

    async def _begin(self, entry: Entry, prepared: Prepared, tell: Tell) -> Result:
        """The paid part, in a task that outlives a caller who leaves; what it says is told for as long as one stays."""
        said: asyncio.Queue[Message | None] = asyncio.Queue()
        task = asyncio.create_task(Job(self._shop, entry, prepared, said.put_nowait).run())
        self._paying[entry.id] = task
        task.add_done_callback(lambda done: self._forget(entry.id, done))
        task.add_done_callback(lambda _: said.put_nowait(None))
        while (message := await said.get()) is not None:
            await tell(message)
        return await task

    def _forget(self, entry: str, task: asyncio.Task[Result]) -> None:
        del self._paying[entry]
        if not task.cancelled():
            task.exception()  # an error nobody waits for any more is told by the journal

    async def _joined(self, entry: Entry, preview: str) -> Result:
        """Somebody else's identical call, in this process or another: wait for its end and share it."""
        own = self._paying.get(entry.id)
        if own is not None:
            await asyncio.wait([own])
        try:
            finished = await self.journal.finished(entry.id, timeout=self.settings.timeout * PATIENCE)
        except TimeoutError:
            raise OutcomeUnknown(
                Message("pipeline.joined-waiting", entry=entry.id), advice=Message("pipeline.joined-waiting-advice")
            ) from None
        if finished.result is None:
            raise failure_of(finished)
        return await self._restored(finished, preview, joined=True)

    async def _restored(self, entry: Entry, preview: str, **marks: bool) -> Result:
        """The saved result of a journal entry, with fresh previews. StoreError when none of its pictures is left."""
        facts = {**(entry.result or {}), **marks}
        kept, gone = await asyncio.to_thread(_untouched, facts["pictures"])
        if not kept:
            await self.journal.delivered(entry.id)  # or every identical wish would end here
            raise StoreError(
                Message("pipeline.replay-gone", entry=entry.id, paths=gone),
                advice=Message("pipeline.replay-gone-advice"),
                facts={"entry": entry.id},
            )
        notes = [Message("pipeline.replay-changed", path=path).text(self.settings.language) for path in gone]
        facts |= {"pictures": kept, "warnings": [*facts["warnings"], *notes]}
        side = framing.PREVIEW_SIDES[preview]
        shown = kept if side else []
        previews = await asyncio.gather(*(self._preview(Path(picture["path"]), side or 1) for picture in shown))
        return Result(facts, tuple(previews))

    async def _preview(self, path: Path, side: int) -> bytes:
        small: bytes = await self._shop.in_thread(lambda: pictures.preview(path, long_side=side))
        return small

    def _leave(self, entry: str) -> None:
        """One caller is gone. In a task of its own, since the caller's task may already be cancelled."""
        goodbye = asyncio.create_task(self._say_goodbye(entry))
        self._leaving.add(goodbye)
        goodbye.add_done_callback(self._leaving.discard)

    async def _say_goodbye(self, entry: str) -> None:
        try:
            await self.journal.undelivered(entry)
        except SeedreamError as error:
            log.warning("a caller's leaving could not be noted: %s", error)

    async def _earlier(self, reference: str) -> Path | None:
        """The file behind `seedframe:<entry>-<number>`."""
        name, _, number = reference.partition(":")[2].rpartition("-")
        entry = await self.journal.entry(name) if number.isdigit() else None
        made = (entry.result or {}).get("pictures", []) if entry else []
        found = next((Path(picture["path"]) for picture in made if picture["id"] == reference), None)
        return found if found and found.exists() else None

    def _roots(self) -> tuple[Path, ...]:
        return (*self.settings.input_roots, self.settings.output_dir)

    def _missing_consent(self, request: ImageRequest) -> ConfirmationNeeded | None:
        limit = self.settings.confirm_above
        if limit is None or request.confirm_cost:
            return None
        price = request.price
        if price.amount is not None and limit.currency in {None, price.currency} and price.amount <= limit.amount:
            return None
        return ConfirmationNeeded(
            Message("pipeline.confirm", price=str(price), limit=limit.amount),
            advice=Message("pipeline.confirm-advice"),
            facts={"price": str(price), "limit": str(limit.amount)},
        )

    def _dry_facts(self, prepared: Prepared) -> dict[str, Any]:
        request = prepared.request
        return {
            "status": "dry_run",
            **told_request(prepared, self.settings.language),
            "cost": told_price(request.price, request, pictures=request.count),
            "calls": len(prepared.calls),
            "payload": prepared.shown(self.settings.secrets),
        }


def _untouched(told: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Which saved pictures still have the bytes that were saved, and the paths of those that have not."""
    kept: list[Mapping[str, Any]] = []
    gone: list[str] = []
    for picture in told:
        try:
            with Path(picture["path"]).open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == picture["sha256"]
        except OSError:
            same = False
        if same:
            kept.append(picture)
        else:
            gone.append(str(picture["path"]))
    return kept, gone


def _budget(money: Money | None, currency: str, backends: tuple[str, ...]) -> Budget | None:
    return None if money is None else Budget(money.amount, money.currency or currency, backends)
