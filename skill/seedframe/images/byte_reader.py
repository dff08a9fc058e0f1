"""Reads parts of a file while its structure is parsed.

In: an open file. Out: bytes, or EOFError when the file ends early. Never in here: what the bytes mean.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple


class ByteSpan(NamedTuple):
    """Where a payload starts in its file, and how long it is."""

    start: int
    length: int


def exactly(file: BinaryIO, count: int) -> bytes:
    """Read `count` bytes from the current position; EOFError when there are fewer."""
    data = file.read(count)
    if len(data) != count:
        raise EOFError("file ends early")
    return data


def payload(file: BinaryIO, span: ByteSpan) -> bytes:
    """Read a whole payload."""
    file.seek(span.start)
    return exactly(file, span.length)


def peek(file: BinaryIO, span: ByteSpan, most: int) -> bytes:
    """Read the beginning of a payload, at most `most` bytes, or what there is."""
    file.seek(span.start)
    return file.read(min(span.length, most))
