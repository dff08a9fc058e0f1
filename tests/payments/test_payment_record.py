from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedframe.catalog import Price
from seedframe.errors import (
    BudgetExceeded,
    EarlierOutcomeUnknown,
    InvalidRequest,
    NotConfigured,
    SpendingRefused,
    StoreError,
)
from seedframe.payments import Begin, Budget, Claim, DailyCost, Entry, Join, Payments, Replay, fingerprint
from seedframe.payments.entries import new_id

pytestmark = pytest.mark.anyio

in_a_file = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
RESULT = {"files": ["cat.jpg"]}
ERROR = {"kind": "ApiError", "code": "RateLimitExceeded"}
YUAN = Budget(Decimal("1.00"), "CNY")


class Clock:
    """Noon of a day in the local calendar, until somebody turns it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 12, tzinfo=UTC).astimezone().replace(hour=12).timestamp()

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shelf" / "journal.sqlite3"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def journal(path: Path, clock: Clock, database: str | None) -> AsyncIterator[Payments]:
    async with await Payments.open(path, now=clock, secrets=["hunter2hunter2"], database=database) as opened:
        yield opened


async def claim(journal: Payments, arguments: str = "a cat", price: str | None = "0.22", **named: Any) -> Claim:
    cost = Price(None if price is None else Decimal(price), "CNY")
    given = {"request": {"prompt": arguments}, "backend": "ark", "model": "5.0-lite", "price": cost, "images": 1}
    return await journal.claim(arguments, **{**given, **named})


async def begin(journal: Payments, arguments: str = "a cat", price: str | None = "0.22", **named: Any) -> str:
    claimed = await claim(journal, arguments, price, **named)
    assert isinstance(claimed, Begin)
    return claimed.entry.id


async def save(journal: Payments, arguments: str = "a cat") -> str:
    id = await begin(journal, arguments)
    await journal.sent(id)
    await journal.saved(id, RESULT)
    return id


async def lose(journal: Payments, **replied: Any) -> str:
    id = await begin(journal)
    await journal.sent(id)
    if replied:
        await journal.replied(id, **replied)
    await journal.unknown(id, ERROR)
    return id


async def existing(journal: Payments, id: str) -> Entry:
    entry = await journal.entry(id)
    assert entry is not None
    return entry


async def money(journal: Payments, id: str) -> tuple[str, Decimal, Decimal]:
    entry = await existing(journal, id)
    return entry.state, entry.reserved, entry.booked


async def test_a_call_is_written_down_step_by_step(journal: Payments, clock: Clock):
    claimed = await claim(journal)
    assert isinstance(claimed, Begin)
    id = claimed.entry.id
    assert (claimed.entry.state, claimed.entry.reserved) == ("intent", Decimal("0.22"))
    await journal.sent(id)
    await journal.sent(id)
    clock.time += 7
    await journal.replied(id, request_id="021767", billed_images=1, amount=Decimal("0.20"))
    await journal.saved(id, RESULT, partial=True)
    await journal.delivered(id)
    entry = await existing(journal, id)
    assert entry == Entry(
        id=id,
        fingerprint="a cat",
        state="delivered",
        owner=claimed.entry.owner,
        backend="ark",
        model="5.0-lite",
        images=1,
        currency="CNY",
        price=Decimal("0.22"),
        reserved=Decimal(0),
        booked=Decimal("0.2"),
        day=date(2026, 11, 20),
        created=clock.time - 7,
        changed=clock.time,
        tries=2,
        partial=True,
        billed_images=1,
        request_id="021767",
        request={"prompt": "a cat"},
        result=RESULT,
        error=None,
    )


async def test_an_identical_request_joins_the_one_under_way_and_gets_its_result(journal: Payments):
    id = await begin(journal)
    joined = [await claim(journal) for _ in range(3)]
    assert [(type(each), each.entry.id) for each in joined] == [(Join, id)] * 3
    await journal.sent(id)
    waiting = [asyncio.ensure_future(journal.finished(id, poll=60)) for _ in joined]
    await journal.saved(id, RESULT)
    assert [entry.result for entry in await asyncio.gather(*waiting)] == [RESULT] * 3
    for _ in joined:
        await journal.delivered(id)
    assert (await existing(journal, id)).state == "delivered"


async def test_who_joined_gets_the_same_error(journal: Payments):
    id = await begin(journal)
    await claim(journal)
    waiting = asyncio.ensure_future(journal.finished(id, poll=60))
    await journal.failed(id, ERROR)
    entry = await waiting
    assert (entry.state, entry.error) == ("failed", ERROR)


async def test_different_requests_have_nothing_to_do_with_each_other(journal: Payments):
    assert await begin(journal, "a cat") != await begin(journal, "a dog")


async def test_waiting_for_a_call_that_does_not_end_is_bounded(journal: Payments):
    id = await begin(journal)
    with pytest.raises(TimeoutError):
        await journal.finished(id, poll=0.001, timeout=0.02)


async def test_delivered_results_are_never_replayed_asking_twice_makes_two_pictures(journal: Payments):
    first = await save(journal)
    await journal.delivered(first)
    assert await begin(journal) != first


async def test_a_host_that_gives_up_and_asks_again_while_it_is_made_gets_its_picture_paid_once(journal: Payments):
    id = await begin(journal)
    await journal.sent(id)
    await journal.undelivered(id)
    assert isinstance(await claim(journal), Join)
    await journal.saved(id, RESULT)
    assert (await journal.finished(id)).result == RESULT
    await journal.delivered(id)
    assert len(await journal.entries()) == 1


async def test_a_host_that_gives_up_and_asks_again_afterwards_gets_its_picture_paid_once(journal: Payments):
    id = await begin(journal)
    await journal.sent(id)
    await journal.undelivered(id)
    await journal.saved(id, RESULT)
    replay = await claim(journal)
    assert isinstance(replay, Replay)
    assert (replay.entry.id, replay.entry.result, replay.entry.state) == (id, RESULT, "delivering")
    await journal.delivered(id)
    assert (await money(journal, id), len(await journal.entries())) == (("delivered", Decimal(0), Decimal("0.22")), 1)


async def test_a_result_its_caller_is_about_to_get_is_shared_not_taken_away(journal: Payments):
    id = await save(journal)
    assert await claim(journal) == Join(await existing(journal, id))


async def test_a_result_somebody_has_joined_for_is_not_handed_to_a_third(journal: Payments):
    id = await begin(journal)
    await claim(journal)
    await journal.sent(id)
    await journal.undelivered(id)
    await journal.saved(id, RESULT)
    assert isinstance(await claim(journal), Join)


async def test_of_two_who_ask_for_a_result_nobody_got_one_gets_it_and_the_other_pays(journal: Payments):
    id = await save(journal)
    await journal.undelivered(id)
    claims = await asyncio.gather(claim(journal), claim(journal))
    assert {type(each) for each in claims} == {Replay, Begin}


async def test_of_many_who_ask_at_once_those_the_budget_refuses_undo_nothing_of_the_others(journal: Payments):
    budget = Budget(Decimal("0.88"), "CNY", ("ark",))
    asked = [claim(journal, f"cat {number}", budget=budget) for number in range(20)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    begun = [answer.entry.id for answer in answers if isinstance(answer, Begin)]
    kept = await journal.entries(states={"intent"})
    assert {type(answer) for answer in answers} == {Begin, BudgetExceeded}
    assert sorted(entry.id for entry in kept) == sorted(begun)
    assert len(begun) == 4


async def test_who_is_cancelled_while_others_write_has_written(journal: Payments):
    ids = [await begin(journal, f"cat {number}") for number in range(9)]
    steps = [asyncio.create_task(journal.sent(id)) for id in ids]
    await asyncio.sleep(0)
    for step in steps[::2]:
        step.cancel()
    await asyncio.gather(*steps, return_exceptions=True)
    assert len(await journal.entries(states={"sent"})) == len(ids)


async def test_who_gives_a_handed_over_result_back_leaves_it_to_the_next(journal: Payments):
    id = await save(journal)
    await journal.undelivered(id)
    await claim(journal)
    await journal.undelivered(id)
    assert isinstance(await claim(journal), Replay)


async def test_after_a_lost_answer_the_same_request_is_refused_with_when_what_and_how(journal: Payments, clock: Clock):
    id = await lose(journal)
    with pytest.raises(EarlierOutcomeUnknown) as refused:
        await claim(journal)
    when = datetime.fromtimestamp(clock.time, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
    assert refused.value.facts == {
        "entry": id,
        "when": when,
        "at_stake": "0.22",
        "currency": "CNY",
        "earlier": ERROR,
    }
    described = str(refused.value)
    assert all(part in described for part in (id, when, "may have cost 0.22 CNY", "fresh: true"))
    assert "0.22 CNY" in refused.value.text("zh")


async def test_a_known_bill_is_said_when_the_pictures_were_lost(journal: Payments):
    await lose(journal, amount=Decimal("0.20"))
    with pytest.raises(EarlierOutcomeUnknown, match="was billed 0.2 CNY"):
        await claim(journal)


async def test_fresh_passes_over_the_unknown_and_answers_the_question_for_later_requests(journal: Payments):
    lost = await lose(journal)
    second = await begin(journal, fresh=True)
    assert isinstance(await claim(journal, fresh=True), Join)
    await journal.sent(second)
    await journal.saved(second, RESULT)
    await journal.delivered(second)
    assert isinstance(await claim(journal), Begin)
    assert await money(journal, lost) == ("unknown", Decimal("0.22"), Decimal(0))


async def test_a_fresh_try_that_was_not_billed_leaves_the_question_open(journal: Payments):
    await lose(journal)
    await journal.failed(await begin(journal, fresh=True), ERROR)
    with pytest.raises(EarlierOutcomeUnknown):
        await claim(journal)


@pytest.mark.parametrize(
    ("billed", "amount", "left"),
    [
        (True, None, ("lost", Decimal(0), Decimal("0.22"))),
        (True, Decimal("0.44"), ("lost", Decimal(0), Decimal("0.44"))),
        (False, None, ("failed", Decimal(0), Decimal(0))),
    ],
)
async def test_a_persons_word_settles_the_money_and_lets_the_request_pass(
    journal: Payments, billed: bool, amount: Decimal | None, left: tuple[str, Decimal, Decimal]
):
    id = await lose(journal)
    await journal.settle(id, billed=billed, amount=amount)
    assert await money(journal, id) == left
    assert isinstance(await claim(journal), Begin)


async def test_only_what_is_unknown_can_be_settled(journal: Payments):
    id = await save(journal)
    with pytest.raises(InvalidRequest, match="'saved'"):
        await journal.settle(id, billed=False)


@pytest.mark.parametrize(
    ("end", "left"),
    [
        ("failed", ("failed", Decimal(0), Decimal(0))),
        ("unknown", ("unknown", Decimal("0.22"), Decimal(0))),
        ("spent_anyway", ("lost", Decimal(0), Decimal("0.22"))),
    ],
)
async def test_each_end_of_a_call_does_its_own_to_the_money(
    journal: Payments, end: str, left: tuple[str, Decimal, Decimal]
):
    id = await begin(journal)
    await journal.sent(id)
    await getattr(journal, end)(id, ERROR)
    assert await money(journal, id) == left


@pytest.mark.parametrize(
    ("steps", "state"),
    [([], "failed"), (["sent"], "unknown"), (["sent", "replied"], "unknown")],
    ids=["intent", "sent", "replied"],
)
async def test_a_driver_that_stops_leaves_the_truth(journal: Payments, steps: list[str], state: str):
    id = await begin(journal)
    for step in steps:
        await getattr(journal, step)(id)
    await journal.abandon(id)
    assert (await existing(journal, id)).state == state


async def test_a_driver_that_stops_after_the_end_changes_nothing(journal: Payments):
    id = await save(journal)
    await journal.abandon(id, ERROR)
    assert (await existing(journal, id)).state == "saved"


async def test_a_journal_closed_in_the_middle_leaves_what_a_death_would_leave(
    path: Path, journal: Payments, database: str | None
):
    async with await Payments.open(path, database=database) as other:
        id = await begin(other)
        await other.sent(id)
        joined = await claim(journal)
        assert isinstance(joined, Join)
    assert (await journal.finished(id, poll=0.01)).state == "unknown"


@in_a_file
async def test_a_call_taken_for_dead_does_not_leave_any_more_and_its_late_truth_is_taken(path: Path, journal: Payments):
    waiting, sent = await begin(journal, "not sent"), await begin(journal, "sent")
    await journal.sent(sent)
    for lock in path.with_name("journal.sqlite3.owners").glob("*-*.lock"):
        lock.unlink()
    async with await Payments.open(path):
        pass
    with pytest.raises(StoreError, match="'failed' and cannot become 'sent'"):
        await journal.sent(waiting)
    await journal.replied(sent, request_id="02")
    assert (await existing(journal, sent)).state == "unknown"
    await journal.saved(sent, RESULT)
    assert await money(journal, sent) == ("saved", Decimal(0), Decimal("0.22"))


async def test_a_budget_holds_until_money_is_released(journal: Payments):
    ids = [await begin(journal, f"{number}", budget=YUAN) for number in range(4)]
    with pytest.raises(BudgetExceeded) as refused:
        await claim(journal, "one more", budget=YUAN)
    assert refused.value.facts == {
        "budget": "1.00",
        "spent": "0.88",
        "price": "0.22",
        "currency": "CNY",
        "day": "2026-11-20",
    }
    await journal.failed(ids[0], ERROR)
    assert isinstance(await claim(journal, "one more", budget=YUAN), Begin)


async def test_a_budget_counts_what_was_booked_and_what_is_unknown(journal: Payments):
    await save(journal, "saved")
    await lose(journal)
    with pytest.raises(BudgetExceeded, match="0.44 CNY is spent or reserved"):
        await claim(journal, "dear", "0.60", budget=YUAN)


async def test_a_budget_is_for_one_local_day(journal: Payments, clock: Clock):
    await begin(journal, "dear", "1.00", budget=YUAN)
    clock.time += 86_400
    assert isinstance(await claim(journal, "tomorrow", "1.00", budget=YUAN), Begin)


async def test_a_budget_counts_only_the_backends_it_covers(journal: Payments):
    await begin(journal, "rehearsed", "1.00", budget=YUAN)
    await begin(journal, "real", "1.00", budget=Budget(Decimal("1.00"), "CNY", ("byteplus",)))
    with pytest.raises(BudgetExceeded):
        await claim(journal, "more", "0.01", budget=Budget(Decimal("1.00"), "CNY", ("ark", "byteplus")))


async def test_a_budget_is_not_asked_where_nothing_is_paid(journal: Payments):
    id = await begin(journal, price="1.00", budget=YUAN)
    assert isinstance(await claim(journal, price="1.00", budget=YUAN), Join)
    await journal.undelivered(id)
    await journal.undelivered(id)
    await journal.sent(id)
    await journal.saved(id, RESULT)
    assert isinstance(await claim(journal, price="1.00", budget=YUAN), Replay)


async def test_a_budget_in_another_currency_is_a_wrong_setting(journal: Payments):
    with pytest.raises(NotConfigured, match=r"10 USD.*CNY"):
        await claim(journal, budget=Budget(Decimal(10), "USD"))


async def test_an_unknown_price_passes_a_budget_only_when_it_was_confirmed(journal: Payments):
    with pytest.raises(BudgetExceeded, match="No price is known"):
        await claim(journal, price=None, budget=YUAN)
    id = await begin(journal, price=None, budget=YUAN, price_confirmed=True)
    await journal.sent(id)
    await journal.replied(id, amount=Decimal("0.90"))
    with pytest.raises(BudgetExceeded, match="0.9 CNY is spent"):
        await claim(journal, "a dog", budget=YUAN)


async def test_a_refusal_leaves_no_entry(journal: Payments):
    with pytest.raises(SpendingRefused):
        await claim(journal, price="1.01", budget=YUAN)
    assert await journal.entries() == ()


async def test_costs_are_summed_by_day_model_backend_and_currency(journal: Payments, clock: Clock):
    await save(journal, "one")
    await lose(journal)
    await begin(journal, "not sent")
    await journal.failed(await begin(journal, "failed"), ERROR)
    clock.time += 86_400
    three = await begin(journal, "three", price="0.60", model="5.0-pro", images=3)
    await journal.sent(three)
    await journal.replied(three, billed_images=2, amount=Decimal("0.40"))
    friday, saturday = date(2026, 11, 20), date(2026, 11, 21)
    first = DailyCost(friday, "5.0-lite", "ark", "CNY", 2, 2, Decimal("0.22"), Decimal("0.22"), 1)
    second = DailyCost(saturday, "5.0-pro", "ark", "CNY", 1, 2, Decimal("0.4"), Decimal(0), 0)
    assert await journal.costs() == (first, second)
    assert await journal.costs(since=saturday) == (second,)
    assert await journal.costs(until=friday) == (first,)


async def test_entries_are_listed_newest_first_and_filtered(journal: Payments):
    cat = await save(journal, "a cat")
    dog = await begin(journal, "a dog", model="4.5")
    listed: Callable[..., Any] = journal.entries
    assert [entry.id for entry in await listed()] == [dog, cat]
    assert [entry.id for entry in await listed(limit=1)] == [dog]
    for wanted in ({"states": {"saved"}}, {"fingerprint": "a cat"}, {"model": "5.0-lite"}):
        assert [entry.id for entry in await listed(**wanted)] == [cat]
    for nothing in ({"backend": "uniall"}, {"since": date(2026, 11, 21)}, {"until": date(2026, 11, 19)}):
        assert await listed(**nothing) == ()


async def test_a_cancelled_claim_is_taken_back(journal: Payments):
    asking = asyncio.ensure_future(claim(journal, budget=YUAN))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (entry,) = await journal.entries()
    await journal.finished(entry.id, timeout=10)
    assert await money(journal, entry.id) == ("failed", Decimal(0), Decimal(0))


async def test_a_cancelled_step_is_written_all_the_same_and_wakes_who_joined(journal: Payments):
    id = await begin(journal)
    await journal.sent(id)
    waiting = asyncio.ensure_future(journal.finished(id, poll=60))
    saving = asyncio.ensure_future(journal.saved(id, RESULT))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    saving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await saving
    assert (await asyncio.wait_for(waiting, 10)).state == "saved"


@pytest.mark.parametrize(
    "content", [pytest.param(b"this is no database" * 100, id="text"), pytest.param(b"SQLite format 3\0junk", id="cut")]
)
async def test_a_damaged_file_is_said_and_left_alone(path: Path, content: bytes):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"journal\.sqlite3 cannot be used: file is not a database"):
        await Payments.open(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "said"),
    [("CREATE TABLE songs (name TEXT)", "another program"), ("PRAGMA user_version = 99", "newer Seedframe")],
)
async def test_a_foreign_or_newer_file_is_refused(path: Path, statement: str, said: str):
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()
    with pytest.raises(StoreError, match=said):
        await Payments.open(path)


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be used"):
        await Payments.open(tmp_path / "file" / "journal.sqlite3")


@in_a_file
async def test_the_file_is_private(path: Path, journal: Payments):
    await save(journal)
    assert {file.stat().st_mode & 0o077 for file in path.parent.glob("journal.sqlite3*") if file.is_file()} == {0}


@in_a_file
async def test_nothing_secret_reaches_the_file(path: Path, journal: Payments):
    url = "https://h/a.jpeg?X-Tos-Signature=deadbeef"
    picture = "data:image/png;base64," + "A" * 400
    id = await begin(journal, request={"image": picture, "key": "hunter2hunter2"})
    await journal.sent(id)
    await journal.saved(id, {"url": url})
    await journal.spent_anyway(await begun_and_sent(journal), {"message": url})
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())
    assert not [word for word in (b"deadbeef", b"AAAAAAAA", b"hunter2hunter2") if word in stored]
    assert (await existing(journal, id)).result == {"url": "https://h/a.jpeg?[redacted]"}


async def begun_and_sent(journal: Payments) -> str:
    id = await begin(journal, "another")
    await journal.sent(id)
    return id


async def test_prompts_that_are_no_valid_text_are_kept(journal: Payments):
    id = await begin(journal, "猫", request={"prompt": "half a \ud83d"})
    assert (await existing(journal, id)).request == {"prompt": "half a \ud83d"}


async def test_the_dead_leave_no_locks_behind(path: Path):
    for _ in range(3):
        async with await Payments.open(path):
            pass
    async with await Payments.open(path):
        assert len(list(path.with_name("journal.sqlite3.owners").glob("*-*.lock"))) == 1


async def test_steps_of_an_entry_that_does_not_exist_are_said(journal: Payments):
    with pytest.raises(StoreError, match="no entry nothing"):
        await journal.sent("nothing")
    assert await journal.entry("nothing") is None


def test_ids_are_short_url_safe_and_sorted_even_when_the_clock_is_set_back():
    ids = [new_id(1_800_000_000, None)]
    for second in (1_800_000_001, 1_800_000_001, 1_700_000_000, 1_900_000_000):
        ids.append(new_id(second, ids[-1]))
    assert ids == sorted(set(ids))
    assert {len(id) for id in ids} == {12}
    assert all(id.isascii() and id.isalnum() and id == id.lower() for id in ids)


def test_a_fingerprint_sees_the_request_and_not_how_it_was_written():
    one = {"prompt": "猫", "size": (1440, 2560), "scale": 7.0, "image": [b"picture"]}
    same = {"image": (b"picture",), "scale": 7, "size": [1440, 2560], "prompt": "猫"}
    assert fingerprint(one) == fingerprint(same)
    others = ({"prompt": "狗"}, {"scale": 7.5}, {"scale": True}, {"image": [b"other"]}, {"size": (2560, 1440)})
    assert len({fingerprint({**one, **other}) for other in others} | {fingerprint(one)}) == 6


@pytest.mark.parametrize("value", [{"x": float("nan")}, {1: 2}, {"x": Decimal(1)}, {"x": {1, 2}}])
def test_a_fingerprint_refuses_what_it_cannot_say_exactly(value: Any):
    with pytest.raises((TypeError, ValueError)):
        fingerprint(value)
