"""The effect of settling one call by a person's decision: arithmetic only.

In: an entry, the state of its single pictures, the decision. Out: `Shares`. Never in here: a file, a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.payments.entries import Entry, State

_ALLOWED = "unknown, partial-unknown, undelivered, lost"


@dataclass(frozen=True, slots=True)
class Shares:
    """Which pictures are settled, which stay open, and the money afterwards.

    `images` is how many pictures count as billed after the decision "not billed"; `paid` whether anything was.
    """

    chosen: tuple[int, ...]
    left: tuple[int, ...]
    booked: Decimal
    reserved: Decimal
    images: int
    paid: bool

    def ends_as(self, entry: Entry) -> State:
        """The state once nothing is open any more."""
        if entry.result and entry.result.get("pictures"):
            return "delivered"
        return "lost" if self.paid else "failed"


def share_out(
    entry: Entry, said: Mapping[int, str], *, billed: bool, slot: int | None, amount: Decimal | None
) -> Shares:
    """The shares after a decision; InvalidRequest where nothing is open, or not that picture."""
    open_slots = _open(entry, said)
    if not open_slots:
        raise InvalidRequest(
            Message("payments.nothing-to-settle", entry=entry.id, state=entry.state),
            field="entry",
            got=entry.state,
            allowed=_ALLOWED,
        )
    chosen = open_slots if slot is None else tuple(number for number in open_slots if number == slot)
    if not chosen:
        numbers = [number + 1 for number in open_slots]
        raise InvalidRequest(
            Message("payments.slot-not-open", entry=entry.id, numbers=numbers),
            field="slot",
            got=(slot or 0) + 1,
            allowed=numbers,
        )
    left = tuple(number for number in open_slots if number not in chosen)
    booked, reserved = _money(entry, len(chosen), billed=billed, last=not left, amount=amount)
    counted = entry.billed_images if entry.billed_images is not None else entry.images
    paid = billed or "billed" in said.values()
    return Shares(chosen, left, booked, reserved, max(0, counted - len(chosen)), paid)


def _open(entry: Entry, said: Mapping[int, str]) -> tuple[int, ...]:
    """Pictures whose money a person may settle."""
    if entry.state == "partial-unknown":
        return entry.doubtful
    if entry.state == "undelivered":
        return tuple(sorted({*entry.doubtful, *entry.fetchable}))
    if entry.state == "unknown" or (entry.state == "lost" and not entry.settled):
        return tuple(number for number in range(entry.images) if said.get(number, "doubtful") == "doubtful")
    return ()


def _money(entry: Entry, chosen: int, *, billed: bool, last: bool, amount: Decimal | None) -> tuple[Decimal, Decimal]:
    """Booked and reserved afterwards: a picture's share moves from reserved to booked, or is given back."""
    whole = entry.booked + entry.reserved
    counted = entry.billed_images if entry.billed_images is not None else entry.images
    share = whole * chosen / max(counted, chosen)
    if billed:
        if last:
            return (whole if amount is None else amount), Decimal(0)
        moved = min(share, entry.reserved)
        return entry.booked + moved, entry.reserved - moved
    if last and not (entry.result and entry.result.get("pictures")) and chosen >= counted:
        return Decimal(0), Decimal(0)
    from_reserved = entry.reserved if last and entry.reserved else min(share, entry.reserved)
    from_booked = min(max(Decimal(0), share - from_reserved), entry.booked)
    return entry.booked - from_booked, entry.reserved - from_reserved
