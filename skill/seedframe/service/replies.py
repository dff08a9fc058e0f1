"""A reply's document becomes a `Reply` of slots, or an error. A slot is a picture to fetch or the reason it is missing.

In: headers and the document left by `Base64Extractor` (pictures replaced by `part:<number>`). Out: values.
Nothing here is a success yet: pictures are verified where they are saved. Source: captures, 2026.
Never in here: a download, a file, a retry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedframe.catalog import ApiErrorRow
from seedframe.errors import ApiError
from seedframe.limits import limits
from seedframe.messages import Message
from seedframe.quoting import quoted, quoted_name
from seedframe.redaction import redact
from seedframe.service.base64_stream import PART
from seedframe.service.documents import parse
from seedframe.service.failures import (
    Envelope,
    failure,
    find_envelope,
    find_row,
    from_envelope,
    request_id,
    vendor_message,
)

_LARGEST = 2**53 - 1
"""The largest whole number that JSON carries exactly."""


@dataclass(frozen=True, slots=True)
class SlotError:
    """Why one picture of a reply is missing. Failed and withheld ones are not billed; `paid` ones came damaged.

    `odd`: the slot holds nothing the vendor documents, so that it proves nothing about money.
    """

    code: str
    message: str | Message
    row: ApiErrorRow | None
    paid: bool = False
    odd: bool = False

    @property
    def billed(self) -> str:
        """What the slot by itself proves about the bill: yes, no, unknown."""
        return "yes" if self.paid else "unknown" if self.odd else "no"

    @property
    def described(self) -> Message:
        """The reason: the service's words as a quote, or ours."""
        if isinstance(self.message, Message):
            return Message("wire.slot-odd", why=self.message)
        return Message("wire.slot-failed", code=self.code or "–", original=self.message)


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a layer of a decomposed picture lies; `box` is in pixels of the base picture: left, top, right, bottom."""

    z_index: int
    box: tuple[float, ...] | None
    name: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a reply: a `url`, a `part` that was extracted, or an `error`. `size` is what the service says."""

    index: int
    url: str | None = None
    part: int | None = None
    error: SlotError | None = None
    size: str | None = None
    layer: Layer | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. `billed` is the service's own count (None where it says nothing or no number).

    `odd_count` is what it says instead of a number. `first` is the position of its first picture in the request, `most`
    how many pictures it may hold: a higher count is ignored. `complete` is False when it broke off;
    `failure` is then the error that came instead, if any.
    """

    slots: tuple[Slot, ...]
    model: str | None = None
    created: int | None = None
    billed: int | None = None
    odd_count: str | None = None
    first: int = 0
    most: int | None = None
    searched: int | None = None
    request_id: str | None = None
    emulated: bool = False
    complete: bool = True
    failure: ApiError | None = None

    @property
    def counted(self) -> int | None:
        """The service's own count where it is plausible."""
        if self.billed is None or self.billed < 0 or (self.most is not None and self.billed > self.most):
            return None
        return self.billed

    @property
    def came(self) -> int:
        """How many pictures are in it, damaged ones too."""
        return sum(slot.error is None or slot.error.paid for slot in self.slots)

    @property
    def pictures_billed(self) -> int:
        """The service's own count, or else one for each picture that arrived."""
        return self.came if self.counted is None else self.counted

    @property
    def nonsense(self) -> str | None:
        """The service's count where it is not plausible."""
        return self.odd_count if self.billed is None or self.counted is not None else quoted_name(self.billed)


def read_reply(status: int, headers: Mapping[str, str], document: bytes) -> Reply:
    """Read a non-streamed answer; ApiError when it holds an error, whatever its status."""
    if status >= 400:
        raise failure(status, headers, document)
    try:
        body = parse(document)
    except ValueError:
        raise failure(status, headers, document) from None
    slots = slots_of(body)
    if not slots:
        raise _without_pictures(status, headers, body)
    return Reply(slots=slots, request_id=request_id(headers), emulated=is_emulated(headers), **reply_facts(body))


def is_emulated(headers: Mapping[str, str]) -> bool:
    """Whether an emulator answered; it says so in every reply."""
    return headers.get("x-emulated") == "true"


def slots_of(body: Any) -> tuple[Slot, ...]:
    """The slots of a body with a `data` list (or what a gateway nests one level deeper)."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if isinstance(data, Mapping):
        data = data.get("data")
    if not isinstance(data, list):
        return ()
    return tuple(read_slot(index, item) for index, item in enumerate(data[: limits().reply_slots]))


def read_slot(index: int, item: Any) -> Slot:
    """One entry of `data`, or one event of a stream."""
    if not isinstance(item, Mapping):
        return Slot(index, error=SlotError("", quoted(redact(str(item)[:2000], long_words=True)), None, odd=True))
    envelope = find_envelope(item["error"]) if item.get("error") else None
    if envelope is not None:
        return Slot(index, error=slot_error(envelope))
    inline = str(item.get("b64_json") or "")
    part = int(inline.removeprefix(PART)) if re.fullmatch(PART + r"\d+", inline) else None
    url, size = item.get("url"), item.get("size")
    if part is None and not url:
        return Slot(index, error=SlotError("", Message("wire.empty-slot"), None, odd=True))
    return Slot(
        index,
        str(url).strip() if url else None,
        part,
        size=quoted_name(size) if size else None,
        layer=_layer(item),
    )


def slot_error(envelope: Envelope) -> SlotError:
    """The error of one slot, with its row of the table."""
    return SlotError(quoted_name(envelope.code), vendor_message(envelope.message), find_row(envelope, 400))


def reply_facts(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body other than its pictures."""
    usage = _mapping(body.get("usage"))
    billed = whole(usage.get("generated_images"))
    odd = "generated_images" in usage and billed is None
    return {
        "model": quoted_name(body["model"]) if body.get("model") else None,
        "created": whole(body.get("created")),
        "billed": billed,
        "odd_count": quoted_name(json.dumps(usage["generated_images"])[:200]) if odd else None,
        "searched": whole(_mapping(usage.get("tool_usage")).get("web_search")),
    }


def whole(value: Any) -> int | None:
    """A count; None for anything else, since a paid reply must not fail because of a detail."""
    counted = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if counted else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _layer(item: Mapping[str, Any]) -> Layer | None:
    z_index = whole(item.get("z_index"))
    if z_index is None:
        return None
    box = _mapping(item.get("bounding_box")).get("absolute")
    words = (quoted(item[name]) if item.get(name) else None for name in ("name", "description"))
    return Layer(z_index, _box(box), *words)


def _box(box: Any) -> tuple[float, ...] | None:
    numbers = isinstance(box, list) and all(type(side) in {int, float} for side in box)
    return tuple(box) if numbers else None


def _without_pictures(status: int, headers: Mapping[str, str], body: Any) -> ApiError:
    envelope = find_envelope(body)
    if envelope is not None:
        return from_envelope(envelope, status=status, headers=headers)
    facts = reply_facts(body) if isinstance(body, Mapping) else {"billed": None}
    free = facts["billed"] == 0
    return ApiError(
        Message("wire.no-pictures"),
        code="EmptyReply",
        status=status,
        kind="other",
        retry="never" if free else "unknown",
        request_id=request_id(headers),
        advice=Message("wire.no-pictures-free" if free else "wire.no-pictures-advice"),
    )
