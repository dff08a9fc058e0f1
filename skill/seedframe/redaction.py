"""Removes what must never be shown or stored: keys, signed addresses, pictures as text.

In: any JSON-like value, free text, log records, and the known secrets. Out: the same with marks in their place.
Used where text is output: a tool's result and progress, the command line's output, the log, the payment record,
sidecars and board files. Input is not redacted, since only whole texts show a key that arrived in pieces.
Never in here: the environment, a decision about what is shown where.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO

MARK = "[redacted]"
# Shorter values are no keys, and removing them would damage ordinary words.
SHORTEST_SECRET = 4
_LARGE = 1_000_000
"""Only our own texts with pictures in them have this many characters; texts of the service are far shorter."""

_SHORTEST_HALF = 8
"""A cut text may end in the first part of a key; shorter parts reveal nothing."""

# A run this long is no word and no path; a picture as text is thousands of characters.
_LONGEST_WORD = 256
_DATA_URI = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)?(?:;[\w.=+-]+)*,(?P<body>[^\s\"'<>\\]*)", re.IGNORECASE)
_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_LONGEST_WORD},}}={{0,2}}")
# Nested JSON strings write an address with `\/` and `\u0026`.
_REST = r"(?:[^\s\"'<>\\，。；、）】」》]|\\/|\\u[0-9a-fA-F]{4})*"
_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}:(?:\\?/){2})[^\s/?#\"'<>\\@]+@", re.IGNORECASE)
_QUERY = re.compile(
    r"(?P<address>\b[a-z][a-z0-9+.-]{1,20}:(?:\\?/){2}(?:[^\s?#\"'<>\\，。；、）】」》]|\\/)*)[?#]" + _REST,
    re.IGNORECASE,
)
_SIGNED = re.compile(
    r"(?P<name>X-(?:Tos|Amz|Goog|Oss|Cos)-[\w-]+)(?P<is>\s*[=:]\s*|[\"']\s*:\s*[\"']|%(?:25)*3D|\\+u003D)"
    r"(?:[^&\s\"',;\\]|\\[^\"'])+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<name>\bauthorization[\"']?\s*[:=]\s*[\"']?)(?:(?:Bearer|Basic)\s+)?(?:[^\s\"',;}\\]|\\[^\"'])+", re.IGNORECASE
)
# A digit distinguishes a token from the words after "standard bearer".
_BEARER = re.compile(r"(?P<scheme>\b(?:Bearer|Basic)\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}", re.IGNORECASE)
_KEY_SHAPE = re.compile(r"\bsk-[\w-]{16,}")
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:authorization|api[_-]?key|access[_-]?key|secret|password|(?:access|auth|session)[_-]?token)$",
    re.IGNORECASE,
)
_TELLTALE = re.compile(
    r":\\?/|data:|X-(?:Tos|Amz|Goog|Oss|Cos)-|authorization|(?:bearer|basic)\s|sk-"
    rf"|[A-Za-z0-9+/_-]{{{_LONGEST_WORD}}}",
    re.IGNORECASE,
)
"""Strings that every pattern above needs; most texts have none of them."""

_MAGIC = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))


def redact(value: Any, secrets: Iterable[str] = (), *, long_words: bool = False) -> Any:
    """The same value, safe to show and to store; tuples come back as lists, bytes as a description of them.

    `secrets` are keys known to the caller; they are removed everywhere, also JSON-escaped, URL-encoded or cut off at
    the end. Queries of addresses, bearer tokens, values under key-like names, data URIs and long base64 are
    removed in any case. `long_words` keeps what only looks like base64: our own text, in which paths may be long.
    """
    known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)
    return _redact(value, _Rules(tuple(known), long_words))


@dataclass(frozen=True, slots=True)
class _Rules:
    """The secrets known to the caller, as patterns."""

    secrets: tuple[str, ...]
    long_words: bool


_SAMPLE = "图片 – …"
"""The encoding of every stream: a redirected one on Windows may have a code page without Chinese."""


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


class RedactedStream:
    """A text stream that redacts what is written; everything else is passed to the stream.

    It has no `buffer`, so that nothing bypasses it.
    """

    def __init__(self, stream: TextIO, secrets: Iterable[str]) -> None:
        self._stream = stream
        self._secrets = tuple(secrets)
        if stream.encoding and not _can_write(_SAMPLE, stream.encoding):
            stream.reconfigure(encoding="utf-8")  # type: ignore[attr-defined]

    @property
    def plain(self) -> TextIO:
        """The stream itself, for a protocol that redacts by itself."""
        return self._stream

    def write(self, text: str) -> int:
        """Write the redacted text; returns the length of the original."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, not {type(text).__name__}")
        self._stream.write(redact(text, self._secrets, long_words=True))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name in {"buffer", "_stream"}:
            raise AttributeError(name)
        return getattr(self._stream, name)


class Redacting(logging.Filter):
    """A filter for log *handlers* (a logger's own filter is not asked about its children's records)."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its text, exception and stack redacted."""
        record.msg, record.args = redact(_said(record), self._secrets), None
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        # The formatter prints exc_text; with exc_info left in place, another one could print the original.
        record.exc_info = None
        record.exc_text = record.exc_text and redact(record.exc_text, self._secrets)
        record.stack_info = record.stack_info and redact(record.stack_info, self._secrets)
        return True


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # A wrong format string must not become an exception in the code that logs.
        return f"{record.msg} {record.args!r}"


