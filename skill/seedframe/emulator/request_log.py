"""What came in and what it would have cost: every request, every bill.

In: requests as they arrive, bills as pictures are made. Out: a report for tests and people. Never in here: a decision.
Only the event loop's thread writes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DEEPEST = 20
SHOWN = 200
"""Longer texts (inline pictures above all) are described by their beginning and their length."""


@dataclass(slots=True)
class LoggedRequest:
    """One request: what it said, and how it was answered once it was."""

    request_id: str
    method: str
    path: str
    client_request_id: str
    at: float
    body: Any = None
    keys: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    status: int | None = None
    outcome: str = "open"

    def report(self) -> dict[str, Any]:
        """JSON-ready, with long texts shortened."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call would have been charged. `amount` is None where no price is published."""

    request_id: str
    model: str
    images: int
    amount: Decimal | None
    currency: str


@dataclass(slots=True)
class RequestLog:
    """The books of one emulator."""

    entries: list[LoggedRequest] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    downloads: int = 0

    @property
    def posts(self) -> int:
        """How many POSTs reached the service, refused ones included."""
        return sum(entry.method == "POST" for entry in self.entries)

    @property
    def images(self) -> int:
        """How many pictures were billed."""
        return sum(charge.images for charge in self.charges)

    @property
    def amount(self) -> Decimal:
        """What was billed altogether, in the backend's currency."""
        return sum((charge.amount for charge in self.charges if charge.amount is not None), Decimal(0))

    def clear(self) -> None:
        """Begin new books."""
        self.entries.clear()
        self.charges.clear()
        self.downloads = 0

    def report(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return {
            "emulated": True,
            "posts": self.posts,
            "downloads": self.downloads,
            "bills": {
                "calls": len(self.charges),
                "images": self.images,
                "amount": f"{self.amount:f}",
                "currency": self.charges[0].currency if self.charges else None,
                "models": self._by_model(),
            },
            "requests": [entry.report() for entry in self.entries],
        }

    def _by_model(self) -> dict[str, dict[str, Any]]:
        sums: dict[str, tuple[int, Decimal | None]] = {}
        for charge in self.charges:
            images, amount = sums.get(charge.model, (0, Decimal(0)))
            known = None if amount is None or charge.amount is None else amount + charge.amount
            sums[charge.model] = (images + charge.images, known)
        return {
            model: {"images": images, "amount": None if amount is None else f"{amount:f}"}
            for model, (images, amount) in sums.items()
        }


def shortened(value: object, depth: int = DEEPEST) -> object:
    """Cut every long text in some JSON, so that a record of many inline pictures stays small; what is deeper too."""
    if depth == 0:
        return "…"
    if isinstance(value, str) and len(value) > SHOWN:
        return f"{value[:64]}… ({len(value)} characters)"
    if isinstance(value, Mapping):
        return {key: shortened(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item, depth - 1) for item in value]
    return value
