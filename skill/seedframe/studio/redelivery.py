"""Bringing paid pictures that still lie at the service: no POST, no payment, as often as it takes.

In: an entry that was `undelivered`, the request its pictures belong to, what was noted when it was paid. Out: a
`Result` with the pictures of earlier tries and of this one, or Undelivered; the record keeps what is left to fetch.
Never in here: a price (it is paid), a decision about paying again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
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
from seedframe.studio.results import Result


class Redelivery:
    """One try to bring what one entry has left at the service. `run` once.

    `told` are the facts of the request (`telling.told_request`), `sent` the body that was sent, for the records.
    """

    def __init__(
        self,
        context: JobContext,
        entry: Entry,
        request: ImageRequest,
        described: Mapping[str, Any],
        sent: Mapping[str, Any],
        say: Callable[[Message], None],
    ) -> None:
        self._context = context
        self._entry = entry
        self._request = request
        self._translate_errors = described
        self._sent = sent
        self._saving = Delivery(context, entry, request, str(described.get("prompt") or ""), say)

    async def run(self) -> Result:
        """The result; Undelivered when something is missing and nothing is there."""
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
        facts = self._facts()
        if not facts["pictures"]:
            raise await self._nothing()
        new = frozenset(picture.id for picture in landing.pictures)
        await asyncio.to_thread(write_records, self._context.store, facts, self._sent, new, self._context.settings)
        await asyncio.to_thread(landing.discard)
        partial = facts["status"] == "partial"
        await payments.saved(self._entry.id, facts, partial=partial, fetchable=landing.fetchable)
        facts = results.warned(facts, payments.trouble(self._entry.id), self._context.settings.language)
        return Result({**facts, "fetched": True}, tuple(made.preview for made in landing.made if made.preview))

    async def _nothing(self) -> SeedreamError:
        """Why still nothing is there: it can be tried again, or what was left of it is lost."""
        landing, payments = self._saving, self._context.payments
        money = results.describe_price(self._paid(), self._request, self._entry.billed_images or self._entry.images)
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

    def _facts(self) -> dict[str, Any]:
        """The facts of the whole request: what an earlier try saved, what this one did, what is still missing."""
        language = self._context.settings.language
        base = dict(self._entry.result or self._first_facts())
        made = [picture.as_dict(language) for picture in self._saving.made]
        pictures = sorted([*base["pictures"], *made], key=_number)
        still = [missing.as_dict(language) for missing in self._saving.missing]
        known = {_number(picture) - 1 for picture in pictures} | {one["index"] for one in still}
        missing = sorted(
            [one for one in base["missing"] if one["index"] not in known] + still, key=lambda one: int(one["index"])
        )
        notes = [*self._saving.notes, *(note for picture in self._saving.made for note in picture.notes)]
        return {
            **base,
            "status": "partial" if missing else "done",
            "pictures": pictures,
            "missing": missing,
            "warnings": [*base["warnings"], *(note.text(language) for note in notes)],
        }

    def _first_facts(self) -> dict[str, Any]:
        """The facts of a request of which nothing had come to the disk; pictures in doubt are missing."""
        entry, language = self._entry, self._context.settings.language
        cost = results.describe_price(self._paid(), self._request, entry.billed_images or entry.images)
        lost = Message("pipeline.cut-slot").text(language)
        return {
            "status": "partial",
            "id": entry.id,
            **self._translate_errors,
            "emulated": not self._request.offer.backend.charges,
            "pictures": [],
            "missing": [{"index": number, "message": lost, "billed": "unknown"} for number in entry.doubtful],
            "cost": {**cost, "at_most": True} if entry.doubtful else cost,
            "request_ids": [entry.request_id] if entry.request_id else [],
            "created": postprocess.utc(entry.created).isoformat(timespec="seconds"),
        }

    def _paid(self) -> Price:
        return Price(self._entry.at_stake, self._entry.currency)


def _number(picture: Mapping[str, Any]) -> int:
    """The number of a picture, from 1, as its id ends with it."""
    return int(str(picture["id"]).rpartition("-")[2])


def _noted(image: str, reference: Reference) -> str:
    """How a reference is noted: a data URI by what it holds, without its text being searched."""
    inline = image.lstrip().startswith("data:")
    return reference.value.describe() if inline and isinstance(reference.value, FilePart) else image


def delivery_of(
    arguments: Mapping[str, Any],
    request: ImageRequest,
    described: Mapping[str, Any],
    references: Sequence[Reference],
    *,
    ratio: str | None,
    folder: Sequence[str],
) -> dict[str, Any]:
    """What is noted before paying, so that any process can bring the pictures later. `folder`: its path, in parts."""
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
        "told": dict(described),
    }
