"""The fault table: each fault for real, what it cost, what was said, what is left; compared with what the page says.

`SEEDFRAME_WRITE_FAULTS=1` writes the measured rows instead (then `make docs`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import OpenStudio
from faults import CAT, FAULTS, Fault, Place, counts, disk_of
from killed_server import HERE
from sampling import sampled
from seedframe.emulator import emulator, running
from seedframe.errors import SeedreamError
from seedframe.payments import Payments
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

TABLE = Path(__file__).parents[1] / "cases" / "fault_table.json"
PENDING = TABLE.with_name("fault_table_pending.json")
"""Rows that are demanded and do not hold yet; one that does is moved to the table."""

Row = dict[str, Any]


def demanded() -> set[str]:
    return {row["fault"] for row in json.loads(PENDING.read_text(encoding="utf-8"))} if PENDING.exists() else set()


MEASURED = tuple(fault for fault in FAULTS if fault.name not in demanded())
STAGES = (
    "checked, styled and built",
    "intent recorded",
    "sent, not yet posted",
    "posted, no answer yet",
    "in the middle of the answer",
    "replied, picture not yet here",
    "picture on the disk, not yet in the journal",
    "saved, not yet delivered",
)


def written() -> dict[str, Row]:
    rows = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else []
    return {row["fault"]: row for row in rows}


def counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number > 1 else "")


def on_disk(place: Place) -> str:
    """The kinds of files that are there."""
    found = dict.fromkeys(("picture", "record", "part", "picture elsewhere", "record elsewhere"), 0)
    kinds = {".jpg": "picture", ".png": "picture", ".json": "record", ".part": "part"}
    for folder, where in ((place.pictures, ""), (place.record.parent / "rescued", " elsewhere")):
        for path in folder.rglob("*") if folder.exists() else ():
            if path.is_file():
                found[kinds[path.suffix] + where] += 1
    return ", ".join(counted(number, name) for name, number in found.items() if number) or "nothing"


async def in_the_journal(journal: Payments) -> str:
    described = []
    for entry in reversed(await journal.entries()):
        money = [f"{entry.booked} booked"] if entry.booked else []
        money += [f"{entry.reserved} reserved"] if entry.reserved else []
        described.append(f"{entry.state}, {' and '.join(money) or '0'}")
    return "; ".join(described) or "nothing"


def plainly(text: str, place: Place) -> str:
    """Without the parts that differ from run to run."""
    text = text.removeprefix("Seedream generation failed: ")
    text = re.sub(r"after [\d.]+ s", "after a pause", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\+\d\d:\d\d", "(a time)", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "(a day)", text)
    text = re.sub(r"\S*seedframe-spool-\w+/\w+\.json|\S*\.spool/\w+\.json", "SPOOL", text)
    text = re.sub(r"\S*/\.seedframe/\w+\b", "PARTS", text)
    text = text.replace(str(place.pictures), "PICTURES").replace(str(place.record.parent), "DATA")
    text = re.sub(r"(?<=/)20\d{6}-[^ ]*?-\w{6}(?=\.)", "NAME", text)
    text = re.sub(r"\d+\.\d MB free", "few MB free", text)
    return re.sub(r"<html>.*</html>", "(a page)", text)


async def described(studio: Studio, arguments: Mapping[str, Any], place: Place) -> str:
    """What a caller hears, in one line."""
    try:
        async with studio.make("generate_image", arguments) as result:
            facts = result.as_dict()
    except SeedreamError as error:
        billed = f" [billed: {error.facts['billed']}]" if "billed" in error.facts else ""
        record = f" {plainly(error.facts['record'], place)}" if "record" in error.facts else ""
        return f"{error.kind}: {plainly(str(error.message), place)}{billed}{record}"
    missing = [f"{one['index'] + 1} {one['billed']}" for one in facts["missing"]]
    parts = [f"{facts['status']}: {counted(len(facts['pictures']), 'picture')}"]
    parts += [f"missing (number, billed): {', '.join(missing)}"] if missing else []
    parts += [mark for mark in ("replayed", "fetched") if facts.get(mark)]
    for picture in facts["pictures"]:
        assert Path(picture["path"]).stat().st_size == picture["bytes"]
    return "; ".join([*parts, *(plainly(warning, place) for warning in facts["warnings"])])


async def measured(
    name: str,
    studio: Studio,
    request_log: Callable[[], tuple[int, int]],
    place: Place,
    arguments: Mapping[str, Any],
    said: str,
) -> Row:
    posts, billed = request_log()
    row: Row = {
        "fault": name,
        "POSTs": posts,
        "billed pictures": billed,
        "the caller is told": said,
        "on disk": on_disk(place),
        "journal": await in_the_journal(studio.payments),
    }
    again = await described(studio, arguments, place)
    row["the same again"] = again.split(": ")[0] if request_log()[0] == posts else f"a new call, {again.split(':')[0]}"
    marks = {"replayed", "fetched"} & set(again.split("; "))
    if marks:
        row["the same again"] = f"{marks.pop()}, nothing is paid"
    assert not list(place.pictures.rglob("*.part")), "nothing half-written is left"
    return row


def compare(row: Row) -> None:
    rows = written()
    if os.environ.get("SEEDFRAME_WRITE_FAULTS"):
        rows[row["fault"]] = row
        order = [fault.name for fault in MEASURED] + [f"kill -9: {stage}" for stage in STAGES]
        kept = sorted((rows[name] for name in rows if name in order), key=lambda one: order.index(one["fault"]))
        TABLE.write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(row, ensure_ascii=False))  # noqa: T201 - the table, for whoever runs with -s
    assert row == written()[row["fault"]]


async def at_once(_seconds: float) -> None:
    """Waits of the client take no time."""


@pytest.mark.anyio
@pytest.mark.parametrize("fault", sampled(MEASURED, 8), ids=lambda fault: fault.name)
async def test_a_fault_costs_says_and_leaves_what_the_table_says(environ: dict[str, str], fault: Fault) -> None:
    data = Path(environ["SEEDFRAME_JOURNAL"]).parent / "data"
    data.mkdir()
    place = Place(Path(environ["SEEDFRAME_OUTPUT_DIR"]), data / "journal.sqlite3")
    settings = Settings.read({**environ, "SEEDFRAME_JOURNAL": str(place.record), **fault.variables})
    room = fault.free if fault.free is not None else 10**12
    with disk_of(fault, place):
        with contextlib.ExitStack() as harm:
            once = [fault.at_post] if fault.at_post else []
            carrier = fault.carrier(lambda: once and harm.enter_context(once.pop()(place)))
            opened = partial(Studio.open, settings, transport=carrier, sleep=at_once, busy=0.2, free=lambda _: room)
            async with opened() as studio:
                if fault.before:
                    harm.enter_context(fault.before(place))
                said = await asyncio.wait_for(described(studio, fault.arguments, place), 60)
        async with opened() as studio:
            row = await measured(fault.name, studio, lambda: counts(carrier, fault), place, fault.arguments, said)
    compare(row)


def ask(server: subprocess.Popen[str], arguments: Mapping[str, Any]) -> None:
    """An MCP host's first words and one tool call."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
    call = {"name": "generate_image", "arguments": arguments}
    lines: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": call},
    ]
    assert server.stdin is not None
    for line in lines:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
    server.stdin.flush()


