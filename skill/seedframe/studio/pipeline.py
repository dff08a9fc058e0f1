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
import contextlib
import hashlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from seedframe import images
from seedframe.catalog import Catalog, catalog
from seedframe.errors import ConfirmationNeeded, OutcomeUnknown, SeedreamError, StoreError
from seedframe.messages import Message
from seedframe.payments import IN_FLIGHT, Begin, Budget, Claim, Entry, Fetch, Join, Payments, State
from seedframe.payments.migrations import BUSY_SECONDS
from seedframe.service.client import CONNECTIONS, Client, ReportProgress
from seedframe.service.lookup import LATEST
from seedframe.service.references import ReferenceLoader, gather
from seedframe.service.request import ImageRequest, check, with_shape_of
from seedframe.settings import Money, Settings
from seedframe.studio import postprocess
from seedframe.studio.delivery import Admit, JobContext
from seedframe.studio.job import Job
from seedframe.studio.plan import CallPlan, build_calls, style_request
from seedframe.studio.preflight import Free, free_bytes
from seedframe.studio.redelivery import Redelivery, delivery_of
from seedframe.studio.results import Result, describe_failure, describe_price, describe_request, failure_of
from seedframe.studio.store import Store

__all__ = ["Result", "Studio", "silent"]

IMAGE_THREADS = 2
DAY_SECONDS = 86_400.0
DOWNLOADS_AT_ONCE = 4
PATIENCE = 4
"""How many times the timeout of one picture a caller waits for an identical call that somebody else makes."""

MOST_RECENT = 50
"""So many calls back the last picture is looked for."""

_PAID_ALREADY: frozenset[State] = IN_FLIGHT | {"saved", "undelivered"}

log = logging.getLogger(__name__)


_Work = Callable[[Callable[[Message], None]], Coroutine[Any, Any, Result]]
_Started = tuple["asyncio.Task[Result]", "asyncio.Queue[Message | None]"]


async def silent(_message: Message) -> None:
    """Progress for nobody."""


