from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedframe.emulator import InProcess, transport
from seedframe.errors import InvalidRequest, NotConfigured
from seedframe.settings import Money, Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.handoff.manifest import check_manifest
from seedframe.storyboard.run.run import BoardState, Event, board_state, cancel_board, retry_board, run_board
from seedframe.storyboard.run.worker_id import Machine
from seedframe.storyboard.types import Board

pytestmark = pytest.mark.anyio

Run = Callable[..., Any]


def board_of(tmp_path: Path, *, shots: int = 2, **more: Any) -> Board:
    listed = [
        {"id": f"E01_SC01_SH{number + 1:02}0", "action": f"第{number + 1}盏灯亮起", **more.pop(f"shot{number}", {})}
        for number in range(shots)
    ]
    described = {"schema": "seedframe/board/1", "project": "lamps", "model": "5.0-lite", "shots": listed, **more}
    return read_board(tmp_path / "board.json", text=json.dumps(described, ensure_ascii=False))


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return Settings.read({**environ, "SEEDFRAME_IPM": "60000"})


@pytest.fixture
def run(tmp_path: Path, settings: Settings) -> Run:
    """Runs a board in the folder `out`; gives its state, and what was told of which frame.

    That a frame is being made is told when somebody looks meanwhile, so it is left out.
    """

    async def ran(board: Board, service: InProcess, **options: Any) -> tuple[BoardState, list[tuple[str, str | None]]]:
        events: list[Event] = []
        state = await run_board(board, tmp_path / "out", settings, report=events.append, transport=service, **options)
        return state, [(event.kind, event.task) for event in events if event.kind != "running"]

    return ran


async def test_a_chained_board_ends_in_named_pictures_a_valid_manifest_and_a_sheet(
    tmp_path: Path, run: Run, service: InProcess, settings: Settings
):
    board = board_of(tmp_path, chain=True)
    state, events = await run(board, service)
    first, second = "E01_SC01_SH010_ff_v01", "E01_SC01_SH020_ff_v01"
    out = tmp_path / "out"
    assert events == [
        ("started", None),
        ("done", first),
        ("done", second),
        ("ended", None),
    ]
    assert [frame.path for frame in state.frames] == [
        out / f"lamps_{first}_1440x2560.jpg",
        out / f"lamps_{second}_1440x2560.jpg",
    ]
    assert (state.finished, state.spent, state.currency) == (True, Decimal("0.44"), "CNY")
    assert service.app.state.request_log.amount == Decimal("0.44")
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert [finding for finding in check_manifest(manifest) if finding.severity == "error"] == []
    assert (out / "sheet.html").stat().st_size > 10_000
    assert board_state(out, settings=settings) == state
    sidecar = json.loads((out / f"lamps_{second}_1440x2560.jpg.json").read_text(encoding="utf-8"))
    assert [Path(reference).name for reference in sidecar["references"]] == [f"lamps_{first}_1440x2560.jpg"]


@pytest.mark.slow
async def test_running_again_pays_nothing_and_a_longer_board_pays_only_for_what_is_new(
    tmp_path: Path, run: Run, service: InProcess
):
    await run(board_of(tmp_path, shots=1), service)
    again, _ = await run(board_of(tmp_path, shots=1), service)
    assert (again.finished, service.app.state.request_log.images) == (True, 1)
    longer, events = await run(board_of(tmp_path, shots=2), service)
    assert (longer.finished, service.app.state.request_log.images) == (True, 2)
    assert events == [("started", None), ("done", "E01_SC01_SH020_ff_v01"), ("ended", None)]


@pytest.mark.slow
async def test_two_takes_without_a_seed_are_two_pictures_and_two_payments(tmp_path: Path, run: Run, service: InProcess):
    state, _ = await run(board_of(tmp_path, shots=1, takes=2), service)
    assert (state.count("done"), service.app.state.request_log.images) == (2, 2)


@pytest.mark.slow
async def test_a_budget_stops_before_the_frame_it_does_not_cover_and_a_larger_one_goes_on(
    tmp_path: Path, run: Run, service: InProcess
):
    board = board_of(tmp_path, shots=3)
    short, _ = await run(board, service, budget=Money(Decimal("0.50"), "CNY"))
    assert (short.count("done"), short.count("cancelled"), short.spent) == (2, 1, Decimal("0.44"))
    assert service.app.state.request_log.amount == Decimal("0.44")
    described = next(frame.error for frame in short.frames if frame.state == "cancelled")
    assert described is not None
    assert "0.22 CNY" in described["en"]
    assert "0.22 CNY" in described["zh"]
    enough, _ = await run(board, service, budget=Money(Decimal("0.66"), "CNY"))
    assert (enough.finished, service.app.state.request_log.amount) == (True, Decimal("0.66"))


