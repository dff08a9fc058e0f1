"""One machine with boards in a record that workers share: commands, runs in processes, how a board's frames stand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from board_process import end_of, process
from seedframe.cli import program
from seedframe.settings import Settings
from seedframe.storyboard.run.run import board_state


@dataclass(frozen=True)
class Home:
    """`url` is the record of the workers: a PostgreSQL server's, or a SQLite file's."""

    environ: dict[str, str]
    url: str

    def __call__(self, *words: str | Path) -> Result:
        return CliRunner().invoke(program("en"), list(map(str, words)), obj=Settings.read(self.environ))

    def run(self, board: Path, out: Path) -> None:
        with process("run", self.environ, str(board), str(out), "--database", self.url) as run:
            assert end_of(run) == 0

    def states(self, out: Path) -> list[str]:
        return [frame.state for frame in board_state(out, self.url, Settings.read(self.environ)).frames]


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it comes to hold in that time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
