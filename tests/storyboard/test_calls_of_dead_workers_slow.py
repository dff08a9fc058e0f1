"""A call was sent and its worker died before it brought it to an end: the run that waits does, and pays nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billed_boards import large_board, service
from board_home import Home, eventually
from board_process import end_of, process, read_until
from held_calls import Held
from seedframe.settings import Settings
from seedframe.storyboard.run.run import board_state

pytestmark = pytest.mark.slow


def test_a_waiting_run_goes_on_with_a_call_that_ended_after_everybody_had_given_it_up(
    tmp_path: Path, environ: dict[str, str]
):
    """The second worker hears the first too seldom, takes its frame over and waits for the call, not long enough."""
    board, out, held = large_board(tmp_path, 1), tmp_path / "out", Held()
    database = f"sqlite:///{tmp_path / 'runs.sqlite3'}"
    with service(environ, always="latency", sleep=held.sleep) as request_log:
        home, hasty = Home(environ, database), {**environ, "SEEDFRAME_TIMEOUT": "1"}

        def is_paid() -> bool:
            (entry,) = json.loads(home("history", "list", "--json").stdout)
            return entry["state"] == "delivered"

        with (
            process("run", environ, str(board), str(out), "--database", database, "--watch") as run,
            process("work", environ, "--database", database) as first,
        ):
            assert held.reached.wait(60)
            with process("work", hasty, "--database", database, "--lease", "0.5") as second:
                assert read_until(second, "taken-over") == [None]
                (frame,) = read_until(run, "unknown")
                held.release.set()
                assert eventually(is_paid)
                first.kill()
                assert read_until(run, "done") == [frame]
                assert end_of(run) == 0
        state = board_state(out, database, Settings.read(environ))
    assert (state.finished, str(state.spent)) == (True, "0.22")
    assert (request_log.posts, request_log.images) == (1, 1)
