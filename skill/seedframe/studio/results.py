"""The end of a request: the outcome of its calls becomes a `Result`, an error, a sidecar.

In: the plan of the calls, the pictures, the bill. Out: typed values in one language, without keys and signed addresses.
Never in here: a file being written, the format of an entry point, a decision about money.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from seedframe.catalog import Price
from seedframe.errors import ApiError, OutcomeUnknown, PaidAndLost, PictureError, SeedreamError, StoreError, Undelivered
from seedframe.geometry import Size
from seedframe.messages import Language, Message
from seedframe.payments import Entry
from seedframe.prompting import PromptFinding
from seedframe.service.replies import Reply, Slot
from seedframe.service.request import ImageRequest
from seedframe.studio import postprocess
from seedframe.studio.plan import CallPlan
from seedframe.studio.types import Cost, Finding, MissingPicture, Picture, RequestSummary, Result, Status, Trust


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture (or `pictures` of one lost call) that did not come. `billed`: no, unknown, or yes (paid).

    `until`: it can be fetched from the service until then, in seconds since the epoch.
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

    def described(self, language: Language) -> MissingPicture:
        """What the caller learns about it, in one language."""
        return MissingPicture(
            self.index,
            self.error.message.text(language),
            self.billed,
            code=self.error.code if isinstance(self.error, ApiError) else None,
            advice=self.error.advice.text(language) if self.error.advice else None,
            fetch_until=None if self.until is None else moment(self.until),
        )


@dataclass(frozen=True, slots=True)
class Bill:
    """What a request cost: `pictures` and `amount` at most; exactly that when `sure`."""

    pictures: int
    amount: Decimal | None
    sure: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the paid calls of one request ended, not yet in a language."""

    entry: str
    pictures: Sequence[postprocess.FinishedPicture]
    missing: Sequence[Missing]
    replies: Sequence[Reply]
    notes: Sequence[Message]
    bill: Bill
    created: float

    @property
    def status(self) -> Status:
        """`partial`: less came than was asked for; `wrong_size`: all came, one far from the asked size; else `done`."""
        if self.missing:
            return "partial"
        return "wrong_size" if any(picture.wrong_size for picture in self.pictures) else "done"


def result_of(outcome: Outcome, plan: CallPlan, language: Language, secrets: tuple[str, ...]) -> Result:
    """The result, with previews; redacted."""
    replies = outcome.replies
    notes = (*outcome.notes, *(note for picture in outcome.pictures for note in picture.notes))
    searched = [reply.searched for reply in replies if reply.searched is not None]
    emulated = any(reply.emulated for reply in replies)
    pictures = [picture.described(language) for picture in outcome.pictures]
    if emulated:
        pictures = [replace(picture, trust=Trust(False, "backend")) for picture in pictures]
    result = Result(
        status=outcome.status,
        request=summary(plan, language, more=tuple(dict.fromkeys(notes))),
        cost=cost_of(outcome.bill, plan.request),
        id=outcome.entry,
        emulated=emulated,
        pictures=tuple(pictures),
        missing=tuple(missing.described(language) for missing in outcome.missing),
        request_ids=tuple(reply.request_id for reply in replies if reply.request_id),
        created=postprocess.utc(outcome.created).isoformat(timespec="seconds"),
        web_searches=sum(searched) if searched else None,
        previews=previews(outcome.pictures),
    )
    return result.redacted(secrets)


def previews(pictures: Iterable[postprocess.FinishedPicture]) -> tuple[bytes, ...]:
    """The small JPEGs of the pictures, in order."""
    return tuple(picture.preview for picture in pictures if picture.preview)


