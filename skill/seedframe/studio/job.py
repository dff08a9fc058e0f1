"""Stages 4 and 5 of one request: from its intent in the payment record to its saved pictures.

In: an entry to pay for and the plan of its calls. Out: a `Result`, or an error that says whether money was spent.
It runs in a task of its own, and its progress goes to a queue that a caller may or may not read.
Never in here: an entry point, a dialect, a second try of a call that may have been paid.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from seedframe.errors import OutcomeUnknown, SeedreamError, StoreError
from seedframe.messages import Message
from seedframe.payments import Entry
from seedframe.service.dialects import Call
from seedframe.service.replies import Reply, Slot
from seedframe.studio import billing, results
from seedframe.studio.delivery import Delivery, JobContext, write_records
from seedframe.studio.plan import CallPlan
from seedframe.studio.results import Bill, Missing, Outcome
from seedframe.studio.types import Result

_MOST_LISTED = 20
"""Missing pictures that an error names one by one, the gravest first."""

_GRAVITY = {"unknown": 0, "yes": 1, "no": 2}


class Job:
    """One paid request. Call `run` once; every step is written to the payment record."""

    def __init__(self, context: JobContext, entry: Entry, prepared: CallPlan, say: Callable[[Message], None]) -> None:
        self._context = context
        self._entry = entry
        self._prepared = prepared
        self._request = prepared.request
        self._say = say
        self._saving = Delivery(context, entry, prepared.request, prepared.styled.prompt, say)
        self._missing = self._saving.missing
        self._notes = self._saving.notes
        self._replies: list[Reply] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._posted = False

    async def run(self) -> Result:
        """POST every call, save every slot, settle the entry; SeedreamError when no picture was saved."""
        try:
            return await self._run_or_settle()
        except BaseException as error:
            # This changes nothing when the entry has been settled.
            with contextlib.suppress(StoreError):
                await self._context.payments.abandon(self._entry.id)
            if isinstance(error, SeedreamError):  # otherwise the part files may be the only copy
                await asyncio.to_thread(self._saving.discard)
            raise

    async def _run_or_settle(self) -> Result:
        try:
            return await self._run()
        except SeedreamError as error:
            await self._settle(error)
            results.with_trouble(error, self._context.payments.trouble(self._entry.id))
            raise

    async def _run(self) -> Result:
        self._request.offer.backend.key(self._context.settings)
        await asyncio.to_thread(self._make_ready)
        await asyncio.gather(*(self._call(number, call) for number, call in enumerate(self._prepared.calls)))
        await self._note_replies(self._bill())
        await asyncio.gather(*self._tasks)
        self._missing[:] = billing.as_counted(self._missing, self._replies)
        if not self._saving.pictures:
            raise self._reason()
        result = await asyncio.to_thread(self._write_records, self._outcome(self._bill()))
        payments, partial = self._context.payments, result.status == "partial"
        await payments.saved(self._entry.id, result.as_dict(), partial=partial, fetchable=self._saving.fetchable)
        await asyncio.to_thread(self._saving.discard)  # only now: killed before, they are what is found again
        trouble = payments.trouble(self._entry.id)
        result = replace(result, addresses=self._addresses())
        return results.with_trouble_warned(result, trouble, self._context.settings.language)

    def _addresses(self) -> dict[int, str]:
        """Where the service keeps what it sent by address, by number of the picture in the request."""
        slots = ((reply, slot) for reply in self._replies for slot in reply.slots)
        return {reply.first + slot.index: slot.url for reply, slot in slots if slot.url and slot.part is None}

    def _make_ready(self) -> None:
        self._saving.prepare()
        self._saving.check_ready()

    async def _note_replies(self, bill: Bill) -> None:
        """Record the bill of all answers; the price of further pictures that may have been billed stays reserved."""
        if not self._replies:
            return
        ids = [reply.request_id for reply in self._replies if reply.request_id]
        doubtful = billing.doubtful(self._replies, self._missing)
        references = len(self._prepared.references)
        sure = billing.amount(bill.pictures - len(doubtful), self._replies, self._request, references)
        held = None if bill.amount is None or sure is None else bill.amount - sure
        await self._context.payments.replied(
            self._entry.id,
            request_id=ids[0] if ids else None,
            billed_images=bill.pictures,
            amount=sure,
            held=held,
            doubtful=doubtful,
        )

    async def _settle(self, error: SeedreamError) -> None:
        """Settle the entry of a failed request: not billed, paid and lost, to be fetched, or unknown."""
        billed = {missing.billed for missing in self._missing}
        if self._saving.pictures or (self._replies and not billed):
            billed.add("yes")  # pictures were saved, but a later step failed
        bill, payments = self._bill(), self._context.payments
        if not self._posted or billed <= {"no"}:
            await payments.failed(self._entry.id, self._describe_with_cost(error, "no", None))
        elif self._saving.fetchable:
            await payments.unfetched(self._entry.id, self._describe_with_cost(error, "yes", bill))
        elif "unknown" in billed:
            await payments.unknown(self._entry.id, self._describe_with_cost(error, "unknown", bill))
        else:
            recorded = self._describe_with_cost(error, "yes", bill)
            await payments.spent_anyway(self._entry.id, recorded, bill.amount)

    def _describe_with_cost(self, error: SeedreamError, billed: str, bill: Bill | None) -> dict[str, Any]:
        """The error for the payment record; adds the entry and the known or possible cost to the caller's error too."""
        error.facts |= {"entry": self._entry.id, "billed": billed}
        if bill is not None:
            error.facts["cost"] = results.cost_of(bill, self._request).as_dict()
        return results.describe_failure(error)

    async def _call(self, number: int, call: Call) -> None:
        """One POST and its slots. Failures are noted, not raised: other calls of the request continue."""
        parts = self._saving.parts(number)
        offset = number if len(self._prepared.calls) > 1 else 0
        left = False

        async def leaving(_message: Message) -> None:
            nonlocal left
            left = False
            if self._context.admit is not None:
                await self._context.admit(self._prepared.frame, self._request.offer, call.outputs)
            await self._context.payments.sent(self._entry.id)
            left = self._posted = True
            seconds = self._context.client.patience(call)
            self._say(Message("network.drawing", seconds=f"{seconds:g}"))

        async def arrived(slot: Slot) -> None:
            self._tasks.append(asyncio.create_task(self._saving.land(slot, parts, offset + slot.index)))

        async def report(message: Message) -> None:
            self._say(message)

        try:
            sent = await self._context.client.send(
                call, self._request.offer, parts, arrived=arrived, sent=leaving, report=report
            )
        except SeedreamError as error:
            billed = results.billing_after(error, left=left)
            self._missing.append(Missing(offset, error, billed, call.outputs))
            return
        self._replies.append(billing.placed(sent.reply, offset, call.outputs, self._request))
        self._notes.extend(sent.notes)
        self._note_absent(sent.reply, call.outputs)

    def _note_absent(self, reply: Reply, asked: int) -> None:
        """Note pictures without an error of their own: the set has fewer, or the answer broke off."""
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
            billed = results.billing_after(lost, left=True)
            self._missing += [Missing(index, lost, billed) for index in absent]
        elif not reply.complete:
            self._notes.append(Message("pipeline.no-completed"))

    def _reason(self) -> SeedreamError:
        """Why there is no picture; the gravest reason decides, since it limits what may be done next."""
        ranked = sorted(self._missing, key=lambda missing: (_GRAVITY[missing.billed], missing.index))
        if not ranked:
            return OutcomeUnknown(Message("wire.no-pictures"), advice=Message("wire.no-pictures-advice"))
        error = results.undelivered(self._entry.id, ranked) if self._saving.fetchable else ranked[0].error
        if len(ranked) > 1:
            language = self._context.settings.language
            error.facts["missing"] = [missing.described(language).as_dict() for missing in ranked[:_MOST_LISTED]]
        return error

    def _bill(self) -> Bill:
        """The bill of the replies; pictures with an unknown outcome count as billed."""
        return billing.total(self._replies, self._missing, self._request, len(self._prepared.references))

    def _outcome(self, bill: Bill) -> Outcome:
        missing = sorted(self._missing, key=lambda missing: missing.index)
        notes = [*self._notes, *billing.remarks(self._replies)]
        pictures, now = self._saving.made, self._context.now()
        return Outcome(self._entry.id, pictures, missing, self._replies, notes, bill, now)

    def _write_records(self, outcome: Outcome) -> Result:
        """The result; also writes the sidecars and the manifest of layers."""
        settings, store = self._context.settings, self._context.store
        result = results.result_of(outcome, self._prepared, settings.language, settings.secrets)
        if self._request.layers:
            stem = self._saving.stem
            path = stem.with_name(f"{stem.name}.layers.json")
            manifest = store.write_json(path, results.layers_manifest(outcome.pictures))
            result = replace(result, layers_manifest=manifest)
        sent = self._prepared.shown(settings.secrets)
        return write_records(store, result, sent, result.pictures, settings)
