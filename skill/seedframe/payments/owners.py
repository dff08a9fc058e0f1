"""Which of the processes that share a payment record are running.

In: a folder. Out: a name for this process, and whether the process of another name is running. Each holds an exclusive
lock on `<name>.lock` while it has the record open; the system releases it when the process ends, however it ends.
Never in here: the file of the record, a process id as evidence (they are reused).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from seedframe.private_files import make_private_folder

if TYPE_CHECKING:
    from filelock import FileLock

_OPENING = "opening"
_OPENING_SECONDS = 30.0


class Life(Protocol):
    """What a running process holds."""

    def release(self) -> object:
        """From now on the process counts as ended."""


class Owners:
    """The folder of locks. Locks are made and swept only inside `opening`, so that no new one is swept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """One process at a time. OSError when the folder cannot be made or another process stays inside for 30 s."""
        make_private_folder(self._folder)
        with self._lock(_OPENING).acquire(timeout=_OPENING_SECONDS):
            yield

    def enter(self) -> tuple[str, Life]:
        """A new name and its lock: the process counts as running until the lock is released."""
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        lock = self._lock(name)
        lock.acquire(timeout=0)
        return name, lock

    def alive(self, name: str) -> bool:
        """Whether a running process has that name. Two simultaneous checks may see each other; check again then."""
        from filelock import Timeout

        path = self._path(name)
        if not path.exists():
            return False
        lock = self._lock(name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def sweep(self) -> None:
        """Remove the locks of processes that have ended."""
        for path in self._folder.glob("*.lock"):
            if path.stem != _OPENING and not self.alive(path.stem):
                # Where an open file cannot be removed (Windows), the next sweep does it.
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _lock(self, name: str) -> FileLock:
        from filelock import FileLock

        # Held by the thread of the record but released by the thread that closes it.
        return FileLock(self._path(name), thread_local=False)
