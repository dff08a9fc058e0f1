"""A picture file inside a request body: sent as a data URI while it is read, and described in one line elsewhere.

In: a file that was checked. Out: the pieces of its data URI, or a line about it. A file that changed after the
check is an InvalidRequest before its last piece is sent, so that the service never gets a whole request with it.
Never in here: JSON, a socket, what a picture is.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import os
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seedframe.errors import InvalidRequest
from seedframe.images import FileStamp
from seedframe.messages import Message

PIECE_BYTES = 15 << 15
"""Bytes read at a time: a multiple of 3, so that the base64 of the pieces is the base64 of the whole."""

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class FilePart:
    """A checked picture file. `path` leads to it without links; the rest is as when it was checked.

    The stamp is compared before and after the bytes are sent. `checksum`, the CRC-32 of them, is compared as well where
    the file was changed so recently that its stamp may hide another change; otherwise it is None.
    """

    path: Path
    mime: str
    sha256: str
    checksum: int | None
    stamp: FileStamp

    @property
    def bytes(self) -> int:
        """The length of the file."""
        return self.stamp.bytes

    @property
    def head(self) -> str:
        """The text before the base64."""
        return f"data:{self.mime};base64,"

    @property
    def sent_length(self) -> int:
        """The length of the data URI, all of it ASCII."""
        return len(self.head) + (self.bytes + 2) // 3 * 4

    def describe(self) -> str:
        """The line that stands for the picture wherever a request is shown or recorded."""
        return f"[{self.mime}, {self.bytes} bytes, sha256 {self.sha256[:_SHOWN_DIGITS]}]"


class FilePartReader:
    """One reading of a part, of which `left` bytes are still to be read.

    Blocking: its methods run in threads. The first piece opens the file.
    """

    def __init__(self, part: FilePart) -> None:
        self._part = part
        self._checksum = None if part.checksum is None else 0
        self._encode = _encoder()
        self.left = part.bytes
        self._file: BinaryIO | None = None
        self._block = memoryview(bytearray(min(PIECE_BYTES, part.bytes)))

    def _opened(self) -> BinaryIO:
        try:
            file = os.fdopen(os.open(self._part.path, _READ), "rb", buffering=0)
        except OSError:
            raise changed(self._part.path) from None
        if FileStamp.of(file) != self._part.stamp:
            file.close()
            raise changed(self._part.path)
        return file

    def piece(self) -> bytes:
        """The next piece as base64; empty at the end. The last piece is given only when the file is unchanged."""
        file = self._file = self._file or self._opened()
        wanted = min(PIECE_BYTES, self.left)
        came = 0
        while came < wanted and (more := file.readinto(self._block[came:wanted])):  # type: ignore[attr-defined]
            came += more
        data = self._block[:came]
        if self._checksum is not None:
            self._checksum = zlib.crc32(data, self._checksum)
        self.left -= len(data)
        if len(data) < wanted or (not self.left and not self._same(file)):
            raise changed(self._part.path)
        return self._encode(data)

    def _same(self, file: BinaryIO) -> bool:
        return self._checksum == self._part.checksum and FileStamp.of(file) == self._part.stamp

    def close(self, last: asyncio.Future[bytes]) -> None:
        """Close the file; `last` is a read that was under way, whose error is ignored."""
        if not last.cancelled():
            last.exception()
        if self._file is not None:
            self._file.close()


async def pieces(part: FilePart) -> AsyncIterator[bytes]:
    """The data URI of a part, piece by piece; each is read and encoded in a thread."""
    yield part.head.encode("ascii")
    reader = FilePartReader(part)
    in_thread = asyncio.get_running_loop().run_in_executor
    coming = in_thread(None, reader.piece)
    try:
        while piece := await asyncio.shield(coming):
            if more := reader.left > 0:
                coming = in_thread(None, reader.piece)  # while this one is on its way
            yield piece
            if not more:
                return
    finally:
        coming.add_done_callback(reader.close)


def changed(path: Path) -> InvalidRequest:
    """The error for a file that changed after it was checked."""
    return InvalidRequest(
        Message("references.changed", name=path.name),
        field="images",
        got=path.name,
        allowed="a file that stays as it is until the call has left",
        advice=Message("references.changed-advice"),
    )


def _encoder() -> Callable[[memoryview], bytes]:
    """The faster encoder where it is installed."""
    try:
        fast = importlib.import_module("pybase64")
    except ImportError:
        return base64.b64encode
    encode: Callable[[memoryview], bytes] = fast.b64encode
    return encode
