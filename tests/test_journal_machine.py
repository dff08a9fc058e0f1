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
from seedframe.journal import IN_FLIGHT, Begin, Budget, Join, Replay
from seedframe.journal.ledger import Ledger, Wish

BUDGET = Budget(Decimal("1.00"), "CNY")
PRICES = st.sampled_from([Decimal("0.22"), Decimal("0.25"), Decimal("0.60")])
PROCESSES = st.integers(0, 2)
ERROR = {"kind": "Test"}


class Sharing(RuleBasedStateMachine):
    """Three processes with one journal: they claim, drive, deliver, give up and die in any order."""

    # Who was told to begin, and what.
    begun: Bundle[tuple[Ledger, str]] = Bundle("begun")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.sqlite3"
        self.ledgers = [self.live() for _ in range(3)]
        self.out: dict[str, Ledger] = {}
        self.delivered: set[str] = set()
        self.sent: dict[str, int] = {}

    def live(self) -> Ledger:
        return Ledger(self.path, now=lambda: 1_800_000_000.0)

    def alive(self, ledger: Ledger) -> bool:
        return ledger in self.ledgers

    @rule(target=begun, process=PROCESSES, wish=st.sampled_from("abc"), price=PRICES, fresh=st.booleans())
    def claim(self, process: int, wish: str, price: Decimal, fresh: bool):
        ledger = self.ledgers[process]
        asked = Wish(wish, {}, "ark", "5.0-lite", 1, Price(price, "CNY"), BUDGET, fresh)
        try:
            claimed = ledger.claim(asked)
        except (BudgetExceeded, EarlierOutcomeUnknown, PaidAndLost):
            return multiple()
        entry = claimed.entry
        match claimed:
            case Begin():
                assert entry.state == "intent"
                return (ledger, entry.id)
            case Join():
                assert entry.state in {*IN_FLIGHT, "saved"}
            case Replay():
                holder = self.out.get(entry.id)
                assert holder is None or not self.alive(holder), "handed out while somebody has it"
                assert entry.id not in self.delivered
                self.out[entry.id] = ledger
        return multiple()

    @rule(call=begun)
    def send(self, call: tuple[Ledger, str]):
        ledger, id = call
        if self.alive(ledger) and ledger.look(id).state == "intent":
            ledger.sent(id)
            self.sent[id] = self.sent.get(id, 0) + 1

    @rule(call=begun, billed=st.booleans())
    def reply(self, call: tuple[Ledger, str], billed: bool):
        ledger, id = call
        if self.alive(ledger) and ledger.look(id).state == "sent":
            ledger.replied(id, request_id="02", billed_images=1, amount=Decimal("0.20") if billed else None)

    @rule(call=begun, end=st.sampled_from(["saved", "failed", "unknown", "lost", "abandoned"]))
    def end(self, call: tuple[Ledger, str], end: str):
        ledger, id = call
        if not self.alive(ledger) or ledger.look(id).state not in {"sent", "replied"}:
            return
        match end:
            case "saved":
                ledger.saved(id, {"files": []})
            case "failed":
                ledger.failed(id, ERROR)
            case "unknown":
                ledger.unknown(id, ERROR)
            case "lost":
                ledger.spent_anyway(id, ERROR, None)
            case "abandoned":
                ledger.abandon(id)

    @rule(call=consumes(begun))
    def hand_to_the_caller(self, call: tuple[Ledger, str]):
        ledger, id = call
        if self.alive(ledger) and ledger.look(id).state == "saved":
            ledger.delivered(id)
            self.delivered.add(id)

    @rule(call=begun)
    def the_caller_is_gone(self, call: tuple[Ledger, str]):
        ledger, id = call
        if self.alive(ledger):
            ledger.undelivered(id)
            if self.out.get(id) is ledger:
                del self.out[id]

    @rule(deliver=st.booleans())
    def those_with_a_replay_go_on(self, deliver: bool):
        for id, ledger in list(self.out.items()):
            if self.alive(ledger) and ledger.look(id).state == "delivering":
                if deliver:
                    assert id not in self.delivered, "delivered twice"
                    ledger.delivered(id)
                    self.delivered.add(id)
                else:
                    ledger.undelivered(id)
            del self.out[id]

    @rule(billed=st.booleans())
    def a_person_settles(self, billed: bool):
        ledger = self.ledgers[0]
        for entry in ledger.entries(states={"unknown"}, limit=1):
            ledger.settle(entry.id, billed=billed)

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
        for ledger in self.ledgers:
            with contextlib.suppress(Exception):
                ledger.close()
        self.folder.cleanup()


TestSharing = Sharing.TestCase
TestSharing.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
