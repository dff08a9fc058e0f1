"""Extracts base64 pictures from a JSON or SSE body while it arrives, so that no whole body is held in memory.

In: chunks of the body. Out: decoded pieces of each `b64_json` string in order of arrival, and the small remaining
document, where each string reads `part:<number>`. Never in here: a file, a socket, the meaning of a reply.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial

from seedframe.limits import limits

PART = "part:"
"""Replaces a picture in the document; followed by its number."""


def _spelled(name: str) -> bytes:
    r"""A pattern for every way JSON may write a name: each character as itself or as its `\uXXXX`."""
    return b"".join(rb"(?:%b|\\u(?i:%04x))" % (re.escape(letter).encode(), ord(letter)) for letter in name)


_NAME = rb'"' + _spelled("b64_json") + rb'"'
_KEY = re.compile(_NAME + rb'\s*:\s*"')
_KEY_CUT = re.compile(_NAME + rb"\s*(?::\s*)?\Z")
_LONGEST_NAME = len('"b64_json"') * len(r"\u0062")
_LONGEST_PAUSE = 65_536
"""The most bytes accepted between a key and its value."""

_PREFIX = b"data:"
_LONGEST_PREFIX = 256
_CLOSED = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)
"""A string's inside up to its closing quote, or up to an escape that is cut off."""

_ESCAPE_CUT = re.compile(rb"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")
_BLANKS = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """Decoded bytes of one picture; `last` ends it. `broken` says that its base64 is damaged or cut short."""

    part: int
    data: bytes
    last: bool = False
    broken: bool = False


class Base64Extractor:
    """Feed it chunks; take the pieces; read `rest` at the end. Memory is one chunk, not one picture."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._pending = b""
        self._translate_errors = b""
        self._part = -1
        self._inside = False
        self._broken = False
        self._at_start = False
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[ImageChunk]:
        """The pieces that this chunk completes."""
        data = self._pending + chunk
        self._pending = b""
        while data:
            data = (yield from self._value(data)) if self._inside else self._outside(data)

    def close(self) -> Iterator[ImageChunk]:
        """The end of the body: a picture still open is broken."""
        if self._inside:
            self._inside = False
            yield ImageChunk(self._part, b"", last=True, broken=True)
        else:
            self._rest += self._pending
        self._pending = b""

    def take(self) -> bytes:
        """Take the rest of the body so far, with numbers in place of pictures."""
        taken = bytes(self._rest)
        self._rest.clear()
        return taken

    def _outside(self, data: bytes) -> bytes:
        # Beyond any plausible number of pictures nothing is extracted, so that the rest soon exceeds its limit.
        found = _KEY.search(data) if self._part + 1 < limits().reply_slots else None
        if found:
            self._part += 1
            self._inside, self._broken, self._at_start, self._translate_errors = True, False, True, b""
            self._size = 0
            self._rest += data[: found.end()] + f"{PART}{self._part}".encode()
            return data[found.end() :]
        keep = _possible_key(data)
        self._rest += data[: len(data) - keep]
        self._pending = data[len(data) - keep :]
        return b""

    def _value(self, data: bytes) -> Generator[ImageChunk, None, bytes]:
        end = _end_of_string(data)
        closed = end < len(data)
        text = self._translate_errors + self._unescaped(data[:end], closed=closed)
        self._translate_errors = b""
        if self._at_start:
            if not closed and _is_open_prefix(text):
                self._translate_errors = text
                return b""
            if text.startswith(_PREFIX):
                text = text.partition(b",")[2]
            self._at_start = False
        if not closed:
            whole = len(text) - len(text) % 4
            text, self._translate_errors = text[:whole], text[whole:]
            if decoded := self._decode(text):
                yield ImageChunk(self._part, decoded)
            return b""
        self._inside = False
        yield ImageChunk(self._part, self._decode(text), last=True, broken=self._broken)
        return data[end:]

    def _unescaped(self, text: bytes, *, closed: bool) -> bytes:
        """The characters a piece of a JSON string means, without blanks; an escape that is cut off waits."""
        if b"\\" in text:
            cut = None if closed else _ESCAPE_CUT.search(text)
            if cut:
                self._pending = cut[1]
                text = text[: cut.start(1)]
            try:
                text = json.loads(b'"' + text + b'"', strict=False).encode("ascii")
            except ValueError:  # also characters that are no base64
                self._broken = True
                return b""
        return text.translate(None, _BLANKS) if any(blank in text for blank in _BLANKS) else text

    def _decode(self, text: bytes) -> bytes:
        if self._broken or not text:
            return b""
        try:
            data = _decoder()(text)
        except (binascii.Error, ValueError):
            self._broken = True
            return b""
        self._size += len(data)
        self._broken = self._size > limits().picture_bytes
        return b"" if self._broken else data


def _possible_key(data: bytes) -> int:
    """How many bytes at the end could be the beginning of a key that continues in the next chunk."""
    whole = _KEY_CUT.search(data, max(0, len(data) - _LONGEST_PAUSE))
    if whole:
        return len(data) - whole.start()
    start = max(0, len(data) - _LONGEST_NAME)
    quotes = (at for at in range(start, len(data)) if data[at : at + 1] == b'"')
    return next((len(data) - at for at in quotes if _begins_name(data[at:])), 0)


def _begins_name(text: bytes) -> bool:
    """Whether a string that is cut off may turn out to be the name; an escape that is cut off may be any letter."""
    cut = _ESCAPE_CUT.search(text)
    try:
        name = json.loads((text[: cut.start(1)] if cut else text) + b'"')
    except ValueError:
        return False
    return "b64_json".startswith(name)


def _is_open_prefix(text: bytes) -> bool:
    """Whether a value begins, or may begin, with `data:…,` and the comma has not come yet."""
    return _PREFIX.startswith(text[: len(_PREFIX)]) and b"," not in text and len(text) < _LONGEST_PREFIX


def _end_of_string(data: bytes) -> int:
    """Where the closing quote stands, or the end of what has come."""
    end = data.find(b'"')
    if end < 0:
        return len(data)
    if data[end - 1 : end] != b"\\":
        return end
    closed = _CLOSED.match(data)
    return closed.end() if closed and data[closed.end() : closed.end() + 1] == b'"' else len(data)


def _strict(text: bytes) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _decoder() -> Callable[[bytes], bytes]:
    """pybase64 where it is installed (five times faster), else the standard library; both strict."""
    try:
        import pybase64
    except ImportError:
        return _strict
    return partial(pybase64.b64decode, validate=True)
