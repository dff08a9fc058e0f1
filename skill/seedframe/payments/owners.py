"""Which of the processes that share a journal are alive.

In: a folder. Out: a name of one's own, and whether another's bearer lives. Each holds an exclusive lock on
`<name>.lock` for as long as it has the journal open; the system lets go of it when the process ends, however it ends.
Never in here: the journal's file, a process id as evidence (they are used again).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seedframe.private_files import make_private_folder

if TYPE_CHECKING:
    from filelock import FileLock

_OPENING = "opening"
_OPENING_SECONDS = 30.0


class Owners:
    """The folder of locks. Making and sweeping locks happens only inside `opening`, so nobody sweeps a newborn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """One process at a time. OSError when the folder cannot be made or somebody stays in for 30 s."""
        make_private_folder(self._folder)
        with self._lock(_OPENING).acquire(timeout=_OPENING_SECONDS):
            yield

    def enter(self) -> tuple[str, FileLock]:
        """A name never used before and the held lock that keeps its bearer alive until released."""
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        lock = self._lock(name)
        lock.acquire(timeout=0)
        return name, lock

    def alive(self, name: str) -> bool:
        """Whether somebody holds that name. Two who ask at once may see each other; asking again tells."""
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
        """Remove the locks of the dead."""
        for path in self._folder.glob("*.lock"):
            if path.stem != _OPENING and not self.alive(path.stem):
                # Where an open file cannot be removed (Windows), the next sweep does it.
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _lock(self, name: str) -> FileLock:
        from filelock import FileLock

        # Held by the journal's thread but released by whoever closes it.
        return FileLock(self._path(name), thread_local=False)
