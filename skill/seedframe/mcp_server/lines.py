"""Lines from the host, of bounded length: a longer one is skipped and answered, never held in memory.

In: the binary stream the host writes to. Out: text lines for the SDK. A line that is too long becomes the same call
with only its size in `_meta`, so that its sender gets an answer. Never in here: a tool, an argument.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from seedframe.limits import limits

OVERSIZED = "seedframe/oversized"
_LOOK = 4_096
_CHUNK = 65_536
_ID = rb'"id"\s*:\s*(?P<id>-?\d{1,18}|"[^"\\]{0,200}")'
_PLAIN = rb'"(?:jsonrpc|method)"\s*:\s*"[^"\\]{0,200}"'
_AT_START = re.compile(rb"\s*\{\s*(?:" + _PLAIN + rb"\s*,\s*){0,2}" + _ID)
_AT_END = re.compile(_ID + rb"\s*(?:,\s*" + _PLAIN + rb"\s*){0,2}\}\s*$")
_TOOL = re.compile(rb'"name"\s*:\s*"(\w{1,64})"')


class BoundedLines:
    """The part of a readable text file that `anyio.wrap_file` needs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readline(self) -> str:
        """The next line; empty at the end of the stream."""
        most = limits().argument_characters + _CHUNK
        line = self._stream.readline(most)
        if len(line) < most or line.endswith(b"\n"):
            return line.decode("utf-8", "replace")
        head, tail, size = line[:_LOOK], line[-_LOOK:], len(line)
        del line
        while piece := self._stream.readline(_CHUNK):
            tail, size = (tail + piece)[-_LOOK:], size + len(piece)
            if piece.endswith(b"\n"):
                break
        return _instead(head, tail, size)

    def close(self) -> None:
        """Do nothing: the stream belongs to somebody else."""


def _instead(head: bytes, tail: bytes, size: int) -> str:
    """A short call with the same id; where none is found, a line that is answered as unreadable."""
    named = _AT_START.match(head) or _AT_END.search(tail)
    if named is None:
        return "{}\n"
    tool = _TOOL.search(head) or _TOOL.search(tail)
    params = {"name": tool[1].decode() if tool else "–", "arguments": {}, "_meta": {OVERSIZED: size}}
    call = {"jsonrpc": "2.0", "id": json.loads(named["id"]), "method": "tools/call", "params": params}
    return json.dumps(call) + "\n"


@contextmanager
def host_lines() -> Iterator[BoundedLines]:
    """The lines on stdin; meanwhile descriptor 0 is the null device, so that no child process reads from the host."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        yield BoundedLines(sys.stdin.buffer)
        return
    wire = os.dup(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, descriptor)
    os.close(null)
    try:
        # Never closed: a thread may still be waiting for the host's next line when we end.
        yield BoundedLines(os.fdopen(wire, "rb", closefd=False))
    finally:
        os.dup2(wire, descriptor)
