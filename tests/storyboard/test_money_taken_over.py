"""Boards whose money an earlier edition kept beside the payment record: every payment becomes an entry of its frame."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedframe.emulator import InProcess
from seedframe.payments import Payments
from seedframe.payments.migrations import MIGRATIONS
from seedframe.settings import Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.record.engine_home import BoardHome
from seedframe.storyboard.record.older_record import TOKEN_TABLES
from seedframe.storyboard.run.run import retry_board, run_board

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RECORDS = Path(__file__).parents[1] / "cases" / "storyboard" / "token_edition.json"
"""A board of four shots as that edition left it: the second was in doubt, written off and paid anew; so was the
third, which is in doubt again; the picture of the fourth was deleted."""

SHOTS = [{"id": f"E01_SC01_SH0{number}0", "action": f"第{number}盏灯亮起"} for number in (1, 2, 3, 4)]
BOARD = json.dumps({"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": SHOTS})
Tables = Mapping[str, Sequence[Mapping[str, Any]]]


def fill(db: Any, tables: Tables, *, mark: str) -> None:
    for name, rows in tables.items():
        for row in rows:
            marks = ", ".join([mark] * len(row))
            db.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def write_payments(journal: Path, tables: Tables) -> None:
    with closing(sqlite3.connect(journal)) as db:
        for statement in itertools.chain(*MIGRATIONS[:2]):
            db.execute(statement)
        fill(db, tables, mark="?")
        db.execute("PRAGMA application_id = 0x5EEDF4A3")
        db.execute("PRAGMA user_version = 2")
        db.commit()


def write_board(path: Path, tables: Tables) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        for statement in TOKEN_TABLES:
            db.execute(statement)
        fill(db, tables, mark="?")
        db.commit()


def write_server(url: str, tables: Tables) -> None:
    import psycopg

    with closing(psycopg.connect(url, autocommit=True, options="-c search_path=seedframe")) as db:
        db.execute("CREATE SCHEMA seedframe")
        for statement in TOKEN_TABLES:
            db.execute(statement)
        fill(db, tables, mark="%s")


async def test_every_payment_becomes_an_entry_of_its_frame_and_none_is_made_again_unasked(
    tmp_path: Path, environ: dict[str, str], service: InProcess, database: str | None
):
    settings, out = Settings.read({**environ, "SEEDFRAME_IPM": "60000"}), tmp_path / "out"
    journal, board = tmp_path / "journal.sqlite3", read_board(tmp_path / "board.json", text=BOARD)
    elsewhere = Settings.read({**environ, "SEEDFRAME_IPM": "60000", "SEEDFRAME_JOURNAL": str(tmp_path / "else")})
    drawn = await run_board(board, tmp_path / "drawn", elsewhere, report=lambda _: None, transport=service)
    records = json.loads(RECORDS.read_text(encoding="utf-8").replace("@HOME@", str(tmp_path)))
    (row,) = records["board"]["boards"]
    out.mkdir()
    for frame in drawn.frames[:2]:
        shutil.copy2(frame.path, out)
        found = (out / frame.path.name).stat()
        made = {"sha256": "", "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}
        for stored in records["board"]["frames"]:
            if stored["key"] == frame.task:
                stored["made"] = json.dumps(made)
    write_payments(journal, records["payments"])
    if database is None:
        write_board(out / ".storyboard" / "book.sqlite3", records["board"])
        BoardHome.of(journal, out / ".storyboard" / "book.sqlite3").remember(row["id"])
    else:
        write_server(database, records["board"])
        (out / ".storyboard").mkdir()
    card = {"id": row["id"], "project": "lamps", "backend": "emulator"}
    (out / ".storyboard" / "board.json").write_text(json.dumps(card), encoding="utf-8")
    options = {"report": lambda _: None, "transport": service, "database": database}
    state = await run_board(board, out, settings, **options)
    assert [frame.state for frame in state.frames] == ["done", "done", "unknown", "lost"]
    assert (state.spent, service.app.state.request_log.images) == (Decimal("1.32"), 4)
    await retry_board(out, settings=settings, database=database, unknown=True, lost=True)
    state = await run_board(board, out, settings, **options)
    assert (state.finished, state.spent, service.app.state.request_log.images) == (True, Decimal("1.76"), 6)
    async with await Payments.open(journal, database=database) as payments:
        entries = await payments.entries()
        costs = await payments.costs()
    assert sorted((entry.frame[9:13], entry.state, entry.written_off) for entry in entries if entry.frame) == [
        ("SH01", "delivered", False),
        ("SH02", "delivered", False),
        ("SH02", "unknown", True),
        ("SH03", "delivered", False),
        ("SH03", "unknown", True),
        ("SH03", "unknown", True),
        ("SH04", "delivered", False),
        ("SH04", "delivered", True),
    ]
    assert {entry.board for entry in entries} == {row["id"]}
    assert sum(row.booked + row.reserved for row in costs) == Decimal("1.76")
