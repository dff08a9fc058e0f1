"""The stages of every picture call. Start reading here.

    stage     where                      in → out                                      may fail with
    1 check   service.request            arguments → ImageRequest, legal for its model  InvalidRequest
    2 style   prompting                  ImageRequest → prompt to send + findings       PromptRejected
    3 build   service.dialects           → HTTP requests of that dialect (pure)         –
    4 pay     payments, service.client   intent recorded → POST → Reply                 ApiError, ConnectionFailed,
                                                                                        OutcomeUnknown
    5 save    images, studio.store       bytes → verified, framed files + sidecars      PictureError, StoreError
    6 render  cli, mcp_server, api       Result → MCP content, text or JSON             –

Nothing has been sent before stage 4. `studio.plan` holds stages 2 and 3, `studio.job` and `studio.delivery` 4 and 5.
In: a tool's name and arguments. Out: a `Result`. The paid part runs in a task of its own: it goes on when its caller is
cancelled, and the next identical request gets the picture. Never in here: the format of an entry point, a dialect,
pixels.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from seedframe import images
from seedframe.catalog import Catalog, catalog
from seedframe.errors import ConfirmationNeeded, OutcomeUnknown, SeedreamError, StoreError
from seedframe.messages import Message
from seedframe.payments import IN_FLIGHT, Begin, Budget, Claim, Entry, Fetch, Join, PaidFrame, Payments, Replay, State
from seedframe.payments.migrations import BUSY_SECONDS
from seedframe.prompting import StyledPrompt
from seedframe.service.client import CONNECTIONS, Client, ReportProgress
from seedframe.service.key_place import misplaced
from seedframe.service.lookup import LATEST, places
from seedframe.service.references import ReferenceLoader, ReferenceTools, gather
from seedframe.service.request import ImageRequest, check, with_shape_of
from seedframe.settings import Money, Settings
from seedframe.studio import postprocess
from seedframe.studio.delivery import Admit, JobContext
from seedframe.studio.job import Job
from seedframe.studio.plan import CallPlan, build_calls, style_request
from seedframe.studio.preflight import Free, free_bytes
from seedframe.studio.redelivery import Redelivery, delivery_of
from seedframe.studio.remote_copies import RemoteCopies
from seedframe.studio.results import cost_of_price, describe_failure, failure_of, summary
from seedframe.studio.scratch import Scratch
from seedframe.studio.store import Store
from seedframe.studio.types import Mark, Picture, RequestSummary, Result

__all__ = ["Result", "SharedWork", "Studio", "silent"]

IMAGE_THREADS = 2
DAY_SECONDS = 86_400.0
DOWNLOADS_AT_ONCE = 4
PATIENCE = 4
"""A caller waits this many timeouts of one picture for an identical call that is already under way."""

MOST_RECENT = 50
"""How many calls are searched for the last picture."""

_PAID_ALREADY: frozenset[State] = IN_FLIGHT | {"saved", "undelivered"}

log = logging.getLogger(__name__)


_Work = Callable[[Callable[[Message], None]], Coroutine[Any, Any, Result]]
_Started = tuple["asyncio.Task[Result]", "asyncio.Queue[Message | None]"]


async def silent(_message: Message) -> None:
    """Discard progress."""


@dataclass(frozen=True, slots=True)
class SharedWork:
    """What the studios of one process may share: a client, image threads, a limit of simultaneous downloads."""

    client: Client
    images: ThreadPoolExecutor
    downloads: asyncio.Semaphore


class Studio:
    """What the picture calls of a process share: settings, client, payment record, store, image threads."""

    def __init__(
        self,
        settings: Settings,
        known: Catalog,
        client: Client,
        payments: Payments,
        now: Callable[[], float],
        *,
        admit: Admit | None = None,
        downloads: int = DOWNLOADS_AT_ONCE,
        free: Free = free_bytes,
        shared: SharedWork | None = None,
        uploads: bool = True,
    ) -> None:
        self.settings = settings
        self._remote = RemoteCopies.of(settings) if uploads else None
        self.catalog = known
        self.client = client
        self.payments = payments
        self.store = Store(settings.output_dir)
        self._owns_images = shared is None
        images = shared.images if shared else ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="pictures")
        at_once = shared.downloads if shared else asyncio.Semaphore(downloads)
        self._context = JobContext(settings, client, payments, self.store, now, images, at_once, free, admit)
        self._reference_tools = ReferenceTools()
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
        shared: SharedWork | None = None,
        uploads: bool = True,
        payments: Payments | None = None,
    ) -> AsyncIterator[Studio]:
        """A studio for as long as the block lasts; at its end paid calls in flight are awaited, `grace` s at most.

        `admit` is awaited before each POST, for a rate limit that processes share. A locked payment record is waited
        for, `busy` s at most. `free` gives the free bytes of a folder's disk. With `shared`, client and threads
        belong to somebody else, who also ends them; so does an open payment record that is given. Without `uploads`
        pictures stay on this disk, also where the output folder stands for a place in an object store.
        """
        known = catalog()
        async with AsyncExitStack() as stack:
            if payments is None:
                payments = await Payments.open(settings.journal, now=now, secrets=settings.secrets, busy=busy)
                stack.push_async_callback(payments.close)
            if settings.keep_history is not None:
                await payments.forget(before=now() - settings.keep_history * DAY_SECONDS, thorough=False)
            backend = known.backend(settings.backend)
            if shared is None:
                client = Client(settings, backend, transport=transport, sleep=sleep, connections=connections)
                stack.push_async_callback(client.close)
            else:
                client = shared.client
            downloads = max(DOWNLOADS_AT_ONCE, connections // 8)
            studio = cls(
                settings,
                known,
                client,
                payments,
                now,
                admit=admit,
                downloads=downloads,
                free=free,
                shared=shared,
                uploads=uploads,
            )
            await asyncio.to_thread(studio.store.sweep, now())
            stack.push_async_callback(studio.finish, settings.timeout if grace is None else grace)
            yield studio

    @property
    def under_way(self) -> tuple[str, ...]:
        """The payment entries that this process is working on."""
        return tuple(self._jobs)

    async def finish(self, grace: float) -> None:
        """Wait for paid calls, `grace` s at most; what is still open then stays unknown in the payment record."""
        running = list(self._jobs.values())
        if running:
            await asyncio.wait(running, timeout=grace)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *self._departures, return_exceptions=True)
        if self._owns_images:
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
        frame: PaidFrame | None = None,
        verbatim: bool = False,
        roots: Sequence[Path] = (),
        claimed: Callable[[str], object] = str,
    ) -> AsyncIterator[Result]:
        """Run stages 1 to 5 for one request; the block receives the result.

        A block that ends without an error has delivered it, and it is not given out again. After one that is cancelled
        or fails, the next identical request gets the result at once. SeedreamError says what happened and what it cost
        (see `errors`).
        References are read from the settings' folders and from `roots`, which a host may grant for one call.
        `claimed` is given the id of the payment entry before anything is sent; a failure without one has sent nothing.
        With a `key`, only the same key is the same request. `frame`: what is made is a frame of
        a board, which is paid for once, within the budget of its board.
        `verbatim`: the prompt is sent exactly as given, without additions or checks.
        """
        request = check(tool, arguments, catalog=self.catalog, settings=self.settings)
        request = replace(request, verbatim=verbatim)
        prepared = replace(await self.prepare(request, roots), key=key, frame=frame)
        try:
            if request.dry_run:
                yield await self._dry_run_result(prepared)
                return
            if self._remote is not None:
                await asyncio.to_thread(self._remote.check)
            prepared = replace(prepared, emulated=await self._is_emulated())
            result = self._claimed_result(prepared, arguments, report, claimed)
            async with self._handed_over(result) as given:
                yield given
        finally:
            prepared.scratch.release()

    @asynccontextmanager
    async def fetch(self, entry: str, *, report: ReportProgress = silent) -> AsyncIterator[Result]:
        """Download the paid pictures that an entry still has at the service; nothing is sent and nothing is paid.

        The block receives the result, as in `make`. Undelivered when they still cannot be fetched, InvalidRequest
        when there is nothing to fetch.
        """
        noted = await self.payments.delivery(entry)
        claim = await self.payments.claim_fetch(entry)
        async with self._handed_over(self._fetched_again(claim, noted, report)) as given:
            yield given

    @asynccontextmanager
    async def _handed_over(self, fulfilling: Awaitable[tuple[str, Result]]) -> AsyncIterator[Result]:
        """Give the result to a block, and record it as delivered when the block ends without an error."""
        try:
            entry, result = await fulfilling
            result = await self._uploaded(entry, result)
        except SeedreamError as error:
            error.redact(self.settings.secrets)
            raise
        try:
            yield result
        except BaseException:
            self._caller_left(entry)
            raise
        await asyncio.shield(self.payments.delivered(entry))

    async def _uploaded(self, entry: str, result: Result) -> Result:
        """The result once its pictures are in the object store, where there is one; until then nobody has got it."""
        if self._remote is None:
            return result
        try:
            return await asyncio.to_thread(self._remote.send, entry, result)
        except BaseException:
            self._caller_left(entry)
            raise

    async def _claimed_result(
        self, prepared: CallPlan, arguments: Mapping[str, Any], report: ReportProgress, claimed: Callable[[str], object]
    ) -> tuple[str, Result]:
        fingerprint = prepared.fingerprint
        if self._departures:  # what an earlier caller left behind is free for this one
            await asyncio.wait(self._departures)
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
        self, claim: Fetch | Join | Replay, noted: Mapping[str, Any], report: ReportProgress
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
        """The work of fetching an entry's pictures, from what was recorded when it was paid."""
        backend = self.catalog.backend(entry.backend).name
        settings = replace(self.settings, backend=backend, ratio=noted.get("ratio"))
        arguments = {**noted["arguments"], "preview": "none"}
        request = check(noted["tool"], arguments, catalog=self.catalog, settings=settings)
        sent = {name: value for name, value in entry.request.items() if name != "tool"}
        asked = RequestSummary.from_dict(noted["summary"] if "summary" in noted else noted["told"])  # its older name
        return lambda say: Redelivery(self._context, entry, request, asked, sent, say).run()

    async def _is_emulated(self) -> bool:
        """Whether an emulator answers in place of a backend that charges; asked once."""
        async with self._emulated_asked:
            if self._emulated is None:
                self._emulated = await self.client.is_emulated()
        return self._emulated and self.catalog.backend(self.settings.backend).charges

    async def prepare(self, request: ImageRequest, roots: Sequence[Path] = ()) -> CallPlan:
        """Stages 2 and 3. PromptRejected, InvalidRequest or PictureError; nothing has been sent to the backend.

        Whoever is given the plan releases its `scratch`.
        """
        styled = style_request(request)
        if request.save_as:
            await asyncio.to_thread(self.store.stem, request.save_as, "picture")
        scratch = Scratch(self.store)
        try:
            return await self._plan(request, styled, scratch, roots)
        except BaseException:
            scratch.release()
            raise

    async def _plan(
        self, request: ImageRequest, styled: StyledPrompt, scratch: Scratch, roots: Sequence[Path]
    ) -> CallPlan:
        loader = ReferenceLoader(
            (*self.settings.input_roots, self.settings.output_dir, *roots),
            places(self.store.root),
            scratch.folder,
            self.client,
            self._reference_tools,
            self._earlier,
            self.settings.keep_metadata,
            self.settings.decode_references,
        )
        references = await gather(request, loader) if request.images else ()
        request = with_shape_of(request, references[0].shape if references else None)
        calls = build_calls(request, styled, references, self.settings)
        notes = tuple(note for reference in references for note in reference.notes)
        odd = misplaced(self.settings, request.offer.backend, self.catalog)
        return CallPlan(request, styled, references, calls, (*odd, *request.warnings, *notes), scratch)

    async def _confirmed_claim(self, prepared: CallPlan, arguments: Mapping[str, Any]) -> Claim:
        """Claim a request; confirmation is needed only for a new payment, not for what is under way or paid already."""
        missing = self._missing_confirmation(prepared.request)
        if missing is None:
            return await self._claim(prepared, arguments)
        if not await self.payments.entries(states=_PAID_ALREADY, fingerprint=prepared.fingerprint, limit=1):
            raise missing
        claim = await self._claim(prepared, arguments)
        if isinstance(claim, Begin):  # another caller took it meanwhile: this would be a new payment
            await self.payments.failed(claim.entry.id, describe_failure(missing))
            raise missing
        return claim

    async def _claim(self, prepared: CallPlan, arguments: Mapping[str, Any]) -> Claim:
        request = prepared.request
        payer = self.catalog.preview if prepared.emulated else request.offer.backend
        asked = summary(prepared, self.settings.language)
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
            frame=prepared.frame,
            delivery=delivery_of(
                arguments, request, asked, prepared.references, ratio=self.settings.ratio, folder=parts
            ),
        )

    def _started(self, claim: Claim, prepared: CallPlan) -> _Started | None:
        """Start the work of a claim, where this caller has to do it, in a task that outlives a cancelled caller."""
        if isinstance(claim, Begin):
            started = self._start(claim.entry, lambda say: Job(self._context, claim.entry, prepared, say).run())
            prepared.scratch.hold()
            started[0].add_done_callback(lambda _: prepared.scratch.release())
            return started
        if isinstance(claim, Fetch):
            asked = summary(prepared, self.settings.language)
            sent = prepared.shown(self.settings.secrets)
            request = prepared.request
            return self._start(
                claim.entry, lambda say: Redelivery(self._context, claim.entry, request, asked, sent, say).run()
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
        return await self._restored(claim.entry, preview, "replayed")

    async def _listened(
        self, task: asyncio.Task[Result], said: asyncio.Queue[Message | None], report: ReportProgress
    ) -> Result:
        """Wait for paid work and report its progress until the caller is cancelled."""
        while (message := await said.get()) is not None:
            await report(message)
        return await task

    def _forget(self, entry: str, task: asyncio.Task[Result]) -> None:
        del self._jobs[entry]
        if not task.cancelled():
            task.exception()  # an error without a waiting caller is in the payment record

    async def _joined(self, entry: Entry, preview: str) -> Result:
        """Wait for an identical call, in this process or another, and share its result."""
        own = self._jobs.get(entry.id)
        if own is not None:
            await asyncio.wait([own])
        elif entry.owner == self.payments.owner and not self._asking[entry.fingerprint]:
            # Its task ended without settling the entry, and nothing else would.
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
        return await self._restored(finished, preview, "joined")

    async def _restored(self, entry: Entry, preview: str, mark: Mark) -> Result:
        """The saved result of an entry, with new previews. StoreError when none of its pictures exists."""
        saved = Result.from_dict(entry.result or {})
        kept, gone = await asyncio.to_thread(_untouched, saved.pictures)
        if not kept:
            await self.payments.delivered(entry.id)  # otherwise every identical request would end here
            raise StoreError(
                Message("pipeline.replay-gone", entry=entry.id, paths=gone),
                advice=Message("pipeline.replay-gone-advice"),
                facts={"entry": entry.id},
            )
        side = postprocess.PREVIEW_SIDES[preview]
        shown = kept if side else ()
        previews = await asyncio.gather(*(self._preview(picture.path, side or 1) for picture in shown))
        notes = [Message("pipeline.replay-changed", path=path).text(self.settings.language) for path in gone]
        return replace(saved, pictures=kept, mark=mark, previews=tuple(previews)).warned(*notes)

    async def _preview(self, path: Path, side: int) -> bytes:
        small: bytes = await self._context.in_thread(lambda: images.preview(path, long_side=side))
        return small

    def _caller_left(self, entry: str) -> None:
        """Record that a caller did not take the result, in a task of its own: the caller's may be cancelled already."""
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
        found = next((picture.path for picture in _pictures(entry) if picture.id == reference), None)
        return await self._brought(found) if found else None

    async def _brought(self, path: Path) -> Path | None:
        """A picture made before, also where it has left the cache; None where it is gone."""
        return await asyncio.to_thread(_found, path, self._remote)

    async def _latest(self) -> Path | None:
        """The last picture of the newest call that still has one on disk."""
        for entry in await self.payments.entries(states=("saved", "delivered"), limit=MOST_RECENT):
            for picture in reversed(_pictures(entry)):
                if (path := await self._brought(picture.path)) is not None:
                    return path
        return None

    async def _over_budget(self, request: ImageRequest) -> SeedreamError | None:
        backend = request.offer.backend
        budget = _budget(self.settings.budget, request.price.currency, self.catalog.same_budget(backend))
        if budget is None:
            return None
        return await self.payments.over_budget(
            backend.name, request.price, budget, price_confirmed=request.confirm_cost
        )

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

    async def _dry_run_result(self, prepared: CallPlan) -> Result:
        request = prepared.request
        refused = await self._over_budget(request)
        more = () if refused is None else (Message("pipeline.would-refuse", why=refused.message),)
        return Result(
            status="dry_run",
            request=summary(prepared, self.settings.language, more=more),
            cost=cost_of_price(request.price, request, request.count),
            calls=len(prepared.calls),
            payload=prepared.shown(self.settings.secrets),
        )


def _pictures(entry: Entry | None) -> tuple[Picture, ...]:
    """What an entry of the payment record has saved."""
    return Result.from_dict(entry.result).pictures if entry and entry.result else ()


def _found(path: Path, remote: RemoteCopies | None) -> Path | None:
    if remote is not None and not path.exists():
        remote.bring(path)
    return path if path.exists() else None


def _untouched(pictures: Sequence[Picture]) -> tuple[tuple[Picture, ...], list[str]]:
    """The saved pictures whose bytes are unchanged, and the paths of the others."""
    kept = tuple(picture for picture in pictures if _has_its_bytes(picture))
    return kept, [str(picture.path) for picture in pictures if picture not in kept]


def _has_its_bytes(picture: Picture) -> bool:
    try:
        with picture.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == picture.sha256
    except OSError:
        return False


def _budget(money: Money | None, currency: str, backends: tuple[str, ...]) -> Budget | None:
    return None if money is None else Budget(money.amount, money.currency or currency, backends)
