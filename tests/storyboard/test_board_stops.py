"""What stops one frame and would stop them all stops the board at once; pictures that are gone are found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from seedframe.emulator import InProcess, transport
from seedframe.errors import InvalidRequest
from seedframe.settings import Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.run.run import BoardState, Event, board_state, redo_board, retry_board, run_board
from seedframe.storyboard.types import Board

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KEYS = tuple(f"E01_SC01_SH{number:02}0_ff_v01" for number in range(1, 13))


def board_of(tmp_path: Path, shots: int, *, words: str = "灯亮起") -> Board:
    listed = [{"id": key.removesuffix("_ff_v01"), "action": f"第{number}盏{words}"} for number, key in enumerate(KEYS)]
    described = {"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": listed[:shots]}
    return read_board(tmp_path / "board.json", text=json.dumps(described, ensure_ascii=False))


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return Settings.read({**environ, "SEEDFRAME_IPM": "60000"})


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, settings: Settings) -> Run:
    """Runs a board in the folder `out`; gives its state, and the kinds of its events."""

    async def ran(board: Board, service: InProcess, **options: Any) -> tuple[BoardState, list[str]]:
        events: list[Event] = []
        state = await run_board(board, tmp_path / "out", settings, report=events.append, transport=service, **options)
        return state, [event.kind for event in events]

    return ran


async def test_a_refused_key_stops_the_board_after_the_calls_that_were_under_way(
    tmp_path: Path, run: Run, settings: Settings
):
    refusing = transport(paint="instant", always="key-unknown")
    state, kinds = await run(board_of(tmp_path, 12), refusing, at_once=2)
    asked = len(refusing.app.state.request_log.entries)
    assert 1 <= asked <= 4
    assert (state.count("done"), state.count("failed") + state.count("cancelled")) == (0, 12)
    assert state.stopped is not None
    assert kinds[-2:] == ["stopped", "ended"]
    working = transport(paint="instant")
    await retry_board(tmp_path / "out", settings=settings, failed=True)
    state, _ = await run(board_of(tmp_path, 12), working)
    assert (state.finished, state.stopped, working.app.state.request_log.images) == (True, None, 12)


async def test_no_more_calls_are_under_way_at_once_than_was_said(tmp_path: Path, run: Run):
    under_way, most = 0, 0

    async def drawing(_seconds: float) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await anyio.sleep(0.05)
        under_way -= 1

    service = transport(paint="instant", always="latency", sleep=drawing)
    state, _ = await run(board_of(tmp_path, 8), service, at_once=2)
    assert (state.finished, most) == (True, 2)


async def test_a_picture_that_was_deleted_or_changed_is_lost_and_paid_again_only_by_name(
    tmp_path: Path, run: Run, service: InProcess, settings: Settings
):
    out, board = tmp_path / "out", board_of(tmp_path, 3)
    made, _ = await run(board, service)
    first, second, _ = (frame.path for frame in made.frames)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    seen = board_state(out, settings=settings)
    assert [frame.state for frame in seen.frames] == ["lost", "lost", "done"]
    assert seen.frames[0].error is not None
    assert "0.22 CNY" in seen.frames[0].error["en"]
    resumed, _ = await run(board, service)
    await retry_board(out, settings=settings, failed=True, unknown=True)
    unasked, _ = await run(board, service)
    assert (resumed.count("lost"), unasked.count("lost"), service.app.state.request_log.images) == (2, 2, 3)
    await retry_board(out, settings=settings, lost=True)
    asked, _ = await run(board, service)
    assert (asked.finished, service.app.state.request_log.images) == (True, 5)


async def test_an_edited_shot_keeps_its_picture_until_somebody_has_it_made_again(
    tmp_path: Path, run: Run, service: InProcess, settings: Settings
):
    out = tmp_path / "out"
    made, _ = await run(board_of(tmp_path, 2), service)
    before = [frame.path for frame in made.frames]
    edited, _ = await run(board_of(tmp_path, 2, words="灯熄灭"), service)
    assert edited.as_json()["stale"] == list(KEYS[:2])
    assert ([frame.path for frame in edited.frames], service.app.state.request_log.images) == (before, 2)
    assert "STALE" in (out / "manifest.json").read_text(encoding="utf-8")
    await redo_board(out, [KEYS[0]], settings=settings)
    redone, _ = await run(board_of(tmp_path, 2, words="灯熄灭"), service)
    assert (redone.as_json()["stale"], service.app.state.request_log.images) == ([KEYS[1]], 3)
    assert redone.frames[0].path != before[0]
    assert before[0].exists()
    with pytest.raises(InvalidRequest):
        await redo_board(out, ["E09_SC01_SH010_ff_v01"], settings=settings)


async def test_a_disk_that_is_full_stops_the_board_before_more_is_paid(
    tmp_path: Path, run: Run, service: InProcess, settings: Settings
):
    def full_after_two(_folder: Path) -> int:
        return 0 if service.app.state.request_log.images >= 2 else 10**12

    state, kinds = await run(board_of(tmp_path, 12), service, at_once=2, free=full_after_two)
    billed = service.app.state.request_log.images
    assert 2 <= billed <= 4
    assert state.count("done") == billed
    assert state.stopped is not None
    assert "room" in state.stopped["en"]
    assert kinds[-2:] == ["stopped", "ended"]
    await retry_board(tmp_path / "out", settings=settings, failed=True)
    enough, _ = await run(board_of(tmp_path, 12), service)
    assert (enough.finished, service.app.state.request_log.images) == (True, 12)


async def test_of_a_board_of_200_on_a_full_disk_no_more_is_billed_than_is_there_and_was_under_way(
    tmp_path: Path, settings: Settings
):
    listed = [{"id": f"E01_SC{n // 20 + 1:02}_SH{n % 20 + 1:02}0", "action": f"第{n}盏灯亮起"} for n in range(200)]
    described = {"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": listed}
    board = read_board(tmp_path / "board.json", text=json.dumps(described, ensure_ascii=False))
    service, at_once = transport(paint="instant"), 8

    def full_after_forty(_folder: Path) -> int:
        return 0 if service.app.state.request_log.images >= 40 else 10**12

    options = {"transport": service, "at_once": at_once, "report": lambda _: None}
    state = await run_board(board, tmp_path / "out", settings, free=full_after_forty, **options)
    billed = service.app.state.request_log.images
    assert state.stopped is not None
    assert 40 <= billed <= state.count("done") + at_once <= 40 + 2 * at_once
    await retry_board(tmp_path / "out", settings=settings, failed=True)
    enough = await run_board(board, tmp_path / "out", settings, **options)
    assert (enough.finished, service.app.state.request_log.images) == (True, 200)


class NoDownloads(httpx.AsyncBaseTransport):
    """A service whose finished pictures cannot be downloaded for a while."""

    def __init__(self, service: InProcess) -> None:
        self.service = service
        self.posted = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.posted |= request.method == "POST"
        if self.posted and request.method == "GET":
            return httpx.Response(404, request=request)
        return await self.service.handle_async_request(request)


async def test_a_paid_picture_that_still_lies_at_the_service_is_brought_by_the_next_run_unpaid(
    tmp_path: Path, run: Run, service: InProcess
):
    board = board_of(tmp_path, 1)
    lost, _ = await run(board, NoDownloads(service))
    assert (lost.count("unknown"), service.app.state.request_log.images) == (1, 1)
    found, _ = await run(board, service)
    assert (found.finished, service.app.state.request_log.images) == (True, 1)
    assert str(found.spent) == "0.22"
