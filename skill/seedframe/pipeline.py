"""The corridor. Start reading here: a wish enters as a dictionary and leaves as pictures on disk, through six rooms.

    1 check    requests    arguments → ImageRequest                      nothing was sent
    2 style    styling     words → the prompt its model understands      nothing was sent
    3 build    wire        → HTTP body in the backend's dialect          pure
    4 call     journal, client   intent recorded → POST → slots          paid at most once
    5 save     framing, store    part → verified, framed file + sidecar  whole or not at all
    6 report   the doors   Result → what a host or a person reads

In: a tool's name and arguments. Out: a `Result`. The paid part runs in a task of its own: a caller who leaves does not
end what is paid for; the next identical wish gets it. Never in here: a door's format, a dialect, pixels.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from seedframe import framing, pictures
from seedframe.catalog import Catalog, Price, catalog
from seedframe.client import Client, Parts, Tell
from seedframe.errors import ApiError, ConfirmationNeeded, OutcomeUnknown, PictureError, SeedreamError
from seedframe.geometry import ratio_text
from seedframe.journal import Begin, Budget, Claim, Entry, Join, Journal, fingerprint
from seedframe.messages import Language, Message
from seedframe.redaction import redact
from seedframe.references import Desk, Reference, gather
from seedframe.requests import ImageRequest, check
from seedframe.settings import Money, Settings
from seedframe.store import Store, slug
from seedframe.styling import Styled, Wish, check_style, face_trust, style
from seedframe.wire import Call, Reply, Slot, build

IMAGE_THREADS = 2
DOWNLOADS_AT_ONCE = 4


async def silent(_message: Message) -> None:
    """Progress for nobody."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rooms 1 to 3 done: everything is known and nothing has been sent."""

    request: ImageRequest
    styled: Styled
    references: tuple[Reference, ...]
    calls: tuple[Call, ...]
    warnings: tuple[Message, ...]

    @property
    def fingerprint(self) -> str:
        """What makes two wishes the same wish: all that is sent and how the result is framed."""
        wish = self.request.frame
        body = {**self.calls[0].body, "image": [reference.sha256 for reference in self.references]}
        frame = {"ratio": wish.ratio and ratio_text(wish.ratio), "frame": wish.frame and str(wish.frame)}
        anchor = [wish.anchor.x, wish.anchor.y]
        who = {"backend": self.request.offer.backend.name, "calls": len(self.calls), "path": self.calls[0].path}
        return fingerprint({**who, **frame, "anchor": anchor, "body": body})


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a wish: JSON-ready facts, and previews in picture order."""

    facts: Mapping[str, Any]
    previews: tuple[bytes, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The full-size files."""
        return tuple(Path(picture["path"]) for picture in self.facts.get("pictures", ()))


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture that was asked for and did not come. `billed`: no, unknown, or yes (paid and lost)."""

    index: int
    error: SeedreamError
    billed: str

    def as_dict(self, language: Language) -> dict[str, Any]:
        """JSON-ready facts."""
        told = {"index": self.index, "message": self.error.message.text(language), "billed": self.billed}
        if isinstance(self.error, ApiError):
            told["code"] = self.error.code
        if self.error.advice:
            told["advice"] = self.error.advice.text(language)
        return told


class Studio:
    """The open corridor of one process: settings, one client, one journal, one store, two image threads."""

    def __init__(
        self, settings: Settings, facts: Catalog, client: Client, journal: Journal, now: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.catalog = facts
        self.client = client
        self.journal = journal
        self.store = Store(settings.output_dir)
        self.now = now
        self._images = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="pictures")
        self._downloads = asyncio.Semaphore(DOWNLOADS_AT_ONCE)
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
    ) -> AsyncIterator[Studio]:
        """A studio for as long as the block lasts; at its end paid calls in flight are awaited, `grace` s at most."""
        facts = catalog()
        async with AsyncExitStack() as stack:
            journal = await Journal.open(settings.journal, now=now, secrets=settings.secrets)
            stack.push_async_callback(journal.close)
            client = Client(settings, facts.backend(settings.backend), transport=transport, sleep=sleep)
            stack.push_async_callback(client.close)
            studio = cls(settings, facts, client, journal, now)
            stack.push_async_callback(studio.finish, settings.timeout if grace is None else grace)
            yield studio

    async def finish(self, grace: float) -> None:
        """Wait for what is paid for, bounded; what is still open then stays in the journal as sent."""
        running = list(self._paying.values())
        if running:
            await asyncio.wait(running, timeout=grace)
        for task in self._paying.values():
            task.cancel()
        await asyncio.gather(*self._paying.values(), *self._leaving, return_exceptions=True)
        self._images.shutdown(wait=False, cancel_futures=True)
        self.store.tidy()

    @asynccontextmanager
    async def make(self, tool: str, arguments: Mapping[str, Any], *, tell: Tell = silent) -> AsyncIterator[Result]:
        """All six rooms for one wish; the block hands the result over.

        A block that ends well has delivered it: it is never replayed unasked. One that is cancelled or fails has not:
        the next identical wish gets it at once. SeedreamError says what happened and what it cost; see `errors`.
        """
        request = check(tool, arguments, catalog=self.catalog, settings=self.settings)
        prepared = await self.prepare(request)
        if request.dry_run:
            yield Result(self._dry_facts(prepared))
            return
        self._check_confirmed(request)
        claim = await self._claim(prepared)
        try:
            result = await self._fulfil(claim, prepared, tell)
            yield result
        except BaseException:
            self._leave(claim.entry.id)
            raise
        await asyncio.shield(self.journal.delivered(claim.entry.id))

    async def _fulfil(self, claim: Claim, prepared: Prepared, tell: Tell) -> Result:
        if isinstance(claim, Begin):
            return await self._begin(claim.entry, prepared, tell)
        if isinstance(claim, Join):
            await tell(Message("pipeline.joined"))
            return await self._joined(claim.entry)
        return await self._restored(claim.entry, replayed=True)

    def _leave(self, entry: str) -> None:
        """One caller is gone. In a task of its own, since the caller's task may already be cancelled."""
        goodbye = asyncio.create_task(self.journal.undelivered(entry))
        self._leaving.add(goodbye)
        goodbye.add_done_callback(self._leaving.discard)

    async def prepare(self, request: ImageRequest) -> Prepared:
        """Rooms 2 and 3. PromptRejected, InvalidRequest or PictureError; nothing has been sent to the backend."""
        styled = with_trust(style(_wish(request)), request)
        check_style(styled, force=request.force)
        folder = await asyncio.to_thread(self.store.prepare)
        desk = Desk(self._roots(), folder, self.client, self._earlier, request.fit_references)
        references = await gather(request.images, request.offer.references, desk, fetch=not request.dry_run)
        calls = _calls(request, styled, references, self.settings)
        notes = tuple(note for reference in references for note in reference.notes)
        return Prepared(request, styled, references, calls, (*request.warnings, *notes))

    async def _claim(self, prepared: Prepared) -> Claim:
        request = prepared.request
        return await self.journal.claim(
            prepared.fingerprint,
            request=redact({"tool": request.tool, **prepared.calls[0].body}, secrets=self.settings.secrets),
            backend=request.offer.backend.name,
            model=request.offer.model.name,
            price=request.price,
            budget=_budget(self.settings.budget, request.price.currency),
            fresh=request.fresh,
            images=request.count,
            price_confirmed=request.confirm_cost,
        )

    async def _begin(self, entry: Entry, prepared: Prepared, tell: Tell) -> Result:
        """The paid part, in a task that outlives a caller who leaves."""
        task = asyncio.create_task(self._pay(entry, prepared, tell))
        self._paying[entry.id] = task
        task.add_done_callback(lambda done: self._forget(entry.id, done))
        return await asyncio.shield(task)

    def _forget(self, entry: str, task: asyncio.Task[Result]) -> None:
        self._paying.pop(entry, None)
        if not task.cancelled():
            task.exception()  # an error nobody waits for any more is told by the journal

    async def _joined(self, entry: Entry) -> Result:
        """Somebody else's identical call, in this process or another: wait for its end and share it."""
        finished = await self.journal.finished(entry.id, timeout=self.settings.timeout * 4)
        if finished.result is None:
            raise OutcomeUnknown(Message("pipeline.joined-failed", entry=entry.id, error=_told_error(finished)))
        return await self._restored(finished, joined=True)

    async def _restored(self, entry: Entry, **marks: bool) -> Result:
        """The saved result of a journal entry, with fresh previews."""
        facts = {**(entry.result or {}), **marks}
        paths = [Path(picture["path"]) for picture in facts["pictures"]]
        small = [path for path in paths if path.exists()] if facts.get("preview", "small") != "none" else []
        previews = await asyncio.gather(*(self._in_thread(pictures.preview, path) for path in small))
        return Result(facts, tuple(previews))

    async def _pay(self, entry: Entry, prepared: Prepared, tell: Tell) -> Result:
        job = Job(self, entry, prepared, tell)
        try:
            return await job.run()
        except SeedreamError as error:
            await job.settle_failure(error)
            raise
        finally:
            await self.journal.abandon(entry.id)
            await asyncio.to_thread(self.store.discard, job.folder, entry.id)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._images, function, *arguments)

    async def _earlier(self, reference: str) -> Path | None:
        """The file behind `seedframe:<entry>-<number>`."""
        name, _, number = reference.partition(":")[2].rpartition("-")
        entry = await self.journal.entry(name) if number.isdigit() else None
        made = (entry.result or {}).get("pictures", []) if entry else []
        found = next((Path(picture["path"]) for picture in made if picture["id"] == reference), None)
        return found if found and found.exists() else None

    def _roots(self) -> tuple[Path, ...]:
        return (*self.settings.input_roots, self.settings.output_dir)

    def _check_confirmed(self, request: ImageRequest) -> None:
        limit = self.settings.confirm_above
        if limit is None or request.confirm_cost:
            return
        price = request.price
        comparable = limit.currency in {None, price.currency}
        if price.amount is None or not comparable or price.amount > limit.amount:
            raise ConfirmationNeeded(
                Message("pipeline.confirm", price=str(price), limit=limit.amount),
                advice=Message("pipeline.confirm-advice"),
                facts={"price": str(price), "limit": str(limit.amount)},
            )

    def _dry_facts(self, prepared: Prepared) -> dict[str, Any]:
        language = self.settings.language
        request = prepared.request
        return {
            "status": "dry_run",
            **told_request(prepared, language),
            "cost": told_price(request.price, request, pictures=request.count),
            "calls": len(prepared.calls),
            "payload": redact(dict(prepared.calls[0].body), secrets=self.settings.secrets),
        }


