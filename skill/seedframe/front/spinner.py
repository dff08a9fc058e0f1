"""One moving line on a terminal: a command is under way, for how long, and its last message.

In: lines meant for stdout and stderr. Out: those lines, whole, with the moving line below them; nothing moves where
stderr is no terminal. Never in here: the command itself.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self

_FRAMES = "|/-\\"
_TICK_SECONDS = 0.25
_CLEAR = b"\r\x1b[K"
_WIDEST = 76


class Spinner:
    """A context manager; it moves while the block runs. `terminal` is a descriptor, or None: nothing moves."""

    def __init__(self, terminal: int | None) -> None:
        from threading import Event, Lock, Thread

        self._terminal = terminal
        self._lock = Lock()
        self._stop = Event()
        self._thread = Thread(target=self._turn, daemon=True)
        self._began = time.monotonic()
        self._last = ""

    def __enter__(self) -> Self:
        if self._terminal is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._terminal is not None:
            self._thread.join()
            self._draw(_CLEAR)

    def write(self, target: int, data: bytes) -> None:
        """Output of the command, to a descriptor; OSError where nobody reads it."""
        with self._lock:
            if self._terminal is not None:
                os.write(self._terminal, _CLEAR)
                self._last = data.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
            left = memoryview(data)
            while left:
                left = left[os.write(target, left) :]

    def _turn(self) -> None:
        turns = 0
        while not self._stop.wait(_TICK_SECONDS):
            turns += 1
            seconds = int(time.monotonic() - self._began)
            line = f"{_FRAMES[turns % len(_FRAMES)]} {seconds // 60}:{seconds % 60:02} {self._last}"
            self._draw(_CLEAR + line[:_WIDEST].encode())

    def _draw(self, data: bytes) -> None:
        assert self._terminal is not None
        with self._lock:
            try:
                os.write(self._terminal, data)
            except OSError:
                self._stop.set()
