"""Room 6, the facts: what a wish came to, as JSON-ready dictionaries for doors, sidecars and the journal.

In: what was prepared, what arrived, the bill. Out: dictionaries in one language, keys and signed addresses taken out.
Never in here: a file being written, a door's format, a decision about money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from seedframe.catalog import Price
from seedframe.errors import ApiError, OutcomeUnknown, PaidAndLost, PictureError, SeedreamError, StoreError, Undelivered
from seedframe.geometry import Size
from seedframe.messages import Language, Message
from seedframe.payments import Entry
from seedframe.redaction import redact
from seedframe.service.replies import Reply, Slot
from seedframe.service.request import ImageRequest
from seedframe.studio import postprocess
from seedframe.studio.plan import CallPlan, prompt_words

_OWN_WORDS = frozenset({"pictures", "layers_manifest"})
"""Facts that hold our own paths: long ones must not be taken for base64."""


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
    """A picture (or `pictures` of one lost call) that did not come. `billed`: no, unknown, or yes (paid).

    `until`: it lies at the service and can be fetched until then, in seconds since the epoch.
    """

    index: int
    error: SeedreamError
    billed: str
    pictures: int = 1
    until: float | None = None

    @property
    def numbers(self) -> range:
        """The pictures this is about, counted from 0."""
        return range(self.index, self.index + self.pictures)

    def as_dict(self, language: Language) -> dict[str, Any]:
        """JSON-ready facts."""
        described = {"index": self.index, "message": self.error.message.text(language), "billed": self.billed}
        if isinstance(self.error, ApiError):
            described["code"] = self.error.code
        if self.error.advice:
            described["advice"] = self.error.advice.text(language)
        if self.until is not None:
            described["fetch_until"] = moment(self.until)
        return described


@dataclass(frozen=True, slots=True)
class Bill:
    """What a wish cost: `pictures` and `amount` at most; exactly that when `sure`."""

    pictures: int
    amount: Decimal | None
    sure: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that came of the paid calls of one wish, before it is told."""

    entry: str
    pictures: Sequence[postprocess.Picture]
    missing: Sequence[Missing]
    replies: Sequence[Reply]
    notes: Sequence[Message]
    bill: Bill
    created: float

    @property
    def status(self) -> str:
        """`partial`: less came than was asked for; `wrong_size`: all came, one far from the asked size; else `done`."""
        if self.missing:
            return "partial"
        return "wrong_size" if any(picture.wrong_size for picture in self.pictures) else "done"


def describe_result(outcome: Outcome, prepared: CallPlan, language: Language, secrets: Sequence[str]) -> dict[str, Any]:
    """The facts of a result."""
    request, replies = prepared.request, outcome.replies
    notes = (*outcome.notes, *(note for picture in outcome.pictures for note in picture.notes))
    facts = {
        "status": outcome.status,
        "id": outcome.entry,
        **describe_request(prepared, language, more=tuple(dict.fromkeys(notes))),
        "emulated": any(reply.emulated for reply in replies),
        "pictures": [picture.as_dict(language) for picture in outcome.pictures],
        "missing": [missing.as_dict(language) for missing in outcome.missing],
        "cost": describe_bill(outcome.bill, request),
        "request_ids": [reply.request_id for reply in replies if reply.request_id],
        "created": postprocess.utc(outcome.created).isoformat(timespec="seconds"),
    }
    if facts["emulated"]:
        for picture in facts["pictures"]:
            picture["trust"] = {"eligible": False, "reason": "backend", "expires_at": None}
    searched = [reply.searched for reply in replies if reply.searched is not None]
    if searched:
        facts["web_searches"] = sum(searched)
    return {name: redact(fact, secrets, long_words=name in _OWN_WORDS) for name, fact in facts.items()}


def describe_request(prepared: CallPlan, language: Language, *, more: tuple[Message, ...] = ()) -> dict[str, Any]:
    """What was asked, in words: who was called, the prompt that is sent, the frame, and everything noticed."""
    request = prepared.request
    facts: dict[str, Any] = {
        "tool": request.tool,
        "model": request.offer.model.name,
        "model_id": request.offer.id,
        "backend": request.offer.backend.name,
        **prompt_words(prepared),
        "frame": postprocess.frame_report(request, language),
        "warnings": [warning.text(language) for warning in (*prepared.warnings, *more)],
        "findings": [finding.as_dict(language) for finding in prepared.styled.findings],
    }
    if prepared.references:
        facts["references"] = [reference.shown for reference in prepared.references]
    if "seed" in request.options:
        facts["seed"] = request.options["seed"]
    return facts


def describe_price(price: Price, request: ImageRequest, pictures: int) -> dict[str, Any]:
    """Money, JSON-ready; the amount is null where no price is published."""
    amount = None if price.amount is None else format(price.amount.normalize(), "f")
    return {
        "amount": amount,
        "currency": price.currency,
        "pictures": pictures,
        "listed": request.offer.backend.price_date,
    }


def describe_bill(bill: Bill, request: ImageRequest) -> dict[str, Any]:
    """What it cost; `at_most` marks a bill that part of the answer would have settled."""
    described = describe_price(Price(bill.amount, request.offer.backend.currency), request, bill.pictures)
    return described if bill.sure else {**described, "at_most": True}


