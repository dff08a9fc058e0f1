"""Copies ranges of a source file and new bytes, with a list of what was left out.

In: a mapped file and what to keep, put or take. Out: the pieces to write. Never in here: what a range means.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import BinaryIO

from seedframe.images.location_data import blank_places
from seedframe.images.orientation import read_orientation
from seedframe.messages import Message

EXIF = b"Exif\0\0"
_UPRIGHT = 1


@dataclass
class PartialCopy:
    """`taken`: kind of what is left out → its bytes where that is worth saying, else 0."""

    source: mmap
    pieces: list[bytes | tuple[int, int]] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)

    def keep(self, start: int, end: int) -> None:
        """Copy a range of the source."""
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, tuple) and last[1] == start:
            self.pieces[-1] = (last[0], end)
        else:
            self.pieces.append((start, end))

    def put(self, content: bytes) -> None:
        """Write new bytes."""
        self.pieces.append(content)

    def take(self, *kinds: str) -> None:
        """Note what is left out."""
        self.taken |= dict.fromkeys(kinds, 0)

    def end_at(self, end: int) -> None:
        """Note the end of the picture; the rest is not copied."""
        if end < len(self.source):
            self.taken["trailer"] = len(self.source) - end

    @property
    def size(self) -> int:
        """Bytes of the copy so far."""
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self.pieces)

    def write(self, file: BinaryIO) -> None:
        """Write every piece."""
        file.writelines(p if isinstance(p, bytes) else self.source[p[0] : p[1]] for p in self.pieces)

    def notes(self) -> Sequence[Message]:
        """What was left out, in words."""
        return [Message(f"privacy.{kind}", bytes=size) for kind, size in self.taken.items()]


def cleaned_exif(block: bytes, copy: PartialCopy) -> bytes:
    """Give an EXIF block without places; of one that cannot be read only the orientation is left."""
    prefix = EXIF if block.startswith(EXIF) else b""
    tiff = bytearray(block[len(prefix) :])
    try:
        taken = blank_places(tiff)
    except (KeyError, ValueError, IndexError, struct.error):
        copy.take("exif")
        return prefix + _orientation_only(_orientation(block))
    copy.take(*taken)
    return prefix + bytes(tiff)


def _orientation(block: bytes) -> int:
    try:
        return read_orientation(block)
    except struct.error:
        return _UPRIGHT


def _orientation_only(orientation: int) -> bytes:
    return struct.pack(">4sIHHHIHHI", b"MM\0*", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