@pytest.mark.slow
async def test_a_refused_frame_fails_unbilled_blocks_what_follows_and_runs_again_only_by_choice(
    tmp_path: Path, run: Run, settings: Settings
):
    service = transport(paint="instant", script=["output-image-sensitive"])
    board = board_of(tmp_path, chain=True)
    state, events = await run(board, service)
    assert [frame.state for frame in state.frames] == ["failed", "waiting"]
    assert events[-2:] == [("blocked", "E01_SC01_SH020_ff_v01"), ("ended", None)]
    assert (state.spent, service.app.state.request_log.images) == (Decimal(0), 0)
    unasked, _ = await run(board, service)
    assert unasked.count("failed") == 1
    await retry_board(tmp_path / "out", settings=settings, failed=True)
    asked, _ = await run(board, service)
    assert (asked.finished, service.app.state.request_log.images) == (True, 2)


async def test_a_lost_answer_is_unknown_keeps_its_money_and_is_paid_again_only_by_choice(
    tmp_path: Path, run: Run, settings: Settings
):
    service = transport(paint="instant", script=["drop-before-answer"])
    board = board_of(tmp_path, shots=1)
    lost, _ = await run(board, service)
    assert (lost.count("unknown"), lost.spent, service.app.state.request_log.images) == (1, Decimal("0.22"), 1)
    await retry_board(tmp_path / "out", settings=settings, failed=True)
    unasked, _ = await run(board, service)
    assert (unasked.count("unknown"), service.app.state.request_log.images) == (1, 1)
    await retry_board(tmp_path / "out", settings=settings, unknown=True)
    asked, _ = await run(board, service)
    assert (asked.finished, asked.spent, service.app.state.request_log.images) == (True, Decimal("0.44"), 2)


@pytest.mark.slow
async def test_no_connection_is_tried_again_without_a_question(tmp_path: Path, settings: Settings):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    unreachable = replace(settings, environ={**settings.environ, "SEEDFRAME_EMULATOR_BASE": "http://127.0.0.1:9"})
    state = await run_board(
        board_of(tmp_path, shots=1), tmp_path / "out", unreachable, report=lambda _: None, sleep=sleep
    )
    assert (state.count("failed"), state.spent) == (1, Decimal(0))
    assert [seconds for seconds in waited if seconds >= 5] == [5.0, 15.0, 45.0]


@pytest.mark.slow
async def test_what_is_cancelled_before_it_is_sent_costs_nothing_and_the_next_run_makes_it(
    tmp_path: Path, run: Run, service: InProcess, settings: Settings
):
    board, out, started = board_of(tmp_path), tmp_path / "out", asyncio.Event()
    waiting = asyncio.create_task(
        run_board(board, out, settings, report=lambda _: started.set(), workers=False, transport=service)
    )
    await started.wait()
    cancelled = await cancel_board(out, settings=settings)
    assert (cancelled.count("cancelled"), (await waiting).count("cancelled")) == (2, 2)
    assert service.app.state.request_log.images == 0
    state, _ = await run(board, service)
    assert (state.finished, service.app.state.request_log.images) == (True, 2)


@pytest.mark.slow
async def test_a_run_that_is_interrupted_waits_for_what_it_paid_and_the_next_one_finds_it(
    tmp_path: Path, settings: Settings, run: Run
):
    left, release = asyncio.Event(), asyncio.Event()

    async def slow(_seconds: float) -> None:
        left.set()
        await release.wait()

    service = transport(paint="instant", always="latency", sleep=slow)
    board = board_of(tmp_path)
    running = asyncio.create_task(
        run_board(board, tmp_path / "out", settings, report=lambda _: None, transport=service)
    )
    await left.wait()
    running.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    charges = service.app.state.request_log.images
    state, _ = await run(board, service)
    assert charges > 0
    assert (state.finished, service.app.state.request_log.images) == (True, 2)


async def test_the_folder_of_another_project_is_refused_before_anything_is_sent(
    tmp_path: Path, run: Run, service: InProcess
):
    (tmp_path / "out" / ".storyboard").mkdir(parents=True)
    (tmp_path / "out" / ".storyboard" / "board.json").write_text('{"id": "other-1", "project": "other"}')
    with pytest.raises(InvalidRequest) as refused:
        await run(board_of(tmp_path), service)
    assert (refused.value.got, refused.value.allowed) == ("lamps", "other")


async def test_a_budget_in_another_currency_and_a_missing_key_are_said_before_anything_is_made(
    tmp_path: Path, settings: Settings
):
    board, out = board_of(tmp_path), tmp_path / "out"
    with pytest.raises(NotConfigured):
        await run_board(board, out, settings, report=lambda _: None, budget=Money(Decimal(1), "USD"))
    with pytest.raises(NotConfigured):
        await run_board(board, out, replace(settings, backend="ark"), report=lambda _: None)
    assert not out.exists()


def test_a_folder_without_a_run_says_how_to_begin_one(tmp_path: Path):
    with pytest.raises(InvalidRequest) as refused:
        board_state(tmp_path)
    assert "seedframe storyboard run" in str(refused.value)


def test_seats_of_a_machine_keep_their_names_and_are_never_shared(tmp_path: Path):
    machine = Machine(tmp_path / "journal.sqlite3")
    with machine.worker_id() as first, Machine(tmp_path / "journal.sqlite3").worker_id() as second:
        assert [first.slot, second.slot] == [0, 1]
        assert first.machine == second.machine == machine.name
        with machine.empty(0) as free:
            assert not free
    with machine.worker_id() as again:
        assert again == first