class Job:
    """One paid wish from its intent to its saved pictures. Lives in its own task; tells the journal every step."""

    def __init__(self, studio: Studio, entry: Entry, prepared: Prepared, tell: Tell) -> None:
        self.studio = studio
        self.entry = entry
        self.prepared = prepared
        self.request = prepared.request
        self.tell = tell
        self.folder = studio.store.root / ".seedframe"
        self._pictures: list[framing.Picture] = []
        self._missing: list[Missing] = []
        self._replies: list[Reply] = []
        self._notes: list[Message] = []
        self._landing: list[asyncio.Task[None]] = []
        self._posted = False
        self._stem = studio.store.stem(self.request.save_as, self._name())

    async def run(self) -> Result:
        """POST every call, land every slot, settle the journal; raises when not one picture was saved."""
        outcomes = await asyncio.gather(*(self._call(n, call) for n, call in enumerate(self.prepared.calls)))
        await asyncio.gather(*self._landing)
        for number, error in enumerate(outcomes):
            if error is not None:
                self._missing.append(Missing(number, error, _billed(error)))
        if not self._pictures:
            raise self._reason()
        facts = await asyncio.to_thread(self._finished_facts)
        await self.studio.journal.replied(self.entry.id, **self._bill())
        await self.studio.journal.saved(self.entry.id, facts, partial=facts["status"] == "partial")
        previews = tuple(p.preview for p in sorted(self._pictures, key=lambda p: p.index) if p.preview)
        return Result(facts, previews)

    async def settle_failure(self, error: SeedreamError) -> None:
        """The journal's word on a wish without a picture: not billed, lost, or unknown."""
        journal, facts = self.studio.journal, {"kind": error.kind, "message": str(error), **error.facts}
        billed = [missing.billed for missing in self._missing] or [_billed(error)]
        if not self._posted or set(billed) == {"no"}:
            await journal.failed(self.entry.id, facts)
        elif "unknown" in billed:
            await journal.unknown(self.entry.id, facts)
        else:
            await journal.spent_anyway(self.entry.id, facts, self._bill()["amount"])

    async def _call(self, number: int, call: Call) -> SeedreamError | None:
        """One POST and its slots. An error is returned, not raised: other calls of the wish go on."""
        parts = Parts(self.folder, f"{self.entry.id}-{number}")
        offset = number if len(self.prepared.calls) > 1 else 0

        async def arrived(slot: Slot) -> None:
            self._landing.append(asyncio.create_task(self._land(slot, parts, offset + slot.index)))

        try:
            sent = await self.studio.client.send(
                call, self.request.offer, parts, arrived=arrived, sent=self._sent, tell=self.tell
            )
        except SeedreamError as error:
            return error
        self._replies.append(sent.reply)
        self._notes.extend(sent.notes)
        if not sent.reply.complete:
            self._notes.append(Message("pipeline.cut-stream"))
        return None

    async def _sent(self, _message: Message) -> None:
        self._posted = True
        await self.studio.journal.sent(self.entry.id)

    async def _land(self, slot: Slot, parts: Parts, index: int) -> None:
        """One slot to one file, or one reason why not."""
        try:
            self._pictures.append(await self._save(slot, parts, index))
        except SeedreamError as error:
            self._missing.append(Missing(index, error, "no" if slot.error and not _paid_slot(slot) else "yes"))
        else:
            await self.tell(Message("pipeline.saved", number=index + 1, path=self._pictures[-1].saved.path))

    async def _save(self, slot: Slot, parts: Parts, index: int) -> framing.Picture:
        if slot.error is not None:
            raise _slot_failure(slot)
        part = parts.path(slot.part if slot.part is not None else f"d{slot.index}")
        if slot.url and slot.part is None:
            async with self.studio._downloads:  # noqa: SLF001 - a job is the studio's own hand
                await self.studio.client.download(slot.url, part)
        place = framing.Place(index, f"seedframe:{self.entry.id}-{index + 1}", self._place(index))
        now = framing.utc(self.studio.now())
        picture: framing.Picture = await self.studio._in_thread(  # noqa: SLF001 - see above
            framing.finish, part, slot, self.request, place, self.studio.store, now
        )
        return picture

    def _place(self, index: int) -> Path:
        many = self.request.count > 1 or self.request.layers
        return self._stem.with_name(f"{self._stem.name}-{index + 1}") if many else self._stem

    def _name(self) -> str:
        words = self.prepared.request.prompt or self.prepared.styled.prompt
        day = framing.utc(self.studio.now()).strftime("%Y%m%d")
        return f"{day}-{slug(words)}-{self.entry.id[-6:].lower()}"

    def _reason(self) -> SeedreamError:
        """Why there is not one picture: the gravest reason first, since it decides what may be done next."""
        grave = {"unknown": 0, "yes": 1, "no": 2}
        ranked = sorted(self._missing, key=lambda missing: (grave[missing.billed], missing.index))
        return ranked[0].error if ranked else OutcomeUnknown(Message("wire.no-pictures"))

    def _bill(self) -> dict[str, Any]:
        """What the replies say was billed, in pictures and money; lost and unknown pictures count as billed."""
        offer, replies = self.request.offer, self._replies
        told = sum(r.billed if r.billed is not None else sum(not s.error for s in r.slots) for r in replies)
        unknown = [m for m in self._missing if m.billed == "unknown"]
        billed = told + len(unknown) * self.prepared.calls[0].outputs
        ids = [r.request_id for r in replies if r.request_id]
        return {"request_id": ids[0] if ids else None, "billed_images": billed, "amount": self._amount(billed, offer)}

    def _amount(self, billed: int, offer: Any) -> Decimal | None:
        if self.request.price_override is not None:
            return self.request.price_override * billed
        sizes = [picture.received.pixels for picture in self._pictures]
        pixels = max(sizes, default=offer.limits.max_pixels)
        fees = len(self.prepared.references)
        price = offer.price(pixels=pixels, outputs=billed, references=fees, layers=self.request.layers)
        amount: Decimal | None = price.amount
        if amount is None or len(self.prepared.calls) == 1:
            return amount
        one = offer.price(pixels=pixels, outputs=1, references=fees).amount
        return Decimal(one * billed)

    def _finished_facts(self) -> dict[str, Any]:
        """The result's facts; sidecars and the layers' manifest are written on the way."""
        language, request = self.studio.settings.language, self.request
        made = sorted(self._pictures, key=lambda picture: picture.index)
        bill = self._bill()
        unsure = any(missing.billed == "unknown" for missing in self._missing) or not all(
            r.complete for r in self._replies
        )
        created = framing.utc(self.studio.now())
        facts = {
            "status": "partial" if self._missing or unsure else "done",
            "id": self.entry.id,
            **told_request(self.prepared, language, more=tuple(self._notes)),
            "emulated": any(reply.emulated for reply in self._replies),
            "pictures": [picture.as_dict(language) for picture in made],
            "missing": [missing.as_dict(language) for missing in sorted(self._missing, key=lambda m: m.index)],
            "cost": told_price(Price(bill["amount"], request.offer.backend.currency), request, bill["billed_images"]),
            "request_ids": [reply.request_id for reply in self._replies if reply.request_id],
            "created": created.isoformat(timespec="seconds"),
            "preview": request.preview,
        }
        searched = [reply.searched for reply in self._replies if reply.searched is not None]
        if searched:
            facts["web_searches"] = sum(searched)
        for told in facts["pictures"]:
            self.studio.store.write_sidecar(Path(told["path"]), _sidecar(facts, told))
        if request.layers:
            facts["layers_manifest"] = str(self._layers_manifest(made))
        return facts

    def _layers_manifest(self, made: list[framing.Picture]) -> Path:
        layers = [
            {
                "z_index": p.layer.z_index if p.layer else p.index,
                "path": p.saved.path.name,
                "box": p.layer.box if p.layer else None,
                "name": p.layer.name if p.layer else None,
                "description": p.layer.description if p.layer else None,
                "width": p.size.width,
                "height": p.size.height,
            }
            for p in made
        ]
        ordered = sorted(layers, key=lambda layer: int(str(layer["z_index"])))
        path = self._stem.with_name(f"{self._stem.name}.layers.json")
        return self.studio.store.write_json(path, {"boxes_in": "pixels of the base picture", "layers": ordered})


