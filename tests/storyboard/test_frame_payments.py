"""What is recorded of a board's frames, as many workers see it: one payment each, whoever asks and however often."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedframe.catalog import Price
from seedframe.errors import EarlierOutcomeUnknown
from seedframe.payments import (
    Begin,
    BoardBudgetExceeded,
    BoardStopped,
    Claim,
    PaidFrame,
    Payments,
    Replay,
)
from seedframe.storyboard.board import read_board
from seedframe.storyboard.frames import FrameTask, frames_of
from seedframe.storyboard.record.database import Database, database_url
from seedframe.storyboard.record.frame_payments import FramePayments
from seedframe.storyboard.record.frame_run import FrameRun

pytestmark = pytest.mark.anyio

PRICE = Decimal("0.22")


def tasks_of(tmp_path: Path, shots: int = 3, **more: Any) -> tuple[FrameTask, ...]:
    listed = [{"id": f"E01_SC01_SH{number + 1:02}0", "action": f"第{number + 1}盏灯亮起"} for number in range(shots)]
    described = {"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": listed, **more}
    return frames_of(read_board(tmp_path / "board.json", text=json.dumps(described, ensure_ascii=False)))


@pytest.fixture
def tasks(tmp_path: Path) -> tuple[FrameTask, ...]:
    return tasks_of(tmp_path)


async def enter(payments: FramePayments, tasks: tuple[FrameTask, ...], folder: Path, **more: Any) -> None:
    given = {"project": "lamps", "folder": folder, "backend": "emulator", "currency": "CNY", "budget": None}
    await payments.start("b", tasks, **{**given, **more})


@asynccontextmanager
async def opened(folder: Path, journal: Path) -> AsyncIterator[FramePayments]:
    async with (
        await Database.open(database_url(folder, None), journal) as database,
        await Payments.open(journal) as calls,
    ):
        yield FramePayments(database, calls)


@asynccontextmanager
async def two_workers(
    tmp_path: Path, tasks: tuple[FrameTask, ...], budget: Decimal | None = None
) -> AsyncIterator[tuple[FramePayments, FramePayments]]:
    journal = tmp_path / "journal.sqlite3"
    async with opened(tmp_path, journal) as one, opened(tmp_path, journal) as other:
        await enter(one, tasks, tmp_path, budget=budget)
        yield one, other


def run_of(task: FrameTask, round: int = 1) -> FrameRun:
    return FrameRun("b", task.key, round)


async def claim(payments: FramePayments, task: FrameTask, price: Decimal | None = PRICE) -> Claim:
    frame = PaidFrame("b", task.key)
    asked = {"request": {}, "backend": "emulator", "model": "5.0-lite", "images": 1, "price": Price(price, "CNY")}
    return await payments.calls.claim(frame.fingerprint, **asked, frame=frame)


async def pay(payments: FramePayments, task: FrameTask) -> str:
    claimed = await claim(payments, task)
    assert isinstance(claimed, Begin)
    await payments.calls.sent(claimed.entry.id)
    return claimed.entry.id


async def spent(payments: FramePayments) -> Decimal:
    record = await payments.record("b")
    assert record is not None
    return record.spent


async def test_of_two_workers_who_want_the_same_frame_one_pays_and_one_waits_for_it(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        got = await asyncio.gather(claim(one, tasks[0]), claim(other, tasks[0]))
        assert sorted(type(each).__name__ for each in got) == ["Begin", "Join"]
        assert got[0].entry.id == got[1].entry.id
        assert await spent(one) == PRICE


async def test_the_database_itself_refuses_a_second_payment_for_a_frame(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, _):
        id = await pay(one, tasks[0])
    columns = "state, owner, backend, model, images, currency, reserved, day, created, changed, request, board, frame"
    copy = f"INSERT INTO entries (id, fingerprint, {columns}) SELECT 'x', 'x', {columns} FROM entries WHERE id = ?"
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as db:
        with pytest.raises(sqlite3.IntegrityError, match=r"entries\.board, entries\.frame"):
            db.execute(copy, (id,))
        db.execute("UPDATE entries SET written_off = 1, state = 'unknown'")
        db.execute(copy, (id,))


async def test_ten_claims_at_once_never_pass_the_budget_of_their_board(tmp_path: Path):
    tasks = tasks_of(tmp_path, shots=10)
    async with two_workers(tmp_path, tasks, budget=Decimal("1.00")) as both:
        asked = (claim(both[number % 2], task) for number, task in enumerate(tasks))
        got = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(each).__name__ for each in got) == ["Begin"] * 4 + ["BoardBudgetExceeded"] * 6
        assert await spent(both[0]) == Decimal("0.88")


async def test_an_unpriced_frame_passes_only_where_there_is_no_budget(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks, budget=Decimal(9)) as (one, _):
        with pytest.raises(BoardBudgetExceeded):
            await claim(one, tasks[0], None)
    async with two_workers(tmp_path / "free", tasks) as (one, _):
        assert isinstance(await claim(one, tasks[0], None), Begin)


async def test_a_stopped_board_pays_and_sends_nothing_until_it_is_started_again(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        await pay(one, tasks[0])
        waiting = await claim(one, tasks[1])
        assert [await worker.stop("b", {"en": "why"}) for worker in (other, one)] == [True, False]
        with pytest.raises(BoardStopped):
            await one.calls.sent(waiting.entry.id)
        await one.calls.failed(waiting.entry.id, {})
        with pytest.raises(BoardStopped):
            await claim(other, tasks[2])
        assert await spent(one) == PRICE
        await enter(one, tasks, tmp_path)
        assert isinstance(await claim(other, tasks[2]), Begin)


async def test_a_board_that_ran_out_of_budget_sends_what_is_reserved_and_begins_nothing(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        reserved = await claim(one, tasks[0])
        await other.stop("b", {"en": "why"}, finish=True)
        await one.calls.sent(reserved.entry.id)
        with pytest.raises(BoardStopped):
            await claim(one, tasks[1])


async def test_a_payment_in_doubt_stays_the_frame_s_until_a_person_writes_it_off(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        await one.calls.unknown(await pay(one, tasks[0]), {"kind": "OutcomeUnknown"})
        with pytest.raises(EarlierOutcomeUnknown):
            await claim(other, tasks[0])
        await other.write_off("b", [tasks[0].key], states=["unknown"])
        again = await claim(other, tasks[0])
        assert isinstance(again, Begin)
        assert await spent(one) == PRICE * 2
        entries = await one.calls.entries()
        assert [(entry.board, entry.frame, entry.state, entry.written_off) for entry in entries] == [
            ("b", tasks[0].key, "intent", False),
            ("b", tasks[0].key, "unknown", True),
        ]


async def test_what_a_person_settles_as_not_billed_may_be_paid_for_again(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, other):
        id = await pay(one, tasks[0])
        await one.calls.unknown(id, {"kind": "OutcomeUnknown"})
        await one.calls.settle(id, billed=False)
        assert isinstance(await claim(other, tasks[0]), Begin)
        assert await spent(one) == PRICE


async def test_a_frame_that_was_delivered_is_given_again_and_never_paid_again(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        id = await pay(one, tasks[0])
        await one.calls.saved(id, {"pictures": []})
        await one.calls.delivered(id)
        again = await claim(other, tasks[0])
        assert (type(again), again.entry.id) == (Replay, id)
        assert await other.sending("b") == {tasks[0].key}


async def test_a_later_answer_settles_what_was_taken_for_unknown(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, other):
        id = await pay(one, tasks[0])
        await one.calls.unknown(id, {"kind": "OutcomeUnknown"})
        await one.calls.replied(id, amount=Decimal("0.20"))
        await one.calls.saved(id, {"pictures": []})
        record = await other.record("b")
        assert record is not None
        assert (record.frames[tasks[0].key].payment, record.spent) == ("paid", Decimal("0.20"))


async def test_a_frame_is_ready_once_every_frame_it_needs_has_its_picture(tmp_path: Path):
    first, second = tasks = tasks_of(tmp_path, shots=2, chain=True)
    picture = {"path": "first.jpg", "raw_path": None, "sha256": "", "bytes": 1, "mtime_ns": 1}
    async with two_workers(tmp_path, tasks) as (one, other):
        await enter(one, tasks, tmp_path, queues={task.key: "emulator/5.0-lite" for task in tasks})
        assert await one.made(run_of(first), first, picture) == {second.key: "emulator/5.0-lite"}
        begun = await other.begin(run_of(second))
        assert begun is not None
        assert begun.made == {first.key: Path("first.jpg")}


async def test_a_frame_with_a_second_need_is_not_ready_before_it_is_made(tmp_path: Path):
    first, second = tasks_of(tmp_path, shots=2)
    third = replace(tasks_of(tmp_path, shots=3)[2], depends_on=(first.key, second.key))
    picture = {"path": "a.jpg", "raw_path": None, "sha256": "", "bytes": 1, "mtime_ns": 1}
    async with two_workers(tmp_path, (first, second, third)) as (one, other):
        assert await one.made(run_of(second), second, picture) == {}
        assert await other.made(run_of(first), first, picture) == {third.key: ""}
        await one.stop("b", {"en": "why"})
        assert await other.made(run_of(first), first, picture) == {}


async def test_a_picture_of_an_edited_task_is_stale_and_stays(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    picture = {"path": "first.jpg", "raw_path": None, "sha256": "", "bytes": 1, "mtime_ns": 1}
    async with two_workers(tmp_path, tasks) as (one, _):
        await one.made(run_of(tasks[0]), tasks[0], picture)
        await enter(one, (replace(tasks[0], seed=7), *tasks[1:]), tmp_path)
        record = await one.record("b")
        assert record is not None
        assert [(frame.path, frame.stale) for frame in record.frames.values()][:2] == [
            (Path("first.jpg"), True),
            (None, False),
        ]
