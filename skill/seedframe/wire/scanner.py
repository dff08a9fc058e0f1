"""Takes base64 pictures out of a JSON or SSE body while it arrives, so that no body is ever held.

In: the body's bytes, cut anywhere. Out: decoded pieces of each `b64_json` string in order of arrival, and the small
document that is left, where each string reads `part:<number>`. Never in here: a file, a socket, the meaning of a reply.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial

from seedframe.limits import limits

PART = "part:"
"""What stands in the document where a picture was; followed by its number."""

_KEY = re.compile(rb'"b64_json"\s*:\s*"')
_LONGEST_KEY = 64
_PREFIX = b"data:"
_LONGEST_PREFIX = 256


@dataclass(frozen=True, slots=True)
class Piece:
    """Decoded bytes of one picture; `last` ends it. `broken` says that its base64 is damaged or cut short."""

    part: int
    data: bytes
    last: bool = False
    broken: bool = False


class Scanner:
    """Feed it chunks; take the pieces; read `rest` at the end. Memory is one chunk, not one picture."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._pending = b""
        self._part = -1
        self._inside = False
        self._broken = False
        self._at_start = False
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """The pieces this chunk completes."""
        data = self._pending + chunk
        self._pending = b""
        while data:
            data = (yield from self._value(data)) if self._inside else self._outside(data)

    def close(self) -> Iterator[Piece]:
        """The end of the body: a picture still open is broken."""
        if self._inside:
            self._inside = False
            yield Piece(self._part, b"", last=True, broken=True)
        else:
            self._rest += self._pending
        self._pending = b""

    def take(self) -> bytes:
        """What is left of the body so far, pictures replaced by their numbers; it is then forgotten."""
        taken = bytes(self._rest)
        self._rest.clear()
        return taken

    def _outside(self, data: bytes) -> bytes:
        # Past any number of pictures the service returns nothing is taken out: what is left soon grows too long.
        found = _KEY.search(data) if self._part + 1 < limits().reply_slots else None
        if found:
            self._part += 1
            self._inside, self._broken, self._at_start = True, False, True
            self._size = 0
            self._rest += data[: found.end()] + f"{PART}{self._part}".encode()
            return data[found.end() :]
        keep = _possible_key(data)
        self._rest += data[: len(data) - keep]
        self._pending = data[len(data) - keep :]
        return b""

    def _value(self, data: bytes) -> Generator[Piece, None, bytes]:
        end = data.find(b'"')
        body, after = (data, b"") if end < 0 else (data[:end], data[end:])
        if self._at_start and body.startswith(_PREFIX[: len(body)] if len(body) < len(_PREFIX) else _PREFIX):
            comma = body.find(b",")
            if comma < 0 and end < 0:
                self._broken = self._broken or len(data) > _LONGEST_PREFIX
                self._pending = b"" if self._broken else data
                self._at_start = not self._broken
                return b""
            body = body[comma + 1 :]
        self._at_start = False
        text = body if end >= 0 else self._whole_groups(body)
        decoded = self._decode(text)
        if end < 0:
            if decoded:
                yield Piece(self._part, decoded)
            return b""
        self._inside = False
        yield Piece(self._part, decoded, last=True, broken=self._broken)
        return after

    def _whole_groups(self, body: bytes) -> bytes:
        """As much as ends on a group of four; escapes are undone first, a lone backslash waits for its letter."""
        waiting = body[-1:] if body.endswith(b"\\") else b""
        text = _unescaped(body[: len(body) - len(waiting)])
        cut = len(text) - len(text) % 4
        self._pending = text[cut:] + waiting
        return text[:cut]

    def _decode(self, text: bytes) -> bytes:
        if self._broken or not text:
            return b""
        try:
            data = _decoder()(_unescaped(text))
        except (binascii.Error, ValueError):
            self._broken = True
            return b""
        self._size += len(data)
        self._broken = self._size > limits().picture_bytes
        return b"" if self._broken else data


def _possible_key(data: bytes) -> int:
    """How many bytes at the end could be the beginning of a key that continues in the next chunk."""
    tail = data[-_LONGEST_KEY:]
    for at in range(len(tail)):
        rest = tail[at:]
        if rest[:1] == b'"' and (b'"b64_json"'.startswith(rest) or re.fullmatch(rb'"b64_json"\s*:?\s*', rest)):
            return len(rest)
    return 0


def _unescaped(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    return text.replace(b"\\/", b"/").replace(b"\\n", b"").replace(b"\\r", b"")


def _strict(text: bytes) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _decoder() -> Callable[[bytes], bytes]:
    """pybase64 where it is installed (five times faster), else the standard library; both strict."""
    try:
        import pybase64
    except ImportError:
        return _strict
    return partial(pybase64.b64decode, validate=True)
