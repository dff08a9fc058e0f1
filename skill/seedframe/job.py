"""Rooms 4 and 5 of one wish: from its intent in the journal to its saved pictures.

In: an entry to pay for and what was prepared. Out: a `Result`, or the error that says what became of the money.
It lives in a task of its own and talks to nobody directly: what it says is put where a caller may or may not listen.
Never in here: a door, a dialect, a second try of a call that may have been paid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedframe import bills, framing, telling
from seedframe.arriving import Parts, disk_full
from seedframe.catalog import Offer
from seedframe.client import Client
from seedframe.errors import OutcomeUnknown, PictureError, SeedreamError, StoreError
from seedframe.journal import Entry, Journal
from seedframe.messages import Message
from seedframe.prepared import Prepared
from seedframe.settings import Settings
from seedframe.store import Store, slug
from seedframe.telling import Bill, Missing, Outcome, Result
from seedframe.wire import Call, Reply, Slot

Admit = Callable[[str | None, Offer, int], Awaitable[None]]
"""Asked before each POST with the wish's key, what is called and how many pictures: returns when it may leave."""

_MOST_LISTED = 20
"""Missing pictures that an error names one by one, the gravest first."""

_GRAVITY = {"unknown": 0, "yes": 1, "no": 2}


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all jobs of a process share."""

    settings: Settings
    client: Client
    journal: Journal
    store: Store
    now: Callable[[], float]
    images: ThreadPoolExecutor
    downloads: asyncio.Semaphore
    admit: Admit | None = None

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Pixel work, a few at a time."""
        return await asyncio.get_running_loop().run_in_executor(self.images, function, *arguments)


