"""Everything that must be known of a picture file before it is sent, from one pass over it.

In: an open file. Out: `CheckedFile`: its header, its sha256, whether it carries more than pixels. A file that is
damaged in its structure is a PictureError. Results are remembered for as long as the file's stamp stays the same.
Never in here: changing the file, which limits hold.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seedframe.errors import PictureError
from seedframe.images.decoding import guarded, open_picture
from seedframe.images.headers import header_of
from seedframe.images.sequential import SequentialReader
from seedframe.images.structure import WALKS
from seedframe.images.types import MAX_PIXELS, Header
from seedframe.messages import Message

_REMEMBERED = 512
_SETTLED_NS = 2_000_000_000
"""A file changed more recently may change again without a new time: disks count in steps of up to two seconds."""

_CHANGE_TIMES = os.name != "nt"
"""Whether the system notes every change of a file at a time that nobody can set."""

_TIFF_PLACES = ((273, 279), (324, 325))
"""Tags of offsets and lengths: of strips, of tiles."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """By what a file is known to be the same one, unchanged: times in ns, `bytes` its length.

    `modified` is the time of its content, which programs may set; `changed` is the system's own note of any change.
    """

    device: int
    inode: int
    bytes: int
    modified: int
    changed: int

    @classmethod
    def of(cls, file: BinaryIO) -> FileStamp:
        """The stamp of an open file."""
        found = os.fstat(file.fileno())
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def settled(self, now: int) -> bool:
        """Whether any change after `now` will show in the stamp."""
        return now - max(self.modified, self.changed) > _SETTLED_NS


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A picture file that is whole.

    `checksum` is the CRC-32 of all its bytes, None where the stamp alone shows a change.
    `carries_more`: it has metadata beyond colour, or bytes behind the picture's end.
    """

    header: Header
    stamp: FileStamp
    sha256: str
    checksum: int | None
    carries_more: bool


class FileChecks:
    """Checks files and remembers what it found, the most recent ones. Safe to use from several threads.

    `refitting` is held while a picture is decoded and written anew, which takes memory: one at a time. `now` is the
    clock that file times are compared with, in ns.
    """

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self.refitting = threading.Lock()
        self._now = now
        self._turns: dict[tuple[str, FileStamp], threading.Lock] = {}
        self._known: OrderedDict[tuple[str, FileStamp], CheckedFile] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, file: BinaryIO, path: Path) -> CheckedFile:
        """The facts about an open file that lies at `path`. PictureError for a damaged one or one that is none."""
        stamp = FileStamp.of(file)
        if not stamp.settled(self._now()):
            return _checked(file, path, stamp, summed=True)
        key = (str(path), stamp)
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:  # calls that come at once with the same file wait for one reading of it
            return self._recalled(key) or self._read(file, path, stamp)

    def _recalled(self, key: tuple[str, FileStamp]) -> CheckedFile | None:
        with self._lock:
            known = self._known.get(key)
            if known:
                self._known.move_to_end(key)
            return known

    def _read(self, file: BinaryIO, path: Path, stamp: FileStamp) -> CheckedFile:
        try:
            checked = _checked(file, path, stamp, summed=not _CHANGE_TIMES)
            self.remember(path, checked)
            return checked
        finally:
            with self._lock:
                self._turns.pop((str(path), stamp), None)

    def at(self, path: Path) -> CheckedFile:
        """The facts about a file of ours."""
        with guarded(path), path.open("rb", buffering=0) as file:
            return self.check(file, path)

    def remember(self, path: Path, checked: CheckedFile) -> None:
        """Keep what is known, unless the file was changed so recently that its time may hide another change."""
        if not checked.stamp.settled(self._now()):
            return
        with self._lock:
            self._known[str(path), checked.stamp] = checked
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _checked(file: BinaryIO, path: Path, stamp: FileStamp, *, summed: bool) -> CheckedFile:
    with guarded(path):
        file.seek(0)
        header = header_of(file, path, max_pixels=MAX_PIXELS, scaled=True, scans=False)
        file.seek(0)
        reader = SequentialReader(file, summed=summed)
        walk = WALKS.get(header.format)
        more = walk(reader) if walk else reader.rest() > 0
        if header.format == "tiff":
            _check_tiff(file, path, stamp.bytes)
    if FileStamp.of(file) != stamp:
        raise PictureError(Message("references.changed", name=path.name), advice=Message("references.changed-advice"))
    return CheckedFile(header, stamp, reader.sha256, reader.checksum, more)


def _check_tiff(file: BinaryIO, path: Path, size: int) -> None:
    """All pixel data that the directory names lies inside the file."""
    file.seek(0)
    with open_picture(path, "tiff", file) as image:
        tags = getattr(image, "tag_v2", {})
        places = [
            place
            for offsets, lengths in _TIFF_PLACES
            for place in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=True)
        ]
    if not places or any(start + length > size for start, length in places):
        raise ValueError("pixels beyond the end of the file")