def told_request(prepared: Prepared, language: Language, *, more: tuple[Message, ...] = ()) -> dict[str, Any]:
    """What was asked, in words: who was called, the prompt that is sent, the frame, and everything noticed."""
    request, styled = prepared.request, prepared.styled
    facts: dict[str, Any] = {
        "tool": request.tool,
        "model": request.offer.model.name,
        "model_id": request.offer.id,
        "backend": request.offer.backend.name,
        "prompt": styled.prompt,
        "frame": framing.frame_report(request, language),
        "warnings": [warning.text(language) for warning in (*prepared.warnings, *more)],
        "findings": [finding.as_dict(language) for finding in styled.findings],
    }
    if request.prompt is not None and request.prompt != styled.prompt:
        facts["original_prompt"] = request.prompt
    if request.brief is not None:
        facts["brief"] = dict(request.brief)
    if styled.negative and request.offer.supports("negative_prompt"):
        facts["negative_prompt"] = styled.negative
    if styled.dropped:
        facts["dropped"] = list(styled.dropped)
    if prepared.references:
        facts["references"] = [reference.shown for reference in prepared.references]
    if request.seed is not None:
        facts["seed"] = request.seed
    return facts


def told_price(price: Price, request: ImageRequest, pictures: int) -> dict[str, Any]:
    """Money, JSON-ready; the amount is null where no price is published."""
    amount = None if price.amount is None else format(price.amount.normalize(), "f")
    return {
        "amount": amount,
        "currency": price.currency,
        "pictures": pictures,
        "listed": request.offer.backend.price_date,
    }


