"""A person's home with an emulated service of its own, for what is watched from outside: hosts, signals.

In: an empty folder, how long the service takes. Out: the variables of a server that works there, what was billed,
whether it was saved. The service and its gate run in this process. Never in here: who starts the server.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from starlette.applications import Starlette

from seedframe.emulator import emulator, running, scripted
from seedframe.front.kept_answers import Answers, answers_file, keep_answers
from seedframe.payments import Payments

_SAVED_SECONDS = 60.0
_PICTURE_IS_THERE = {"saved", "delivered"}


class Gate:
    """Paid calls wait here so many seconds, and as long as it is shut; `reached` says that one does."""

    def __init__(self, seconds: float = 0.0, *, shut: bool = False, reached: threading.Event | None = None) -> None:
        self.reached = reached or threading.Event()
        self.seconds = seconds
        self._open = threading.Event()
        if not shut:
            self._open.set()

    async def sleep(self, _seconds: float) -> None:
        """What the emulated service does for its latency."""
        self.reached.set()
        await anyio.sleep(self.seconds)
        await asyncio.to_thread(self._open.wait)

    def open(self) -> None:
        """Let them all go on."""
        self._open.set()

    def shut(self) -> None:
        """Hold the next one."""
        self.reached.clear()
        self._open.clear()


@dataclass(frozen=True)
class Home:
    """A home and its service. `answers`: what an earlier start of the server kept. `extra`: further variables."""

    folder: Path
    service: Starlette
    gate: Gate
    base: str
    answers: Answers
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def bills(self) -> tuple[int, int]:
        """Paid requests and pictures, as the service counts them."""
        log = self.service.state.request_log
        return log.posts, log.images

    @property
    def pictures(self) -> Path:
        """The output folder."""
        return self.folder / "pictures"

    def variables(self) -> dict[str, str]:
        """A server's environment, with the kept answers where it will look for them."""
        given = {
            **settled(self.folder),
            "SEEDFRAME_EMULATOR_BASE": self.base,
            "SEEDFRAME_OUTPUT_DIR": str(self.pictures),
            "SEEDFRAME_JOURNAL": str(self.folder / "journal.sqlite3"),
            **self.extra,
        }
        if self.answers:
            keep_answers(answers_file(given), self.answers)
        return given

    def until_saved(self, count: int = 1) -> bool:
        """Wait until the paid calls are finished; whether there are so many and all have their picture."""
        return asyncio.run(_until_saved(self.folder / "journal.sqlite3", count))


@contextmanager
def home(folder: Path, answers: Answers, gate: Gate | None = None, **extra: str) -> Iterator[Home]:
    """A new home and a new service. `answers`: empty for the first start ever."""
    chosen = gate or Gate()
    service = emulator(paint="instant", sleep=chosen.sleep, always=scripted("latency")[0])
    folder.mkdir(parents=True)
    with running(service) as base:
        try:
            yield Home(folder, service, chosen, base, answers, extra)
        finally:
            chosen.open()


def settled(folder: Path) -> dict[str, str]:
    """The variables that keep a server's own files in a folder and its answers the same."""
    return {
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_LANG": "en",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "LANG": "C.UTF-8",
    }


async def _until_saved(journal: Path, count: int) -> bool:
    async with await Payments.open(journal) as payments:
        entries = await payments.entries()
        ended = [await payments.finished(entry.id, timeout=_SAVED_SECONDS) for entry in entries]
    return len(ended) >= count and all(entry.state in _PICTURE_IS_THERE for entry in ended)
