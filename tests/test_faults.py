"""The fault table: each fault for real, what it cost, what was said, what is left; compared with what the page says.

`SEEDFRAME_WRITE_FAULTS=1` writes the measured rows instead (then `make docs`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import OpenStudio
from killed_server import HERE
from seedframe.emulator import emulator, running, scripted, transport
from seedframe.emulator.ledger import Ledger
from seedframe.errors import SeedreamError
from seedframe.journal import Journal
from seedframe.pipeline import Studio
from seedframe.settings import Settings

TABLE = Path(__file__).parent / "cases" / "fault_table.json"
CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
THREE = {"prompt": "一组三张图：同一只猫在窗台、屋顶和花园", "ratio": "1:1", "count": 3, "related": True}
Row = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    name: str
    script: Sequence[object]
    wish: dict[str, Any]
    variables: dict[str, str]


def fault(name: str, *script: object, wish: dict[str, Any] = CAT, **variables: str) -> Fault:
    return Fault(name, script, wish, variables)


FAULTS = (
    fault("drop before the answer", "drop-before-answer"),
    fault("drop in the middle of the answer", "drop-mid-answer"),
    fault("read timeout", "hang", SEEDFRAME_TIMEOUT="0.2"),
    fault("500 once", "internal"),
    fault("500 always", *["internal"] * 9),
    fault("429 once", "rate-ipm"),
    fault("429 for quota", *["quota-trial"] * 9),
    fault("401", *["key-unknown"] * 9),
    fault("empty data", "empty-data"),
    fault("moderated words", *["input-text-sensitive"] * 9),
    fault("moderated picture", "output-image-sensitive"),
    fault("one picture of three moderated", {"name": "slot-error", "index": 1}, wish=THREE),
    fault("junk picture", "junk-picture"),
    fault("truncated base64", "truncated-base64", SEEDFRAME_RESPONSE_FORMAT="b64_json"),
    fault("html with status 200", "html-200"),
    fault("html with status 502", "html-502"),
    fault("error with status 200", "error-200"),
    fault("stream cut after one picture of three", "cut-stream 1", wish=THREE),
    fault("stream cut before the first picture", "cut-stream 0", wish=THREE),
    fault("500 in the middle of a stream", "error-frame 1", wish=THREE),
    fault("finished picture cannot be downloaded", "download-404"),
    fault("pixel bomb", "pixel-bomb"),
)
ROOMS = (
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


def on_disk(folder: Path) -> str:
    """The kinds of files that are there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    kinds = {"picture": ".jpg", "record": ".json", "part": ".part"}
    found = {name: sum(path.suffix == suffix for path in files) for name, suffix in kinds.items()}
    assert sum(found.values()) == len(files)
    return ", ".join(counted(number, name) for name, number in found.items() if number) or "nothing"


async def in_the_journal(journal: Journal) -> str:
    entries = await journal.entries()
    told = []
    for entry in reversed(entries):
        money = f"{entry.booked} booked" if entry.booked else f"{entry.reserved} reserved" if entry.reserved else "0"
        told.append(f"{entry.state}, {money}")
    return "; ".join(told) or "nothing"


def plainly(text: str) -> str:
    """Without the parts that differ from run to run."""
    text = text.removeprefix("Seedream generation failed: ")
    text = re.sub(r"after [\d.]+ s", "after a pause", text)
    return re.sub(r"<html>.*</html>", "(a page)", text)


async def told(studio: Studio, wish: dict[str, Any]) -> str:
    """What a caller hears, in one line."""
    try:
        async with studio.make("generate_image", wish) as result:
            facts = result.facts
    except SeedreamError as error:
        billed = f" [billed: {error.facts['billed']}]" if "billed" in error.facts else ""
        return f"{error.kind}: {plainly(str(error.message))}{billed}"
    missing = [f"{one['index'] + 1} {one['billed']}" for one in facts["missing"]]
    parts = [f"{facts['status']}: {counted(len(facts['pictures']), 'picture')}"]
    parts += [f"missing (number, billed): {', '.join(missing)}"] if missing else []
    parts += ["replayed"] if facts.get("replayed") else []
    return "; ".join([*parts, *(plainly(warning) for warning in facts["warnings"])])


