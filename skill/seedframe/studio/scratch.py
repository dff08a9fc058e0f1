"""A folder of one call for input pictures that are received, fetched, unpacked or refitted before they are sent.

In: a store. Out: a folder, made when it is first asked for and removed when its last holder releases it: the caller
who prepared the call, or the job that outlives the caller. Never in here: what is in the files.
"""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from seedframe.studio.store import Store


class Scratch:
    """A new one has one holder; `purpose` begins the folder's name."""

    def __init__(self, store: Store, purpose: str = "references") -> None:
        self._store, self._purpose = store, purpose
        self._folder: Path | None = None
        self._holders = 1
        self._lock = threading.Lock()

    def folder(self) -> Path:
        """The folder; StoreError when it cannot be made."""
        with self._lock:
            if self._folder is None:
                self._folder = self._store.prepare(f"{self._purpose}-{uuid.uuid4().hex}")
            return self._folder

    @property
    def made(self) -> tuple[Path, ...]:
        """The folder, once it was asked for."""
        return () if self._folder is None else (self._folder,)

    def hold(self) -> None:
        """Keep the folder until one `release` more."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Release the folder; the last holder removes it."""
        with self._lock:
            self._holders -= 1
            if not self._holders and self._folder is not None:
                self._store.discard(self._folder)