class Job:
    """One paid wish. `run` once; the journal is told every step."""

    def __init__(self, shop: Workshop, entry: Entry, prepared: Prepared, say: Callable[[Message], None]) -> None:
        self._shop = shop
        self._entry = entry
        self._prepared = prepared
        self._request = prepared.request
        self._say = say
        self._pictures: list[framing.Picture] = []
        self._missing: list[Missing] = []
        self._replies: list[Reply] = []
        self._notes: list[Message] = []
        self._landing: list[asyncio.Task[None]] = []
        self._posted = False

    async def run(self) -> Result:
        """POST every call, land every slot, settle the journal; SeedreamError when not one picture was saved."""
        try:
            return await self._made_or_settled()
        except BaseException:
            # Changes nothing where its end has been settled.
            await self._shop.journal.abandon(self._entry.id)
            await asyncio.to_thread(self._shop.store.discard, self._shop.store.parts(self._entry.id))
            raise

    async def _made_or_settled(self) -> Result:
        try:
            return await self._run()
        except SeedreamError as error:
            await self._settle(error)
            raise

    async def _run(self) -> Result:
        await asyncio.to_thread(self._find_place)
        await asyncio.gather(*(self._call(number, call) for number, call in enumerate(self._prepared.calls)))
        bill = self._bill()
        if self._replies:
            ids = [reply.request_id for reply in self._replies if reply.request_id]
            await self._shop.journal.replied(
                self._entry.id, request_id=ids[0] if ids else None, billed_images=bill.pictures, amount=bill.amount
            )
        await asyncio.gather(*self._landing)
        self._missing = bills.as_counted(self._missing, self._replies)
        if not self._pictures:
            raise self._reason()
        facts = await asyncio.to_thread(self._finish, self._outcome(bill))
        await self._shop.journal.saved(self._entry.id, facts, partial=facts["status"] == "partial")
        return Result(facts, tuple(picture.preview for picture in self._made() if picture.preview))

    def _find_place(self) -> None:
        store = self._shop.store
        self._folder = store.prepare(self._entry.id)
        self._stem = store.stem(self._request.save_as, self._name())

    def _finish(self, outcome: Outcome) -> dict[str, Any]:
        facts = self._write_records(outcome)
        self._shop.store.discard(self._folder)
        return facts

    async def _settle(self, error: SeedreamError) -> None:
        """The journal's word on a wish that failed: not billed, paid and lost, or unknown."""
        billed = {missing.billed for missing in self._missing}
        if self._pictures or (self._replies and not billed):
            billed.add("yes")  # pictures are there, but what comes after them failed
        bill, journal = self._bill(), self._shop.journal
        if not self._posted or billed <= {"no"}:
            facts = self._told_with_money(error, "no", None)
            await journal.failed(self._entry.id, facts)
        elif "unknown" in billed:
            facts = self._told_with_money(error, "unknown", bill)
            await journal.unknown(self._entry.id, facts)
        else:
            facts = self._told_with_money(error, "yes", bill)
            await journal.spent_anyway(self._entry.id, facts, bill.amount)

    def _told_with_money(self, error: SeedreamError, billed: str, bill: Bill | None) -> dict[str, Any]:
        """The error for the journal; the caller's copy learns the same: the entry, and what it cost or may cost."""
        error.facts |= {"entry": self._entry.id, "billed": billed}
        if bill is not None:
            error.facts["cost"] = telling.told_bill(bill, self._request)
        return telling.told_failure(error)

    async def _call(self, number: int, call: Call) -> None:
        """One POST and its slots. What goes wrong is noted, not raised: other calls of the wish go on."""
        parts = Parts(self._folder, f"call-{number}")
        offset = number if len(self._prepared.calls) > 1 else 0
        left = False

        async def leaving(_message: Message) -> None:
            nonlocal left
            left = False
            if self._shop.admit is not None:
                await self._shop.admit(self._prepared.key, self._request.offer, call.outputs)
            await self._shop.journal.sent(self._entry.id)
            left = self._posted = True
            seconds = self._shop.client.patience(call, self._request.offer)
            self._say(Message("network.drawing", seconds=f"{seconds:g}"))

        async def arrived(slot: Slot) -> None:
            self._landing.append(asyncio.create_task(self._land(slot, parts, offset + slot.index)))

        async def tell(message: Message) -> None:
            self._say(message)

        try:
            sent = await self._shop.client.send(
                call, self._request.offer, parts, arrived=arrived, sent=leaving, tell=tell
            )
        except SeedreamError as error:
            billed = telling.billed_after(error, left=left)
            self._missing.append(Missing(offset, error, billed, call.outputs))
            return
        self._replies.append(bills.placed(sent.reply, offset, call.outputs, self._request))
        self._notes.extend(sent.notes)
        self._notice_absent(sent.reply, call.outputs)

    def _notice_absent(self, reply: Reply, asked: int) -> None:
        """Pictures for which there is not even an error: a set that came out smaller, or an answer that broke off."""
        came = {slot.index for slot in reply.slots}
        absent = [index for index in range(asked) if index not in came]
        if reply.complete and absent:
            note = Message("pipeline.fewer", asked=asked, made=sum(slot.error is None for slot in reply.slots))
            self._notes.append(note)
            self._missing += [Missing(index, SeedreamError(Message("pipeline.not-made")), "no") for index in absent]
        elif absent:
            self._notes.append(Message("pipeline.cut-stream"))
            lost = reply.failure or OutcomeUnknown(
                Message("pipeline.cut-slot"), advice=Message("pipeline.cut-slot-advice")
            )
            billed = telling.billed_after(lost, left=True)
            self._missing += [Missing(index, lost, billed) for index in absent]
        elif not reply.complete:
            self._notes.append(Message("pipeline.no-completed"))

    async def _land(self, slot: Slot, parts: Parts, index: int) -> None:
        """One slot to one file, or one reason why not."""
        try:
            picture = await self._save(slot, parts, index)
        except OSError as error:
            self._missing.append(Missing(index, _spoiled(disk_full(self._folder, error), index), "yes"))
        except SeedreamError as error:
            billed = "yes" if slot.error is None else slot.error.billed
            self._missing.append(Missing(index, _spoiled(error, index), billed))
        else:
            self._pictures.append(picture)
            self._say(Message("pipeline.saved", number=index + 1, path=picture.saved.path))

    async def _save(self, slot: Slot, parts: Parts, index: int) -> framing.Picture:
        if slot.error is not None:
            raise telling.slot_failure(slot)
        part = parts.path(slot.part if slot.part is not None else f"d{slot.index}")
        if slot.url and slot.part is None:
            async with self._shop.downloads:
                seconds = f"{self._shop.settings.download_timeout:g}"
                self._say(Message("network.downloading", number=index + 1, seconds=seconds))
                await self._shop.client.download(slot.url, part)
        place = framing.Place(index, f"seedframe:{self._entry.id}-{index + 1}", self._place(index))
        now = framing.utc(self._shop.now())
        picture: framing.Picture = await self._shop.in_thread(
            framing.finish, part, slot, self._request, place, self._shop.store, now
        )
        return picture

    def _place(self, index: int) -> Path:
        many = self._request.count > 1 or self._request.layers
        return self._stem.with_name(f"{self._stem.name}-{index + 1}") if many else self._stem

    def _name(self) -> str:
        words = self._request.prompt or self._prepared.styled.prompt
        day = framing.utc(self._shop.now()).strftime("%Y%m%d")
        return f"{day}-{slug(words)}-{self._entry.id[-6:].lower()}"

    def _made(self) -> list[framing.Picture]:
        return sorted(self._pictures, key=lambda picture: picture.index)

    def _reason(self) -> SeedreamError:
        """Why there is not one picture: the gravest reason first, since it decides what may be done next."""
        ranked = sorted(self._missing, key=lambda missing: (_GRAVITY[missing.billed], missing.index))
        if not ranked:
            return OutcomeUnknown(Message("wire.no-pictures"), advice=Message("wire.no-pictures-advice"))
        error = ranked[0].error
        if len(ranked) > 1:
            error.facts["missing"] = [
                missing.as_dict(self._shop.settings.language) for missing in ranked[:_MOST_LISTED]
            ]
        return error

    def _bill(self) -> Bill:
        """What the replies say was billed; pictures whose fate is not known count as billed."""
        return bills.total(self._replies, self._missing, self._request, len(self._prepared.references))

    def _outcome(self, bill: Bill) -> Outcome:
        missing = sorted(self._missing, key=lambda missing: missing.index)
        notes = [*self._notes, *bills.remarks(self._replies)]
        return Outcome(self._entry.id, self._made(), missing, self._replies, notes, bill, self._shop.now())

    def _write_records(self, outcome: Outcome) -> dict[str, Any]:
        """The result's facts; the layers' manifest and the sidecars are written on the way."""
        settings, store = self._shop.settings, self._shop.store
        facts = telling.told_result(outcome, self._prepared, settings.language, settings.secrets)
        if self._request.layers:
            path = self._stem.with_name(f"{self._stem.name}.layers.json")
            facts["layers_manifest"] = str(store.write_json(path, telling.layers_manifest(outcome.pictures)))
        sent = self._prepared.shown(settings.secrets)
        for told in facts["pictures"]:
            self._write_sidecar(facts, told, sent)
        return facts

    def _write_sidecar(self, facts: dict[str, Any], told: dict[str, Any], sent: dict[str, Any]) -> None:
        """Without it the picture is there all the same, so a full disk is only a warning now."""
        try:
            self._shop.store.write_sidecar(Path(told["path"]), telling.sidecar(facts, told, sent))
        except StoreError as error:
            warning = Message("pipeline.no-record", why=error.message).text(self._shop.settings.language)
            facts["warnings"] = [*facts["warnings"], warning]


def _spoiled(error: SeedreamError, index: int) -> SeedreamError:
    """A paid picture that is damaged or finds no disk: which one, and that asking again costs again."""
    number, why = index + 1, error.message
    if "name" in why.values:  # the part's own name means nothing to anybody
        why = Message(why.key, **{**why.values, "name": Message("pipeline.the-file")})
    if isinstance(error, StoreError):
        told = Message("pipeline.not-saved", number=number, why=why)
        return StoreError(told, advice=Message("pipeline.not-saved-advice"), facts=error.facts)
    if isinstance(error, PictureError):
        told = Message("pipeline.unusable", number=number, why=why)
        return PictureError(told, advice=Message("pipeline.unusable-advice"), facts=error.facts)
    return error