def killed_in(stage: str, environ: dict[str, str], base: str) -> str:
    """Start a server, let it come as far as the stage, kill it; what its host had heard of the result."""
    command = [sys.executable, str(Path(__file__).parents[1] / "killed_server.py"), stage]
    variables = {**os.environ, **environ, "SEEDFRAME_EMULATOR_BASE": base}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
    ) as server:
        ask(server, CAT)
        assert server.stderr is not None
        heard = list(until(server.stderr.readline, HERE))
        server.kill()
        answers = [json.loads(line) for line in server.communicate()[0].splitlines()]
    assert [line for line in heard if "Traceback" in line] == []
    return "nothing, the host sees its server die" if all(answer.get("id") != 2 for answer in answers) else "a result"


def until(read: Callable[[], str], words: str) -> Any:
    while (line := read()) and words not in line:
        yield line
    assert words in line


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("stage", STAGES)
async def test_kill_9_at_any_stage_leaves_what_the_table_says(environ: dict[str, str], stage: str) -> None:
    app = emulator(paint="instant")
    place = Place(Path(environ["SEEDFRAME_OUTPUT_DIR"]), Path(environ["SEEDFRAME_JOURNAL"]))
    with running(app) as base:
        said = killed_in(stage, environ, base)
        settings = Settings.read({**environ, "SEEDFRAME_EMULATOR_BASE": base})
        async with Studio.open(settings) as studio:
            request_log = app.state.request_log
            books = lambda: (request_log.posts, request_log.images)  # noqa: E731
            row = await measured(f"kill -9: {stage}", studio, books, place, CAT, said)
    compare(row)


