"""Frames of boards are paid calls like any other: `history`, `costs` and `settle` show them by board and frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from seedframe.cli import program
from seedframe.emulator import InProcess
from seedframe.settings import Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.run.run import board_state, retry_board, run_board

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SHOTS = [{"id": f"E01_SC01_SH0{number}0", "action": f"第{number}盏灯亮起"} for number in (1, 2)]
BOARD = json.dumps({"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": SHOTS})
FRAMES = [f"{shot['id']}_ff_v01" for shot in SHOTS]


class CutOff(httpx.AsyncBaseTransport):
    """The answer about the second shot never comes."""

    def __init__(self, service: InProcess) -> None:
        self._service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and "第2盏" in (await request.aread()).decode():
            raise httpx.ReadError("cut off", request=request)
        return await self._service.handle_async_request(request)


async def test_a_frame_in_doubt_is_listed_settled_and_made_again_through_the_one_record(
    tmp_path: Path, environ: dict[str, str], service: InProcess, database: str | None
):
    settings, out = Settings.read({**environ, "SEEDFRAME_IPM": "60000"}), tmp_path / "out"
    board = read_board(tmp_path / "board.json", text=BOARD)
    ask = _asking(settings, database)
    options: dict[str, Any] = {"report": lambda _: None, "database": database}
    state = await run_board(board, out, settings, transport=CutOff(service), **options)
    id = state.board
    entries = {entry["frame"]: entry for entry in json.loads(await ask("history", "list", "--json"))}
    assert {frame: (entry["board"], entry["state"]) for frame, entry in entries.items()} == {
        FRAMES[0]: (id, "delivered"),
        FRAMES[1]: (id, "unknown"),
    }
    assert f"{FRAMES[1]} of {id}" in await ask("history", "list")
    (row,) = json.loads(await ask("costs", "--json"))
    assert (row["board"], row["booked"], row["reserved"], row["unknown"]) == (id, "0.22", "0.22", 1)
    assert f"frames of {id}" in await ask("costs")
    await ask("history", "settle", entries[FRAMES[1]]["id"], "--not-billed")
    assert [frame.state for frame in (await asyncio.to_thread(board_state, out, database, settings)).frames] == [
        "done",
        "waiting",
    ]
    again = await run_board(board, out, settings, transport=service, **options)
    assert (again.finished, str(again.spent)) == (True, "0.44")


async def test_what_is_paid_for_anew_is_marked_as_written_off_and_stays_spent(
    tmp_path: Path, environ: dict[str, str], service: InProcess, database: str | None
):
    settings, out = Settings.read({**environ, "SEEDFRAME_IPM": "60000"}), tmp_path / "out"
    board = read_board(tmp_path / "board.json", text=BOARD)
    options: dict[str, Any] = {"report": lambda _: None, "database": database}
    await run_board(board, out, settings, transport=CutOff(service), **options)
    await retry_board(out, settings=settings, database=database, unknown=True)
    state = await run_board(board, out, settings, transport=service, **options)
    assert (state.finished, str(state.spent)) == (True, "0.66")
    assert f"{FRAMES[1]} of {state.board}, written off" in await _asking(settings, database)("history", "list")


def _asking(settings: Settings, database: str | None) -> Callable[..., Awaitable[str]]:
    """What a command line prints."""

    async def ask(*words: str) -> str:
        given = [*words, *(["--database", database] if database else [])]
        done = await asyncio.to_thread(CliRunner().invoke, program(settings.language), given, obj=settings)
        assert done.exit_code == 0, done.output
        return done.stdout

    return ask