def _wish(request: ImageRequest) -> Wish:
    offer, frame = request.offer, request.frame
    return Wish(
        sheet=offer.model.prompt_style,
        model=offer.model.name,
        prompt=request.prompt if request.prompt or request.brief or not request.layers else "",
        brief=request.brief,
        negative=request.negative_prompt,
        references=len(request.images),
        max_references=offer.references.count,
        group=request.group,
        ratio=ratio_text(frame.ratio) if frame.ratio is not None else None,
        edit=request.tool == "edit_image",
        negative_supported=offer.supports("negative_prompt"),
        as_is=request.as_is,
        groups_supported=offer.supports("related"),
    )


def _calls(
    request: ImageRequest, styled: Styled, references: tuple[Reference, ...], settings: Settings
) -> tuple[Call, ...]:
    each = request.count // request.calls
    call = build(
        request,
        prompt=styled.prompt,
        negative=styled.negative,
        images=[reference.value for reference in references],
        outputs=each,
        response_format=settings.response_format or request.offer.response_format,
    )
    return (call,) * request.calls


def with_trust(styled: Styled, request: ImageRequest) -> Styled:
    """The findings with a warning when realistic people meet a call whose pictures Seedance does not trust."""
    finding = face_trust(styled, eligible=request.offer.model.trust_days is not None and not request.images)
    return replace(styled, findings=(*styled.findings, finding)) if finding else styled