class Studio:
    """The open corridor of one process: settings, one client, one journal, one store, two image threads."""

    def __init__(
        self,
        settings: Settings,
        facts: Catalog,
        client: Client,
        payments: Payments,
        now: Callable[[], float],
        *,
        admit: Admit | None = None,
        downloads: int = DOWNLOADS_AT_ONCE,
        free: Free = free_bytes,
    ) -> None:
        self.settings = settings
        self.catalog = facts
        self.client = client
        self.payments = payments
        self.store = Store(settings.output_dir)
        images = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="pictures")
        at_once = asyncio.Semaphore(downloads)
        self._context = JobContext(settings, client, payments, self.store, now, images, at_once, free, admit)
        self._emulated_asked = asyncio.Lock()
        self._emulated: bool | None = None
        self._jobs: dict[str, asyncio.Task[Result]] = {}
        self._asking: Counter[str] = Counter()
        self._departures: set[asyncio.Task[None]] = set()

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
        busy: float = BUSY_SECONDS,
        free: Free = free_bytes,
    ) -> AsyncIterator[Studio]:
        """A studio for as long as the block lasts; at its end paid calls in flight are awaited, `grace` s at most.

        `admit` is asked before each POST, for whoever shares a rate limit with other processes. A payment record that
        somebody has locked is waited for, `busy` s at most. `free` tells the room a folder's disk has, in bytes.
        """
        facts = catalog()
        async with AsyncExitStack() as stack:
            payments = await Payments.open(settings.journal, now=now, secrets=settings.secrets, busy=busy)
            stack.push_async_callback(payments.close)
            if settings.keep_history is not None:
                await payments.forget(before=now() - settings.keep_history * DAY_SECONDS, thorough=False)
            backend = facts.backend(settings.backend)
            client = Client(settings, backend, transport=transport, sleep=sleep, connections=connections)
            stack.push_async_callback(client.close)
            downloads = max(DOWNLOADS_AT_ONCE, connections // 8)
            studio = cls(settings, facts, client, payments, now, admit=admit, downloads=downloads, free=free)
            await asyncio.to_thread(studio.store.sweep, now())
            stack.push_async_callback(studio.finish, settings.timeout if grace is None else grace)
            yield studio

    async def finish(self, grace: float) -> None:
        """Wait for what is paid for, bounded; what is still open then stays in the journal as unknown."""
        running = list(self._jobs.values())
        if running:
            await asyncio.wait(running, timeout=grace)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *self._departures, return_exceptions=True)
        self._context.images.shutdown(wait=False, cancel_futures=True)
        self.store.tidy()

    @asynccontextmanager
    async def make(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        report: ReportProgress = silent,
        key: str | None = None,
        roots: Sequence[Path] = (),
        claimed: Callable[[str], object] = str,
    ) -> AsyncIterator[Result]:
        """All six rooms for one wish; the block hands the result over.

        A block that ends well has delivered it: it is never replayed unasked. One that is cancelled or fails has not:
        the next identical wish gets it at once. SeedreamError says what happened and what it cost; see `errors`.
        References are read from the settings' folders and from `roots`, which a host may grant for one call.
        `claimed` is given the journal entry before anything is sent; a failure without one has sent nothing.
        With a `key` only the same key is the same wish: takes of one frame are separate, and each is found again.
        """
        request = check(tool, arguments, catalog=self.catalog, settings=self.settings)
        prepared = replace(await self.prepare(request, roots), key=key)
        if request.dry_run:
            yield Result(self._dry_run_result(prepared))
            return
        prepared = replace(prepared, emulated=await self._is_emulated())
        result = self._claimed_result(prepared, arguments, report, claimed)
        async with self._handed_over(result) as given:
            yield given

    @asynccontextmanager
    async def fetch(self, entry: str, *, report: ReportProgress = silent) -> AsyncIterator[Result]:
        """Bring the paid pictures that an entry has left at the service; nothing is sent and nothing is paid.

        The block hands the result over, as in `make`. Undelivered when they still cannot be brought, InvalidRequest
        when there is nothing to bring.
        """
        noted = await self.payments.delivery(entry)
        claim = await self.payments.claim_fetch(entry)
        async with self._handed_over(self._fetched_again(claim, noted, report)) as given:
            yield given

    @asynccontextmanager
    async def _handed_over(self, fulfilling: Awaitable[tuple[str, Result]]) -> AsyncIterator[Result]:
        """A block that ends well has delivered the result; one that is cancelled or fails has not."""
        try:
            entry, result = await fulfilling
        except SeedreamError as error:
            error.redact(self.settings.secrets)
            raise
        try:
            yield result
        except BaseException:
            self._caller_left(entry)
            raise
        await asyncio.shield(self.payments.delivered(entry))

    async def _claimed_result(
        self, prepared: CallPlan, arguments: Mapping[str, Any], report: ReportProgress, claimed: Callable[[str], object]
    ) -> tuple[str, Result]:
        fingerprint = prepared.fingerprint
        self._asking[fingerprint] += 1
        try:
            claim = await self._confirmed_claim(prepared, arguments)
            claimed(claim.entry.id)
            work = self._started(claim, prepared)
        finally:
            self._asking -= Counter([fingerprint])
        try:
            return claim.entry.id, await self._fulfil(claim, work, prepared.request.preview, report)
        except BaseException:
            self._caller_left(claim.entry.id)
            raise

    async def _fetched_again(
        self, claim: Fetch | Join, noted: Mapping[str, Any], report: ReportProgress
    ) -> tuple[str, Result]:
        preview = "none"
        try:
            work = None
            if isinstance(claim, Fetch):
                work = self._start(claim.entry, self._fetching(claim.entry, noted))
            return claim.entry.id, await self._fulfil(claim, work, preview, report)
        except BaseException:
            if claim.entry.id not in self._jobs and isinstance(claim, Fetch):
                await asyncio.shield(self.payments.abandon(claim.entry.id))
            self._caller_left(claim.entry.id)
            raise

    def _fetching(self, entry: Entry, noted: Mapping[str, Any]) -> _Work:
        """The work of bringing an entry's pictures, from what was noted when it was paid."""
        backend = self.catalog.backend(entry.backend).name
        settings = replace(self.settings, backend=backend, ratio=noted.get("ratio"))
        arguments = {**noted["arguments"], "preview": "none"}
        request = check(noted["tool"], arguments, catalog=self.catalog, settings=settings)
        sent = {name: value for name, value in entry.request.items() if name != "tool"}
        return lambda say: Redelivery(self._context, entry, request, noted["told"], sent, say).run()

    async def _is_emulated(self) -> bool:
        """Whether a backend that charges is stood in for by an emulator; asked once."""
        async with self._emulated_asked:
            if self._emulated is None:
                self._emulated = await self.client.is_emulated()
        return self._emulated and self.catalog.backend(self.settings.backend).charges

    async def prepare(self, request: ImageRequest, roots: Sequence[Path] = ()) -> CallPlan:
        """Rooms 2 and 3. PromptRejected, InvalidRequest or PictureError; nothing has been sent to the backend."""
        styled = style_request(request)
        await asyncio.to_thread(self.store.stem, request.save_as, "picture")
        readable = (*self.settings.input_roots, self.settings.output_dir, *roots)
        desk = ReferenceLoader(readable, self.store, self.client, self.settings.keep_metadata, self._earlier)
        references = await gather(request, desk) if request.images else ()
        request = with_shape_of(request, references[0].shape if references else None)
        calls = build_calls(request, styled, references, self.settings)
        notes = tuple(note for reference in references for note in reference.notes)
        return CallPlan(request, styled, references, calls, (*request.warnings, *notes))

    async def _confirmed_claim(self, prepared: CallPlan, arguments: Mapping[str, Any]) -> Claim:
        """Consent is for paying: what is under way or paid already is handed over without asking."""
        missing = self._missing_confirmation(prepared.request)
        if missing is None:
            return await self._claim(prepared, arguments)
        if not await self.payments.entries(states=_PAID_ALREADY, fingerprint=prepared.fingerprint, limit=1):
            raise missing
        claim = await self._claim(prepared, arguments)
        if isinstance(claim, Begin):  # somebody else took it meanwhile: this one would be a new payment
            await self.payments.failed(claim.entry.id, describe_failure(missing))
            raise missing
        return claim

    async def _claim(self, prepared: CallPlan, arguments: Mapping[str, Any]) -> Claim:
        request = prepared.request
        payer = self.catalog.preview if prepared.emulated else request.offer.backend
        described = describe_request(prepared, self.settings.language)
        parts = self.settings.output_dir.absolute().parts
        return await self.payments.claim(
            prepared.fingerprint,
            request={"tool": request.tool, **prepared.shown(self.settings.secrets)},
            backend=payer.name,
            model=request.offer.model.name,
            price=request.price,
            budget=_budget(self.settings.budget, request.price.currency, self.catalog.same_budget(payer)),
            fresh=request.fresh,
            images=request.count,
            price_confirmed=request.confirm_cost,
            delivery=delivery_of(arguments, request, described, ratio=self.settings.ratio, folder=parts),
        )

    def _started(self, claim: Claim, prepared: CallPlan) -> _Started | None:
        """The work of a claim that is this caller's to do, in a task that outlives a caller who leaves."""
        if isinstance(claim, Begin):
            return self._start(claim.entry, lambda say: Job(self._context, claim.entry, prepared, say).run())
        if isinstance(claim, Fetch):
            described = describe_request(prepared, self.settings.language)
            sent = prepared.shown(self.settings.secrets)
            request = prepared.request
            return self._start(
                claim.entry, lambda say: Redelivery(self._context, claim.entry, request, described, sent, say).run()
            )
        return None

    def _start(self, entry: Entry, work: _Work) -> _Started:
        said: asyncio.Queue[Message | None] = asyncio.Queue()
        task = asyncio.create_task(work(said.put_nowait))
        self._jobs[entry.id] = task
        task.add_done_callback(lambda done: self._forget(entry.id, done))
        task.add_done_callback(lambda _: said.put_nowait(None))
        return task, said

    async def _fulfil(self, claim: Claim, work: _Started | None, preview: str, report: ReportProgress) -> Result:
        if isinstance(claim, Fetch):
            await report(Message("payments.fetching"))
        if work is not None:
            return await self._listened(*work, report)
        if isinstance(claim, Join):
            await report(Message("pipeline.joined"))
            return await self._joined(claim.entry, preview)
        return await self._restored(claim.entry, preview, replayed=True)

    async def _listened(
        self, task: asyncio.Task[Result], said: asyncio.Queue[Message | None], report: ReportProgress
    ) -> Result:
        """The end of paid work; what it says is told for as long as the caller stays."""
        while (message := await said.get()) is not None:
            await report(message)
        return await task

    def _forget(self, entry: str, task: asyncio.Task[Result]) -> None:
        del self._jobs[entry]
        if not task.cancelled():
            task.exception()  # an error nobody waits for any more is told by the journal

    async def _joined(self, entry: Entry, preview: str) -> Result:
        """Somebody else's identical call, in this process or another: wait for its end and share it."""
        own = self._jobs.get(entry.id)
        if own is not None:
            await asyncio.wait([own])
        elif entry.owner == self.payments.owner and not self._asking[entry.fingerprint]:
            # Its task is gone and could not say so: nobody would ever end it.
            with contextlib.suppress(StoreError):
                await self.payments.abandon(entry.id)
        try:
            finished = await self.payments.finished(entry.id, timeout=self.settings.timeout * PATIENCE)
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
            await self.payments.delivered(entry.id)  # or every identical wish would end here
            raise StoreError(
                Message("pipeline.replay-gone", entry=entry.id, paths=gone),
                advice=Message("pipeline.replay-gone-advice"),
                facts={"entry": entry.id},
            )
        notes = [Message("pipeline.replay-changed", path=path).text(self.settings.language) for path in gone]
        facts |= {"pictures": kept, "warnings": [*facts["warnings"], *notes]}
        side = postprocess.PREVIEW_SIDES[preview]
        shown = kept if side else []
        previews = await asyncio.gather(*(self._preview(Path(picture["path"]), side or 1) for picture in shown))
        return Result(facts, tuple(previews))

    async def _preview(self, path: Path, side: int) -> bytes:
        small: bytes = await self._context.in_thread(lambda: images.preview(path, long_side=side))
        return small

    def _caller_left(self, entry: str) -> None:
        """One caller is gone. In a task of its own, since the caller's task may already be cancelled."""
        goodbye = asyncio.create_task(self._record_undelivered(entry))
        self._departures.add(goodbye)
        goodbye.add_done_callback(self._departures.discard)

    async def _record_undelivered(self, entry: str) -> None:
        try:
            await self.payments.undelivered(entry)
        except SeedreamError as error:
            log.warning("a caller's leaving could not be noted: %s", error)

    async def _earlier(self, reference: str) -> Path | None:
        """The file behind `seedframe:<entry>-<number>`, or the last picture made (`latest`)."""
        if reference == LATEST:
            return await self._latest()
        name, _, number = reference.partition(":")[2].rpartition("-")
        entry = await self.payments.entry(name) if number.isdigit() else None
        made = (entry.result or {}).get("pictures", []) if entry else []
        found = next((Path(picture["path"]) for picture in made if picture["id"] == reference), None)
        return found if found and found.exists() else None

    async def _latest(self) -> Path | None:
        """The last picture of the newest call that has one left on the disk."""
        for entry in await self.payments.entries(states=("saved", "delivered"), limit=MOST_RECENT):
            made = [Path(picture["path"]) for picture in (entry.result or {}).get("pictures", ())]
            there = [path for path in made if path.exists()]
            if there:
                return there[-1]
        return None

    def _missing_confirmation(self, request: ImageRequest) -> ConfirmationNeeded | None:
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

    def _dry_run_result(self, prepared: CallPlan) -> dict[str, Any]:
        request = prepared.request
        return {
            "status": "dry_run",
            **describe_request(prepared, self.settings.language),
            "cost": describe_price(request.price, request, pictures=request.count),
            "calls": len(prepared.calls),
            "payload": prepared.shown(self.settings.secrets),
        }


def _untouched(described: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Which saved pictures still have the bytes that were saved, and the paths of those that have not."""
    kept: list[Mapping[str, Any]] = []
    gone: list[str] = []
    for picture in described:
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
