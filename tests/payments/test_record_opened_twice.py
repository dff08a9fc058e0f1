"""A payment record that one process has open twice, as a worker does, stays whole when another process closes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from journal_process import Process, claim
from seedframe.payments import Payments

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_what_is_recorded_after_another_process_left_is_seen_by_everybody(tmp_path: Path):
    record = tmp_path / "journal.sqlite3"
    async with await Payments.open(record) as first, await Payments.open(record) as second:
        before = await claim(first, arguments="before")
        with Process(record) as visitor:
            visitor.do("entry", before.entry.id)
            visitor.do("close")
        after = await claim(second, arguments="after")
        with Process(record) as reader:
            assert reader.do("entry", after.entry.id)["state"] == "intent"
        async with await Payments.open(record) as third:
            assert {entry.id for entry in await third.entries()} == {before.entry.id, after.entry.id}
