"""The values of the payment record: an entry, the outcomes of a claim, the costs of a day.

In: rows and requests. Out: frozen values, ids, fingerprints. Never in here: a file, a clock, a rule.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

State = Literal[
    "intent",
    "sent",
    "replied",
    "saved",
    "delivering",
    "delivered",
    "partial-unknown",
    "undelivered",
    "failed",
    "unknown",
    "lost",
]
STATES: tuple[State, ...] = get_args(State)
IN_FLIGHT: frozenset[State] = frozenset({"intent", "sent", "replied"})
FINISHED: frozenset[State] = frozenset(STATES) - IN_FLIGHT
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 18
_ID_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """One paid call.

    `price` is what was expected at most, `reserved` what is held back for it, `booked` what it is known or taken to
    have cost; times are seconds since the epoch, `day` is the local calendar day whose budget it counts against.
    `doubtful` and `fetchable` are picture numbers counted from 0: perhaps billed, and paid but not yet on the disk,
    the latter until `fetch_until`. `settled`: a person has decided about the money. `board` and `frame` say what was
    paid for; `written_off`: a person has had the frame paid for anew.
    """

    id: str
    fingerprint: str
    state: State
    owner: str
    backend: str
    model: str
    images: int
    currency: str
    price: Decimal | None
    reserved: Decimal
    booked: Decimal
    day: date
    created: float
    changed: float
    tries: int
    partial: bool
    billed_images: int | None
    request_id: str | None
    request: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    doubtful: tuple[int, ...] = ()
    fetchable: tuple[int, ...] = ()
    fetch_until: float | None = None
    settled: bool = False
    board: str | None = None
    frame: str | None = None
    written_off: bool = False

    @property
    def finished(self) -> bool:
        """Whether the call has ended."""
        return self.state in FINISHED

    @property
    def at_stake(self) -> Decimal | None:
        """What it has cost or may have cost; None when that is not known."""
        return None if self.price is None and not self.booked else self.booked + self.reserved


@dataclass(frozen=True, slots=True)
class Begin:
    """A new entry in state "intent", its price reserved: the caller makes the call."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Join:
    """The identical request is under way in a running process: wait with `Payments.finished(entry.id)`."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Replay:
    """Paid and saved, but no caller received it: this caller alone has it, and reports `delivered` or `undelivered`."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Fetch:
    """Paid earlier, its pictures are still at the service: the caller fetches them, and nothing is sent or paid."""

    entry: Entry


Claim = Begin | Join | Replay | Fetch


@dataclass(frozen=True, slots=True)
class Kept:
    """Where one paid picture can be fetched until `expires` (seconds since the epoch).

    `address` is a signed URL, or the path of a part that had arrived where the facts say `arrived`; it is for
    downloading only and must not be shown. `facts` are what the reply said of the picture (`size`, `layer`) and whether
    it had arrived, JSON-ready; never taken from the address, which others wrote.
    """

    slot: int
    address: str
    expires: float
    facts: Mapping[str, Any]

    @property
    def arrived(self) -> bool:
        """Whether the address is a file of ours."""
        return bool(self.facts.get("arrived"))


@dataclass(frozen=True, slots=True)
class Settlement:
    """The effect of settling an entry: the entry before and after."""

    before: Entry
    after: Entry


@dataclass(frozen=True, slots=True)
class DailyCost:
    """What one day cost with one model on one backend: `calls` that are or may be billed, `unknown` among them.

    `board`: for the frames of this board; None: for calls of their own.
    """

    day: date
    model: str
    backend: str
    currency: str
    calls: int
    images: int
    booked: Decimal
    reserved: Decimal
    unknown: int
    board: str | None = None


def fingerprint(canonical: Mapping[str, Any]) -> str:
    """The sha256 of a request in canonical JSON: order of keys, tuple or list, 1 or 1.0 make no difference.

    Bytes are represented by their sha256. TypeError or ValueError for what JSON cannot express.
    """
    text = json.dumps(_plain(canonical), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def new_id(now: float, last: str | None) -> str:
    """An id that sorts after `last`: 42 bits of milliseconds, 18 of chance, in 12 url-safe characters."""
    number = int(now * 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    if last is not None:
        # Even when the clock was set back.
        number = max(number, _number(last) + 1)
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_ID_LENGTH)))


def _number(id: str) -> int:
    number = 0
    for digit in id:
        number = number * 32 + _DIGITS.index(digit)
    return number


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys of a request are strings, not {sorted(value, key=repr)!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (bytes, bytearray)):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
