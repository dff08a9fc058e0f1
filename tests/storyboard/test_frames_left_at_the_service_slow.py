"""Frames that are paid and still at the service: a worker alone brings them when it starts, at no further cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from billed_boards import large_board
from board_home import Home, eventually
from board_process import process, read_until
from pictures_kept_back import gated_service
from seedframe.settings import Settings
from seedframe.storyboard.run.run import board_state

pytestmark = pytest.mark.slow

SHOTS = 2


@pytest.fixture
def home(environ: dict[str, str], database: str | None, tmp_path: Path) -> Home:
    return Home(environ, database or f"sqlite:///{tmp_path / 'runs.sqlite3'}")


def test_a_worker_alone_fetches_what_is_paid_except_for_boards_that_were_stopped(tmp_path: Path, home: Home):
    board, stopped, out = large_board(tmp_path, SHOTS), tmp_path / "stopped", tmp_path / "out"
    with gated_service(home.environ) as gate:
        for folder in (stopped, out):
            home.run(board, folder)
            assert home.states(folder) == ["unknown"] * SHOTS
        assert home("storyboard", "cancel", stopped, "--database", home.url).exit_code == 0
        gate.shut = False
        with process("work", home.environ, "--database", home.url) as worker:
            read_until(worker, "started")
            assert eventually(lambda: home.states(out) == ["done"] * SHOTS)
        assert home.states(stopped) == ["unknown"] * SHOTS
        assert list(stopped.glob("*.jpg")) == []
        assert (gate.bills.posts, gate.bills.images) == (2 * SHOTS, 2 * SHOTS)


def test_a_worker_that_does_not_see_a_board_s_folder_leaves_its_paid_frames_alone(tmp_path: Path, home: Home):
    board, gone, out = large_board(tmp_path, SHOTS), tmp_path / "gone", tmp_path / "out"
    with gated_service(home.environ) as gate:
        for folder in (gone, out):
            home.run(board, folder)
        gate.shut = False
        gone.rename(tmp_path / "elsewhere")
        with process("work", home.environ, "--database", home.url):
            assert eventually(lambda: home.states(out) == ["done"] * SHOTS)
        assert board_state(tmp_path / "elsewhere", home.url, Settings.read(home.environ)).stopped is None
        assert not gone.exists()
        (tmp_path / "elsewhere").rename(gone)
        home.run(board, gone)
        assert home.states(gone) == ["done"] * SHOTS
        assert (gate.bills.posts, gate.bills.images) == (2 * SHOTS, 2 * SHOTS)
