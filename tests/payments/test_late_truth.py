"""A process that others took for ended and that lives: what it knows of its call is the truth, whenever it comes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from journal_process import claim
from seedframe.payments import Payments

pytestmark = pytest.mark.anyio


async def test_a_picture_that_could_have_been_fetched_is_saved_by_the_call_that_brought_it(tmp_path: Path):
    record = tmp_path / "journal.sqlite3"
    async with await Payments.open(record) as payments:
        id = (await claim(payments, arguments="a cat")).entry.id
        await payments.sent(id)
        await payments.keep(id, 0, "https://service.example/cat.jpg", 9e9, {})
        for lock in record.with_name("journal.sqlite3.owners").glob("*-*.lock"):
            lock.unlink()
        async with await Payments.open(record) as other:
            taken_for_ended = await other.entry(id)
        await payments.replied(id, billed_images=1, amount=Decimal("0.20"))
        await payments.saved(id, {"pictures": []})
        entry = await payments.entry(id)
    assert taken_for_ended is not None
    assert entry is not None
    assert (taken_for_ended.state, taken_for_ended.fetchable) == ("undelivered", (0,))
    assert (entry.state, entry.booked, entry.reserved, entry.fetchable) == ("saved", Decimal("0.2"), 0, ())
