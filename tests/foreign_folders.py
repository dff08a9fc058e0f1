"""Board folders that come from somewhere else, and what an attacker would put into them."""

from __future__ import annotations

import base64
import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from starlette.applications import Starlette

from seedframe.cli import program
from seedframe.settings import Settings

BOARD = """
project: river
chain: true
shots:
  - id: E01_SC01_SH010
    action: 一座石桥横在雾里的河面上，晨光从桥洞透过来
    motion: 镜头缓缓推近
  - id: E01_SC01_SH020
    action: 一条小船停在桥下，船头的灯亮着，水面平静
    motion: 小船轻轻摇晃
"""
FIRST, SECOND = "E01_SC01_SH010_ff_v01", "E01_SC01_SH020_ff_v01"
STATE = ".storyboard"


class Payload:
    """What writes a file when somebody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def pickled(mark: Path) -> str:
    """As DBOS stores it."""
    return base64.b64encode(pickle.dumps(Payload(mark))).decode("ascii")


@dataclass(frozen=True)
class Machine:
    """Somebody's machine: commands typed there, its own payment record, one service for all."""

    environ: dict[str, str]
    home: Path
    service: Starlette

    def __call__(self, *words: str | Path, **variables: str) -> Result:
        settings = Settings.read({**self.environ, **variables})
        return CliRunner().invoke(program(settings.language), list(map(str, words)), obj=settings)

    def board(self, *words: str | Path, **variables: str) -> Result:
        return self("storyboard", *words, **variables)

    def another(self) -> Machine:
        """One that shares nothing with this but the service."""
        home = self.home / "elsewhere"
        home.mkdir()
        return replace(self, environ={**self.environ, "SEEDFRAME_JOURNAL": str(home / "journal.sqlite3")}, home=home)

    def made(self) -> Path:
        """A folder with a board that was run to its end here."""
        path = self.home / "river.yaml"
        path.write_text(BOARD, encoding="utf-8")
        done = self.board("run", path, "--out", self.home / "river")
        assert done.exit_code == 0, done.output
        return self.home / "river"

    def engine(self) -> Path:
        """The one engine's file of this machine."""
        (path,) = self.home.glob("journal.sqlite3.boards/*/engine.sqlite3")
        return path

    @property
    def billed(self) -> int:
        return int(self.service.state.request_log.images)


def moved(folder: Path, target: Path) -> Path:
    """The same folder at another place; nothing is left where it was made."""
    shutil.copytree(folder, target, symlinks=True)
    shutil.rmtree(folder)
    return target


def picture(folder: Path, key: str = FIRST) -> Path:
    (found,) = folder.glob(f"river_{key}_*.jpg")
    return found


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite file as an attacker edits it."""
    with closing(sqlite3.connect(path)) as db:
        yield db
        db.commit()


def poison(engine: Path, mark: Path, *, serialization: str | None = "py_pickle") -> None:
    """Rows that a worker would take up at once, each column full of the payload."""
    load = pickled(mark)
    with opened(engine) as db:
        db.execute(
            "UPDATE workflow_status SET status = 'ENQUEUED', inputs = ?, output = ?, error = ?, serialization = ?",
            (load, load, load, serialization),
        )
        db.execute("UPDATE workflow_input SET inputs = ?", (load,))
        db.execute("UPDATE workflow_output SET output = ?, error = ?", (load, load))
        db.execute("UPDATE operation_outputs SET output = ?, error = ?, serialization = ?", (load, load, serialization))