def _redact(value: Any, secrets: _Rules) -> Any:
    if isinstance(value, str):
        return _text(value, secrets)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _described(bytes(value), None)
    if isinstance(value, Mapping):
        return {_redact(key, secrets): _named(key, item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact(item, secrets) for item in value]
    return value


def _named(name: Any, value: Any, secrets: _Rules) -> Any:
    if isinstance(name, str) and isinstance(value, str) and value and _is_secret_name(name):
        return MARK
    return _redact(value, secrets)


@lru_cache(1024)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _text(text: str, rules: _Rules) -> str:
    for secret in rules.secrets:
        text = text.replace(secret, MARK)
    if len(text) < _LARGE:  # before anything is removed that a key may overlap
        text = _without_spellings(text, rules.secrets)
    if _is_word(text) or (len(text) < _LARGE and not _TELLTALE.search(text)):
        return text
    text = _DATA_URI.sub(_data_uri, text)
    if not rules.long_words:
        text = _BASE64.sub(lambda found: _decoded(found[0], None), text)
    if len(text) >= _LARGE:
        text = _without_spellings(text, rules.secrets)
    text = _USER.sub(rf"\g<scheme>{MARK}@", text)
    text = _QUERY.sub(rf"\g<address>?{MARK}", text)
    text = _SIGNED.sub(rf"\g<name>\g<is>{MARK}", text)
    text = _HEADER.sub(rf"\g<name>{MARK}", text)
    text = _BEARER.sub(rf"\g<scheme>{MARK}", text)
    return _KEY_SHAPE.sub(MARK, text)


def _is_word(text: str) -> bool:
    """Whether it is one word of letters and digits, as most keys are: no pattern is found in it."""
    return len(text) < _LONGEST_WORD and text.isidentifier()


_ESCAPED = re.compile(
    r"\\+u(?P<u>[0-9a-fA-F]{4})|\\+x(?P<x>[0-9a-fA-F]{2})|%(?:25)*(?P<percent>[0-7][0-9a-fA-F])"
    r"|&#(?:(?P<decimal>\d{1,7})|[xX](?P<hex>[0-9a-fA-F]{1,6}))(?:;|(?=&))|\\+(?![ux])"
)
"""One escaped character: JSON-escaped or URL-encoded at any depth, as a byte, as an HTML entity."""

_ESCAPES = ("\\", "%", "&#")
"""Without any of these no character is escaped."""

_CUT = re.compile(r"(?:\\+[ux]?[0-9a-fA-F]{0,3}|%[0-9a-fA-F]?|&(?:#[xX]?[0-9a-fA-F]*)?)?(?:…|\Z)")
"""Where a text was cut, perhaps in the middle of such a character."""


def _without_spellings(text: str, secrets: Sequence[str]) -> str:
    """The text without its keys in any spelling, and without the beginning of a key at a cut."""
    if not _may_hold(text, secrets):
        return text
    plain, starts, stops = _unescaped(text)
    spans = [span for secret in secrets for span in _found(plain, secret)]
    spans += [span for cut in _CUT.finditer(plain) for secret in secrets for span in _half(plain, cut.start(), secret)]
    kept: list[str] = []
    last = 0
    for start, stop in _merged(spans):
        kept += (text[last : starts[start]], MARK)
        last = stops[stop - 1]
    return "".join([*kept, text[last:]])


def _may_hold(text: str, secrets: Sequence[str]) -> bool:
    """False where no key is, not even the beginning of one: where nothing is escaped it would stand there as it is."""
    if not secrets:
        return False
    return any(mark in text for mark in _ESCAPES) or any(secret[:_SHORTEST_HALF] in text for secret in secrets)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans in order, those that overlap as one."""
    begun: tuple[int, int] | None = None
    for start, stop in sorted(spans):
        if begun and start < begun[1]:
            begun = begun[0], max(begun[1], stop)
            continue
        if begun:
            yield begun
        begun = start, stop
    if begun:
        yield begun


def _unescaped(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """The text with every character unescaped, and where each begins and ends in the given text."""
    if not _ESCAPED.search(text):
        return text, range(len(text)), range(1, len(text) + 1)
    letters: list[str] = []
    starts: list[int] = []
    stops: list[int] = []
    last = 0
    for found in _ESCAPED.finditer(text):
        letters.append(text[last : found.start()])
        starts += range(last, found.start())
        stops += range(last + 1, found.start() + 1)
        last = found.end()
        code = _code(found)
        if code is not None:
            letters.append(chr(code) if code <= sys.maxunicode else "?")
            starts.append(found.start())
            stops.append(last)
    letters.append(text[last:])
    return "".join(letters), [*starts, *range(last, len(text))], [*stops, *range(last + 1, len(text) + 1)]


def _code(found: re.Match[str]) -> int | None:
    """The number of the character; None for backslashes before one that stands for itself."""
    if found["decimal"] is not None:
        return int(found["decimal"])
    digits = found["u"] or found["x"] or found["percent"] or found["hex"]
    return int(digits, 16) if digits else None


def _found(plain: str, secret: str) -> Iterator[tuple[int, int]]:
    start = plain.find(secret)
    while start >= 0:
        yield start, start + len(secret)
        start = plain.find(secret, start + len(secret))


def _half(plain: str, end: int, secret: str) -> Iterator[tuple[int, int]]:
    for length in range(len(secret) - 1, _SHORTEST_HALF - 1, -1):
        if plain.endswith(secret[:length], 0, end):
            yield end - length, end
            return


def _data_uri(found: re.Match[str]) -> str:
    return _decoded(found["body"], found["mime"] or "text/plain")


def _decoded(text: str, mime: str | None) -> str:
    """A description of what base64 text holds, or of the text itself where it is cut or no base64."""
    padded = text.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        return _described(base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True), mime)
    except (binascii.Error, ValueError):
        return _described(text.encode("utf-8", "surrogatepass"), mime)


def _described(data: bytes, mime: str | None) -> str:
    known = mime or next((name for magic, name in _MAGIC if data.startswith(magic)), "application/octet-stream")
    return f"[{known}, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:12]}]"
