"""Money in the payment record: whole millionths in the file, Decimal outside.

In: amounts in a currency. Out: integers for the file, text for people. Never in here: a rate between currencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from seedframe.messages import Message

MICRO = 1_000_000


class Priced(Protocol):
    """What a call will cost at most; `amount` is None where no price is published."""

    @property
    def amount(self) -> Decimal | None: ...  # noqa: D102 - said above

    @property
    def currency(self) -> str: ...  # noqa: D102 - said above


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in one local calendar day, in one currency, with these backends (none named: with all)."""

    amount: Decimal
    currency: str
    backends: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"


def micro(amount: Decimal) -> int:
    """Millionths, rounded up, so that a price is never counted too low."""
    return int((amount * MICRO).to_integral_value(ROUND_CEILING))


def decimal(amount: int) -> Decimal:
    """The amount of so many millionths."""
    return Decimal(amount) / MICRO


def format_money(amount: Decimal | None, currency: str) -> str | Message:
    """An amount for a sentence; None: it is not known."""
    return Message("journal.price-unknown") if amount is None else f"{amount:f} {currency}"
