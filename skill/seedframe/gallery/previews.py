"""Small JPEGs of the pictures of a gallery, made on request and kept in memory, bounded.

In: a record. Out: JPEG bytes. Never in here: files written, more than a few pictures decoded at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from seedframe.errors import SeedreamError
from seedframe.gallery.made_pictures import Record

SIDES = (480, 1600)
"""Long sides in pixels that may be asked for: one for the overview, one for a screen."""

MOST_BYTES = 64 * 1024 * 1024
AT_ONCE = 2
"""Pictures decoded at the same time; each may take 100 MB while it is."""

MOST_PIXELS = 120_000_000


class Previews:
    """Previews by picture, time and size; the least recently used are dropped first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, float, int], bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    def preview(self, record: Record, side: int) -> bytes | None:
        """A JPEG of that long side; None for a file that is no readable picture. Blocks: call it in a thread."""
        key = (record.id, record.modified, side)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._turn:
            made = _made(record, side)
        if made:
            self._keep(key, made)
        return made

    def held(self) -> list[bytes]:
        """Everything kept at this moment."""
        with self._lock:
            return list(self._kept.values())

    def _keep(self, key: tuple[str, float, int], made: bytes) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size += len(made)
            while self._size > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped)


def _made(record: Record, side: int) -> bytes | None:
    from seedframe.images import preview

    try:
        made: bytes = preview(record.path, long_side=side, max_pixels=MOST_PIXELS)
    except (SeedreamError, OSError):
        return None
    return made
