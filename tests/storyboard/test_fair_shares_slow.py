"""Workers share a small board: none takes its frames while another has nothing to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from billed_boards import large_board, service
from board_process import end_of, process, read_until
from seedframe.settings import Settings
from seedframe.storyboard.run.run import board_state

pytestmark = pytest.mark.slow

SHOTS, WORKERS = 6, 3


class AllAtOnce:
    """The service answers nobody before every frame of the board has been asked for."""

    def __init__(self) -> None:
        self._asked = 0
        self._all = asyncio.Event()

    async def sleep(self, _seconds: float) -> None:
        self._asked += 1
        if self._asked == SHOTS:
            self._all.set()
        await self._all.wait()


def test_three_workers_make_two_frames_each_of_six(
    tmp_path: Path, environ: dict[str, str], new_database: Callable[[], str]
):
    board, out, url = large_board(tmp_path, SHOTS), tmp_path / "out", new_database()
    with service(environ, always="latency", sleep=AllAtOnce().sleep):
        with (
            process("work", environ, "--database", url) as first,
            process("work", environ, "--database", url) as second,
            process("work", environ, "--database", url) as third,
        ):
            for worker in (first, second, third):
                assert read_until(worker, "started") == [None]
            with process("run", environ, str(board), str(out), "--database", url, "--watch") as run:
                assert end_of(run) == 0
        state = board_state(out, url, Settings.read(environ))
    assert sorted(Counter(frame.worker for frame in state.frames).values()) == [SHOTS // WORKERS] * WORKERS
