"""Reading an open file once, from its first byte to its last, with digest and checksum of all that passed.

In: a binary file at its start. Out: bytes in order; sha256 and, where asked for, CRC-32 of what was read. One block is
held at a time.
Never in here: what the bytes mean.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import BinaryIO

_BLOCK = 1 << 19


class SequentialReader:
    """A file read in order. EOFError where it ends before what was asked for."""

    def __init__(self, file: BinaryIO, *, summed: bool) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._block = memoryview(bytearray(_BLOCK))
        self._start = self._end = 0
        self.position = 0
        self.checksum = 0 if summed else None

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes; meant for structure and metadata, not for pixels."""
        content = bytearray()
        while len(content) < count:
            content += self._next(count - len(content))
        return bytes(content)

    def skip(self, count: int, checksum: int = 0) -> int:
        """Pass over `count` bytes; gives `checksum` continued by their CRC-32."""
        while count:
            piece = self._next(count)
            checksum = zlib.crc32(piece, checksum)
            count -= len(piece)
        return checksum

    def skip_until(self, pattern: re.Pattern[bytes], overlap: int) -> None:
        """Stand before the next match of `pattern`, which is `overlap` + 1 bytes long."""
        while True:
            found = pattern.search(self._block, self._start, self._end)
            if found:
                self._advance(found.start() - self._start)
                return
            self._advance(max(0, self._end - self._start - overlap))
            self._refill()

    def rest(self) -> int:
        """Read to the end; how many bytes that were."""
        before = self.position
        try:
            while True:
                self._next(_BLOCK)
        except EOFError:
            return self.position - before

    @property
    def sha256(self) -> str:
        """The digest of all that was read, in hexadecimal: of the whole file after `rest`."""
        return self._digest.hexdigest()

    def _next(self, most: int) -> memoryview:
        if self._start == self._end:
            self._refill()
        piece = self._block[self._start : min(self._end, self._start + most)]
        self._advance(len(piece))
        return piece

    def _advance(self, count: int) -> None:
        self._start += count
        self.position += count

    def _refill(self) -> None:
        """Move what is left to the front and read behind it."""
        left = self._end - self._start
        self._block[:left] = self._block[self._start : self._end]
        came = self._file.readinto(self._block[left:])  # type: ignore[attr-defined]
        if not came:
            raise EOFError("file ends early")
        self._digest.update(self._block[left : left + came])
        if self.checksum is not None:
            self.checksum = zlib.crc32(self._block[left : left + came], self.checksum)
        self._start, self._end = 0, left + came
