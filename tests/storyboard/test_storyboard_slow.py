"""Boards in processes of their own: killed at any moment, on several workers, taken over."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from billed_boards import LATENCY, PRICE, check_books, large_board, service
from board_process import end_of, process, read_until
from seedframe.settings import Settings
from seedframe.storyboard.board import example
from seedframe.storyboard.handoff.manifest import check_manifest
from seedframe.storyboard.run.run import board_state

pytestmark = pytest.mark.slow

FRAMES = 17
"""Of the 12 shots of the example, with their last frames and takes."""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.yaml"
    path.write_text(example("yaml"), encoding="utf-8")
    return path


@pytest.fixture
def postgres(new_database: Callable[[], str]) -> str:
    """A database of its own for each test."""
    return new_database()


def test_a_board_that_is_killed_again_and_again_ends_with_a_picture_or_a_question_for_every_bill(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    chance, out = random.Random(7), tmp_path / "out"
    with service(environ, always=LATENCY) as request_log:
        for _ in range(5):
            with process("run", environ, str(board), str(out)) as run:
                read_until(run, "done", chance.randint(1, 3))
            check_books(board_state(out, settings=Settings.read(environ)), request_log)
        with process("run", environ, str(board), str(out)) as run:
            assert end_of(run) == 0
        state = board_state(out, settings=Settings.read(environ))
        check_books(state, request_log)
        # With nothing under way, every bill is a picture or a question. Not every question is a bill: a kill may come
        # between the note that a call leaves and its leaving.
        assert state.count("running") == 0
        assert state.count("done") <= request_log.images <= state.count("done") + state.count("unknown")


def test_a_board_killed_between_calls_ends_with_bills_equal_to_pictures_and_a_valid_manifest(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    """Killed when the last picture of what was begun is there, and begun anew: nothing is in flight at that moment."""
    out = tmp_path / "out"
    with service(environ) as request_log:
        with process("run", environ, str(board), str(out)) as run:
            read_until(run, "done", FRAMES)
        with process("run", environ, str(board), str(out)) as run:
            assert end_of(run) == 0
        state = board_state(out, settings=Settings.read(environ))
    assert (state.count("done"), request_log.images, state.spent) == (FRAMES, FRAMES, PRICE * FRAMES)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert [finding for finding in check_manifest(manifest) if finding.severity == "error"] == []


def test_three_workers_on_postgresql_share_a_board_and_pay_for_every_frame_once(
    tmp_path: Path, environ: dict[str, str], postgres: str
):
    board, out, shots = large_board(tmp_path, 300), tmp_path / "out", 300
    with service(environ, always=LATENCY) as request_log, ExitStack() as stack:
        workers = [stack.enter_context(process("work", environ, "--database", postgres)) for _ in range(3)]
        for worker in workers:
            read_until(worker, "started")
        with process("run", environ, str(board), str(out), "--database", postgres, "--watch") as run:
            assert end_of(run) == 0
        state = board_state(out, postgres, Settings.read(environ))
        check_books(state, request_log)
    assert (state.finished, request_log.images) == (True, shots)
    assert len({frame.worker for frame in state.frames}) > 1


@pytest.mark.timed
def test_two_workers_keep_to_one_limit_and_use_it(tmp_path: Path, environ: dict[str, str], postgres: str):
    """60 a minute, refused beyond that by the service: two thirds of a minute for 45 pictures is what it allows."""
    board, out, shots = large_board(tmp_path, 45), tmp_path / "out", 45
    with service(environ, ipm=60) as request_log, ExitStack() as stack:
        environ["SEEDFRAME_IPM"] = "60"
        for _ in range(2):
            read_until(stack.enter_context(process("work", environ, "--database", postgres)), "started")
        with process("run", environ, str(board), str(out), "--database", postgres, "--watch") as run:
            assert end_of(run) == 0
        times = [entry.at for entry in request_log.entries if entry.method == "POST"]
        refused = [entry.status for entry in request_log.entries if entry.status == 429]
    assert (len(times), refused) == (shots, [])
    assert 25 <= max(times) - min(times) <= 50


def test_five_rounds_of_kill_9_among_three_workers_lose_nothing_and_pay_nothing_twice(
    tmp_path: Path, environ: dict[str, str], postgres: str
):
    chance = random.Random(11)
    with service(environ, always=LATENCY) as request_log, ExitStack() as stack:
        workers = [stack.enter_context(process("work", environ, "--database", postgres)) for _ in range(3)]
        for number in range(5):
            request_log.clear()
            folder = tmp_path / str(number)
            folder.mkdir()
            board, out = large_board(folder, 60), folder / "out"
            with process("run", environ, str(board), str(out), "--database", postgres, "--watch") as run:
                read_until(run, "done", chance.randint(1, 30))
                victim = chance.randrange(3)
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = stack.enter_context(process("work", environ, "--database", postgres))
                assert end_of(run) == 0
            state = board_state(out, postgres, Settings.read(environ))
            check_books(state, request_log)
            assert state.count("done") + state.count("unknown") == len(state.frames)


def test_frames_of_a_dead_machine_go_on_elsewhere_after_its_lease_and_its_open_calls_are_told_as_unknown(
    tmp_path: Path, environ: dict[str, str], postgres: str
):
    """Two journals are two machines. The dead one's in-flight calls are billed once and never repeated."""
    board, out = large_board(tmp_path, 30), tmp_path / "out"
    elsewhere = {**environ, "SEEDFRAME_JOURNAL": str(tmp_path / "elsewhere" / "journal.sqlite3")}
    with service(environ, always={"name": "latency", "seconds": 1.0}) as request_log:
        elsewhere |= {name: environ[name] for name in ("SEEDFRAME_EMULATOR_BASE", "SEEDFRAME_IPM")}
        with process("run", environ, str(board), str(out), "--database", postgres, "--at-once", "8") as dying:
            read_until(dying, "done", 1)
            read_until(dying, "running", 1)
        with process("run", elsewhere, str(board), str(out), "--database", postgres, "--lease", "3") as run:
            assert read_until(run, "taken-over") == [None]
            assert end_of(run) == 0
        state = board_state(out, postgres, Settings.read(environ))
        check_books(state, request_log)
    assert state.count("done") + state.count("unknown") == len(state.frames)
    assert state.count("unknown") <= 8
