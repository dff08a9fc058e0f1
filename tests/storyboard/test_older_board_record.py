"""A board that the first edition ran goes on: pictures are not paid again, questions stay questions."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from seedframe.emulator import InProcess
from seedframe.settings import Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.frames import frames_of
from seedframe.storyboard.record.frame_payments import task_text
from seedframe.storyboard.record.older_record import OLDER_TABLES
from seedframe.storyboard.run.run import board_state, run_board

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SHOTS = [{"id": f"E01_SC01_SH0{number}0", "action": f"第{number}盏灯亮起"} for number in (1, 2, 3)]
BOARD = json.dumps({"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": SHOTS})


async def test_a_record_of_the_first_edition_is_gone_on_with(
    tmp_path: Path, environ: dict[str, str], service: InProcess
):
    settings, out = Settings.read({**environ, "SEEDFRAME_IPM": "60000"}), tmp_path / "out"
    board = read_board(tmp_path / "board.json", text=BOARD)
    made = await run_board(board, out, settings, report=lambda _: None, transport=service)
    record = out / ".storyboard" / "book.sqlite3"
    id = json.loads((out / ".storyboard" / "board.json").read_text(encoding="utf-8"))["id"]
    for path in record.parent.glob("book.sqlite3*"):
        path.unlink()
    for path in (*tmp_path.glob("journal.sqlite3.boards/*/engine.sqlite3*"), *tmp_path.glob("journal.sqlite3*")):
        if path.is_file():
            path.unlink()
    made.frames[2].path.unlink()
    with closing(sqlite3.connect(record)) as db:
        for statement in OLDER_TABLES:
            db.execute(statement)
        db.execute("INSERT INTO boards VALUES (?, 'lamps', ?, 'emulator')", (id, str(out)))
        db.execute("INSERT INTO purses VALUES (?, 'CNY', NULL, 440000, 9)", (id,))
        for place, (task, state) in enumerate(zip(frames_of(board), ("done", "unknown", "waiting"), strict=True)):
            path = str(made.frames[place].path) if state == "done" else None
            db.execute(
                "INSERT INTO frames (board, key, place, task, state, path, changed) VALUES (?, ?, ?, ?, ?, ?, 1)",
                (id, task.key, place, task_text(task), state, path),
            )
        for key, state in ((made.frames[0].task, "paid"), (made.frames[1].task, "unknown")):
            db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, 220000, 0, 'elsewhere', 1, NULL)", (key, id, key, state))
        db.commit()
    made.frames[1].path.unlink()
    state = await run_board(board, out, settings, report=lambda _: None, transport=service)
    assert [frame.state for frame in state.frames] == ["done", "unknown", "done"]
    assert (state.spent, service.app.state.request_log.images) == (Decimal("0.66"), 4)
    assert board_state(out, settings=settings) == state