def sidecar(facts: Mapping[str, Any], picture: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """One picture's record: the result without the other pictures, the body that was sent, asked and got size."""
    shared = {key: value for key, value in facts.items() if key not in {"pictures", "missing"}}
    got = f"{picture['width']}x{picture['height']}"
    return {
        "seedframe": 1,
        **shared,
        "expires": picture["trust"]["expires_at"],
        "request": dict(sent),
        "size": {"asked": facts["frame"]["asked"], "received": picture.get("received", got), "saved": got},
        "picture": dict(picture),
    }


def layers_manifest(pictures: Sequence[postprocess.Picture]) -> dict[str, Any]:
    """The layers from the base upwards, each with its file and where it lies."""
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
        for p in pictures
    ]
    ordered = sorted(layers, key=lambda layer: int(str(layer["z_index"])))
    return {"boxes_in": "pixels of the base picture", "layers": ordered}


def slot_failure(slot: Slot) -> SeedreamError:
    """Why there is no picture in a slot, with what to change."""
    assert slot.error is not None
    if isinstance(slot.error.message, Message) and slot.error.paid:
        return PictureError(slot.error.message)
    row, odd = slot.error.row, slot.error.odd
    known = row is not None and row.retry != "unknown"  # the rest of the answer came, so nothing is open here
    return ApiError(
        slot.error.described,
        code=slot.error.code,
        status=200,
        kind=row.error_class if row else "other",
        retry="unknown" if odd else "never",
        advice=row.advice if row and known else Message("wire.unlisted-advice" if odd else "wire.slot-free"),
        facts={"picture": slot.index + 1, "billed": slot.error.billed},
    )


def billing_after(error: SeedreamError, *, left: bool) -> str:
    """Whether a call that ended with this error was billed; `left`: its POST had been sent."""
    if isinstance(error, OutcomeUnknown) or (isinstance(error, ApiError) and error.retry == "unknown"):
        return "unknown"
    if isinstance(error, StoreError):
        return "unknown" if left else "no"
    return "yes" if isinstance(error, PictureError) else "no"


def undelivered(entry: str, missing: Sequence[Missing]) -> Undelivered:
    """Nothing is on the disk, and what is paid can be fetched: what failed, until when, and how."""
    waiting = [one for one in missing if one.until is not None]
    until = moment(min(one.until for one in waiting if one.until is not None))
    return Undelivered(
        Message("payments.undelivered", why=waiting[0].error.message, until=until),
        advice=Message("payments.undelivered-advice", entry=entry),
        facts={
            "entry": entry,
            "billed": "yes",
            "fetchable": [one.index + 1 for one in waiting],
            "fetch_until": until,
            "fetch": f"seedframe fetch {entry}",
        },
    )


def moment(seconds: float) -> str:
    """A moment as people and programs read it: local time with its offset."""
    return postprocess.utc(seconds).astimezone().isoformat(timespec="seconds")


def with_trouble(error: SeedreamError, trouble: Message | None) -> None:
    """Add to an error that the payment record could not be written, and where the facts are."""
    if trouble is not None:
        error.facts["record"] = trouble.text()
        error.advice = trouble if error.advice is None else Message("payments.two", one=error.advice, other=trouble)


def warned(facts: Mapping[str, Any], trouble: Message | None, language: Language) -> dict[str, Any]:
    """The facts of a result, with that warning."""
    if trouble is None:
        return dict(facts)
    return {**facts, "warnings": [*facts["warnings"], trouble.text(language)]}


def describe_failure(error: SeedreamError) -> dict[str, Any]:
    """An error for the journal."""
    return {"kind": error.kind, "message": str(error), **error.facts}


def failure_of(entry: Entry) -> SeedreamError:
    """The error of another caller's identical call, as the journal remembers it."""
    described = dict(entry.error or {})
    words = described.pop("message", entry.state)
    if isinstance(words, Mapping):
        words = Message(str(words["key"]), **dict(words.get("values", {})))
    message = Message("pipeline.joined-failed", entry=entry.id, error=words)
    if entry.state == "failed" and "code" in described:
        return ApiError(
            message,
            code=str(described["code"]),
            status=int(described.get("status", 0)),
            kind=str(described.get("class")),
        )
    facts = {"entry": entry.id, "earlier": described}
    if entry.state == "failed":
        return SeedreamError(message, facts={**facts, "billed": "no"})
    if entry.state == "undelivered":
        return Undelivered(
            message, advice=Message("payments.undelivered-advice", entry=entry.id), facts={**facts, "billed": "yes"}
        )
    if described.get("expired"):
        return PaidAndLost(message, facts={**facts, "billed": "yes"})
    if entry.state == "lost":
        return PictureError(message, facts={**facts, "billed": "yes"})
    return OutcomeUnknown(message, advice=Message("client.unknown-advice"), facts=facts)


def reported_size(slot: Slot) -> Size | None:
    """The size a slot says it has; None when it says none or nonsense."""
    sides = (slot.size or "").lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and 0 < len(side) < 6 for side in sides):
        return None
    return Size(int(sides[0]), int(sides[1]))
