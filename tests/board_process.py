"""A process of its own that runs a board or works for a database, to be killed at any moment; events come as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import seedframe
from seedframe.settings import Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.record.state import Event
from seedframe.storyboard.run.run import run_board, work


@contextmanager
def process(what: str, environ: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`run BOARD OUT` or `work`, with options; killed at the latest when the block ends."""
    path = str(Path(seedframe.__file__).parents[1])
    command = [sys.executable, __file__, what, *arguments]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, **environ, "PYTHONPATH": path}, encoding="utf-8"
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def read_until(started: subprocess.Popen[str], kind: str, count: int = 1) -> list[str]:
    """The tasks of so many events of a kind, as they come; fewer when the process ends before."""
    seen: list[str] = []
    assert started.stdout is not None
    for line in started.stdout:
        event = json.loads(line)
        if event["event"] == kind:
            seen.append(event["task"])
        if len(seen) == count:
            break
    return seen


def end_of(started: subprocess.Popen[str]) -> int:
    """Wait for the end, taking in what it still says, for a full pipe would stop it; gives its exit code."""
    started.communicate(timeout=100)
    return started.returncode


def _report(event: Event) -> None:
    sys.stdout.write(json.dumps(event.as_json()) + "\n")
    sys.stdout.flush()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=("run", "work"))
    options.add_argument("board", nargs="?", type=Path)
    options.add_argument("out", nargs="?", type=Path)
    options.add_argument("--database")
    options.add_argument("--watch", action="store_true")
    options.add_argument("--lease", type=float, default=60.0)
    options.add_argument("--at-once", type=int)
    given = options.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    settings = Settings.read(dict(os.environ))
    if given.what == "work":
        asyncio.run(work(given.database, settings, report=_report, lease=given.lease, at_once=given.at_once))
    else:
        board = read_board(given.board)
        running = run_board(
            board,
            given.out,
            settings,
            report=_report,
            database=given.database,
            workers=not given.watch,
            lease=given.lease,
            at_once=given.at_once,
        )
        asyncio.run(running)


if __name__ == "__main__":
    main()