def summary(plan: CallPlan, language: Language, *, more: tuple[Message, ...] = ()) -> RequestSummary:
    """What was asked: backend and model, the prompt that is sent, the frame, and all findings."""
    request, styled = plan.request, plan.styled
    negative = styled.negative if request.offer.supports("negative_prompt") else None
    return RequestSummary(
        tool=request.tool,
        model=request.offer.model.name,
        model_id=request.offer.id,
        backend=request.offer.backend.name,
        prompt=styled.prompt,
        frame=postprocess.asked_frame(request, language),
        original_prompt=None if request.prompt == styled.prompt else request.prompt,
        brief=request.brief,
        negative_prompt=negative or None,
        dropped=tuple(styled.dropped),
        warnings=tuple(warning.text(language) for warning in (*plan.warnings, *more)),
        findings=tuple(described_finding(finding, language) for finding in styled.findings),
        references=tuple(reference.shown for reference in plan.references),
        seed=request.options.get("seed"),
    )


def described_finding(finding: PromptFinding, language: Language) -> Finding:
    """A finding in one language."""
    return Finding.from_dict(finding.as_dict(language))


def cost_of_price(price: Price, request: ImageRequest, pictures: int, *, at_most: bool = False) -> Cost:
    """A price as the cost of so many pictures, with the date of its list."""
    return Cost(price.amount, price.currency, pictures, request.offer.backend.price_date, at_most)


def cost_of(bill: Bill, request: ImageRequest) -> Cost:
    """What a request cost."""
    price = Price(bill.amount, request.offer.backend.currency)
    return cost_of_price(price, request, bill.pictures, at_most=not bill.sure)


def sidecar(result: Result, picture: Picture, sent: Mapping[str, Any]) -> dict[str, Any]:
    """One picture's record: the result without the other pictures, the body that was sent, asked and got size."""
    shared = {name: value for name, value in result.as_dict().items() if name not in {"pictures", "missing"}}
    received = picture.received or picture.size
    return {
        "seedframe": 1,
        **shared,
        "expires": picture.trust.expires_at,
        "request": dict(sent),
        "size": {"asked": result.request.frame.asked, "received": received, "saved": picture.size},
        "picture": picture.as_dict(),
    }


def layers_manifest(pictures: Sequence[postprocess.FinishedPicture]) -> dict[str, Any]:
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
    """Why a slot has no picture, and what to change."""
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
    """The error when nothing is on the disk and paid pictures can be fetched: what failed, until when, and how."""
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
    """A time for people and programs: local, with its offset."""
    return postprocess.utc(seconds).astimezone().isoformat(timespec="seconds")


def with_trouble(error: SeedreamError, trouble: Message | None) -> None:
    """Add to an error that the payment record could not be written, and where the facts are."""
    if trouble is not None:
        error.facts["record"] = trouble.text()
        error.advice = trouble if error.advice is None else Message("payments.two", one=error.advice, other=trouble)


def with_trouble_warned(result: Result, trouble: Message | None, language: Language) -> Result:
    """The result with that warning."""
    return result if trouble is None else result.warned(trouble.text(language))


def describe_failure(error: SeedreamError) -> dict[str, Any]:
    """An error for the payment record."""
    return {"kind": error.kind, "message": str(error), **error.facts}


def failure_of(entry: Entry) -> SeedreamError:
    """The error of another caller's identical call, as the payment record has it."""
    recorded = dict(entry.error or {})
    words = recorded.pop("message", entry.state)
    if isinstance(words, Mapping):
        words = Message(str(words["key"]), **dict(words.get("values", {})))
    message = Message("pipeline.joined-failed", entry=entry.id, error=words)
    if entry.state == "failed" and "code" in recorded:
        return ApiError(
            message,
            code=str(recorded["code"]),
            status=int(recorded.get("status", 0)),
            kind=str(recorded.get("class")),
        )
    facts = {"entry": entry.id, "earlier": recorded}
    if entry.state == "failed":
        return SeedreamError(message, facts={**facts, "billed": "no"})
    if entry.state == "undelivered":
        return Undelivered(
            message, advice=Message("payments.undelivered-advice", entry=entry.id), facts={**facts, "billed": "yes"}
        )
    if recorded.get("expired"):
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