async def measured(name: str, studio: Studio, ledger: Ledger, folder: Path, wish: dict[str, Any], said: str) -> Row:
    row: Row = {
        "fault": name,
        "POSTs": ledger.posts,
        "billed pictures": ledger.images,
        "the caller is told": said,
        "on disk": on_disk(folder),
        "journal": await in_the_journal(studio.journal),
    }
    before = ledger.posts
    again = await told(studio, wish)
    row["the same again"] = again.split(": ")[0] if ledger.posts == before else f"a new call, {again.split(':')[0]}"
    if "replayed" in again:
        row["the same again"] = "replayed, nothing is paid"
    return row


def compare(row: Row) -> None:
    rows = written()
    if os.environ.get("SEEDFRAME_WRITE_FAULTS"):
        rows[row["fault"]] = row
        order = [fault.name for fault in FAULTS] + [f"kill -9: {room}" for room in ROOMS]
        kept = sorted((rows[name] for name in rows if name in order), key=lambda one: order.index(one["fault"]))
        TABLE.write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(row, ensure_ascii=False))  # noqa: T201 - the table, for whoever runs with -s
    assert row == written()[row["fault"]]


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_costs_says_and_leaves_what_the_table_says(
    open_studio: OpenStudio, environ: dict[str, str], fault: Fault
) -> None:
    carrier = transport(paint="instant", script=scripted(*fault.script))
    folder = Path(environ["SEEDFRAME_OUTPUT_DIR"])
    async with open_studio(transport=carrier, **fault.variables) as studio:
        said = await told(studio, fault.wish)
        row = await measured(fault.name, studio, carrier.app.state.ledger, folder, fault.wish, said)
    compare(row)


def ask(server: subprocess.Popen[str], wish: dict[str, Any]) -> None:
    """An MCP host's first words and one tool call."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
    call = {"name": "generate_image", "arguments": wish}
    lines: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": call},
    ]
    assert server.stdin is not None
    for line in lines:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
    server.stdin.flush()


def killed_in(room: str, environ: dict[str, str], base: str) -> str:
    """Start a server, let it come as far as the room, kill it; what its host had heard of the result."""
    command = [sys.executable, str(Path(__file__).with_name("killed_server.py")), room]
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


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("room", ROOMS)
async def test_kill_9_in_any_room_leaves_what_the_table_says(environ: dict[str, str], room: str) -> None:
    app = emulator(paint="instant")
    folder = Path(environ["SEEDFRAME_OUTPUT_DIR"])
    with running(app) as base:
        said = killed_in(room, environ, base)
        settings = Settings.read({**environ, "SEEDFRAME_EMULATOR_BASE": base})
        async with Studio.open(settings) as studio:
            row = await measured(f"kill -9: {room}", studio, app.state.ledger, folder, CAT, said)
    compare(row)


def test_the_table_has_exactly_these_rows() -> None:
    for row in written().values():
        print(" | ".join(str(cell) for cell in row.values()))  # noqa: T201 - for whoever runs with -s
    assert list(written()) == [fault.name for fault in FAULTS] + [f"kill -9: {room}" for room in ROOMS]


def test_each_fault_is_one_post_unless_the_answer_proves_that_nothing_was_billed() -> None:
    more = {name: row["POSTs"] for name, row in written().items() if row["POSTs"] > 1}
    assert more == {"429 once": 2}


def test_nothing_is_paid_twice() -> None:
    pictures = {name: row["billed pictures"] for name, row in written().items()}
    sets = {fault.name for fault in FAULTS if fault.wish is THREE}
    assert {name: number for name, number in pictures.items() if number > (3 if name in sets else 1)} == {}


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
