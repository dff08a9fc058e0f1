"""Rows that somebody else writes into the workers' PostgreSQL: never unpickled, whenever they come. And hosts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from board_home import eventually
from board_process import process, read_until
from foreign_folders import BOARD, pickled
from seedframe.emulator import emulator, running
from seedframe.storyboard.run.run import board_state

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def app(environ: dict[str, str]) -> Iterator[Any]:
    """The service every process of the test talks to."""
    service = emulator(paint="instant")
    with running(service) as base:
        environ["SEEDFRAME_EMULATOR_BASE"] = base
        yield service


@pytest.fixture
def postgres(new_database: Callable[[], str]) -> str:
    """A database of its own for each test."""
    return new_database()


def board(tmp_path: Path) -> Path:
    path = tmp_path / "river.yaml"
    path.write_text(BOARD, encoding="utf-8")
    return path


def run_once(tmp_path: Path, environ: dict[str, str], postgres: str) -> Path:
    out = tmp_path / "out"
    with process("run", environ, str(board(tmp_path)), str(out), "--database", postgres) as run:
        read_until(run, "ended")
    return out


def poison(url: str, mark: Path) -> None:
    """Rows a worker would take up at once, pickled in every column that is decoded."""
    load = pickled(mark)
    with closing(psycopg.connect(url, autocommit=True, options="-c search_path=seedframe_engine")) as db:
        db.execute(
            """UPDATE workflow_status SET status = 'ENQUEUED', inputs = %s, output = %s, error = %s,
                serialization = 'py_pickle', started_at_epoch_ms = NULL, completed_at = NULL""",
            (load, load, load),
        )
        db.execute("UPDATE workflow_input SET inputs = %s", (load,))
        db.execute("UPDATE workflow_output SET output = %s, error = %s", (load, load))
        db.execute("UPDATE operation_outputs SET output = %s, error = %s, serialization = 'py_pickle'", (load, load))


def statuses(url: str) -> set[str]:
    with closing(psycopg.connect(url, options="-c search_path=seedframe_engine")) as db:
        return {row[0] for row in db.execute("SELECT status FROM workflow_status")}


def test_a_worker_does_not_start_on_pickled_rows_and_says_why(tmp_path: Path, environ: dict[str, str], postgres: str):
    mark = tmp_path / "mark"
    run_once(tmp_path, environ, postgres)
    poison(postgres, mark)
    done = subprocess.run(
        [sys.executable, "-m", "seedframe", "worker", "--database", postgres],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "hold rows that are not JSON (in operation_outputs, workflow_status)" in done.stderr
    assert "DROP SCHEMA seedframe_engine CASCADE" in done.stderr
    assert not mark.exists()


def test_rows_that_come_while_a_worker_is_at_work_are_refused_one_by_one_and_no_new_run_begins_on_them(
    tmp_path: Path, environ: dict[str, str], postgres: str, app: Any
):
    mark = tmp_path / "mark"
    out = run_once(tmp_path, environ, postgres)
    with process("work", environ, "--database", postgres) as worker:
        read_until(worker, "started")
        poison(postgres, mark)
        assert eventually(lambda: statuses(postgres) == {"ERROR"})
        assert worker.poll() is None
        longer = tmp_path / "longer.yaml"
        shot = "  - {id: E01_SC01_SH030, action: 雾散了，河水发亮, motion: 水波轻动}\n"
        longer.write_text(BOARD + shot, encoding="utf-8")
        with process("run", environ, str(longer), str(out), "--database", postgres, "--watch") as run:
            assert read_until(run, "started") == []
    with closing(psycopg.connect(postgres, autocommit=True)) as db:
        db.execute("DROP SCHEMA seedframe_engine CASCADE")
    with process("run", environ, str(longer), str(out), "--database", postgres) as run:
        read_until(run, "ended")
    state = board_state(out, postgres)
    assert (state.count("done"), app.state.request_log.images) == (3, 3)
    assert not mark.exists()


def test_after_the_engine_s_tables_were_dropped_a_board_goes_on_and_pays_nothing_again(
    tmp_path: Path, environ: dict[str, str], postgres: str, app: Any
):
    run_once(tmp_path, environ, postgres)
    poison(postgres, tmp_path / "mark")
    with closing(psycopg.connect(postgres, autocommit=True)) as db:
        db.execute("DROP SCHEMA seedframe_engine CASCADE")
    out = run_once(tmp_path, environ, postgres)
    assert (board_state(out, postgres).count("done"), app.state.request_log.images) == (2, 2)


def test_a_frame_with_arguments_that_are_no_names_ends_without_a_payment(
    tmp_path: Path, environ: dict[str, str], postgres: str, app: Any
):
    run_once(tmp_path, environ, postgres)
    odd = json.dumps({"positionalArgs": [{"a": 1}, ["x"], "../.."], "namedArgs": {}})
    with process("work", environ, "--database", postgres) as worker:
        read_until(worker, "started")
        with closing(psycopg.connect(postgres, autocommit=True, options="-c search_path=seedframe_engine")) as db:
            db.execute("UPDATE workflow_input SET inputs = %s", (odd,))
            db.execute("DELETE FROM operation_outputs")
            db.execute(
                """UPDATE workflow_status SET status = 'ENQUEUED', started_at_epoch_ms = NULL,
                    completed_at = NULL, recovery_attempts = 0"""
            )
        assert eventually(lambda: statuses(postgres) <= {"SUCCESS", "ERROR"})
    assert app.state.request_log.images == 2
