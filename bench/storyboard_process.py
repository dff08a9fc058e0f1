"""One process of the storyboard bench: `python -m bench.storyboard_process run | work | watch | enter | emulate`.

In: where its home is, how many shots, how fast. Out: for `run` one line of figures, for `enter` its seconds, for
`emulate` its address; the others work until they are killed or their board has come to its end. Never in here: a
comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.storyboard import SCALE, board_of
from seedframe.emulator import emulator, running
from seedframe.settings import Settings
from seedframe.storyboard.record.state import Event
from seedframe.storyboard.run.run import run_board, work


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=("run", "work", "watch", "enter", "emulate"))
    options.add_argument("--home", type=Path)
    options.add_argument("--database")
    options.add_argument("--emulator")
    options.add_argument("--ipm", type=int, required=True)
    options.add_argument("--shots", type=int)
    options.add_argument("--board", type=int, default=0)
    options.add_argument("--latency", type=float, default=0.0)
    given = options.parse_args()
    processes = {"run": _run, "work": _work, "watch": _watch, "enter": _enter, "emulate": _emulate}
    processes[given.what](given)


def _settings(given: argparse.Namespace) -> Settings:
    variables = {
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_OUTPUT_DIR": str(given.home / "pictures"),
        "SEEDFRAME_JOURNAL": str(given.home / "journal.sqlite3"),
        "SEEDFRAME_RESPONSE_FORMAT": "b64_json",
        "SEEDFRAME_IPM": str(given.ipm),
    }
    if given.emulator:
        variables["SEEDFRAME_EMULATOR_BASE"] = given.emulator
    return Settings.read(variables)


def _quiet(_event: Event) -> None:
    """Nobody looks."""


def _run(given: argparse.Namespace) -> None:
    ended: list[float] = []

    def report(event: Event) -> None:
        if event.kind == "done" and event.done == event.total:
            ended.append(time.perf_counter())

    board, begun = board_of(given.shots), time.perf_counter()
    state = asyncio.run(run_board(board, given.home / "out", _settings(given), report=report))
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures: dict[str, Any] = {
        "seconds": seconds,
        "after_seconds": time.perf_counter() - ended[0],
        "processor": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024),
        "done": state.count("done"),
    }
    print(json.dumps(figures))


def _work(given: argparse.Namespace) -> None:
    asyncio.run(work(given.database, _settings(given), report=_quiet))


def _watch(given: argparse.Namespace) -> None:
    out = given.home / "out"
    asyncio.run(
        run_board(board_of(given.shots), out, _settings(given), report=_quiet, database=given.database, workers=False)
    )


def _enter(given: argparse.Namespace) -> None:
    """Enter a board and leave once it is queued, as a director does who closes the terminal."""
    out, begun = given.home / f"out-{given.board}", time.perf_counter()

    async def enter() -> None:
        def report(event: Event) -> None:
            if event.kind == "started":
                entering.cancel()

        board, settings = board_of(given.shots), _settings(given)
        running = run_board(board, out, settings, report=report, database=given.database, workers=False)
        entering = asyncio.create_task(running)
        with suppress(asyncio.CancelledError):
            await entering

    asyncio.run(enter())
    print(time.perf_counter() - begun)


def _emulate(given: argparse.Namespace) -> None:
    always = {"name": "latency", "seconds": given.latency} if given.latency else None
    with running(emulator(paint="instant", scale=SCALE, ipm=given.ipm, always=always)) as address:
        print(address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
