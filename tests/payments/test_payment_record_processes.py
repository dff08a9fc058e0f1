from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from journal_process import Process, claim
from seedframe.errors import EarlierOutcomeUnknown
from seedframe.payments import Begin, Payments, Replay


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def drive(process: Process, *steps: tuple[str, dict[str, Any]]) -> str:
    id = str(process.do("claim", arguments="a cat")["id"])
    for step, named in steps:
        assert process.do(step, id, **named) == {}
    return id


SENT = ("sent", {})
REPLIED = ("replied", {"request_id": "02"})
SAVED = ("saved", {"result": {"files": ["cat.jpg"]}})


@pytest.mark.slow
@pytest.mark.anyio
async def test_ten_processes_with_a_budget_of_one_yuan_may_make_exactly_four_pictures_for_0_22(
    path: Path, database: str | None
):
    with ExitStack() as stack:
        processes = [stack.enter_context(Process(path, database)) for _ in range(10)]
        for number, process in enumerate(processes):
            process.ask("claim", arguments=f"picture {number}", budget="1.00")
        answers = [process.answer() for process in processes]
        async with await Payments.open(path, database=database) as journal:
            reserved = sum(cost.reserved for cost in await journal.costs())
            held = [entry.reserved for entry in await journal.entries(states={"intent"})]
    assert (
        sorted(answer.get("claim", answer.get("error")) for answer in answers) == ["Begin"] * 4 + ["BudgetExceeded"] * 6
    )
    assert (held, reserved) == ([Decimal("0.22")] * 4, 0)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("steps", "state", "reserved", "booked"),
    [
        pytest.param([], "failed", "0", "0", id="before sending"),
        pytest.param([SENT], "unknown", "0.22", "0", id="sent"),
        pytest.param([SENT, REPLIED], "unknown", "0.22", "0", id="replied"),
        pytest.param([SENT, REPLIED, SAVED], "saved", "0", "0.22", id="saved"),
        pytest.param([SENT, REPLIED, SAVED, ("delivered", {})], "delivered", "0", "0.22", id="delivered"),
    ],
)
async def test_kill_9_leaves_the_truth_for_the_next_process(
    path: Path, database: str | None, steps: list[tuple[str, dict[str, Any]]], state: str, reserved: str, booked: str
):
    process = Process(path, database)
    id = drive(process, *steps)
    process.kill()
    async with await Payments.open(path, database=database) as journal:
        entry = await journal.entry(id)
    assert entry is not None
    assert (entry.state, entry.reserved, entry.booked) == (state, Decimal(reserved), Decimal(booked))


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_living_process_finds_out_when_it_claims_what_a_killed_one_left(path: Path, database: str | None):
    async with await Payments.open(path, database=database) as journal:
        process = Process(path, database)
        drive(process, SENT)
        process.kill()
        with pytest.raises(EarlierOutcomeUnknown):
            await claim(journal, arguments="a cat")


@pytest.mark.slow
@pytest.mark.anyio
async def test_what_was_killed_before_it_was_sent_may_be_sent_by_the_next(path: Path, database: str | None):
    process = Process(path, database)
    drive(process)
    process.kill()
    async with await Payments.open(path, database=database) as journal:
        assert isinstance(await claim(journal, arguments="a cat"), Begin)


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_picture_saved_by_a_killed_process_is_handed_to_the_next_identical_request(
    path: Path, database: str | None
):
    process = Process(path, database)
    id = drive(process, SENT, SAVED)
    process.kill()
    async with await Payments.open(path, database=database) as journal:
        claimed = await claim(journal, arguments="a cat")
    assert isinstance(claimed, Replay)
    assert (claimed.entry.id, claimed.entry.result) == (id, {"files": ["cat.jpg"]})


@pytest.mark.slow
def test_another_process_joins_a_call_under_way_and_gets_its_result(path: Path, database: str | None):
    with Process(path, database) as payer, Process(path, database) as other:
        id = drive(payer, SENT)
        assert other.do("claim", arguments="a cat") == {"claim": "Join", "id": id, "result": None}
        other.ask("finished", id, poll=0.01)
        payer.do("saved", id, {"files": ["cat.jpg"]})
        assert other.answer() == {"state": "saved", "result": {"files": ["cat.jpg"]}, "error": None}
        assert payer.do("delivered", id) == other.do("delivered", id) == {}


@pytest.mark.slow
def test_a_process_that_joined_learns_of_the_payers_death(path: Path, database: str | None):
    with Process(path, database) as payer, Process(path, database) as other:
        id = drive(payer, SENT)
        other.do("claim", arguments="a cat")
        other.ask("finished", id, poll=0.01)
        payer.kill()
        error = {"kind": "OutcomeUnknown", "message": {"key": "journal.died-sent", "values": {}}}
        assert other.answer() == {"state": "unknown", "result": None, "error": error}


@pytest.mark.slow
def test_a_process_that_joined_gets_the_same_error(path: Path, database: str | None):
    with Process(path, database) as payer, Process(path, database) as other:
        id = drive(payer, SENT)
        other.do("claim", arguments="a cat")
        other.ask("finished", id, poll=0.01)
        payer.do("failed", id, {"kind": "ApiError", "code": "RateLimit"})
        assert other.answer() == {
            "state": "failed",
            "result": None,
            "error": {"kind": "ApiError", "code": "RateLimit"},
        }


@pytest.mark.slow
def test_of_several_processes_exactly_one_gets_the_result_nobody_got(path: Path, database: str | None):
    with Process(path, database) as payer:
        id = drive(payer, SENT, SAVED, ("undelivered", {}))
        with ExitStack() as stack:
            others = [stack.enter_context(Process(path, database)) for _ in range(4)]
            for other in others:
                other.ask("claim", arguments="a cat")
            answers = [other.answer() for other in others]
    assert [answer["id"] for answer in answers if answer["claim"] == "Replay"] == [id]
    # Asking again is a new picture; those who ask while it is made share it.
    assert sorted(answer["claim"] for answer in answers) == ["Begin", "Join", "Join", "Replay"]


@pytest.mark.slow
def test_a_result_handed_to_a_process_that_dies_is_handed_out_again(path: Path, database: str | None):
    with Process(path, database) as payer, Process(path, database) as taker, Process(path, database) as next_taker:
        id = drive(payer, SENT, SAVED, ("undelivered", {}))
        assert taker.do("claim", arguments="a cat")["claim"] == "Replay"
        taker.kill()
        assert next_taker.do("claim", arguments="a cat") == {"claim": "Replay", "id": id, "result": SAVED[1]["result"]}