@pytest.mark.slow
@pytest.mark.anyio
async def test_an_inline_picture_of_a_killed_server_is_found_by_the_identical_call(environ: dict[str, str]) -> None:
    app = emulator(paint="instant")
    inline = {**environ, "SEEDFRAME_RESPONSE_FORMAT": "b64_json"}
    folder = Path(environ["SEEDFRAME_OUTPUT_DIR"])
    with running(app) as base:
        killed_in("picture on the disk, not yet in the journal", inline, base)
        (kept,) = folder.glob("*.jpg")
        settings = Settings.read({**inline, "SEEDFRAME_EMULATOR_BASE": base})
        async with Studio.open(settings) as studio, studio.make("generate_image", CAT) as result:
            (picture,) = result.pictures

    assert app.state.request_log.images == 1
    assert (picture.path, picture.sha256) == (kept, hashlib.sha256(kept.read_bytes()).hexdigest())
    assert {path.name for path in folder.iterdir()} == {kept.name, f"{kept.name}.json"}


def test_the_table_has_exactly_these_rows() -> None:
    for row in written().values():
        print(" | ".join(str(cell) for cell in row.values()))  # noqa: T201 - for whoever runs with -s
    assert list(written()) == [fault.name for fault in MEASURED] + [f"kill -9: {stage}" for stage in STAGES]


def test_the_table_is_long_enough_to_be_believed() -> None:
    assert len(written()) >= 80


def test_each_fault_is_one_post_unless_the_answer_proves_that_nothing_was_billed() -> None:
    more = {name: row["POSTs"] for name, row in written().items() if row["POSTs"] > 1}
    assert more == {"429 once": 2, "429 always": 3, "one of three calls lost": 3}


def test_nothing_is_paid_twice() -> None:
    asked = {fault.name: int(fault.arguments.get("count", 1)) for fault in FAULTS}
    more = {name for name, row in written().items() if row["billed pictures"] > asked.get(name, 1)}
    assert more <= {"two pictures where one was asked for"}


def test_no_row_calls_free_what_was_billed() -> None:
    wrong = {
        name
        for name, row in written().items()
        if row["billed pictures"] and ("[billed: no]" in row["the caller is told"] or "failed, 0" in row["journal"])
    }
    assert wrong == set()


def test_what_was_billed_is_on_the_disk_or_fetchable_or_asks_a_person_first() -> None:
    guarded = {"EarlierOutcomeUnknown", "PaidAndLost", "Undelivered", "fetched, nothing is paid"}
    guarded.add("replayed, nothing is paid")
    wrong = {
        name: row["the same again"]
        for name, row in written().items()
        if row["billed pictures"] and "done:" not in row["the caller is told"] and row["the same again"] not in guarded
    }
    told = {"one picture of three moderated", "a set that came out smaller", "wrong size"}  # a picture is there
    assert set(wrong) <= told, wrong


def test_what_was_not_sent_is_said_to_be_free_and_stands_in_nobodys_way() -> None:
    unsent = {name: row for name, row in written().items() if not row["POSTs"] and not name.startswith("kill -9")}
    assert {name for name, row in unsent.items() if row["journal"] not in {"nothing", "failed, 0"}} == set()
    assert {name for name, row in unsent.items() if row["on disk"] != "nothing"} == set()


@pytest.mark.anyio
async def test_what_a_killed_server_had_half_received_is_gone_after_a_day(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    left = {name: Path(environ["SEEDFRAME_OUTPUT_DIR"]) / ".seedframe" / name for name in ("old", "recent")}
    for folder in left.values():
        folder.mkdir(parents=True)
        (folder / "call-0-0.part").write_bytes(b"half a picture")
    long_ago = (left["old"].stat().st_mtime - 90_000,) * 2
    os.utime(left["old"], long_ago)
    async with open_studio():
        assert {name: folder.exists() for name, folder in left.items()} == {"old": False, "recent": True}
