from __future__ import annotations

import contextlib
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from seedframe.catalog import Price
from seedframe.errors import BudgetExceeded, EarlierOutcomeUnknown, PaidAndLost
from seedframe.payments import IN_FLIGHT, Begin, Budget, Join, Replay
from seedframe.payments.records import PaymentRecords, PaymentRequest

BUDGET = Budget(Decimal("1.00"), "CNY")
PRICES = st.sampled_from([Decimal("0.22"), Decimal("0.25"), Decimal("0.60")])
PROCESSES = st.integers(0, 2)
ERROR = {"kind": "Test"}


class Sharing(RuleBasedStateMachine):
    """Three processes with one journal: they claim, drive, deliver, give up and die in any order."""

    # Who was told to begin, and what.
    begun: Bundle[tuple[PaymentRecords, str]] = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.sqlite3"
        self.ledgers = [self.live() for _ in range(3)]
        self.out: dict[str, PaymentRecords] = {}
        self.delivered: set[str] = set()
        self.sent: dict[str, int] = {}

    def live(self) -> PaymentRecords:
        return PaymentRecords(self.path, now=lambda: 1_800_000_000.0)

    def alive(self, request_log: PaymentRecords) -> bool:
        return request_log in self.ledgers

    @rule(target=begun, process=PROCESSES, arguments=st.sampled_from("abc"), price=PRICES, fresh=st.booleans())
    def claim(self, process: int, arguments: str, price: Decimal, fresh: bool):
        request_log = self.ledgers[process]
        asked = PaymentRequest(arguments, {}, "ark", "5.0-lite", 1, Price(price, "CNY"), BUDGET, fresh)
        try:
            claimed = request_log.claim(asked)
        except (BudgetExceeded, EarlierOutcomeUnknown, PaidAndLost):
            return multiple()
        entry = claimed.entry
        match claimed:
            case Begin():
                assert entry.state == "intent"
                return (request_log, entry.id)
            case Join():
                assert entry.state in {*IN_FLIGHT, "saved"}
            case Replay():
                holder = self.out.get(entry.id)
                assert holder is None or not self.alive(holder), "handed out while somebody has it"
                assert entry.id not in self.delivered
                self.out[entry.id] = request_log
        return multiple()

    @rule(call=begun)
    def send(self, call: tuple[PaymentRecords, str]):
        request_log, id = call
        if self.alive(request_log) and request_log.look(id).state == "intent":
            request_log.sent(id)
            self.sent[id] = self.sent.get(id, 0) + 1

    @rule(call=begun, billed=st.booleans())
    def reply(self, call: tuple[PaymentRecords, str], billed: bool):
        request_log, id = call
        if self.alive(request_log) and request_log.look(id).state == "sent":
            request_log.replied(id, request_id="02", billed_images=1, amount=Decimal("0.20") if billed else None)

    @rule(call=begun, end=st.sampled_from(["saved", "failed", "unknown", "lost", "abandoned"]))
    def end(self, call: tuple[PaymentRecords, str], end: str):
        request_log, id = call
        if not self.alive(request_log) or request_log.look(id).state not in {"sent", "replied"}:
            return
        match end:
            case "saved":
                request_log.saved(id, {"files": []})
            case "failed":
                request_log.failed(id, ERROR)
            case "unknown":
                request_log.unknown(id, ERROR)
            case "lost":
                request_log.spent_anyway(id, ERROR, None)
            case "abandoned":
                request_log.abandon(id)

    @rule(call=consumes(begun))
    def hand_to_the_caller(self, call: tuple[PaymentRecords, str]):
        request_log, id = call
        if self.alive(request_log) and request_log.look(id).state == "saved":
            request_log.delivered(id)
            self.delivered.add(id)

    @rule(call=begun)
    def the_caller_is_gone(self, call: tuple[PaymentRecords, str]):
        request_log, id = call
        if self.alive(request_log):
            request_log.undelivered(id)
            if self.out.get(id) is request_log:
                del self.out[id]

    @rule(deliver=st.booleans())
    def those_with_a_replay_go_on(self, deliver: bool):
        for id, request_log in list(self.out.items()):
            if self.alive(request_log) and request_log.look(id).state == "delivering":
                if deliver:
                    assert id not in self.delivered, "delivered twice"
                    request_log.delivered(id)
                    self.delivered.add(id)
                else:
                    request_log.undelivered(id)
            del self.out[id]

    @rule(billed=st.booleans())
    def a_person_settles(self, billed: bool):
        request_log = self.ledgers[0]
        for entry in request_log.entries(states={"unknown"}, limit=1):
            request_log.settle(entry.id, billed=billed)

    @rule(process=PROCESSES)
    def a_process_dies_and_another_starts(self, process: int):
        self.ledgers[process].close()
        self.ledgers[process] = self.live()

    @invariant()
    def the_budget_holds(self):
        costs = self.ledgers[0].entries(limit=10_000)
        assert sum(entry.reserved + entry.booked for entry in costs) <= BUDGET.amount

    @invariant()
    def money_follows_the_state(self):
        for entry in self.ledgers[0].entries(limit=10_000):
            assert entry.state != "failed" or entry.reserved == entry.booked == 0
            assert entry.state not in {"saved", "delivering", "delivered", "lost"} or entry.reserved == 0

    @invariant()
    def at_most_one_identical_call_is_under_way_and_none_leaves_twice(self):
        under_way = [entry.fingerprint for entry in self.ledgers[0].entries(states=IN_FLIGHT)]
        assert len(under_way) == len(set(under_way))
        assert set(self.sent.values()) <= {1}

    @invariant()
    def what_was_delivered_stays_delivered(self):
        done = {entry.id for entry in self.ledgers[0].entries(states={"delivered"}, limit=10_000)}
        assert done == self.delivered

    def teardown(self) -> None:
        for request_log in self.ledgers:
            with contextlib.suppress(Exception):
                request_log.close()
        self.folder.cleanup()


TestSharing = Sharing.TestCase
TestSharing.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
