"""The cost of a call: from the count of the service, the pictures that arrived and those whose outcome is unknown.

In: replies, pictures that did not come, the request. Out: a `Bill`, and for each missing picture whether
it was billed. The service's own count is used wherever it is plausible. Never in here: a payment record, a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from seedframe.errors import ApiError
from seedframe.messages import Message
from seedframe.service.replies import Reply
from seedframe.service.request import ImageRequest
from seedframe.studio.results import Bill, Missing, reported_size


def placed(reply: Reply, first: int, outputs: int, request: ImageRequest) -> Reply:
    """The reply with its position in the request: the number of its first picture and how many it may hold."""
    layers = request.offer.parameters["layers"].extra.get("max_layers", 0) + 1 if request.layers else 0
    return replace(reply, first=first, most=max(outputs, layers))


def total(replies: Sequence[Reply], missing: Sequence[Missing], request: ImageRequest, references: int) -> Bill:
    """The bill of all replies; pictures with an unknown outcome count as billed and make the bill an upper limit."""
    sure = sum(reply.pictures_billed for reply in replies)
    pictures = sure + len(doubtful(replies, missing))
    return Bill(pictures, amount(pictures, replies, request, references), sure=pictures == sure)


def doubtful(replies: Sequence[Reply], missing: Sequence[Missing]) -> list[int]:
    """The numbers, from 0, of pictures that may have been billed and whose outcome is unknown."""
    answered = {reply.first + slot.index for reply in replies for slot in reply.slots}
    lost = [one for one in missing if one.billed == "unknown" and one.index not in answered]
    odd = [reply.first + number for reply in replies if reply.counted is None for number in _odd(reply)]
    return sorted({*(number for one in lost for number in one.numbers), *odd})


def as_counted(missing: Iterable[Missing], replies: Sequence[Reply]) -> list[Missing]:
    """Apply the service's count: pictures it bills beyond those that arrived were withheld, the others are free."""
    settled = list(missing)
    for reply in replies:
        if reply.counted is None:
            continue
        own = [at for at, one in enumerate(settled) if _belongs(one, reply) and one.billed != "yes"]
        withheld = max(0, reply.counted - reply.came)
        for number, at in enumerate(sorted(own, key=lambda at: settled[at].index)):
            settled[at] = _withheld(settled[at]) if number < withheld else replace(settled[at], billed="no")
    return settled


def remarks(replies: Sequence[Reply]) -> list[Message]:
    """Notes about the service's counts."""
    odd = [Message("bills.odd-count", given=reply.nonsense) for reply in replies if reply.nonsense is not None]
    more = [reply for reply in replies if reply.counted is not None and reply.counted > reply.came]
    return [*odd, *(Message("bills.withheld", counted=reply.counted, came=reply.came) for reply in more)]


def _belongs(one: Missing, reply: Reply) -> bool:
    """A reply of several holds one picture; a call for several pictures has only one reply."""
    return reply.most is None or reply.most > 1 or one.index == reply.first


def _withheld(one: Missing) -> Missing:
    old = one.error
    code, status = (old.code, old.status) if isinstance(old, ApiError) else ("", 200)
    kind = old.error_class if isinstance(old, ApiError) else "other"
    error = ApiError(old.message, code=code, status=status, kind=kind, advice=Message("bills.withheld-advice"))
    return replace(one, error=error, billed="yes")


def _odd(reply: Reply) -> list[int]:
    return [slot.index for slot in reply.slots if slot.error is not None and slot.error.odd]


def amount(pictures: int, replies: Sequence[Reply], request: ImageRequest, references: int) -> Decimal | None:
    """The list price of that many pictures of the size that arrived."""
    offer = request.offer
    if request.price_override is not None or not pictures:
        return (request.price_override or Decimal(0)) * pictures
    sizes = [reported_size(slot) for reply in replies for slot in reply.slots] + [request.frame.expected]
    pixels = max((size.pixels for size in sizes if size), default=request.most_pixels)
    together = request.calls == 1
    price = offer.price(
        pixels=min(pixels, offer.limits.max_pixels),
        outputs=pictures if together else 1,
        references=references,
        layers=request.layers,
    )
    return price.amount if together or price.amount is None else price.amount * pictures