def _budget(money: Money | None, currency: str) -> Budget | None:
    return None if money is None else Budget(money.amount, money.currency or currency)


def _billed(error: SeedreamError) -> str:
    if isinstance(error, OutcomeUnknown) or (isinstance(error, ApiError) and error.retry == "unknown"):
        return "unknown"
    return "yes" if isinstance(error, PictureError) else "no"


def _paid_slot(slot: Slot) -> bool:
    """A picture that came with broken base64 was made and billed."""
    return slot.error is not None and slot.error.code == "BrokenBase64"


def _slot_failure(slot: Slot) -> SeedreamError:
    assert slot.error is not None
    row = slot.error.row
    if _paid_slot(slot):
        return PictureError(slot.error.told)
    return ApiError(
        slot.error.told,
        code=slot.error.code,
        status=200,
        kind=row.error_class if row else "other",
        advice=row.advice if row else None,
    )


def _sidecar(facts: Mapping[str, Any], picture: Mapping[str, Any]) -> dict[str, Any]:
    """One picture's record: the whole result without the other pictures."""
    shared = {key: value for key, value in facts.items() if key not in {"pictures", "missing", "preview"}}
    return {"seedframe": 1, **shared, "picture": dict(picture)}


def _told_error(entry: Entry) -> str:
    return str((entry.error or {}).get("message", entry.state))
