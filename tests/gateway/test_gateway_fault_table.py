"""The fault table as a program behind the gateway meets it, printed in `docs/gateway-faults.md` and held to it.

`SEEDFRAME_UPDATE_CASES=1 pytest -m slow tests/gateway/test_gateway_fault_table.py` writes the page anew.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import astuple, dataclass
from pathlib import Path

import httpx
import pytest
from test_gateway_faults import REPEATED_FREE, REPEATS, answered

from faults import FAULTS, Fault, Place, counts, disk_of
from gatewaying import served

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs" / "gateway-faults.md"
HEAD = """# Faults behind the gateway

Every fault of the table in [references/errors.md](../references/errors.md), met by a program that asks the gateway and
repeats its POST twice when it gets an error, as the official SDKs do. What counts are the POSTs to the service and the
bills: after the first try, and after both repetitions. Measured by `tests/gateway/test_gateway_fault_table.py`.

| fault | answer | code | repeat? | POSTs | bills | POSTs after repetitions |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    fault: str
    status: int
    code: str
    repeat: str
    posts: int
    bills: int
    after: int

    def line(self) -> str:
        return "| " + " | ".join(map(str, astuple(self))) + " |\n"


async def row(environ: dict[str, str], folder: Path, fault: Fault) -> Row:
    """One fault in a home of its own."""
    (folder / "data").mkdir(parents=True)
    place = Place(folder / "pictures", folder / "data" / "journal.sqlite3")
    own = {"SEEDFRAME_OUTPUT_DIR": str(place.pictures), "SEEDFRAME_JOURNAL": str(place.record)}
    variables = {**environ, **own, "SEEDFRAME_GATEWAY_KEYS": "own", **fault.variables}
    room = fault.free if fault.free is not None else 10**12
    with disk_of(fault, place), contextlib.ExitStack() as harm:
        once = [fault.at_post] if fault.at_post else []
        carrier = fault.carrier(lambda: once and harm.enter_context(once.pop()(place)))
        async with served(variables, carrier, busy=0.2, free=lambda _: room) as door:
            if fault.before:
                harm.enter_context(fault.before(place))
            first = await answered(door, fault)
            posts, bills = counts(carrier, fault)
            answer, tries = first, 0
            while answer.status_code >= 400 and tries < REPEATS:
                answer, tries = await answered(door, fault), tries + 1
            after, _ = counts(carrier, fault)
    return Row(fault.name, first.status_code, code_of(first), said(first), posts, bills, after)


def code_of(answer: httpx.Response) -> str:
    return "–" if answer.status_code == 200 else str(answer.json()["error"]["code"])


def said(answer: httpx.Response) -> str:
    return {"true": "yes", "false": "no"}.get(answer.headers.get("x-should-retry", ""), "–")


async def test_the_printed_table_is_what_happens_and_no_fault_is_paid_twice(
    environ: dict[str, str], tmp_path: Path
) -> None:
    rows = [await row(environ, tmp_path / str(number), fault) for number, fault in enumerate(FAULTS)]
    told = HEAD + "".join(one.line() for one in rows)
    if os.environ.get("SEEDFRAME_UPDATE_CASES"):
        PAGE.write_text(told, encoding="utf-8")

    expected = {fault.name: max(fault.billed, int(fault.arguments.get("count", 1))) for fault in FAULTS}
    assert [one for one in rows if one.posts > REPEATED_FREE.get(one.fault, 1)] == []
    assert [one for one in rows if one.bills > expected[one.fault]] == []
    assert [one for one in rows if one.bills and one.after != one.posts] == []
    assert told == PAGE.read_text(encoding="utf-8")
