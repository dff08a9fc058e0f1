"""Download paid pictures that are still at the service: no POST, no payment, as often as needed.

In: an entry that was `undelivered`, the request its pictures belong to, what was recorded when it was paid. Out: a
`Result` with the pictures of earlier tries and of this one, or Undelivered; the record keeps what can still be fetched.
Never in here: a price (it is paid), a decision about paying again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seedframe.catalog import Price
from seedframe.errors import SeedreamError, StoreError
from seedframe.messages import Message
from seedframe.payments import Entry
from seedframe.service.file_part import FilePart
from seedframe.service.references import Reference
from seedframe.service.request import ImageRequest
from seedframe.studio import postprocess, results
from seedframe.studio.delivery import Delivery, JobContext, write_records
from seedframe.studio.types import Cost, MissingPicture, RequestSummary, Result


class Redelivery:
    """One try to download what one entry still has at the service. Call `run` once.

    `summary` (what was asked) and `sent` (the body that was sent) go into the sidecars.
    """

    def __init__(
        self,
        context: JobContext,
        entry: Entry,
        request: ImageRequest,
        summary: RequestSummary,
        sent: Mapping[str, Any],
        say: Callable[[Message], None],
    ) -> None:
        self._context = context
        self._entry = entry
        self._request = request
        self._summary = summary
        self._sent = sent
        self._saving = Delivery(context, entry, request, summary.prompt, say)

    async def run(self) -> Result:
        """The result; Undelivered when nothing was saved and something can still be fetched."""
        try:
            return await self._run()
        except BaseException as error:
            with contextlib.suppress(StoreError):
                await self._context.payments.abandon(self._entry.id)
            if isinstance(error, SeedreamError):
                await asyncio.to_thread(self._saving.discard)
            raise

    async def _run(self) -> Result:
        payments, landing = self._context.payments, self._saving
        await asyncio.to_thread(landing.prepare)
        await asyncio.gather(*(landing.bring(kept) for kept in await payments.kept(self._entry.id)))
        result = self._result()
        if not result.pictures:
            raise await self._nothing()
        ids = {picture.id for picture in landing.pictures}
        new = [picture for picture in result.pictures if picture.id in ids]
        result = await asyncio.to_thread(
            write_records, self._context.store, result, self._sent, new, self._context.settings
        )
        partial = result.status == "partial"
        await payments.saved(self._entry.id, result.as_dict(), partial=partial, fetchable=landing.fetchable)
        await asyncio.to_thread(landing.discard)
        trouble = payments.trouble(self._entry.id)
        result = results.with_trouble_warned(result, trouble, self._context.settings.language)
        return replace(result, mark="fetched", previews=results.previews(landing.made))

    async def _nothing(self) -> SeedreamError:
        """Why nothing was saved: it can be tried again, or the pictures are lost."""
        landing, payments = self._saving, self._context.payments
        money = self._cost().as_dict()
        if landing.fetchable:
            error: SeedreamError = results.undelivered(self._entry.id, landing.missing)
            error.facts["cost"] = money
            await payments.unfetched(self._entry.id, results.describe_failure(error))
        else:
            error = landing.missing[0].error
            error.facts |= {"entry": self._entry.id, "billed": "yes", "cost": money}
            await payments.spent_anyway(self._entry.id, results.describe_failure(error))
        results.with_trouble(error, payments.trouble(self._entry.id))
        return error

    def _result(self) -> Result:
        """The result of the whole request: saved earlier, saved now, still missing."""
        language, made = self._context.settings.language, self._saving.made
        base = Result.from_dict(self._entry.result) if self._entry.result else self._nothing_yet()
        pictures = sorted([*base.pictures, *(one.described(language) for one in made)], key=lambda one: one.number)
        still = [missing.described(language) for missing in self._saving.missing]
        known = {picture.number - 1 for picture in pictures} | {one.index for one in still}
        missing = sorted([*(one for one in base.missing if one.index not in known), *still], key=lambda one: one.index)
        notes = [*self._saving.notes, *(note for picture in made for note in picture.notes)]
        whole = replace(base, status="partial" if missing else "done", pictures=tuple(pictures), missing=tuple(missing))
        return whole.warned(*(note.text(language) for note in notes))

    def _nothing_yet(self) -> Result:
        """The result of a request without any saved picture; pictures in doubt are missing."""
        entry = self._entry
        lost = Message("pipeline.cut-slot").text(self._context.settings.language)
        return Result(
            status="partial",
            request=self._summary,
            cost=replace(self._cost(), at_most=bool(entry.doubtful)),
            id=entry.id,
            emulated=not self._request.offer.backend.charges,
            missing=tuple(MissingPicture(number, lost, "unknown") for number in entry.doubtful),
            request_ids=(entry.request_id,) if entry.request_id else (),
            created=postprocess.utc(entry.created).isoformat(timespec="seconds"),
        )

    def _cost(self) -> Cost:
        entry = self._entry
        price = Price(entry.at_stake, entry.currency)
        return results.cost_of_price(price, self._request, entry.billed_images or entry.images)


def _noted(image: str, reference: Reference) -> str:
    """How a reference is recorded: a data URI by a description of its content."""
    inline = image.lstrip().startswith("data:")
    return reference.value.describe() if inline and isinstance(reference.value, FilePart) else image


def delivery_of(
    arguments: Mapping[str, Any],
    request: ImageRequest,
    summary: RequestSummary,
    references: Sequence[Reference],
    *,
    ratio: str | None,
    folder: Sequence[str],
) -> dict[str, Any]:
    """What is recorded before paying, so that any process can fetch the pictures. `folder`: its path, in parts."""
    small = {name: value for name, value in arguments.items() if name not in {"fresh", "dry_run"}}
    if any(image.lstrip().startswith("data:") for image in request.images):
        small["images"] = [_noted(image, one) for image, one in zip(request.images, references, strict=True)]
    chosen: dict[str, Any] = {"model": request.offer.model.name, "force": True}
    if "ratio" not in small and request.frame.expected is not None:  # an edit's shape came from its first picture
        chosen["size"] = request.frame.asked
    return {
        "tool": request.tool,
        "arguments": {**small, **chosen},
        "ratio": ratio,
        "folder": list(folder),  # in parts: a long path would be taken for a picture as text
        "summary": summary.as_dict(),
    }
