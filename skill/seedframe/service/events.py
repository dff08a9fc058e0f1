"""One server-sent event of a streamed group becomes a slot, the closing event, or an error.

In: the `data` of an event (base64 already taken out). Out: `Slot`, `Closing`, `Done`, an ApiError, or None to ignore.
The event's type is in the JSON, so events without an `event:` line read the same. A `partial_succeeded` event is
one finished picture, and `image_index` counts failed slots too. Source: the vendor's contract and captures, 2026.
Never in here: a socket, a decision about a stream that broke off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedframe.errors import ApiError
from seedframe.service.documents import parse
from seedframe.service.failures import find_envelope, from_envelope
from seedframe.service.replies import Slot, read_slot, reply_facts, slots_of, whole


@dataclass(frozen=True, slots=True)
class Closing:
    """The `completed` event: the only part of a stream that says what was billed."""

    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """`[DONE]`."""


Event = Slot | Closing | Done | ApiError | tuple[Slot, ...] | None


def read_event(data: str, headers: Mapping[str, str]) -> Event:
    """What one event means; unknown and unreadable ones are ignored (a missing slot is noticed at the end)."""
    if data.strip() == "[DONE]":
        return Done()
    try:
        body = parse(data)
    except ValueError:
        return None
    if not isinstance(body, Mapping):
        return None
    kind = str(body.get("type", ""))
    if kind.endswith(("partial_succeeded", "partial_failed")):
        return read_slot(whole(body.get("image_index")) or 0, body)
    if kind.endswith("completed") and not body.get("error"):
        return Closing(reply_facts(body))
    if "data" in body:
        return slots_of(body)
    envelope = find_envelope(body) if body.get("error") or kind == "error" else None
    return from_envelope(envelope, status=200, headers=headers) if envelope else None
