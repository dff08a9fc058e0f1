"""What is recorded of a board's frames, as many workers see it: one payment each, whoever asks and however often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedframe.storyboard.board import read_board
from seedframe.storyboard.frames import FrameTask, frames_of
from seedframe.storyboard.run.database import Database, database_url
from seedframe.storyboard.run.engine import FrameRun
from seedframe.storyboard.run.frame_payments import FramePayments, Token

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
async def two_workers(
    tmp_path: Path, tasks: tuple[FrameTask, ...], budget: Decimal | None = None
) -> AsyncIterator[tuple[FramePayments, FramePayments]]:
    url = database_url(tmp_path, None)
    async with await Database.open(url) as one, await Database.open(url) as other:
        await enter(FramePayments(one), tasks, tmp_path, budget=budget)
        yield FramePayments(one), FramePayments(other)


def run_of(task: FrameTask, round: int = 1) -> FrameRun:
    return FrameRun("b", task.key, round)


async def spent(payments: FramePayments) -> Decimal:
    record = await payments.record("b")
    assert record is not None
    return record.spent


async def test_two_workers_who_reserve_the_same_frame_get_the_same_token(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, other):
        run = run_of(tasks[0])
        got = await asyncio.gather(one.reserve(run, "t1", PRICE, "m1"), other.reserve(run, "t2", PRICE, "m2"))
        assert got[0] == got[1]
        assert await spent(one) == PRICE


async def test_only_one_of_two_workers_may_send_a_token(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, other):
        await one.reserve(run_of(tasks[0]), "t1", PRICE, "m1")
        assert sorted(await asyncio.gather(one.send("t1", "m1"), other.send("t1", "m2"))) == [False, True]


async def test_ten_reservations_at_once_never_pass_the_budget(tmp_path: Path):
    tasks = tasks_of(tmp_path, shots=10)
    async with two_workers(tmp_path, tasks, budget=Decimal("1.00")) as both:
        asked = (both[number % 2].reserve(run_of(task), f"t{number}", PRICE, "m") for number, task in enumerate(tasks))
        got = await asyncio.gather(*asked)
        assert sum(token is not None for token in got) == 4
        assert await spent(both[0]) == Decimal("0.88")


async def test_an_unpriced_frame_passes_only_where_there_is_no_budget(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks, budget=Decimal(9)) as (one, _):
        assert await one.reserve(run_of(tasks[0]), "t1", None, "m") is None
    async with two_workers(tmp_path / "free", tasks) as (one, _):
        assert await one.reserve(run_of(tasks[0]), "t1", None, "m") == Token("t1", "reserved", 0, 0, "m")


async def test_a_stopped_board_reserves_and_sends_nothing_until_it_is_started_again(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        await one.reserve(run_of(tasks[0]), "t1", PRICE, "m1")
        await one.reserve(run_of(tasks[1]), "t2", PRICE, "m1")
        assert await one.send("t1", "m1")
        assert [await worker.stop("b", {"en": "why"}) for worker in (other, one)] == [True, False]
        assert not await one.send("t2", "m1")
        assert await other.reserve(run_of(tasks[2]), "t3", PRICE, "m2") is None
        assert (await one.begin(run_of(tasks[2])), await spent(one)) == (None, PRICE)
        await enter(one, tasks, tmp_path)
        assert await other.reserve(run_of(tasks[2]), "t3", PRICE, "m2") is not None


async def test_a_token_in_doubt_stays_the_frame_s_until_a_person_writes_it_off(
    tmp_path: Path, tasks: tuple[FrameTask, ...]
):
    async with two_workers(tmp_path, tasks) as (one, other):
        first, again = run_of(tasks[0]), run_of(tasks[0], 2)
        await one.reserve(first, "t1", PRICE, "m1")
        await one.send("t1", "m1")
        await one.settle("t1", "unknown")
        kept = await other.reserve(again, "t2", PRICE, "m1")
        assert kept is not None
        assert (kept.token, kept.state) == ("t1", "unknown")
        await other.write_off("b", [tasks[0].key], states=["unknown"])
        assert await other.reserve(again, "t3", PRICE, "m1") == Token("t3", "reserved", 220_000, 0, "m1")
        assert await spent(one) == PRICE * 2


async def test_a_token_given_back_twice_is_given_back_once(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, other):
        token = await one.reserve(run_of(tasks[0]), "t1", PRICE, "m1")
        assert token is not None
        assert [await one.give_back(token), await other.give_back(token)] == [True, False]


async def test_a_later_answer_settles_what_was_taken_for_unknown(tmp_path: Path, tasks: tuple[FrameTask, ...]):
    async with two_workers(tmp_path, tasks) as (one, other):
        await one.reserve(run_of(tasks[0]), "t1", PRICE, "m1")
        await one.send("t1", "m1")
        await other.settle("t1", "unknown")
        assert await other.open_questions("m1") == ["t1"]
        await one.paid("t1", {"path": "p.jpg"}, Decimal("0.20"))
        record = await one.record("b")
        assert record is not None
        assert (record.frames[tasks[0].key].payment, record.spent) == ("paid", Decimal("0.20"))


async def test_a_frame_is_ready_once_every_frame_it_needs_has_its_picture(tmp_path: Path):
    first, second = tasks = tasks_of(tmp_path, shots=2, chain=True)
    picture = {"path": "first.jpg", "raw_path": None, "sha256": "", "bytes": 1, "mtime_ns": 1}
    async with two_workers(tmp_path, tasks) as (one, other):
        await enter(one, tasks, tmp_path, queues={task.key: "emulator/5.0-lite" for task in tasks})
        assert await other.ready_after(run_of(first)) == {}
        await one.made(run_of(first), first, picture)
        assert await other.ready_after(run_of(first)) == {second.key: "emulator/5.0-lite"}
        begun = await other.begin(run_of(second))
        assert begun is not None
        assert begun.made == {first.key: Path("first.jpg")}


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
